"""Data for the completion: whole textures of synthetic people in some light, each with what one view of it sees.

    python -m apps.rerender.textures --pack people.pack --count 2000 -o data/textures
    python -m apps.rerender.textures --pack people.pack --count 100 --split test -o data/textures_test

A folder holds files of 32 people; a run that was stopped goes on where it was, and each file is a function of the
settings and its number. About half a second a texture on a CPU core.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from apps.rerender.shelves import Shelf, add_shelf_arguments, pack_digest, write_shelf
from bodymap.errors import UserError, run_command

RECORD = "textures.json"
_VIEW = (320, 240)  # pixels of the view that says what is seen


@dataclass(frozen=True)
class TextureSettings:
    """What decides every byte of a folder.

    Attributes:
        pack: SHA-256 of the people pack; empty: the shipped one.
        size: texels each way.
        per_person: poses and lights of each person.  per_file: people.
        even: share of the lights that fall alike from all sides (``bodymap.people.light.evened``).
    """

    pack: str = ""
    seed: int = 0
    split: str = "train"
    size: int = 256
    per_person: int = 2
    per_file: int = 32
    even: float = 0.0


def make_person(number: int, settings: TextureSettings, pack) -> dict[str, np.ndarray]:
    """The textures of one person.

    Returns:
        "colour" (N, T, T, 3) uint8 sRGB, "layer" (N, T, T) uint8, index into LAYER_NAMES, 0 outside the islands;
        "seen" (N, T, T) uint8, how well a random view sees each texel, in 1/255.
    """
    from bodymap.people import PeopleConfig
    from bodymap.people.background import draw_surroundings
    from bodymap.people.bake import bake, unwrap
    from bodymap.people.camera import draw_view
    from bodymap.people.light import draw_light, evened
    from bodymap.people.person import build_person
    from bodymap.people.photograph import draw_faults
    from bodymap.people.pose import draw_pose
    from bodymap.people.streams import stream

    config, split = PeopleConfig(size=_VIEW), settings.split

    def seed_of(*what: int) -> int:
        return int(np.random.SeedSequence([settings.seed, *what]).generate_state(1)[0])

    person = build_person(seed_of(1, number), pack, config, split)
    unwrapped = unwrap(person)
    rows = []
    for k in range(settings.per_person):
        seed = seed_of(2, number, k)
        local = draw_pose(stream(seed, "pose", split), pack, person.body.heads, config.pose, split)
        placed = person.place(pack, local)
        around = draw_surroundings(stream(seed, "surroundings", split), pack, config.scene, split)
        light = draw_light(stream(seed, "light", split), around.panorama, around.yaw, config.light)
        if stream(seed, "even", split).random() < settings.even:
            light = evened(light)
        baked = bake(person, unwrapped, placed, light, settings.size)
        faults = draw_faults(stream(seed, "photograph", split), config.photograph)
        camera = draw_view(
            stream(seed, "camera", split), placed.probe, pack.bones, placed.posed, _VIEW, config.camera
        ).camera
        colour, layer = _finished(baked, faults)
        seen = _seen(person, placed, camera, light, settings.size)
        rows.append((colour, layer, seen))
    return {name: np.stack([row[i] for row in rows]) for i, name in enumerate(("colour", "layer", "seen"))}


def _finished(baked, faults) -> tuple[np.ndarray, np.ndarray]:
    """(colour, layer) without holes, as a camera would have developed it, without what blurs or stains."""
    import torch
    from scipy import ndimage

    from bodymap.people.film.develop import develop
    from bodymap.surface import load_template
    from bodymap.warping.atlas import get_atlas
    from bodymap.warping.pyramid import push_pull

    size = baked.layer.shape[0]
    atlas = get_atlas(load_template(), size)
    known = baked.known & atlas.covered
    filled, _ = push_pull(baked.colour * known[..., None], known.float(), levels=8)
    clean = replace(faults, motion=(0.0, 0.0), grain=0.0, blur=0.0, resolution=1.0, quality=0)
    colour = develop(filled[None], [clean], known[None])[0]
    nearest = ndimage.distance_transform_edt(~known.numpy(), return_distances=False, return_indices=True)
    layer = baked.layer[tuple(torch.from_numpy(nearest))] * atlas.covered
    return (colour * atlas.covered[..., None]).numpy(), layer.to(torch.uint8).numpy()


def _seen(person, placed, camera, light, size: int) -> np.ndarray:
    """How well the camera sees each texel, uint8."""
    from bodymap.people.film.film import label_bodies
    from bodymap.people.film.stagehand import Take
    from bodymap.people.stage import Actor
    from bodymap.surface import load_template
    from bodymap.types import Correspondence
    from bodymap.warping import image_to_texture

    triangle, weights = label_bodies([Take((Actor.person(person, placed, 1),), camera, light)])
    triangle, weights = triangle[0].numpy(), weights[0].numpy()
    mask = triangle >= 0
    empty = Correspondence.empty(_VIEW)
    true = replace(
        empty,
        mask=mask,
        confidence=mask.astype(np.float32),
        triangle=triangle,
        barycentric=weights,
        layer=mask.astype(np.int8),
    )
    partial = image_to_texture(load_template(), np.zeros((*_VIEW, 3), np.uint8), true, size, smooth=0, close=2)
    return (partial.confidence * 255).ceil().byte().numpy()


# ----------------------------------------------------------------------------------------------------------- command
class TextureFolder(Shelf):
    """The textures of a folder: index -> {"colour", "layer", "seen"} as ``make_person`` makes them."""

    RECORD, COMMAND = RECORD, "python -m apps.rerender.textures"
    ARRAYS = {"colour": ("size", "size", 3), "layer": ("size", "size"), "seen": ("size", "size")}

    @property
    def size(self) -> int:
        """Texels each way."""
        return self.record["size"]


def _make_file(people: range, settings: TextureSettings, pack: str | None) -> list[dict[str, np.ndarray]]:
    return [make_person(k, settings, _pack(pack)) for k in people]


@functools.lru_cache(maxsize=1)
def _pack(path: str | None):
    from bodymap.people import Pack

    return Pack.load(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0.

    Raises:
        UserError: bad input.
    """
    parser = argparse.ArgumentParser(prog="python -m apps.rerender.textures", description=__doc__.splitlines()[0])
    add_shelf_arguments(parser)
    parser.add_argument("--even", type=float, default=0.0, help="share of the lights that fall alike from all sides")
    options = parser.parse_args(arguments)
    if not 0 <= options.even <= 1:
        raise UserError(f"--even is a share between 0 and 1, not {options.even}.")
    settings = TextureSettings(pack_digest(options.pack), options.seed, options.split, even=options.even)
    make = functools.partial(_make_file, settings=settings, pack=options.pack)
    write_shelf(Path(options.output), RECORD, settings, make, options.count, settings.per_file, options.workers)
    print(f"wrote {options.output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_command(main)
