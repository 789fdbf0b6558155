"""Cloth sequences: who wears what and does what, simulated once, packed compactly, read without a simulator.

    sequence = read_sequence("runs/cloth/00_walk.safetensors")
    sequence.garments[0].name, sequence.split, len(sequence)
    sequence.cloth(40)[0]            # (n, 3) vertices of the lower garment in frame 40, metres
    sequence.skin(40)                # (13380, 3) of the body

A file holds rest shapes, joint rotations, and the cloth's way as float16 differences from frame to frame, taken from
what the reader will have summed up so far, so that rounding does not add up.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from apps.layered.canonical import canonical
from apps.layered.cloth.garments import Garment
from apps.layered.cloth.motion import MOTIONS
from bodymap.errors import UserError
from bodymap.files import atomic_path, parse_json, read_safetensors
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.rotations import matrix_from_quaternion, quaternion_from_matrix
from bodymap.people.shape import Body
from bodymap.people.skinning import Posed, pose_skeleton, skin

FORMAT = "bodymap-cloth-1"


@dataclass(frozen=True)
class Plan:
    """One sequence to simulate: names of MOTIONS and KINDS, whose body, which split.

    ``fitted``: trousers are cut with the legs apart, and arms and legs leave room for cloth (``fitting``). The others
    were simulated before that was known, hold without it, and stay as they are. ``cut_seed``: of lengths and widths
    that differ from the kinds' own (``garments.recut``); None: as the kinds are.
    """

    motion: str
    upper: str
    lower: str
    person: int
    split: str = "train"
    fitted: bool = False
    cut_seed: int | None = None

    @property
    def title(self) -> str:
        return f"{self.motion}, {self.upper}, {self.lower}"


# Persons are drawn from the pack's split; no garment of a test sequence is worn in training.
PLANS: tuple[Plan, ...] = (
    Plan("walk", "T-shirt", "trousers", 0),
    Plan("wave", "hoodie", "skirt", 1),
    Plan("swagger", "vest", "long skirt", 2, "test"),
    Plan("stroll", "shirt", "wide trousers", 3),
    Plan("turning walk", "dress", "shorts", 4, fitted=True),
    Plan("raise", "T-shirt", "shorts", 5),
    Plan("stride", "hoodie", "trousers", 6),
    Plan("walk", "tunic", "cropped trousers", 7, "test", fitted=True),
    Plan("reach", "shirt", "skirt", 8, fitted=True),
    Plan("march", "dress", "trousers", 9, fitted=True),
    Plan("raise", "sweater", "culottes", 10, "test"),
    Plan("twist", "T-shirt", "wide trousers", 11),
)


def plans(count: int) -> tuple[Plan, ...]:
    """The first ``count``: those of PLANS, then all garments and motions of training in turn, on further persons."""
    worn = [plan for plan in PLANS if plan.split == "train"]
    uppers, lowers, motions = sorted({p.upper for p in worn}), sorted({p.lower for p in worn}), sorted(MOTIONS)

    def turn(names: list[str], number: int) -> str:
        return names[number % len(names)]

    further = tuple(
        Plan(turn(motions, n), turn(uppers, n), turn(lowers, n + n // len(uppers)), n, fitted=True, cut_seed=n)
        for n in range(len(PLANS), count)
    )
    return PLANS[:count] + further


@dataclass(frozen=True, eq=False)
class ClothSequence:
    """A sequence as it was simulated; the lower garment comes first.

    Attributes:
        title, motion, split: of the plan.  person: seed of the body.  fps: frames a second.
        body: at rest; only its skin and its bones' heads are known.
        local: (T, J, 3, 3) joint rotations.  lift: (T,) metres that the posed skin is moved up.
        garments: at rest.  paths: (T, n, 3) of each, metres.
        report: penetration, stretch, seconds a frame.
    """

    title: str
    motion: str
    split: str
    person: int
    fps: int
    body: Body
    local: Float[np.ndarray, "frame bone 3 3"]
    lift: Float[np.ndarray, " frame"]
    garments: tuple[Garment, ...]
    paths: tuple[Float[np.ndarray, "frame vertex xyz=3"], ...]
    report: dict[str, Any]

    def __len__(self) -> int:
        return len(self.lift)

    def cloth(self, frame: int) -> list[Float[np.ndarray, "vertex xyz=3"]]:
        """Vertices of each garment, metres; Z up, the person's front about -Y."""
        return [path[frame] for path in self.paths]

    def posed(self, frame: int, pack: Pack) -> Posed:
        """The skeleton in a frame, moved up as the skin is."""
        posed = pose_skeleton(pack.bones.parents, self.body.heads, self.local[frame])
        up = np.array([0, 0, self.lift[frame]], np.float32)
        transform = posed.transform.copy()
        transform[..., 3] += up
        return Posed(posed.rotation, posed.position + up, transform, posed.heads)

    def skin(self, frame: int, pack: Pack | None = None) -> Float[np.ndarray, "vertex xyz=3"]:
        """The posed skin (13380, 3), metres; ``pack``: any, for the skin weights."""
        pack = pack or _pack()
        index, weight = pack.skin_index[:SKIN_VERTICES], pack.skin_weight[:SKIN_VERTICES]
        return skin(self.body.vertices[:SKIN_VERTICES], index, weight, self.posed(frame, pack).transform)


