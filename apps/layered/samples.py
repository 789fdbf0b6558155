"""Layer samples: a picture and, for body, upper and lower garment, the place on each one's own surface at each pixel.

One compact record, whatever made the picture (the people engine here, simulated cloth elsewhere), stored by
``bodymap.data.shards`` as any other compact sample is; 19 bytes a pixel:

    image (H, W, 3) uint8
    layer (H, W) int8: what is visible, 0 background, 1 body (skin, hair, shoes, and what is carried), 2 upper, 3 lower
    presence (H, W, 3) int8: body, upper, lower along the pixel's ray, visible or not: ABSENT, PRESENT or UNKNOWN
    triangle, upper_triangle, lower_triangle (H, W) int16: -1 where absent or unknown
    barycentric, upper_barycentric, lower_barycentric (H, W, 2) uint8, the first two corners in 1/255

    python -m apps.layered.samples engine --pack people.pack --count 4000 -o data/layers
    python -m apps.layered.samples cloth runs/cloth --count 2000 -o data/cloth
    python -m apps.layered.samples shards data/people_full -o data/converted
    python -m apps.layered.samples matches data/layers -o data/matches

The first two know every layer, hidden or not (``apps.layered.truth``). The third converts full samples (``python -m
bodymap.data.shards --format webdataset``), which know garments only where they are visible; run it again when that
folder has grown. The last makes, of layer samples of any source, match samples, from which ``apps.layered.heights``
learns; 11 bytes a cell of a grid of 64 cells along the longer side:

    layer (h, w) int8: as above
    match (h, w, 4) uint8: what the coarse stage of BodyMap finds, colour code and confidence, in 1/255
    body (h, w, 4) uint8: the true code, in 1/255, and 255 where the body is seen and known, else 0
    height (h, w) int16: of the lower garment's place on its surface at rest, millimetres; NOWHERE where unknown
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from bodymap.data.batch import Batch, Compact, compact
from bodymap.data.shards import ShardDataset, ShardSettings, write_shards
from bodymap.data.shards.index import sha256
from bodymap.errors import UserError, run_command
from bodymap.people.config import PeopleConfig
from bodymap.people.pack import Pack
from bodymap.surface import points
from bodymap.types import LAYER_NAMES, Sample

if TYPE_CHECKING:
    from apps.layered.canonical import Canonical
    from apps.layered.truth import LayeredSample, Wearer
    from bodymap.network.cse import CSEStage

# What a picture shows at a pixel, in this order in every map and mask of this app.
NAMES = ("background", "body", "upper", "lower")
BODY, UPPER, LOWER = 1, 2, 3
ABSENT, PRESENT, UNKNOWN = 0, 1, 2
PREFIXES = ("", "upper_", "lower_")  # of the maps of the three layers
NOWHERE = -32768
CELLS = 64  # of a match sample, and of the grid that the network of heights sees, along the longer side
_LOOK = 8  # pictures that the coarse stage sees at a time
_REFRESH = 512
_GUIDED = 0.0  # metres on the rest template's height: 4 cm below the hip joints


def visible_layer(layer: Int[np.ndarray, "height width"]) -> Int[np.ndarray, "height width"]:
    """Index into NAMES for each index into bodymap's LAYER_NAMES; -1 stays."""
    table = np.full(len(LAYER_NAMES) + 1, BODY, np.int8)
    table[LAYER_NAMES.index("background")] = 0
    table[LAYER_NAMES.index("upper")], table[LAYER_NAMES.index("lower")] = UPPER, LOWER
    table[-1] = -1
    return table[layer]


