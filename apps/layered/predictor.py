"""The friendly object of Layered-BodyMap: a photograph in, maps of body, upper and lower garment out.

model = LayeredBodyMap.from_pretrained()
maps = model.predict("photo.jpg")                   # the largest person; bodymap.types.LayerMaps
maps = model.predict("photo.jpg", mask="mask.png")  # a semantic mask: 0 background, 1 body, 2 upper, 3 lower
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from torch import Tensor

from apps.layered.heads import LAYERS, LayeredNet, LayeredOutput, carried_over, features_at, look
from apps.layered.heights import HeightNet, moved, own_spread
from apps.layered.masks import read_layers
from apps.layered.samples import BODY, CELLS, LOWER, UPPER, visible_layer
from apps.layered.settings import HEIGHTS, HeightConfig, LayeredConfig
from apps.layered.surfaces import code_version, surfaces
from bodymap import weights
from bodymap.config import from_dict
from bodymap.cropping import MULTIPLE, crop_of, resized
from bodymap.errors import UserError
from bodymap.expansion import Reading, band_positions, bands, expand, fine_mask
from bodymap.network.config import built
from bodymap.photo import name_of, read_photo
from bodymap.predictor import BodyMap
from bodymap.surface import colour, points
from bodymap.tidying import fill_outside
from bodymap.types import LAYER_NAMES, Correspondence, LayerMaps
from bodymap.upsampling import sample_smooth

if TYPE_CHECKING:
    from bodymap.predictor import Photo

Settings = TypeVar("Settings", HeightConfig, LayeredConfig)

PRETRAINED = Path(__file__).parent / "pretrained"
_PIXELS = 1 << 12  # pixels whose scores are held at a time
# What the layer field of a layer's Correspondence says
_LAYER = {"body": "skin", "upper": "upper", "lower": "lower"}


@dataclass(frozen=True)
class LayeredPredictorConfig:
    """How photographs are fed to the network; sizes in pixels.

    Attributes:
        size: longest side of a person's crop.
        margin, enlarge: as ``bodymap.predictor.PredictorConfig``.
        smallest: a garment of fewer of the person's pixels, as a share, is taken for a mistake; patch: likewise of
            any layer's separate patches.
        edge_radius: of the guided filter at the person's edge, crop pixels; 0: none.
    """

    size: int = 384
    margin: float = 0.12
    enlarge: float = 3.0
    smallest: float = 0.015
    patch: float = 0.003
    edge_radius: int = 2


class LayeredBodyMap:
    """A layered network on a BodyMap, which finds people, makes masks and gives the single-layer match."""

    def __init__(
        self,
        net: LayeredNet,
        bodymap: BodyMap,
        config: LayeredPredictorConfig | None = None,
        heights: HeightNet | None = None,
    ):
        """Takes over ``net`` and ``heights``: on BodyMap's device, in evaluation mode."""
        if bodymap.net.cse is None:
            raise UserError("The layered network needs a BodyMap with a coarse stage; take other weights.")
        self.bodymap = bodymap
        self.device = bodymap.device
        self.net = net.to(self.device).eval().requires_grad_(False)
        self.heights = None if heights is None else heights.to(self.device).eval().requires_grad_(False)
        self.surfaces = {name: surface.to(self.device) for name, surface in surfaces().items()}
        self.code_version = code_version(self.surfaces)
        self.config = config or LayeredPredictorConfig()

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike | None = None,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        bodymap: BodyMap | None = None,
        config: LayeredPredictorConfig | None = None,
        heights: str | os.PathLike | None = HEIGHTS,
    ) -> LayeredBodyMap:
        """Loads weights: nothing (the shipped ones), a folder (also a run's) or a file.

        Args:
            dtype: of the networks' arithmetic, as BodyMap.from_pretrained takes it.
            bodymap: one that is loaded already, with its own device and dtype; None: the one that the weights were
                trained upon.
            heights: weights of the network that corrects the lower garment (``apps.layered.heights``): the shipped
                ones, a folder or a file; None: without it.

        Raises:
            UserError: no such weights, damaged ones, ones of another network or other surfaces; no such device.
        """
        found = weights.load(find(source), code_version(surfaces()))
        model = _described(found, "model", LayeredConfig)
        if bodymap is None:
            bodymap = BodyMap.from_pretrained(model.base, device=device, dtype=dtype)
        net = built(lambda: LayeredNet(model, bodymap.net.cse))
        weights.load_into(net, found.tensors, source=found.path)
        return cls(net, bodymap, config, None if heights is None else load_heights(heights))

    # ---------------------------------------------------------------------------------------------------- the whole way

    def predict(self, photo: Photo, mask: str | os.PathLike | np.ndarray | None = None) -> LayerMaps:
        """The layers of the largest person, or of whom the mask shows.

        Args:
            photo: path, PIL image or (H, W, 3) uint8 array; the EXIF orientation is honoured.
            mask: semantic mask, 0 background, 1 body, 2 upper, 3 lower (4: the person, in who knows what layer): a
                label picture, the colours of ``_layers.png``, or an (H, W) array. It guides and may be wrong: what is
                visible comes back refined. None: BodyMap's own layers.

        Raises:
            UserError: an unusable photo or mask, or nobody in the photo.
        """
        picture = read_photo(photo)
        if mask is None:
            try:
                single = self.bodymap.predict(picture)
            except UserError as error:
                raise UserError(str(error).replace("the given array", name_of(photo))) from None
            return self.separate(picture, single, visible_layer(single.layer))
        given = read_layers(mask, picture.shape[:2])
        return self.separate(picture, self.bodymap.predict(picture, given > 0), given)

    @torch.inference_mode()
    def separate(
        self,
        photo: UInt8[np.ndarray, "height width rgb=3"],
        single: Correspondence,
        mask: Int[np.ndarray, "height width"],
    ) -> LayerMaps:
        """The layers of a person whose single-layer map and semantic mask are known already; both at the photo's size.

        Raises:
            UserError: the mask is empty.
        """
        if not (mask > 0).any():
            raise UserError("The mask is empty: no pixel is marked as the person.")
        frame = _Frame.of(self, photo, single, mask)
        output = self._run(frame)
        readings = {name: self._reading(frame, output, name) for name in LAYERS}

        # what is visible: the person's edge follows the photo, layers inside it the network
        probability = output.visible[0].float().softmax(0)
        person = replace(readings["body"], foreground=1 - probability[0])
        inside = np.zeros(photo.shape[:2], bool)
        left, top, right, bottom = frame.box
        inside[top:bottom, left:right] = fine_mask(photo, person, None, self.config.edge_radius)
        logits = torch.cat([output.visible[0, 1:].float(), output.presence[0].float()])
        visible, there = np.zeros(photo.shape[:2], np.int8), np.zeros((len(LAYERS), *photo.shape[:2]), bool)
        for start, stop in bands(person):
            y, x = band_positions(person, start, stop)
            values = sample_smooth(logits, y, x)
            rows, columns = slice(top + start, top + stop), slice(left, right)
            visible[rows, columns] = values[:3].argmax(0).cpu().numpy() + 1
            there[:, rows, columns] = (values[3:] > 0).cpu().numpy()
        visible[~inside] = 0
        visible = _without_scraps(visible, self.config.smallest, self.config.patch)

        maps: dict[str, Correspondence | None] = {}
        for index, name in enumerate(LAYERS, start=BODY):
            region = visible == index
            if name == "body":
                region = there[0] & (visible > 0)  # what is carried shows as body, but is none
            elif self.net.config.hidden:
                region |= there[index - 1] & (visible > 0)
            if name != "body" and not (visible == index).any():
                maps[name] = None
                continue
            maps[name] = expand(self.surfaces[name], photo, readings[name], mask=region)
        return LayerMaps(**maps, visible=visible)

    # -------------------------------------------------------------------------------------------------------- the steps

    def _run(self, frame: _Frame) -> LayeredOutput:
        mask = torch.from_numpy(frame.mask)[None].to(self.device)
        with self.bodymap.arithmetic():
            output = self.net(look(self.bodymap.net.cse, frame.picture), frame.picture, mask)
        # what follows asks between pixels, and wants full precision
        return LayeredOutput(**{field.name: getattr(output, field.name).float() for field in fields(output)})

    def _reading(self, frame: _Frame, output: LayeredOutput, name: str) -> Reading:
        """A layer on the crop: places wherever the layer may be, continued beyond."""
        index, surface = LAYERS.index(name), self.surfaces[name]
        visible, presence = output.visible[0].float().argmax(0), output.presence[0, index].float()
        rows, columns = size = presence.shape
        wanted = (visible == index + BODY) | ((presence > -1) & (visible > 0))
        if not wanted.any():
            wanted[rows // 2, columns // 2] = True
        codes = torch.zeros(rows * columns, 4, device=self.device)
        match = frame.match.flatten(0, 1)
        known = None
        if name == "lower" and self.heights is not None:
            known = self._heights(frame, visible, wanted).flatten(1)
        for block in wanted.flatten().nonzero()[:, 0].split(_PIXELS):
            scores = self.net.scores(name, features_at(output.features, block, size), carried_over(name, match[block]))
            triangle, barycentric, confidence = colour.decode_scores(surface, scores.float())
            code = points.code(surface, triangle, barycentric)
            if known is not None:
                code = moved(surface, code, own_spread(surface, scores.float()), *known[:, block])
            codes[block] = torch.cat([code, confidence[:, None]], -1)
        filled = fill_outside(codes.view(rows, columns, 4).cpu().numpy(), wanted.cpu().numpy())
        layer = torch.zeros(len(LAYER_NAMES), rows, columns, device=self.device)
        layer[LAYER_NAMES.index(_LAYER[name])] = 1
        return Reading(
            box=frame.box,
            size=frame.size,
            picture=frame.picture[0],
            codes=torch.from_numpy(filled).to(self.device),
            foreground=presence.sigmoid(),
            own=torch.ones(size, device=self.device),
            layer=layer,
        )

    def _heights(
        self, frame: _Frame, visible: Int[Tensor, "rows columns"], wanted: Bool[Tensor, "rows columns"]
    ) -> Float[Tensor, "2 rows columns"]:
        """Heights of the lower garment and their spread, metres, wherever it may be (``wanted``)."""
        size = visible.shape
        shape = [max(1, round(side * CELLS / max(size))) for side in size]
        y, x = (
            ((torch.arange(n, device=self.device) + 0.5) * side / n).long() for n, side in zip(shape, size, strict=True)
        )
        grid = y[:, None], x[None]
        found = torch.stack(self.heights(visible[grid][None], frame.match[grid].permute(2, 0, 1)[None]), 1)
        # between the cells on the garment alone: beside it the network was never asked
        share = wanted[grid][None, None].float() + 1e-3
        both = F.interpolate(torch.cat([found * share, share], 1), size=size, mode="bilinear", align_corners=False)
        return both[0, :2] / both[0, 2:]


@dataclass(frozen=True)
class _Frame:
    """A person's crop: the picture (1, 3, rows, columns), the mask and the single-layer match (rows, columns, 4)."""

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    picture: Float[Tensor, "1 rgb=3 rows columns"]
    mask: Int[np.ndarray, "rows columns"]
    match: Float[Tensor, "rows columns 4"]

    @classmethod
    def of(cls, model: LayeredBodyMap, photo: np.ndarray, single: Correspondence, mask: np.ndarray) -> _Frame:
        config, size = model.config, photo.shape[:2]
        rows, columns = (np.flatnonzero((mask > 0).any(axis=axis)) for axis in (1, 0))
        around = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        box, shape = crop_of(around, size, config.size, config.margin, config.enlarge, MULTIPLE)
        left, top, right, bottom = box
        window = photo[top:bottom, left:right]
        y = (top + (np.arange(shape[0]) + 0.5) * (bottom - top) / shape[0]).astype(int)
        x = (left + (np.arange(shape[1]) + 0.5) * (right - left) / shape[1]).astype(int)
        grid = y[:, None], x[None, :]
        known = single.mask[grid]
        sure = np.where(known, np.maximum(single.confidence[grid], 1e-3), 0)
        match = np.concatenate([single.colour[grid] / np.float32(255), sure[..., None]], -1).astype(np.float32)
        return cls(
            box=box,
            size=size,
            picture=torch.from_numpy(np.array(resized(window, shape))).to(model.device).permute(2, 0, 1)[None].float()
            / 255,
            mask=mask[grid].astype(np.int64),
            match=torch.from_numpy(match).to(model.device),
        )


def _without_scraps(
    visible: Int[np.ndarray, "height width"], smallest: float, patch: float
) -> Int[np.ndarray, "height width"]:
    """Garments of few pixels, and small patches of any layer, become the layer of the nearest other pixel of the
    person; both limits are shares of the person."""
    person = visible > 0
    count = person.sum()
    doubtful = np.zeros_like(person)
    for index in (BODY, UPPER, LOWER):
        mine = visible == index
        labels, _ = ndimage.label(mine)
        areas = np.bincount(labels.ravel())
        doubtful |= mine & (areas < patch * count)[labels]
        if index != BODY and mine.sum() < smallest * count:
            doubtful |= mine
    if not doubtful.any() or not (person & ~doubtful).any():
        return visible
    filled = fill_outside(visible[..., None], person & ~doubtful)[..., 0]
    return np.where(doubtful, filled, visible)


def find(source: str | os.PathLike | None, shipped: str = weights.DEFAULT_NAME) -> Path:
    """Where weights of this app lie: the shipped ones (None, or their name), a folder or a file.

    Args:
        shipped: the name of the shipped ones.

    Raises:
        UserError: there is no such thing.
    """
    if source is None or os.fspath(source) == shipped:
        if not (PRETRAINED / shipped).is_dir():
            raise UserError("The shipped layered weights are missing; reinstall bodymap or name others with --weights.")
        return PRETRAINED / shipped
    path = Path(source).expanduser()
    if not path.exists():
        raise UserError(f'There are no layered weights at "{path}"; give a folder or a .safetensors file.')
    return weights.find(path)


def load_heights(source: str | os.PathLike) -> HeightNet:
    """The network of heights: the shipped one (HEIGHTS), a folder's (also a run's) or a file's.

    Raises:
        UserError: there are no such weights, they are damaged, or of other surfaces.
    """
    found = weights.load(find(source, HEIGHTS), code_version(surfaces()))
    settings = _described(found, "heights", HeightConfig)
    net = built(lambda: HeightNet(settings))
    weights.load_into(net, found.tensors, source=found.path)
    return net


def _described(found: weights.Weights, section: str, cls: type[Settings]) -> Settings:
    """The settings from which a network of these weights is built again."""
    settings = found.config.get(section)
    if not isinstance(settings, dict):
        raise UserError(f'{found.path}: the configuration has no section "{section}", which describes the network.')
    return from_dict(cls, settings, f"{found.path}: {section}")
