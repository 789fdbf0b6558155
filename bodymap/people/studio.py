"""Four seeds in, one synthetic photograph with its exact truth out: the composition of everything in this folder."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from bodymap.people.anatomy import template
from bodymap.people.config import PeopleConfig
from bodymap.people.director import Shot, direct
from bodymap.people.film.develop import develop
from bodymap.people.film.film import Exposure, expose, label_bodies
from bodymap.people.film.stagehand import Take
from bodymap.people.pack import Pack
from bodymap.surface import points
from bodymap.types import Sample


@functools.lru_cache(maxsize=2)
def _shipped_pack() -> Pack:
    return Pack.load(None)


def sample(
    person: int,
    pose: int,
    camera: int,
    scene: int,
    *,
    pack: Pack | None = None,
    config: PeopleConfig | None = None,
    split: str = "train",
) -> Sample:
    """One synthetic photograph of four independent seeds. The same seeds, pack and config give the same bytes.

    Args:
        person: seed of body, skin, hair and clothes.
        pose: seed of joints and fingers.
        camera: of view point and framing (which also adapts to the posed body).
        scene: of surroundings, light, further people, things and the photograph's faults.
        pack: None: the small one that ships.
        config: None: the defaults.
        split: "train" or "test"; they share no held-out asset, pattern or shape.
    """
    pack = _shipped_pack() if pack is None else pack
    config = PeopleConfig() if config is None else config
    return samples([direct(person, pose, camera, scene, pack, config, split)], config.supersample)[0]


@dataclass(frozen=True)
class Photographs:
    """N finished pictures with their truth, on the device that made them.

    Attributes:
        image: sRGB.
        exposure: the truth of every pixel, and the picture before it was developed.
        covered: (triangle, barycentric) of the subjects' bare bodies; -1 where none is. None: nobody asked.
    """

    image: UInt8[Tensor, "picture height width rgb=3"]
    exposure: Exposure
    covered: tuple[Int[Tensor, "picture height width"], Float[Tensor, "picture height width corner=3"]] | None = None


def photograph(shots: list[Shot], supersample: int = 2, device: torch.device | str = "cpu") -> Photographs:
    """Takes and develops the pictures of one size; on a GPU all of them at once."""
    exposure = expose([shot.take for shot in shots], supersample, device)
    covered = None
    if any(shot.covered for shot in shots):
        bodies = [Take((shot.bare,) if shot.bare else (), shot.take.camera, shot.take.light) for shot in shots]
        covered = label_bodies(bodies, supersample, device)
    image = develop(exposure.colour, [shot.faults for shot in shots], exposure.foreground)
    return Photographs(image, exposure, covered)


def samples(shots: list[Shot], supersample: int = 2, device: torch.device | str = "cpu") -> list[Sample]:
    """As ``photograph``, with everything that ``types.Sample`` tells."""
    taken = photograph(shots, supersample, device)
    e = taken.exposure
    fields = {
        name: getattr(e, name).cpu()
        for name in ("foreground", "triangle", "barycentric", "layer", "normal", "instance")
    }
    part = torch.full(fields["triangle"].shape, -1, dtype=torch.int16)
    mine = fields["foreground"]
    where = fields["triangle"][mine].long(), fields["barycentric"][mine]
    part[mine] = points.part(template(), *where).to(torch.int16)
    fields |= {"image": taken.image.cpu(), "part": part}
    if taken.covered is not None:
        fields["covered_triangle"], fields["covered_barycentric"] = (x.cpu() for x in taken.covered)
    arrays: dict[str, np.ndarray] = {name: tensor.numpy() for name, tensor in fields.items()}
    return [
        Sample(
            camera=shot.take.camera,
            facing=shot.facing,
            body=shot.body,
            seeds=shot.seeds,
            **{name: array[n] for name, array in arrays.items()},
        )
        for n, shot in enumerate(shots)
    ]