def layers_of(sample: Sample | Compact) -> Compact:
    """The layer sample of a picture of the people engine.

    A garment's place is that above the template point of its pixels; where it is hidden nobody knows it, nor on the
    legs of what is, or may be, a skirt. The body under the clothes is known where the full sample tells it.
    """
    from apps.layered.canonical import canonical

    plain = compact(sample)
    shown = visible_layer(plain["layer"])
    triangle, corners = plain["triangle"].astype(np.int64), plain["barycentric"]
    names = tuple(sample.body.get("pieces", ())) if isinstance(sample, Sample) else None
    result: Compact = {"image": plain["image"], "layer": shown}

    # -- body: what is seen of it, and what is known to lie under clothes and carried things --
    bare = (shown == BODY) & (plain["layer"] != LAYER_NAMES.index("carried"))
    body, body_corners = np.where(bare, triangle, -1), corners * bare[..., None]
    there = np.where(bare, PRESENT, np.where(shown == 0, ABSENT, UNKNOWN))
    if isinstance(sample, Sample) and sample.covered_triangle is not None:
        under = compact(
            replace(sample, triangle=sample.covered_triangle, barycentric=sample.covered_barycentric)
        )  # the foreground's pixels only: who stands behind a table is not there
        covered = (under["triangle"] >= 0) & (shown > 0) & ~bare
        body = np.where(covered, under["triangle"], body)
        body_corners = np.where(covered[..., None], under["barycentric"], body_corners)
        there = np.where((shown > 0) & ~bare, np.where(covered, PRESENT, ABSENT), there)
    result |= {"triangle": body.astype(np.int16), "barycentric": body_corners.astype(np.uint8)}

    # -- garments: above the template point of their own pixels --
    presence = [there]
    for index, name in ((UPPER, "upper"), (LOWER, "lower")):
        surface = canonical(name)
        mine = (shown == index) & (triangle >= 0)
        flat = torch.from_numpy(triangle[mine])
        first = torch.from_numpy(corners[mine].astype(np.float32)) / 255
        place = surface.from_body(flat, torch.cat([first, 1 - first.sum(-1, keepdim=True)], -1))
        if _may_be_skirt(names, name):
            place = _without_guided(surface, *place)
        found, shares = np.full(triangle.shape, -1, np.int16), np.zeros((*triangle.shape, 2), np.uint8)
        found[mine] = place[0].numpy()
        shares[mine] = (place[1][:, :2].clamp(0, 1) * 255).floor().numpy()
        result |= {f"{name}_triangle": found, f"{name}_barycentric": shares}
        presence.append(np.where(shown == index, PRESENT, np.where(shown == 0, ABSENT, UNKNOWN)))
    result["presence"] = np.stack(presence, -1).astype(np.int8)
    return result


def _may_be_skirt(names: tuple[str, ...] | None, layer: str) -> bool:
    """Whether the layer's garment may go about both legs; ``names`` of what is worn, None: unknown."""
    about = ("dress", "coat skirt") if layer == "upper" else ("skirt",)
    return names is None or any(word in name.lower() for name in names for word in about)


def _without_guided(surface: Canonical, triangle: Tensor, barycentric: Tensor) -> points.SurfacePoints:
    """Places below ``_GUIDED`` become -1: what cloth of a skirt is there?

    The people engine binds the cloth between two legs to the body near the crotch, however far down it hangs
    (``bodymap.people.skirts``): a template point at a skirt's crotch may be its hem.
    """
    unknown = points.position(surface.surface, triangle, barycentric)[..., 2] < _GUIDED
    return triangle.masked_fill(unknown, -1), barycentric.masked_fill(unknown[..., None], 0.0)


def stack(samples: Sequence[Compact]) -> Batch:
    """Layer samples of one size -> compact tensors with a batch axis; the loader's ``collate``."""
    sizes = {sample["layer"].shape for sample in samples}
    if len(sizes) > 1:
        raise UserError(f"The shards hold pictures of different sizes {sorted(sizes)}; make all of one size.")
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def layer_sample(source: ShardDataset, index: int) -> Compact:
    """The layer sample at an index of a folder of shards of any kind."""
    if source.settings.format == "webdataset":
        return layers_of(source.sample(index))
    found = source[index]
    _check_places(found, source.folder)
    return found if "upper_triangle" in found else layers_of(found)


def _check_places(sample: Compact, folder: Path) -> None:
    """Raises UserError where a map numbers triangles that its surface does not have."""
    from apps.layered.surfaces import surfaces

    for prefix, (name, surface) in zip(PREFIXES, surfaces().items(), strict=True):
        triangle, count = sample.get(f"{prefix}triangle"), len(surface.triangles)
        if triangle is not None and triangle.max(initial=-1) >= count:
            raise UserError(
                f"{folder} speaks of triangle {triangle.max()}, but the surface of the {name} has {count}: it is "
                "damaged or made for another template; make it again."
            )


def match_sample(source: ShardDataset, index: int) -> Compact:
    """The match sample at an index of a folder of them.

    Raises:
        UserError: the folder holds something else.
    """
    found = source[index]
    if "height" not in found:
        raise UserError(
            f"{source.folder} holds pictures, no match samples; make these with python -m apps.layered.samples matches."
        )
    return found


