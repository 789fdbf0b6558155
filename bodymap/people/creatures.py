"""Animals and toy animals from balls and tubes; all stand or sit on the floor and face -Y."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bodymap.people.material import Material, folds, hsv
from bodymap.people.mesh import Piece
from bodymap.people.pattern import draw_pattern
from bodymap.people.primitives import Solid, merge, moved, rod, rounded, tube
from bodymap.people.props import Props, part, plain
from bodymap.people.skinning import rotation_vector
from bodymap.people.streams import pattern_seed


def teddy(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A sitting bear."""
    parts = [rounded((0.2, 0.17, 0.25), 1.0), moved(rounded((0.15, 0.14, 0.14), 1.0), (0, -0.02, 0.36))]
    for x in (-1, 1):
        parts += [
            moved(rounded((0.05, 0.03, 0.05), 1.0), (x * 0.12, 0, 0.48)),
            moved(rounded((0.07, 0.16, 0.07), 1.0), (x * 0.14, -0.2, -0.18)),
            moved(rounded((0.15, 0.06, 0.06), 1.0), (x * 0.25, -0.06, 0.08)),
        ]
    eyes = [moved(rounded((0.016, 0.012, 0.018), 1.0, 8, 6), (x * 0.055, -0.148, 0.4)) for x in (-1, 1)]
    eyes.append(moved(rounded((0.025, 0.02, 0.018), 1.0, 8, 6), (0, -0.2, 0.35)))
    snout = moved(rounded((0.06, 0.06, 0.05), 1.0), (0, -0.15, 0.33))
    size, up = rng.uniform(0.5, 2.2), np.array([0, 0, 0.25])
    fur = props.paint(rng)

    def scaled(solid: Solid) -> Solid:
        return (solid[0] + up.astype(np.float32)) * np.float32(size), solid[1]

    return [
        part(scaled(merge(*parts)), fur),
        part(scaled(snout), plain(np.clip(fur.colour * 1.3 + 0.1, 0, 1))),
        part(scaled(merge(*eyes)), plain(np.full(3, 0.04), 0.4, 40)),
    ]


@dataclass(frozen=True)
class Build:
    """A four-legged animal; lengths in metres except where shares of the height at the shoulder."""

    shoulder: tuple[float, float]  # height of the back
    body: float  # half length, share
    deep: float  # half depth of the chest, share
    leg: float  # radius, share
    neck: tuple[float, float]  # length (share) and angle above the horizontal (radians)
    head: float  # half length of the skull, share
    snout: float  # its length, share
    ears: tuple[str, ...]
    tail: tuple[float, float]  # length (share) and thickness (share)


_BUILDS = {
    "dog": Build((0.25, 0.75), 0.55, 0.19, 0.045, (0.28, 0.75), 0.14, 0.2, ("hanging", "upright"), (0.55, 0.025)),
    "cat": Build((0.22, 0.3), 0.68, 0.2, 0.05, (0.2, 0.7), 0.19, 0.09, ("upright",), (1.0, 0.045)),
    "horse": Build((1.1, 1.6), 0.52, 0.19, 0.04, (0.45, 0.85), 0.11, 0.26, ("upright",), (0.5, 0.04)),
    "sheep": Build((0.5, 0.9), 0.62, 0.3, 0.05, (0.25, 0.6), 0.14, 0.18, ("hanging",), (0.2, 0.05)),
}


