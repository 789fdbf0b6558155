"""Swaps whose right answer is known: the engine puts one synthetic person's clothes on another, in the same picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8

from bodymap.people import Pack, PeopleConfig
from bodymap.people.camera import draw_view
from bodymap.people.config import PhotographConfig
from bodymap.people.director import Setting, Shot, draw_setting, stage_shot
from bodymap.people.outfit import dress
from bodymap.people.person import Person, assemble, get_person
from bodymap.people.pose import draw_pose
from bodymap.people.streams import stream
from bodymap.people.studio import samples
from bodymap.surface import load_template, points
from bodymap.types import Correspondence, Sample

# Training hashes its indices to 32-bit seeds; test pictures begin at 0xE0000000.
FIRST_SEED = 0xE8000000
# Whoever is younger is dressed by other rules.
_ADULT = 16
_TRIES = 40
# What film and file do to a picture is no part of the answer, nor is what hides the person.
_CLEAN = PhotographConfig(
    blur=0, motion=0, noise=0, jpeg=0, low_resolution=0, tone=0, monochrome=0, exposure=0, misjudged=0, metered=(0, 0)
)


@dataclass(frozen=True)
class Pair:
    """Attributes:
    source: person A, in A's clothes.
    target: person B, in B's clothes.
    truth: the target's picture, but B wears what A wears.
    """

    source: Sample
    target: Sample
    truth: Sample


# Such shoes bend the feet of whoever wears them: dressed in another's clothes B would have another's feet
_HEELED = ("boots", "heels")


def config(size: tuple[int, int]) -> PeopleConfig:
    """People seen whole, with nothing before them and nothing in their hands; pictures of ``size`` (height, width)."""
    plain = PeopleConfig(size=size)
    return replace(
        plain,
        outfit=replace(
            plain.outfit,
            hat=0,
            scarf=0,
            bag=0,
            held=0,
            worn=dict.fromkeys(plain.outfit.worn, 0.0),
            footwear={kind: share for kind, share in plain.outfit.footwear.items() if kind not in _HEELED},
        ),
        camera=replace(plain.camera, framing={"full": 1.0}, steep=0, distortion=0),
        scene=replace(plain.scene, bystander=0, occluder=0, nobody=0),
        photograph=_CLEAN,
    )


def make_pairs(
    count: int, pack: Pack | None = None, size: tuple[int, int] = (448, 336), split: str = "test", first: int = 0
) -> Iterator[Pair]:
    """Pairs of adults of one sex; the same arguments give the same bytes. About five seconds of a CPU core each."""
    pack = Pack.load() if pack is None else pack
    options = config(size)
    for number in range(first, first + count):
        yield make_pair(FIRST_SEED + 2 * _TRIES * number, pack, options, split)


def make_pair(seed: int, pack: Pack, options: PeopleConfig, split: str) -> Pair:
    """The pair of the first two adults of one sex from ``seed`` on."""
    people: dict[bool, list[Person]] = {True: [], False: []}
    for k in range(2 * _TRIES):
        person = get_person(seed + k, pack, options, split)
        if person.body.age >= _ADULT:
            alike = people[person.body.female]
            alike.append(person)
            if len(alike) == 2:
                break
    else:
        raise ValueError(f"No two adults of one sex among the people from {seed} on.")
    one, two = alike
    both = assemble(two.seed, two.body, tuple(dress(two.seed, pack, two.body, options.outfit, split, clothes=one.seed)))
    first = _shot(one, seed, pack, options, split)
    second, third = _same_picture(two, both, seed + 1, pack, options, split)
    pictures = samples([first, second, third], options.supersample)
    return Pair(*pictures)


def _shot(person: Person, seed: int, pack: Pack, options: PeopleConfig, split: str) -> Shot:
    local = draw_pose(stream(seed, "pose", split), pack, person.body.heads, options.pose, split)
    placed = person.place(pack, local)
    view = draw_view(
        stream(seed, "camera", split), placed.probe, pack.bones, placed.posed, options.size, options.camera
    )
    setting = draw_setting(seed, pack, options, split, view.camera, placed)
    return stage_shot(person, local, placed, view, setting, options, (person.seed, seed, seed, seed))


def _same_picture(
    person: Person, other: Person, seed: int, pack: Pack, options: PeopleConfig, split: str
) -> tuple[Shot, Shot]:
    """The person, and the same body in other clothes: one pose, one place, one camera, one scene."""
    local = draw_pose(stream(seed, "pose", split), pack, person.body.heads, options.pose, split)
    placed, changed = person.place(pack, local), other.place(pack, local)
    # thicker soles would lift the body
    changed = changed.moved(np.eye(3), placed.posed.position[0] - changed.posed.position[0])
    view = draw_view(
        stream(seed, "camera", split), placed.probe, pack.bones, placed.posed, options.size, options.camera
    )
    setting: Setting = draw_setting(seed, pack, options, split, view.camera, placed)
    seeds = (person.seed, seed, seed, seed)
    return (
        stage_shot(person, local, placed, view, setting, options, seeds),
        stage_shot(other, local, changed, view, setting, options, seeds),
    )


def photo_of(sample: Sample) -> UInt8[np.ndarray, "height width rgb=3"]:
    return np.ascontiguousarray(sample.image)


def exact_map(sample: Sample) -> Correspondence:
    """The truth as a map, sure of itself everywhere."""
    template, mask = load_template(), sample.foreground
    triangle, barycentric = torch.from_numpy(sample.triangle[mask]).long(), torch.from_numpy(sample.barycentric[mask])
    uv = np.full((*mask.shape, 2), np.nan, np.float32)
    uv[mask] = points.uv(template, triangle, barycentric).numpy()
    colour = np.zeros((*mask.shape, 3), np.uint8)
    colour[mask] = (points.code(template, triangle, barycentric) * 255).round().byte().numpy()
    return Correspondence(
        mask=mask,
        confidence=mask.astype(np.float32),
        colour=colour,
        uv=uv,
        part=sample.part,
        triangle=sample.triangle,
        barycentric=sample.barycentric,
        layer=sample.layer,
    )
