"""A photograph's person as a textured body that can be turned and posed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, UInt8

from apps.rerender.hair import Hair, hair_region, hanging, make_hair
from apps.rerender.skirt import Skirt, SkirtView, make_skirt, skirt_region
from bodymap.errors import UserError
from bodymap.fitting import BodyFit, fit_body
from bodymap.fitting.clothed import clothe
from bodymap.fitting.start import CAMERA_FROM_WORLD
from bodymap.layer_maps import with_layers
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.rig import Rig
from bodymap.people.skinning import least_rotation, rotation_vector
from bodymap.surface import Template, load_template
from bodymap.types import Correspondence, LayerMaps
from bodymap.warping.fill import FilledTexture, fill_texture
from bodymap.warping.fuse import fuse_textures
from bodymap.warping.grid import smoothing_reach
from bodymap.warping.image_to_texture import PartialTexture, image_to_texture

if TYPE_CHECKING:
    from apps.rerender.pretrained import Completion

# A photograph and its map
View = tuple[UInt8[np.ndarray, "height width rgb=3"], Correspondence]

_MOSTLY_SKIRT = 0.75  # of the person: of a photo that shows little else no body could be fitted to the rest
_LOST = 0.02  # spread (shares of the person's size) from which a fit has lost the person
_VERTICAL = np.array([0.0, -1.0, 0.0])  # of a camera held level
_STEEPEST = np.radians(32.0)  # camera and fit together: a single view leans bodies towards it


@dataclass(frozen=True)
class Figure:
    """A photo's person as a form without colours, in the space of the photo's camera (x right, y down, z away; metres).

    Attributes:
        fit: the body, its pose and the camera.
        displacement: (13380, 3) metres at rest: clothes and short hair.
    """

    template: Template
    fit: BodyFit
    displacement: Float[np.ndarray, "vertex=13380 xyz=3"]

    @cached_property
    def _rig(self) -> Rig:
        return Rig(self.fit.pack)

    @cached_property
    def vertices(self) -> Float[np.ndarray, "vertex=13380 xyz=3"]:
        """The clothed surface as the photo shows it."""
        return self._skinned(self.fit.state.local)

    @property
    def pivot(self) -> Float[np.ndarray, " xyz=3"]:
        """The root joint: what the person turns about."""
        return self.fit.pack.base_heads[0] + self.fit.state.move + self.fit.state.shape @ self._rig.heads_basis[:, 0]

    @cached_property
    def up(self) -> Float[np.ndarray, " xyz=3"]:
        """Away from the ground: a standing body is above its feet, whichever way the camera was held."""
        middle = self.vertices[self._outer].mean(0)
        support = np.mean([self.vertices[ids].mean(0) for ids in self._feet], 0)
        way = (middle - support) / np.linalg.norm(middle - support)
        both_stand = all(self.vertices[ids, 1].mean() > middle[1] + 0.45 for ids in self._feet)
        # more than that is not the camera: they bend, or hang
        if not both_stand or way @ _VERTICAL < np.cos(_STEEPEST):
            return _VERTICAL
        return way

    def turned(self, degrees: float) -> Float[np.ndarray, "vertex=13380 xyz=3"]:
        """As the photo shows the person, turned about ``up``; positive: the person's left comes to the front."""
        about = rotation_vector(-np.radians(degrees) * self.up)
        return (self.vertices - self.pivot) @ about.T + self.pivot

    def turning(self, degrees: float, count: int) -> list[Float[np.ndarray, "vertex=13380 xyz=3"]]:
        """From the photo's view through the whole angle; one alone: at the angle."""
        if count == 1:
            return [self.turned(degrees)]
        # a full turn ends one step before it begins again, so that it loops
        steps = count if abs(degrees) % 360 == 0 else count - 1
        return [self.turned(degrees * k / steps) for k in range(count)]

    def posed(self, local: Float[np.ndarray, "bone 3 3"], own_root: bool = False) -> np.ndarray:
        """In another pose, on the same ground.

        Args:
            local: local rotations of the pack's bones; the root's in the pack's axes (z up, facing -y to the camera).
            own_root: the root's rotation is in the camera's axes already (another photo's fit).
        """
        local = local.astype(float).copy()
        if not own_root:
            local[0] = least_rotation(_VERTICAL, self.up) @ CAMERA_FROM_WORLD @ local[0]
        vertices = self._skinned(local)
        return vertices + self.up * ((self.vertices @ self.up).min() - (vertices @ self.up).min())

    @cached_property
    def _outer(self) -> np.ndarray:
        return np.flatnonzero((self.template.vertex_triangles[:, 0] >= 0).cpu().numpy())

    @cached_property
    def _feet(self) -> tuple[np.ndarray, np.ndarray]:
        bones = self.fit.pack.bones.labels
        strongest = self.fit.pack.skin_index[
            np.arange(SKIN_VERTICES), self.fit.pack.skin_weight[:SKIN_VERTICES].argmax(1)
        ]
        return tuple(np.flatnonzero(strongest == bones.index(f"foot.{side}")) for side in "LR")

    def _skinned(self, local: np.ndarray) -> np.ndarray:
        return self._rig.posed(replace(self.fit.state, local=local), self.displacement)