def dog(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Small to large, ears up or hanging."""
    return _four_legged(rng, props, _BUILDS["dog"])


def cat(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Standing, its tail up or down."""
    return _four_legged(rng, props, _BUILDS["cat"])


def horse(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A horse, a pony, a cow from afar."""
    return _four_legged(rng, props, _BUILDS["horse"])


def sheep(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Round and woolly."""
    return _four_legged(rng, props, _BUILDS["sheep"])


def _fur(rng: np.random.Generator, props: Props) -> Material:
    kind = rng.random()
    if kind < 0.55:
        colour = hsv(rng.uniform(0.04, 0.11), rng.uniform(0.2, 0.65), rng.uniform(0.15, 0.85))
    else:
        colour = np.full(3, rng.choice([0.07, 0.4, 0.85])) * rng.uniform(0.7, 1.15)
    material = Material(np.clip(colour, 0.02, 1).astype(np.float32), sheen=0.15, **folds(rng, rng.uniform(0.2, 0.8)))
    if rng.random() < 0.3:  # patches
        tile, _ = draw_pattern(pattern_seed(rng, props.split), {"animal": 0.5, "camouflage": 0.5})
        grey = tile.mean(-1, keepdims=True) / 255
        tile = np.clip((0.3 + 0.9 * grey) * colour, 0, 1) * 255
        material = replace(material, pattern=tile.astype(np.uint8), pattern_size=float(rng.uniform(0.3, 1.0)))
    return material


def _four_legged(rng: np.random.Generator, props: Props, b: Build) -> list[Piece]:
    tall = float(rng.uniform(*b.shoulder))
    vary = rng.uniform(0.88, 1.14, 5)
    half, deep = b.body * vary[0], b.deep * vary[1]
    back = 1 - deep
    chest = moved(rounded((deep * 0.8, half * 0.5, deep), 1.0), (0, -half * 0.45, back))
    rump = moved(rounded((deep * 0.78, half * 0.5, deep * 0.92), 1.0), (0, half * 0.45, back + 0.01))
    belly = moved(rounded((deep * 0.68, half * 0.8, deep * 0.78), 0.9), (0, 0, back + 0.02))
    fur = [chest, rump, belly]

    # a neck, a skull and a snout; the head looks about a little
    length, angle = b.neck[0] * vary[2], b.neck[1] + rng.normal(0, 0.15)
    root = np.array([0, -half * 0.75, back + deep * 0.35])
    crown = root + length * np.array([0, -np.cos(angle), np.sin(angle)])
    fur.append(rod(root + [0, 0.08, -0.06], crown, (deep * 0.62, b.head * 0.72), 10))
    look = rotation_vector(np.array([rng.normal(-0.25, 0.2), 0, rng.normal(0, 0.45)]))
    skull, snout = b.head * vary[3], b.snout * vary[4]
    head = [rounded((skull * 0.75, skull, skull * 0.8), 1.0)]
    head.append(
        rod((0, -skull * 0.5, -skull * 0.15), (0, -skull * 0.7 - snout, -skull * 0.35), (skull * 0.55, skull * 0.36))
    )
    ears = b.ears[rng.integers(len(b.ears))]
    for x in (-1.0, 1.0):
        if ears == "upright":
            head.append(
                rod(
                    (x * skull * 0.45, 0.1 * skull, skull * 0.6),
                    (x * skull * 0.62, 0, skull * 1.45),
                    (skull * 0.28, 0.01),
                )
            )
        else:
            flap = rounded((skull * 0.14, skull * 0.34, skull * 0.62), 1.0, 10, 8)
            head.append(moved(flap, (x * skull * 0.78, 0.1 * skull, 0.05 * skull)))
    at = crown + [0, -skull * 0.3, skull * 0.2]
    fur.append(moved(merge(*head), at, look))
    dark = [moved(rounded((skull * 0.16,) * 3, 1.0, 8, 6), (0, -skull * 0.75 - snout, -skull * 0.3))]
    dark += [
        moved(rounded((skull * 0.1,) * 3, 1.0, 8, 6), (x * skull * 0.42, -skull * 0.78, skull * 0.22)) for x in (-1, 1)
    ]
    dark = [moved(merge(*dark), at, look)]

    # legs in a stride
    for y, thick in ((-half * 0.62, 1.0), (half * 0.66, 1.15)):
        for x in (-1.0, 1.0):
            step = rng.normal(0, 0.1)
            hip = np.array([x * deep * 0.42, y, back - deep * 0.1])
            knee = np.array([x * deep * 0.5, y + step * 0.5 + (0.05 if y > 0 else -0.02), back * 0.48])
            foot = np.array([x * deep * 0.5, y + step, 0.03])
            r = b.leg * thick
            # a thigh that lies in the flank, and the leg below it
            fur.append(
                moved(rounded((r * 1.9, deep * 0.5 * thick, deep * 0.85), 1.0, 10, 8), hip + [0, 0, -deep * 0.25])
            )
            leg = np.stack([hip + (knee - hip) * 0.35, (hip + knee * 2) / 3, knee, foot])
            fur.append(tube(leg, np.array([r * 1.7, r * 1.6, r * 1.05, r]), 8))
            fur.append(moved(rounded((r * 1.25, r * 1.7, 0.03), 0.8, 8, 6), foot + [0, -r * 0.5, 0]))

    long, thick = b.tail
    t = np.linspace(0, 1, 6)
    lift = rng.uniform(-0.8, 0.9)
    tail = np.stack(
        [0.1 * np.sin(3 * t) * rng.normal(), half * 0.85 + long * 0.55 * t, back + 0.06 + lift * long * t**1.5], 1
    )
    tail[:, 2] = np.maximum(tail[:, 2], 0.05)
    fur.append(tube(tail, thick * (1.2 - 0.6 * t), 6))

    def scaled(solids: list[Solid]) -> Solid:
        vertices, triangles = merge(*solids)
        return vertices * np.float32(tall), triangles

    return [part(scaled(fur), _fur(rng, props)), part(scaled(dark), plain(np.full(3, 0.05), 0.3, 30))]


def bird(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A pigeon to a stork, standing."""
    size, legs = rng.uniform(0.1, 0.45), rng.uniform(0.3, 1.4)
    pitch = rotation_vector(np.array([rng.uniform(-0.5, 0.0), 0, 0]))
    body = [moved(rounded((0.3, 0.62, 0.33), 1.0), (0, 0, 0), pitch)]
    for x in (-1.0, 1.0):
        body.append(moved(rounded((0.07, 0.52, 0.24), 1.0, 12, 8), (x * 0.27, 0.12, 0.06), pitch))
    body.append(moved(rounded((0.16, 0.34, 0.04), 0.7, 10, 6), pitch @ np.array([0, 0.72, 0.06]), pitch))
    neck = rng.uniform(0.2, 0.9)
    crown = pitch @ np.array([0, -0.5, 0.15]) + neck * np.array([0, -0.35, 0.9])
    body.append(rod(pitch @ np.array([0, -0.4, 0.05]), crown, (0.22, 0.13)))
    body.append(moved(rounded((0.16, 0.2, 0.17), 1.0, 12, 8), crown))
    bill = [rod(crown + [0, -0.15, 0], crown + [0, -0.2 - rng.uniform(0.12, 0.5), -0.06], (0.06, 0.01), 6)]
    for x in (-1.0, 1.0):
        hip = np.array([x * 0.12, 0.05, -0.22])
        foot = hip + [0, -0.05, -legs]
        bill.append(rod(hip, foot, 0.025, 6))
        bill.append(rod(foot + [0, 0.05, 0], foot + [0, -0.2, 0], 0.025, 6))
    up = np.array([0, 0, 0.22 + legs + 0.02], np.float32)

    def scaled(solids: list[Solid]) -> Solid:
        vertices, triangles = merge(*solids)
        return (vertices + up) * np.float32(size), triangles

    beak = plain(hsv(rng.uniform(0, 0.13), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.9)))
    return [part(scaled(body), _fur(rng, props)), part(scaled(bill), beak)]
