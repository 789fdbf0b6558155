"""The friendly object: a photograph in, for every pixel of a person a point on the template body out.

    model = BodyMap.from_pretrained()
    correspondence = model.predict("photo.jpg")             # the largest person
    everybody = model.predict_all("photo.jpg")              # all of them, the largest first

``predict`` is three steps, which can be asked for one by one: ``find`` (who is in the photo), ``read`` (one run of the
network on one person's crop) and ``expand`` (a reading to the photo's own resolution).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from bodymap import foreground as masks
from bodymap.cropping import MULTIPLE, check_size, crop_of, resized, round_to
from bodymap.decoding import Evidence as SurfaceEvidence
from bodymap.decoding import decode_crop
from bodymap.errors import UserError
from bodymap.expansion import Reading, expand, without
from bodymap.finding import PredictorConfig, search
from bodymap.foreground import people
from bodymap.foreground.people import Person
from bodymap.loading import choose_device, choose_dtype, compile_network, load_network
from bodymap.photo import name_of, read_photo
from bodymap.surface import colour, points
from bodymap.tidying import fill_outside, settle_layers
from bodymap.types import LAYER_NAMES, Correspondence

if TYPE_CHECKING:
    from PIL import Image

    from bodymap.network import BodyMapNet
    from bodymap.network.cse import CSEOutput
    from bodymap.surface import Template

    Photo = str | os.PathLike | Image.Image | np.ndarray
    Mask = str | os.PathLike | Image.Image | np.ndarray


class BodyMap:
    """A network, its template, and how photographs are fed to them."""

    def __init__(
        self,
        net: BodyMapNet,
        template: Template,
        *,
        dtype: torch.dtype | None = None,
        foreground: masks.Foreground | None = None,
        config: PredictorConfig | None = None,
    ):
        """Takes over ``net`` as it is: on its device, put into evaluation mode.

        Args:
            dtype: of the network's arithmetic (torch.bfloat16, ...); None: float32.
            foreground: another segmenter whose mattes replace the network's own masks.
        """
        self.net = net.eval().requires_grad_(False)
        self.device = next(net.parameters()).device
        self.template = template.to(self.device)
        self.dtype = dtype
        self.foreground = foreground
        self.config = config or PredictorConfig()
        check_size(self.config.size)

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike | None = None,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        foreground: str | masks.Foreground | None = None,
        config: PredictorConfig | None = None,
        compile: bool = False,
    ) -> BodyMap:
        """Loads weights: nothing (the shipped ones), a folder, a file or a hub id.

        Args:
            device: "cpu", "cuda", "cuda:1", "mps"; None: a GPU where there is one.
            dtype: "float32", "bfloat16" or "float16"; None: float32.
            foreground: "own", "onnx:FILE", "rembg", "file:MASK", or a provider: where masks come from.
            compile: the networks, by ``torch.compile``, for crops of any size; the first photo takes a minute or more.

        Raises:
            UserError: no such weights, damaged ones, ones of another network or template; no such device; ``compile``
                without the compiler that it needs.
        """
        from bodymap import weights
        from bodymap.surface import load_template

        weights.find(source)
        device, dtype = choose_device(device), choose_dtype(dtype)
        if isinstance(foreground, str):
            foreground = masks.build_foreground(foreground)
        template = load_template()
        net = load_network(weights.load(source, template.code_version), template).to(device)
        if compile:
            compile_network(net)
        return cls(net, template, dtype=dtype, foreground=foreground, config=config)

    # ------------------------------------------------------------------------------------------------ the whole way

    def predict(self, photo: Photo, mask: Mask | None = None, *, guide: Correspondence | None = None) -> Correspondence:
        """The correspondence of the largest person, or of whom the mask shows.

        Args:
            photo: path, PIL image or (H, W, 3) uint8 array; the EXIF orientation is honoured.
            mask: of the person (white or True): path, PIL image or array. Every pixel in it gets a point, none outside.
            guide: a first guess for the same photo (a fitted body, the frame before warped here): it takes the coarse
                stage's place wherever it knows something.

        Returns:
            everything at the photo's size (after turning it upright).

        Raises:
            UserError: an unusable photo or mask, or nobody in the photo.
        """
        picture = read_photo(photo)
        if mask is not None:
            own = masks.read_mask(mask, picture.shape[:2])
            return self.expand(picture, self.read(picture, mask=own, guide=guide), mask=own)
        return next(self._of_people(picture, name_of(photo), everyone=False, guide=guide))

    def predict_all(self, photo: Photo) -> list[Correspondence]:
        """The correspondence of every person in the photo, the largest first; each at the photo's size.

        Raises:
            UserError: an unusable photo, or nobody in it.
        """
        return list(self.predict_each(photo))

    def predict_each(self, photo: Photo) -> Iterator[Correspondence]:
        """As ``predict_all``, one person after the other: of a large photo each takes gigabytes."""
        yield from self._of_people(read_photo(photo), name_of(photo), everyone=True)

    def _of_people(
        self,
        photo: UInt8[np.ndarray, "height width rgb=3"],
        name: str,
        everyone: bool,
        guide: Correspondence | None = None,
    ) -> Iterator[Correspondence]:
        matte = None if self.foreground is None else self.foreground(photo)
        found = self.find(photo, everyone)
        if not found and matte is not None:
            # the user's choice of segmenter counts: it saw somebody whom the coarse stage missed
            found = people.people_of_mask(matte > 0.5)
        if not found:
            raise UserError(
                f"No person was found in {name}; choose a photo that shows one larger, or give a mask of the person."
            )
        taken = np.zeros(photo.shape[:2], bool)
        for person in found if everyone else found[:1]:
            others = [other for other in found if other is not person]
            reading = self.read(photo, person, others, matte=matte, guide=guide)
            # along a common edge both crops may claim a pixel: it stays with the larger person
            result = without(self.expand(photo, reading, matte=matte), taken)
            if result.mask.any():
                taken |= result.mask
                yield result
        if not taken.any():
            raise UserError(f"No person was found in {name}; give a mask of the person.")

    # ----------------------------------------------------------------------------------------------------- 1. find

    @torch.inference_mode()
    def find(self, photo: UInt8[np.ndarray, "height width rgb=3"], everyone: bool = True) -> list[Person]:
        """Who is in the photo, the largest first.

        Args:
            everyone: also look for small people, on finer scales; False: stop at somebody of good size.
        """
        if self.net.cse is None:
            raise UserError("These weights have no coarse stage, which finds people: give a mask of the person.")
        return search(photo, self.config, self._look, self._parts_of, everyone)

    def _look(
        self, picture: UInt8[np.ndarray, "height width rgb=3"]
    ) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns 4"]]:
        """The coarse stage's foreground and match, as ``finding.Look``."""
        with self.arithmetic():
            output = self.net.cse(self._tensor(picture))
        image = self.net.correspondence_image(output, tuple(output.foreground.shape[-2:]))[0].float()
        return output.foreground[0, 0].float().sigmoid().cpu().numpy(), image.permute(1, 2, 0).cpu().numpy()

    def _parts_of(self, codes: Float32[np.ndarray, "point rgb=3"]) -> Int[np.ndarray, " point"]:
        place = colour.decode_colour(self.template, torch.from_numpy(codes).to(self.device))
        return points.part(self.template, *place).cpu().numpy()

    # ----------------------------------------------------------------------------------------------------- 2. read

    @torch.inference_mode()
    def read(
        self,
        photo: UInt8[np.ndarray, "height width rgb=3"],
        person: Person | None = None,
        others: Sequence[Person] = (),
        *,
        mask: Bool[np.ndarray, "height width"] | None = None,
        matte: Float32[np.ndarray, "height width"] | None = None,
        guide: Correspondence | None = None,
        before: tuple[UInt8[np.ndarray, "height width rgb=3"], Reading] | None = None,
    ) -> Reading:
        """Runs the network on one person's crop.

        Args:
            person: one of ``find``; not needed with a mask.
            others: the other people found: what is theirs is kept out.
            mask: exactly what is to be mapped.
            matte: another segmenter's matte of everybody in the photo.
            guide: see ``predict``.
            before: the frame before in a film, and the reading of this person in it (``bodymap.tracking``).
        """
        size = photo.shape[:2]
        if mask is not None:
            rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            around = tuple(float(side) for side in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        else:
            around = person.box if matte is None else people.box_with_matte(person, others, matte)
        box, shape = crop_of(around, size, self.config.size, self.config.margin, self.config.enlarge, MULTIPLE)
        left, top, right, bottom = box
        window = photo[top:bottom, left:right]
        picture = self._tensor(resized(window, shape))
        given = mask if mask is not None else matte
        own = np.ones(shape, np.float32) if mask is not None else people.own_weight(person, others, box, shape, size)

        # the coarse stage on the crop, unless everything that it would say is known
        coarse = None
        if self.net.cse is not None:
            scale = min(1.0, self.config.coarse_size / max(shape))
            small = tuple(round_to(side * scale, MULTIPLE) for side in shape)
            look = self.net.cse.both_ways if self.config.coarse_mirror else self.net.cse
            with self.arithmetic():
                coarse = look(picture if small == shape else self._tensor(resized(window, small)))
        if given is not None:
            soft = resized(given[top:bottom, left:right].astype(np.float32), shape)
            soft = torch.from_numpy(soft * own).to(self.device)[None, None]
        elif coarse is not None:
            from bodymap.network.cse import mask_from_foreground

            soft = mask_from_foreground(coarse, shape) * torch.from_numpy(own).to(self.device)
        else:
            raise UserError("These weights have no coarse stage, which finds people: give a mask of the person.")
        if self.config.stage == "cse":
            if guide is not None:
                raise UserError("A guide goes to the fine stage, which stage cse leaves out: use stage bodymap.")
            probability, codes, valid, layer = self._coarse_answer(coarse, shape)
        else:
            condition = self._condition(coarse, shape, box, guide)
            evidence: list[SurfaceEvidence] = []
            # a guide takes the coarse stage's place; an RGB-only network knows nothing of it
            if coarse is not None and guide is None and self.net.correspondence is not None:
                evidence += self._coarse_evidence(coarse, shape)
            memory = None
            if before is not None:
                from bodymap.memory import recall

                memory = recall(*before, photo, box, shape)
                condition = memory.into_condition(condition)
                evidence.append(memory.evidence(self.template))
            for _ in range(max(1, self.config.passes)):
                with self.arithmetic():
                    answer = self.net(picture, soft, condition)
                probability, layer = answer.foreground[0, 0].float().sigmoid(), answer.layer[0].float()
                if memory is not None:
                    probability = memory.steadied_foreground(probability)
                wanted = probability * soft[0, 0].gt(0.05) if given is None else soft[0, 0].float()
                codes, valid = self._decode(answer.features[0], wanted, evidence)
                condition = torch.where(valid, codes.permute(2, 0, 1), torch.zeros_like(probability))[None]
            if self.config.fit:
                from bodymap.fitting.feedback import body_samples, evidence_of_body

                expected = body_samples(self.template, codes, valid & (wanted > 0.5))
                if expected is not None:
                    evidence.append(evidence_of_body(self.template, expected))
                    codes, valid = self._decode(answer.features[0], wanted, evidence)
            if memory is not None:
                codes = memory.steadied_codes(codes)
            whole = (part.cpu().numpy() for part in (layer, picture[0], codes, valid))
            layer = torch.from_numpy(settle_layers(*whole)).to(self.device)

        if given is None:
            region = people.crop_region(person.region, box, shape, size)
            own *= people.keep_person((probability.cpu().numpy() * own).astype(np.float32), region)
        elif mask is None:
            region = people.crop_region(person.region, box, shape, size)
            own *= people.keep_person(soft[0, 0].cpu().numpy(), region)
        filled = fill_outside(codes.cpu().numpy(), valid.cpu().numpy())
        return Reading(
            box=box,
            size=size,
            picture=picture[0],
            codes=torch.from_numpy(filled).to(self.device),
            foreground=probability,
            own=torch.from_numpy(own).to(self.device),
            layer=layer,
        )

    def _coarse_answer(self, coarse: CSEOutput | None, shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the coarse stage says by itself: probability, codes, where these hold, layer logits (all zero)."""
        if coarse is None:
            raise UserError("These weights have no coarse stage, which would be the answer: use stage bodymap.")
        image = self.net.correspondence_image(coarse, shape)[0].float()
        logits = F.interpolate(coarse.foreground.float(), size=shape, mode="bilinear", align_corners=False)
        valid = image[3] > 0
        layer = torch.zeros(len(LAYER_NAMES), *shape, device=self.device)
        return logits[0, 0].sigmoid(), image.permute(1, 2, 0), valid if valid.any() else ~valid, layer

    def _condition(
        self, coarse, shape: tuple[int, int], box: tuple[int, int, int, int], guide: Correspondence | None
    ) -> Float[Tensor, "1 4 rows columns"] | None:
        """The correspondence stream's image: the coarse stage's, overlaid by the guide."""
        if self.net.correspondence is None:
            return None
        if coarse is None and guide is None:
            raise UserError("These weights have no coarse stage: they need a first guess (guide=) for each photo.")
        image = torch.zeros(1, 4, *shape, device=self.device)
        if coarse is not None:
            image = self.net.correspondence_image(coarse, shape).float()
        if guide is not None:
            left, top, right, bottom = box
            rows = (top + (np.arange(shape[0]) + 0.5) * (bottom - top) / shape[0]).astype(int)
            columns = (left + (np.arange(shape[1]) + 0.5) * (right - left) / shape[1]).astype(int)
            grid = rows[:, None], columns[None, :]
            known = torch.from_numpy(guide.mask[grid]).to(self.device)
            values = np.concatenate([guide.colour[grid] / np.float32(255), guide.confidence[grid][..., None]], -1)
            values = torch.from_numpy(values.astype(np.float32)).to(self.device).permute(2, 0, 1)
            image = torch.where(known, values, image)
        return image

    def _coarse_evidence(self, coarse: CSEOutput, shape: tuple[int, int]) -> list[SurfaceEvidence]:
        """The coarse stage's posterior, to be decoded together with the scores."""
        if self.config.coarse_weight <= 0:
            return []

        def says(pixels: Int[Tensor, "block pixel"], samples: Int[Tensor, "block candidate"] | None) -> Tensor:
            place = torch.zeros_like(pixels), pixels // shape[1], pixels % shape[1]
            return self.config.coarse_weight * self.net.evidence_at(coarse, place, shape, samples)

        return [says]

    def _decode(
        self,
        features: Float[Tensor, "channel rows columns"],
        wanted: Float[Tensor, "rows columns"],
        evidence: Sequence[SurfaceEvidence] = (),
    ) -> tuple[Float[Tensor, "rows columns 4"], Bool[Tensor, "rows columns"]]:
        """Colour code and confidence of the pixels where ``wanted`` is high; and which those are (at least one)."""
        valid = wanted > min(self.config.decoded, float(wanted.max()) / 2)
        if not valid.any():
            valid = torch.ones_like(valid)
        gathered = features.flatten(1).T

        def scores(pixels: Int[Tensor, " n"]) -> Float[Tensor, "n 3 256"]:
            with self.arithmetic():
                return self.net.scores(gathered[pixels])

        return decode_crop(self.template, scores, valid, evidence), valid

    # --------------------------------------------------------------------------------------------------- 3. expand

    def expand(
        self,
        photo: UInt8[np.ndarray, "height width rgb=3"],
        reading: Reading,
        *,
        mask: Bool[np.ndarray, "height width"] | None = None,
        matte: Float32[np.ndarray, "height width"] | None = None,
    ) -> Correspondence:
        """A reading at the photo's resolution.

        Args:
            mask: taken as it is, in place of the network's.
            matte: another segmenter's matte, of which this person's part is taken.
        """
        return expand(self.template, photo, reading, mask=mask, matte=matte, radius=self.config.edge_radius)

    # ------------------------------------------------------------------------------------------------ small helpers

    def _tensor(self, picture: UInt8[np.ndarray, "height width rgb=3"]) -> Float[Tensor, "1 rgb=3 height width"]:
        return torch.from_numpy(np.array(picture)).to(self.device).permute(2, 0, 1)[None].float() / 255

    def arithmetic(self):
        """The context in which its networks compute: autocast to ``dtype``."""
        enabled = self.dtype is not None and self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if enabled else torch.bfloat16, enabled=enabled)
