"""Data for the completion: whole textures of synthetic people in some light, each with what one view of it sees.

    python -m apps.rerender.textures --pack people.pack --count 2000 -o data/textures
    python -m apps.rerender.textures --pack people.pack --count 100 --split test -o data/textures_test

A folder holds files of 32 people; a run that was stopped goes on where it was, and each file is a function of the
settings and its number. About half a second a texture on a CPU core.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    import torch

RECORD = "textures.json"
_FORMAT, _VERSION = "bodymap-textures", 1
_VIEW = (320, 240)  # pixels of the view that says what is seen


@dataclass(frozen=True)
class TextureSettings:
    """What decides every byte of a folder.

    Attributes:
        pack: SHA-256 of the people pack; empty: the shipped one.
        size: texels each way.
        per_person: poses and lights of each person.  per_file: people.
    """

    pack: str = ""
    seed: int = 0
    split: str = "train"
    size: int = 256
    per_person: int = 2
    per_file: int = 32


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
    from bodymap.people.light import draw_light
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


# ------------------------------------------------------------------------------------------------------------- files
def write_textures(
    folder: Path, count: int, settings: TextureSettings, pack: str | None, workers: int = 1, quiet: bool = False
) -> None:
    """Fills the folder with the textures of ``count`` people.

    Raises:
        UserError: the folder holds textures of other settings.
    """
    import multiprocessing

    from tqdm import tqdm

    from bodymap.files import atomic_path, output_folder

    root = output_folder(folder)
    record = {"format": _FORMAT, "version": _VERSION, **asdict(settings)}
    if (root / RECORD).is_file():
        if json.loads((root / RECORD).read_text("utf-8")) != record:
            raise UserError(f"{root} holds textures of other settings; choose another folder.")
    else:
        with atomic_path(root / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    files = [k for k in range(-(-count // settings.per_file)) if not (root / _file_name(k)).is_file()]
    make = functools.partial(_write_file, root=root, settings=settings, pack=pack, count=count)
    with tqdm(total=len(files), desc=str(root), unit="file", disable=quiet) as bar:
        if workers == 1:
            for number in files:
                make(number)
                bar.update()
        else:
            with multiprocessing.get_context("spawn").Pool(workers) as pool:
                for _ in pool.imap_unordered(make, files):
                    bar.update()


def _file_name(number: int) -> str:
    return f"textures-{number:05d}.safetensors"


def _write_file(number: int, root: Path, settings: TextureSettings, pack: str | None, count: int) -> None:
    import torch
    from safetensors.numpy import save_file

    from bodymap.files import atomic_path

    torch.set_num_threads(1)  # sums in another order would change bytes
    loaded = _pack(pack)
    first = number * settings.per_file
    people = range(first, min(count, first + settings.per_file))
    parts = [make_person(k, settings, loaded) for k in people]
    with atomic_path(root / _file_name(number)) as temporary:
        save_file({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, temporary)


@functools.lru_cache(maxsize=1)
def _pack(path: str | None):
    from bodymap.people import Pack

    return Pack.load(path)


class TextureFolder:
    """The textures of a folder: index -> {"colour", "layer", "seen"} of uint8 tensors; grows with ``refresh``.

    Raises:
        UserError: there are none.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.record = json.loads((self.folder / RECORD).read_text("utf-8"))
        except (OSError, ValueError):
            raise UserError(
                f"{folder} holds no textures; make some with python -m apps.rerender.textures -o {folder}."
            ) from None
        self.size, self.per_person = self.record["size"], self.record["per_person"]
        self._files: list = []
        self._starts = [0]
        if not self.refresh():
            raise UserError(f"{folder} holds no finished file of textures yet; wait for the first one.")

    def refresh(self) -> int:
        """Looks for new files; returns the number of textures."""
        from safetensors import safe_open

        while (file := self.folder / _file_name(len(self._files))).is_file():
            handle = safe_open(file, framework="pt")
            self._files.append(handle)
            self._starts.append(self._starts[-1] + handle.get_slice("layer").get_shape()[0])
        return self._starts[-1]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        handle, place = self._at(index)
        return {name: handle.get_slice(name)[place] for name in ("colour", "layer", "seen")}

    def seen(self, index: int) -> torch.Tensor:
        """(T, T) uint8: what the view of a texture sees, alone."""
        handle, place = self._at(index)
        return handle.get_slice("seen")[place]

    def _at(self, index: int) -> tuple:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._files[number], index - self._starts[number]


# ----------------------------------------------------------------------------------------------------------- command
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0.

    Raises:
        UserError: bad input.
    """
    options = _parser().parse_args(arguments)
    digest = ""
    if options.pack is not None:
        from bodymap.data.shards.index import sha256

        if not Path(options.pack).is_file():
            raise UserError(f"The people pack {options.pack} does not exist; leave --pack out to use the small one.")
        digest = sha256(Path(options.pack))
    settings = TextureSettings(digest, options.seed, options.split)
    write_textures(Path(options.output), options.count, settings, options.pack, options.workers)
    print(f"wrote {options.output}", file=sys.stderr)
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m apps.rerender.textures", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="a run that was stopped goes on in it")
    parser.add_argument("--count", type=_positive, default=2000, metavar="N", help="people (%(default)s)")
    parser.add_argument("--split", choices=("train", "test"), default="train", help="of the assets (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another number, other people (%(default)s)")
    parser.add_argument("--pack", metavar="FILE", help="people pack; without it the small one that ships")
    parser.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes (%(default)s)")
    return parser


if __name__ == "__main__":
    run_command(main)