@dataclass(frozen=True)
class Avatar(Figure):
    """A figure with its colours.

    Attributes:
        texture: filled; ``origin`` says what was seen, mirrored or made up.
        skirt: cloth about both legs, if the person wears such.
        hair: about head and neck, if it is long.
    """

    texture: FilledTexture
    skirt: Skirt | None = None
    hair: Hair | None = None

    @property
    def shells(self) -> list[Skirt | Hair]:
        """What surrounds the body with a surface of its own."""
        return [shell for shell in (self.skirt, self.hair) if shell is not None]

    def extent(self, vertices: Float[np.ndarray, "vertex=13380 xyz=3"]) -> Float[np.ndarray, "point xyz=3"]:
        """Everything that is to be in the picture: the surface, and the shells about it."""
        return np.concatenate([vertices, *(shell.about(vertices) for shell in self.shells)])


def make_avatar(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    correspondence: Correspondence,
    *,
    pack: Pack | None = None,
    template: Template | None = None,
    texture_size: int = 1024,
    more: Sequence[View] = (),
    completion: Completion | None = None,
    texture: FilledTexture | None = None,
    layers: LayerMaps | None = None,
) -> Avatar:
    """Takes shape, pose and texture of a photo's person; some seconds of a CPU core.

    Args:
        pack: whose bodies and poses are used; None: the shipped one.
        more: further photos of the same person in the same clothes: they show what the first one hides.
        completion: fills what was not seen; None: the plain way does (``bodymap.warping.fill``).
        texture: filled already, on the template's device; None: taken from the photos.
        layers: Layered-BodyMap's maps of the photo: garments are where these have them. (Further photos: give
            ``bodymap.layer_maps.with_layers`` of their maps.)

    Raises:
        UserError: nobody, or too little of somebody, is mapped.
    """
    template = template if template is not None else load_template()
    correspondence = with_layers(correspondence, layers)
    long_hair = hair_region(correspondence)
    region = _skirt_region(correspondence)
    skirt = hair = None
    if region is None:
        figure = _figure(template, correspondence, long_hair, pack)
    else:
        # what hangs about the legs says nothing of them; the rest has to do for the body
        legs = _without(correspondence, region)
        figure = _figure(template, legs, long_hair, pack)
        view = SkirtView(photo, correspondence, region, figure.vertices, figure.fit.camera)
        skirt = make_skirt(view, figure.up, _in_skirt(figure.fit, more))
        if skirt is not None:
            correspondence = legs
        else:
            figure = _figure(template, correspondence, long_hair, pack, figure.fit)
    if long_hair is not None:
        hair = make_hair(photo, correspondence, long_hair, figure.vertices, figure.up, figure.fit.camera)
        if hair is None:
            figure = replace(figure, displacement=clothe(figure.fit, correspondence))
        else:
            correspondence = _without_hair(correspondence)
            more = [(other, _without_hair(seen)) for other, seen in more]
    if texture is None:
        partial = take_texture(template, ((photo, correspondence), *more), texture_size)
        texture = fill_texture(template, partial) if completion is None else completion.complete(template, partial)
    return Avatar(figure.template, figure.fit, figure.displacement, texture, skirt, hair)


def _figure(
    template: Template,
    correspondence: Correspondence,
    long_hair: Bool[np.ndarray, "height width"] | None,
    pack: Pack | None,
    before: BodyFit | None = None,
) -> Figure:
    """The body that a map shows, clothed but for long hair; from another fit of the same person on, unless that leads
    nowhere."""
    seen = correspondence if long_hair is None else _without(correspondence, hanging(correspondence, long_hair))
    fit = None if before is None else fit_body(seen, pack, start=before.state)
    if fit is None or fit.spread > _LOST:
        fit = fit_body(seen, pack)
    bare = correspondence if long_hair is None else _without(correspondence, long_hair)
    return Figure(template, fit, clothe(fit, bare))


def _without_hair(correspondence: Correspondence) -> Correspondence:
    """Without long hair that lies over what else the photo would show."""
    region = hair_region(correspondence)
    return correspondence if region is None else _without(correspondence, hanging(correspondence, region))


def _skirt_region(correspondence: Correspondence) -> Bool[np.ndarray, "height width"] | None:
    """Where a skirt hangs, if enough is seen of the rest for a body to be fitted to it."""
    region = skirt_region(correspondence)
    return None if region is None or region.sum() >= _MOSTLY_SKIRT * correspondence.mask.sum() else region


def _without(correspondence: Correspondence, region: Bool[np.ndarray, "height width"]) -> Correspondence:
    return replace(correspondence, mask=correspondence.mask & ~region)


def _in_skirt(first: BodyFit, more: Sequence[View]) -> list[SkirtView]:
    """Those photos that show the skirt, too, each with a body of the first one's size."""
    views = []
    for photo, correspondence in more:
        region = _skirt_region(correspondence)
        if region is None:
            continue
        try:
            fit = fit_body(_without(correspondence, region), first.pack)
        except UserError:
            continue  # it serves the texture
        # a body twice as large and twice as far away looks the same
        scale = _stature(first) / _stature(fit)
        views.append(SkirtView(photo, correspondence, region, fit.vertices * scale, fit.camera))
    return views


def _stature(fit: BodyFit) -> float:
    return float(np.ptp(fit.pack.vertices(fit.state.shape)[:SKIN_VERTICES, 2]))


def take_texture(
    template: Template,
    views: Sequence[View],
    size: int,
) -> PartialTexture:
    """What photos of one person show of it, in texture space.

    Args:
        size: texels each way.

    Raises:
        UserError: too little is seen.
    """
    partial = fuse_textures(
        [image_to_texture(template, photo, seen, size, smooth=smoothing_reach(seen)) for photo, seen in views]
    )
    if not bool(partial.seen.any()):
        raise UserError("Too little of the person is seen to take a texture from; choose a larger photo.")
    return partial
