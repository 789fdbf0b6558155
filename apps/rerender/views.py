"""Data for the renderer: a synthetic person seen from one view, laid onto a body in another, and what is seen there.

    python -m apps.rerender.views --pack people.pack --count 500 -o data/views

Each person stands in one light and is photographed twice, in two poses and from two sides; each picture is the source
of the other. The texture comes through the true map, or the shipped network's; it is completed and laid onto the bare
body, the true map, or the network's map of the other picture. About three seconds a person on a CPU core.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from apps.rerender.normals import CHANNELS, Normals, vertex_normals
from apps.rerender.renderer import TEXELS
from apps.rerender.shelves import Shelf, write_shelf
from bodymap.errors import UserError, run_command
from bodymap.types import Correspondence, Sample

if TYPE_CHECKING:
    from bodymap.people.director import Shot
    from bodymap.people.pack import Pack

SIZE = (256, 192)  # pixels of a view
RECORD = "views.json"


@dataclass(frozen=True)
class ViewSettings:
    """What decides every byte of a folder.

    Attributes:
        pack: SHA-256 of the people pack; empty: the shipped one.
        predicted: share of the sources whose texture comes through the network's map.
        onto: shares of the maps that the texture is laid onto.
        completion: digest of the completion's weights; empty: plain filling.
        texture: texels each way through which a picture is laid onto the other.
        per_file: people.
    """

    pack: str = ""
    seed: int = 0
    split: str = "train"
    predicted: float = 0.15
    onto: tuple[float, float, float] = (0.45, 0.4, 0.15)
    completion: str = ""
    texture: int = 512
    per_file: int = 16


@dataclass(frozen=True)
class _Tools:
    """What is loaded once a process."""

    pack: object
    model: object
    completion: object


def make_views(number: int, settings: ViewSettings, tools: _Tools) -> dict[str, np.ndarray]:
    """Both directions between two pictures of one person.

    Returns, each with N = 2 first, all uint8: "warped" (H, W, 3) the texture laid onto the target, "share" (H, W) what
    of it was seen, "code" (H, W, 3) and "mask" (H, W) the map it was laid onto, "image" (H, W, 3) and "alpha" (H, W)
    what is to be seen there, "texture" (256, 256, 3) and "seen" (256, 256) the completed texture; "normals" (H, W, 7)
    and "form" (256, 256, 3) how the surface stood and stands (``Normals``, as ``from_bytes`` reads them).
    """
    from bodymap.people.streams import stream

    pictures, normals = photograph_twice(number, settings.seed, settings.split, tools.pack)
    rng = stream(_seed(settings.seed, 5, number), "views", settings.split)
    rows = [_one(pictures[k], pictures[1 - k], normals[k], settings, tools, rng) for k in range(2)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def photograph_twice(
    number: int, seed: int, split: str, pack: Pack, size: tuple[int, int] = SIZE
) -> tuple[list[Sample], list[Normals]]:
    """A person in one light, in two poses and from two sides, carrying nothing; and for each picture as a source how
    the surface stands in the other one."""
    from bodymap.people import PeopleConfig
    from bodymap.people.config import CameraConfig, OutfitConfig, SceneConfig
    from bodymap.people.director import direct
    from bodymap.people.studio import samples

    config = PeopleConfig(
        size=size,
        covered=True,
        camera=CameraConfig(framing={"full": 0.75, "upper": 0.25}),
        outfit=OutfitConfig(bag=0.0, held=0.0),
        scene=SceneConfig(nobody=0.0),
    )
    person, scene = _seed(seed, 1, number), _seed(seed, 2, number)
    shots = [
        direct(person, _seed(seed, 3, number, k), _seed(seed, 4, number, k), scene, pack, config, split)
        for k in range(2)
    ]
    return samples(shots, config.supersample), [_normals(shots[k], shots[1 - k]) for k in range(2)]


def _seed(*what: int) -> int:
    return int(np.random.SeedSequence(what).generate_state(1)[0])


def _normals(source: Shot, target: Shot) -> Normals:
    """The bare body's in both pictures, in the axes of the source's camera."""
    from bodymap.people.skinning import skin
    from bodymap.surface import load_template

    world = []
    for bare in (source.bare, target.bare):
        mesh, index = bare.mesh, bare.mesh.index.numpy().astype(np.int64)
        vertices = skin(mesh.vertices.numpy(), index, mesh.weight.numpy(), bare.bones)
        world.append(vertex_normals(load_template(), vertices))
    to_source, to_target = (torch.from_numpy(shot.take.camera.T_camera_world[:3, :3].T) for shot in (source, target))
    return Normals(world[0] @ to_source, world[1] @ to_source, -(world[1] @ to_target)[:, 2:])


def _one(
    source: Sample, target: Sample, normals: Normals, settings: ViewSettings, tools: _Tools, rng
) -> dict[str, np.ndarray]:
    from apps.rerender.completion import complete_texture
    from bodymap.surface import load_template
    from bodymap.warping import fill_texture, image_to_texture, texture_to_image

    template = load_template()
    predicted = rng.random() < settings.predicted
    correspondence = tools.model.predict(source.image, source.foreground) if predicted else true_map(source)
    partial = image_to_texture(template, source.image, correspondence, settings.texture, smooth=2 if predicted else 0)
    if not bool(partial.seen.any()):
        partial = image_to_texture(template, source.image, true_map(source), settings.texture, smooth=0, silhouette=0)
    if not bool(partial.seen.any()):
        raise UserError("A synthetic person is not seen at all; take another seed.")
    if tools.completion is None:
        full = fill_texture(template, partial)
    else:
        full = complete_texture(template, partial, tools.completion)

    kind = rng.choice(3, p=np.array(settings.onto) / sum(settings.onto))
    if kind == 0:
        onto = bare_map(target)
    elif kind == 1:
        onto = true_map(target)
    else:
        onto = tools.model.predict(target.image, target.foreground)
    stacked = torch.cat([full.colour, partial.seen[..., None].float()], -1)
    laid = texture_to_image(template, stacked, onto, smooth=1 if kind == 2 else 0).values
    small = torch.nn.functional.interpolate(stacked.permute(2, 0, 1)[None], (TEXELS, TEXELS), mode="area")[0]

    def quantised(values) -> np.ndarray:
        return (values.clamp(0, 1) * 255).round().byte().numpy()

    return {
        "warped": quantised(laid[..., :3]),
        "share": quantised(laid[..., 3]),
        "code": onto.colour,
        "mask": onto.mask.astype(np.uint8),
        "image": target.image,
        "alpha": target.foreground.astype(np.uint8),
        "texture": quantised(small[:3].permute(1, 2, 0)),
        "seen": quantised(small[3]),
        "normals": _to_bytes(normals.at_pixels(template, onto)),
        "form": _to_bytes(normals.at_texels(template, TEXELS)),
    }


def _to_bytes(values: Float[Tensor, "c height width"]) -> UInt8[np.ndarray, "height width c"]:
    return (values.clamp(-1, 1) * 127 + 128).round().byte().permute(1, 2, 0).numpy()


def from_bytes(stored: UInt8[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """[-1, 1], 0 exactly."""
    return (stored.float() - 128) / 127


def true_map(sample: Sample) -> Correspondence:
    """The exact map of a synthetic picture."""
    return _map(sample.triangle, sample.barycentric, sample.layer)


def bare_map(sample: Sample) -> Correspondence:
    """The exact map of the body under the clothes."""
    return _map(sample.covered_triangle, sample.covered_barycentric, (sample.covered_triangle >= 0).astype(np.int8))


def _map(triangle: np.ndarray, barycentric: np.ndarray, layer: np.ndarray) -> Correspondence:
    from bodymap.surface import load_template, points

    t, mask = load_template(), triangle >= 0
    where = torch.from_numpy(triangle[mask]).long(), torch.from_numpy(barycentric[mask])
    colour = np.zeros((*mask.shape, 3), np.uint8)
    colour[mask] = (points.code(t, *where) * 255).round().clamp(0, 255).byte().numpy()
    uv = np.full((*mask.shape, 2), np.nan, np.float32)
    uv[mask] = points.uv(t, *where).numpy()
    part = np.full(mask.shape, -1, np.int16)
    part[mask] = points.part(t, *where).numpy()
    return Correspondence(mask, mask.astype(np.float32), colour, uv, part, triangle, barycentric, layer)


# ----------------------------------------------------------------------------------------------------------- command
class ViewFolder(Shelf):
    """The views of a folder: index -> uint8 tensors as ``make_views`` makes them; grows with ``refresh``."""

    RECORD, COMMAND = RECORD, "python -m apps.rerender.views"
    ARRAYS = {
        **{name: (*SIZE, 3) for name in ("warped", "code", "image")},
        **{name: SIZE for name in ("share", "mask", "alpha")},
        "normals": (*SIZE, CHANNELS),
        "texture": (TEXELS, TEXELS, 3),
        "seen": (TEXELS, TEXELS),
        "form": (TEXELS, TEXELS, 3),
    }


def _make_file(people: range, settings: ViewSettings, pack: str | None, completion: str | None) -> list[dict]:
    tools = _tools(pack, completion)
    return [make_views(k, settings, tools) for k in people]


@functools.lru_cache(maxsize=1)
def _tools(pack: str | None, completion: str | None) -> _Tools:
    from apps.rerender.pretrained import load_completion
    from bodymap import BodyMap
    from bodymap.people import Pack

    network = None if completion is None else load_completion(completion)
    return _Tools(Pack.load(pack), BodyMap.from_pretrained(), network)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0.

    Raises:
        UserError: bad input.
    """
    from apps.rerender.pretrained import find
    from apps.rerender.shelves import add_shelf_arguments, pack_digest

    parser = argparse.ArgumentParser(prog="python -m apps.rerender.views", description=__doc__.splitlines()[0])
    add_shelf_arguments(parser)
    parser.add_argument("--completion", metavar="SOURCE", help="plain, learned, or weights; as apps.rerender.predict")
    options = parser.parse_args(arguments)
    found = find("completion", options.completion)
    if found is not None and not isinstance(found, Path):
        raise UserError("Views are made with a plain or a learned completion, not with a diffusion pipeline.")
    digest = ""
    if found is not None:
        from bodymap.weights import load

        digest = load(found).metadata["digest"]
    settings = ViewSettings(pack_digest(options.pack), options.seed, options.split, completion=digest)
    make = functools.partial(
        _make_file, settings=settings, pack=options.pack, completion=None if found is None else str(found)
    )
    write_shelf(Path(options.output), RECORD, settings, make, options.count, settings.per_file, options.workers)
    print(f"wrote {options.output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_command(main)