@functools.lru_cache(maxsize=1)
def _pack() -> Pack:
    return Pack.load()


def encode(path: Float[np.ndarray, "frame vertex xyz=3"]) -> tuple[np.ndarray, np.ndarray]:
    """(first frame float32, differences (T - 1, n, 3) float16), each from the frame as it will be decoded."""
    now = path[0].astype(np.float32)
    deltas = []
    for frame in path[1:]:
        delta = (frame - now).astype(np.float16)
        now = now + delta.astype(np.float32)
        deltas.append(delta)
    return path[0].astype(np.float32), np.stack(deltas) if deltas else np.zeros((0, *path[0].shape), np.float16)


def decode(first: np.ndarray, deltas: np.ndarray) -> Float[np.ndarray, "frame vertex xyz=3"]:
    """What ``encode`` took apart."""
    frames = [first.astype(np.float32)]
    for delta in deltas:
        frames.append(frames[-1] + delta.astype(np.float32))
    return np.stack(frames)


def write_sequence(path: str | Path, sequence: ClothSequence) -> None:
    """Packs a sequence; about 3 MB for 96 frames of two garments."""
    from safetensors.numpy import save_file

    body = sequence.body
    moving = np.flatnonzero(np.abs(sequence.local - np.eye(3)).max((0, 2, 3)) > 1e-6)
    tensors = {
        "skin": body.vertices[:SKIN_VERTICES].astype(np.float32),
        "heads": body.heads.astype(np.float32),
        "coefficients": body.coefficients.astype(np.float32),
        "bones": moving.astype(np.int16),
        "rotations": quaternion_from_matrix(sequence.local[:, moving]).astype(np.float32),
        "lift": sequence.lift.astype(np.float32),
    }
    for k, (garment, way) in enumerate(zip(sequence.garments, sequence.paths, strict=True)):
        first, deltas = encode(way)
        tensors |= {
            f"{k}.rest": garment.vertices.astype(np.float32),
            f"{k}.triangles": garment.triangles.astype(np.int16),
            f"{k}.uv": garment.uv.astype(np.float16),
            f"{k}.uv_triangles": garment.uv_triangles.astype(np.int16),
            f"{k}.place": garment.place.astype(np.int16),
            f"{k}.corner": garment.corner.astype(np.float16),
            f"{k}.held": garment.held.astype(np.int16),
            f"{k}.first": first,
            f"{k}.deltas": deltas,
        }
        if garment.cut is not None:
            tensors[f"{k}.cut"] = garment.cut.astype(np.float32)
    about = {
        "title": sequence.title,
        "motion": sequence.motion,
        "split": sequence.split,
        "person": sequence.person,
        "fps": sequence.fps,
        "female": body.female,
        "age": body.age,
        "garments": [{"name": g.name, "layer": g.layer, "legged": g.legged} for g in sequence.garments],
        "report": sequence.report,
    }
    with atomic_path(path) as temporary:
        metadata = {"format": FORMAT, "about": json.dumps(about)}
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, str(temporary), metadata)