class Shards:
    """Folders of shards as one endless stream of samples; a folder's come in a random order.

    Layer samples (``layer_sample``) are taken as they are; pictures of the people engine, compact or full, are
    converted as they are read (full ones slowly: better convert them once). Sample i is a function of the seed, of i
    and of how many pictures the folders hold; folders that another process still fills are looked at again every few
    hundred samples.

    Args:
        folders: written by ``bodymap.data.shards`` or by this module.
        read: (folder of shards, index) -> sample.
        shares: of the stream, one a folder; None: by the number of pictures.

    Raises:
        UserError: a folder without shards, or not one share a folder.
    """

    def __init__(
        self,
        folders: Sequence[str],
        read: Callable[[ShardDataset, int], Compact],
        shares: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        self.read = read
        self.sources = [ShardDataset(folder) for folder in folders]
        if not self.sources:
            raise UserError("There is nothing to train on; give folders of shards with --shards.")
        if shares and len(shares) != len(self.sources):
            raise UserError(f"There are {len(self.sources)} folders of shards, but {len(shares)} shares.")
        self.shares, self.seed, self.until_refresh = shares, seed, _REFRESH

    def __getitem__(self, index: int) -> Compact:
        self.until_refresh -= 1
        if self.until_refresh == 0:
            self.until_refresh = _REFRESH
            for source in self.sources:
                source.refresh()
        rng = np.random.default_rng([self.seed, index])
        sizes = np.array([len(source) for source in self.sources], float)
        weight = sizes if not self.shares else np.array(self.shares, float)
        source = self.sources[rng.choice(len(sizes), p=weight / weight.sum())]
        return self.read(source, int(rng.integers(len(source))))


def compact_layers(sample: LayeredSample) -> Compact:
    """A picture whose every layer is known, hidden or not, as a layer sample."""
    result: Compact = {"image": sample.image, "layer": sample.mask.astype(np.int8)}
    presence = []
    for prefix, truth in zip(PREFIXES, (sample.body, sample.upper, sample.lower), strict=True):
        # what furniture or another person hides is not there
        triangle = np.where(sample.mask > 0, truth.triangle, -1)
        corners = np.floor(np.clip(truth.barycentric[..., :2], 0, 1) * 255) * (triangle >= 0)[..., None]
        result |= {f"{prefix}triangle": triangle.astype(np.int16), f"{prefix}barycentric": corners.astype(np.uint8)}
        presence.append(np.where(triangle >= 0, PRESENT, ABSENT))
    result["presence"] = np.stack(presence, -1).astype(np.int8)
    return result


class Matches:
    """Index -> match sample of a folder of layer samples; picklable.

    Args:
        base: BodyMap weights, whose coarse stage gives the match.
    """

    def __init__(self, folder: str, base: str = "small") -> None:
        self.source, self.base = ShardDataset(folder), base

    def __call__(self, index: int) -> Compact:
        return next(self.many([index]))

    def many(self, indices: Sequence[int]) -> Iterator[Compact]:
        for start in range(0, len(indices), _LOOK):
            yield from self._some([layer_sample(self.source, index) for index in indices[start : start + _LOOK]])

    def _some(self, samples: list[Compact]) -> Iterator[Compact]:
        from apps.layered.canonical import canonical
        from apps.layered.heads import look_and_match
        from bodymap.surface import load_template

        batch = stack(samples)
        size = batch["layer"].shape[1:]
        scale = CELLS / max(size)
        shape = rows, columns = [max(1, round(side * scale)) for side in size]
        at = [((torch.arange(n) + 0.5) * side / n).long() for n, side in zip(shape, size, strict=True)]
        grid = (slice(None), at[0][:, None], at[1][None])
        image = batch["image"].permute(0, 3, 1, 2).float() / 255
        seen = F.interpolate(image, size=(4 * rows, 4 * columns), mode="area")
        match = look_and_match(_coarse(self.base), seen)[1].permute(0, 2, 3, 1)[:, 2::4, 2::4]

        def places(prefix: str) -> points.SurfacePoints:
            corners = batch[f"{prefix}barycentric"][grid].float() / 255
            return batch[f"{prefix}triangle"][grid].long(), torch.cat([corners, 1 - corners.sum(-1, keepdim=True)], -1)

        layer = batch["layer"][grid]
        triangle, corners = places("")
        bare = (triangle >= 0) & (layer == BODY)
        body = torch.zeros(*bare.shape, 4)
        body[bare] = F.pad(points.code(load_template(), triangle[bare], corners[bare]), (0, 1), value=1.0)
        triangle, corners = places("lower_")
        there = triangle >= 0
        height = torch.full(there.shape, NOWHERE, dtype=torch.int16)
        metres = points.position(canonical("lower").surface, triangle[there], corners[there])[:, 2]
        height[there] = (1000 * metres).round().to(torch.int16)
        for number in range(len(samples)):
            yield {
                "layer": layer[number].numpy(),
                "match": (255 * match[number]).round().to(torch.uint8).numpy(),
                "body": (255 * body[number]).round().to(torch.uint8).numpy(),
                "height": height[number].numpy(),
            }


@functools.lru_cache(maxsize=1)
def _coarse(base: str) -> CSEStage:
    from apps.layered.heads import load_coarse

    return load_coarse(base)


class _Converted:
    """Index -> layer sample of a folder of shards; picklable."""

    def __init__(self, folder: str) -> None:
        self.source = ShardDataset(folder)

    def __call__(self, index: int) -> Compact:
        return layer_sample(self.source, index)


@dataclass(frozen=True)
class _Engine:
    """Index -> layer sample of a person of the engine; picklable. ``skirts``: everybody wears a skirt or a dress."""

    pack: str | None
    settings: ShardSettings
    skirts: bool = False

    def __call__(self, index: int) -> Compact:
        from apps.layered.truth import engine_sample

        settings = self.settings
        config = PeopleConfig(size=settings.size)
        if self.skirts:
            worn = replace(
                config.outfit, kind={"separates": 0.75, "dress": 0.25}, bottom={"skirt": 1.0}, male_dress=1.0
            )
            config = replace(config, outfit=worn)
        start = settings.seed * 1_000_000
        person, view = start + index // settings.views_per_person, start + index
        pack = _pack(self.pack)
        return compact_layers(engine_sample(person, view, view, view, pack=pack, config=config, split=settings.split))


@dataclass(frozen=True)
class _Cloth:
    """Index -> layer sample of a frame of a cloth sequence; picklable. Consecutive ones show one person."""

    folder: str
    pack: str | None
    settings: ShardSettings

    def __call__(self, index: int) -> Compact:
        settings = self.settings
        group, view = divmod(index, settings.views_per_person)
        rng = np.random.default_rng([settings.seed, index])
        wearer = _wearer(self.folder, settings.split, group, self.pack, settings.size, settings.seed)
        scene = settings.seed * 1_000_000 + index
        return compact_layers(wearer.sample(int(rng.integers(len(wearer.sequence))), scene, scene))


@functools.lru_cache(maxsize=1)
def _pack(path: str | None) -> Pack:
    return Pack.load(path) if path else Pack.load()


@functools.lru_cache(maxsize=2)
def _wearer(folder: str, split: str, group: int, pack: str | None, size: tuple[int, int], seed: int) -> Wearer:
    from apps.layered.cloth.sequences import read_sequences
    from apps.layered.truth import Wearer

    sequences = read_sequences(folder, split)
    if not sequences:
        raise UserError(f"{folder} holds no sequences of the split {split}; simulate some more.")
    sequence = sequences[group % len(sequences)]
    return Wearer(sequence, seed * 1_000_000 + group, _pack(pack), PeopleConfig(size=size))


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command in ("shards", "matches"):
        make: Any = _Converted(options.folder) if options.command == "shards" else Matches(options.folder, options.base)
        count, settings = len(make.source), replace(make.source.settings, format="safetensors")
    else:
        if options.count < 1 or options.views_per_person < 1:
            raise UserError("--count and --views-per-person must be at least 1.")
        if options.pack is not None and not Path(options.pack).is_file():
            raise UserError(f"The people pack {options.pack} does not exist; leave --pack out to use the small one.")
        settings = ShardSettings(
            pack=sha256(Path(options.pack)) if options.pack else "",
            seed=options.seed,
            size=tuple(options.size),
            views_per_person=options.views_per_person,
            split=options.split,
        )
        count = options.count
        if options.command == "cloth":
            make = _Cloth(options.folder, options.pack, settings)
        else:
            make = _Engine(options.pack, settings, options.skirts)
    say = functools.partial(print, file=sys.stderr, flush=True)
    write_shards(make, count, options.out, settings, options.workers, say=say)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m apps.layered.samples", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="SOURCE")
    engine = commands.add_parser("engine", help="people of the engine, every layer known")
    engine.add_argument(
        "--skirts", action="store_true", help="everybody in a skirt or a dress; into a folder of their own"
    )
    cloth = commands.add_parser("cloth", help="frames of simulated cloth, every layer known")
    cloth.add_argument("folder", metavar="DIR", help="written by python -m apps.layered.simulate")
    shards = commands.add_parser("shards", help="full samples that are there already")
    shards.add_argument("folder", metavar="DIR", help="of python -m bodymap.data.shards --format webdataset")
    matches = commands.add_parser("matches", help="what apps/layered/train_heights.py learns from")
    matches.add_argument("folder", metavar="DIR", help="layer samples, or what can be converted into them")
    matches.add_argument("--base", default="small", metavar="WEIGHTS", help="BodyMap weights (default: %(default)s)")
    for command in (engine, cloth, shards, matches):
        command.add_argument("-o", "--out", required=True, metavar="DIR", help="folder for the layer samples")
        command.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    for command in (engine, cloth):
        command.add_argument("--count", type=int, required=True, help="number of samples")
        command.add_argument("--pack", metavar="FILE", help="people pack (default: the small one that ships)")
        command.add_argument("--seed", type=int, default=1, help="of everything (default: %(default)s)")
        command.add_argument("--split", choices=("train", "test"), default="train", help="(default: %(default)s)")
        command.add_argument("--views-per-person", type=int, default=4, help="(default: %(default)s)")
        command.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("HEIGHT", "WIDTH"))
    return parser


if __name__ == "__main__":
    run_command(main)