def read_sequence(path: str | Path) -> ClothSequence:
    """A packed sequence.

    Raises:
        UserError: the file is missing, damaged, or something else.
    """
    try:
        raw, metadata = read_safetensors(path, "np")
    except FileNotFoundError:
        raise UserError(f"The sequence {path} does not exist; simulate it or give another path.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"The sequence {path} cannot be read ({error}); delete it and simulate it again.") from None
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} is not a cloth sequence of this version; simulate it again.")
    try:
        about = parse_json(metadata["about"])
        check_arrays(raw, about)
        return _assembled(raw, about)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)[:120]
        raise UserError(f"The sequence {path} is damaged ({reason}); delete it and simulate it again.") from None


def check_arrays(raw: dict[str, np.ndarray], about: dict) -> None:
    """Raises KeyError or ValueError unless the arrays of a sequence fit each other and every index has its place."""
    frames, bones, moving = len(raw["lift"]), len(raw["heads"]), len(raw["bones"])
    shapes = {"skin": (SKIN_VERTICES, 3), "heads": (bones, 3), "coefficients": (None,), "bones": (moving,),
              "rotations": (frames, moving, 4), "lift": (frames,)}  # fmt: skip
    limits = {"bones": bones}
    for k, garment in enumerate(about["garments"]):
        if garment["layer"] not in ("upper", "lower"):
            raise ValueError(f"there is no layer {garment['layer']!r}")
        count, flat = len(raw[f"{k}.rest"]), len(raw[f"{k}.uv"])
        faces, held = len(raw[f"{k}.triangles"]), len(raw[f"{k}.held"])
        shapes |= {f"{k}.rest": (count, 3), f"{k}.triangles": (faces, 3), f"{k}.uv": (flat, 2),
                   f"{k}.uv_triangles": (faces, 3), f"{k}.place": (count,), f"{k}.corner": (count, 3),
                   f"{k}.held": (held,), f"{k}.first": (count, 3), f"{k}.deltas": (frames - 1, count, 3)}  # fmt: skip
        limits |= {f"{k}.triangles": count, f"{k}.uv_triangles": flat, f"{k}.held": count,
                   f"{k}.place": len(canonical(garment["layer"]).surface.triangles)}  # fmt: skip
    for name, shape in shapes.items():
        array = raw[name]
        wanted = tuple(have if want is None else want for want, have in zip(shape, array.shape, strict=False))
        if len(array.shape) != len(shape) or array.shape != wanted:
            raise ValueError(f"{name} is {array.shape}, not {shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
        if name in limits and array.size and not (0 <= array.min() and array.max() < limits[name]):
            raise ValueError(f"an index in {name} is out of range")
    if frames < 1:
        raise ValueError("it has no frames")


def _assembled(raw: dict[str, np.ndarray], about: dict) -> ClothSequence:
    bones = len(raw["heads"])
    local = np.tile(np.eye(3, dtype=np.float32), (len(raw["lift"]), bones, 1, 1))
    local[:, raw["bones"].astype(int)] = matrix_from_quaternion(raw["rotations"])
    garments = tuple(
        Garment(
            vertices=raw[f"{k}.rest"],
            triangles=_index(raw[f"{k}.triangles"]),
            uv=raw[f"{k}.uv"].astype(np.float32),
            uv_triangles=_index(raw[f"{k}.uv_triangles"]),
            place=_index(raw[f"{k}.place"]),
            corner=raw[f"{k}.corner"].astype(np.float32),
            held=_index(raw[f"{k}.held"]),
            cut=raw.get(f"{k}.cut"),
            **which,
        )
        for k, which in enumerate(about["garments"])
    )
    body = Body(raw["skin"], raw["heads"], raw["coefficients"], about["female"], about["age"])
    return ClothSequence(
        title=about["title"],
        motion=about["motion"],
        split=about["split"],
        person=about["person"],
        fps=about["fps"],
        body=body,
        local=local,
        lift=raw["lift"],
        garments=garments,
        paths=tuple(decode(raw[f"{k}.first"], raw[f"{k}.deltas"]) for k in range(len(garments))),
        report=about["report"],
    )


def read_sequences(folder: str | Path, split: str | None = None) -> list[ClothSequence]:
    """All packed sequences of a folder, by name; ``split``: "train" or "test" only.

    Raises:
        UserError: there are none.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise UserError(
            f"There are no cloth sequences in {folder}; run python -m apps.layered.simulate --out {folder}."
        )
    found = [read_sequence(file) for file in files]
    return [s for s in found if split in (None, s.split)]


def _index(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int64)
