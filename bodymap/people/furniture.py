"""Things of rooms: chairs, tables and what stands on them, plants, luggage, stands, lamps, balls, boxes."""

from __future__ import annotations

import numpy as np

from bodymap.people.material import hsv
from bodymap.people.mesh import Piece
from bodymap.people.primitives import Solid, box, lathe, merge, moved, rod, rounded, tube
from bodymap.people.props import Props, leaves, metal, part, plain, wood
from bodymap.people.skinning import rotation_vector


def ball(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Lying, or in the air."""
    radius = rng.uniform(0.06, 0.3)
    height = radius if rng.random() < 0.5 else radius + rng.uniform(0, 1.2)
    return [part(moved(rounded((radius,) * 3, 1.0), (0, 0, height)), props.paint(rng, 0.6))]


def block(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A box of any shape, from a parcel to a wardrobe."""
    half = np.exp(rng.uniform(np.log(0.08), np.log(0.6), 3))
    roundness = rng.uniform(0.1, 1)
    solid = rounded(tuple(half), roundness) if roundness > 0.25 else box(tuple(half))
    return [part(moved(solid, (0, 0, half[2])), props.paint(rng))]


def counter(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A wide low thing in front: a counter, a wall, a car's bonnet, the back of a sofa."""
    half = (rng.uniform(0.15, 0.9), rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.5))
    return [part(moved(rounded(half, rng.uniform(0.1, 0.4)), (0, 0, half[2])), props.paint(rng))]


def chair(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Four legs, a seat, a back that is a board or a few rails; a stool has none."""
    seat, wide = rng.uniform(0.4, 0.5), rng.uniform(0.18, 0.28)
    back = rng.random()
    soft = [moved(rounded((wide, wide, rng.uniform(0.015, 0.05)), 0.25), (0, 0, seat))]
    frame: list[Solid] = []
    top = seat + rng.uniform(0.3, 0.55)
    if back < 0.45:
        soft.append(moved(rounded((wide, 0.025, (top - seat) * 0.42), 0.25), (0, wide, (top + seat) / 2 + 0.05)))
    elif back < 0.85:
        frame += [rod((-wide, wide, z), (wide, wide, z), 0.014, 6) for z in np.linspace(seat + 0.15, top, 4)]
    for x in (-1, 1):
        for y in (-1, 1):
            end = top if y > 0 and back < 0.85 else seat
            foot, head = (
                np.array([x * wide * 1.0, y * wide * 1.05, 0]),
                np.array([x * wide * 0.9, y * wide * 0.95, end]),
            )
            frame.append(rod(foot, head, 0.017, 6))
    if rng.random() < 0.25 and back < 0.85:
        for x in (-1, 1):
            path = [(x * wide, wide, seat + 0.2), (x * wide, -wide * 0.8, seat + 0.2), (x * wide, -wide * 0.9, seat)]
            frame.append(tube(np.array(path), 0.016, 6))
    return [part(merge(*soft), props.paint(rng)), part(merge(*frame), wood(rng) if rng.random() < 0.5 else metal(rng))]


def table(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Round or square, with cups, bottles and papers on it."""
    high, wide, deep = rng.uniform(0.45, 0.95), rng.uniform(0.25, 0.8), rng.uniform(0.25, 0.5)
    finish = wood(rng) if rng.random() < 0.6 else props.paint(rng, 0.2)
    frame: list[Solid] = []
    if rng.random() < 0.35:
        top = lathe([(0, -0.015), (wide, -0.015), (wide, 0.015), (0, 0.015)], 24)
        frame.append(rod((0, 0, 0.02), (0, 0, high), 0.035))
        frame.append(lathe([(0, 0), (wide * 0.55, 0), (wide * 0.5, 0.02), (0.04, 0.05)], 16))
        deep = wide
    else:
        top = box((wide, deep, 0.018))
        for x in (-1, 1):
            for y in (-1, 1):
                frame.append(moved(box((0.022, 0.022, high / 2)), (x * wide * 0.93, y * deep * 0.9, high / 2)))
    pieces = [part(moved(top, (0, 0, high)), finish), part(merge(*frame), finish if rng.random() < 0.6 else metal(rng))]
    for _ in range(int(rng.integers(0, 6))):
        place = (rng.uniform(-0.65, 0.65) * wide, rng.uniform(-0.65, 0.65) * deep, high + 0.017)
        pieces.append(part(moved(_on_table(rng), place), props.paint(rng, 0.15)))
    return pieces


def _on_table(rng: np.random.Generator) -> Solid:
    """A cup, a bottle, a bowl, a book, a laptop; stands on z = 0."""
    kind = rng.integers(5)
    if kind == 0:
        return mug(rng)
    if kind == 1:
        return bottle(rng)
    if kind == 2:
        return lathe([(0, 0), (0.03, 0.0), (0.08, 0.05), (0.075, 0.05), (0.03, 0.012), (0, 0.012)], 16)
    turn = rotation_vector(np.array([0, 0, rng.uniform(0, 6.3)]))
    if kind == 3:
        half = (rng.uniform(0.07, 0.12), rng.uniform(0.09, 0.15), rng.uniform(0.004, 0.04))
        return moved(box(half), (0, 0, half[2]), turn)
    screen = moved(box((0.16, 0.004, 0.1)), (0, 0.12, 0.1), rotation_vector(np.array([-0.25, 0, 0])))
    return moved(merge(moved(box((0.16, 0.11, 0.008)), (0, 0, 0.008)), screen), (0, 0, 0), turn)


def mug(rng: np.random.Generator) -> Solid:
    """A cup with a handle, or a paper cup without; open at the top, stands on z = 0, metres."""
    radius, tall = rng.uniform(0.033, 0.045), rng.uniform(0.075, 0.12)
    foot = radius * rng.uniform(0.7, 1.0)
    wall = [(0, 0), (foot, 0), (radius, tall), (radius - 0.003, tall), (foot - 0.003, 0.006), (0, 0.006)]
    solid = lathe(wall, 16)
    if rng.random() < 0.65:
        t = np.linspace(-1.3, 1.3, 9)
        ear = np.stack([(radius + foot) / 2 + 0.026 * np.cos(t), np.zeros(9), tall * (0.5 + 0.32 * np.sin(t))], 1)
        solid = merge(solid, tube(ear, 0.0045, 6))
    return solid


def bottle(rng: np.random.Generator) -> Solid:
    """With a shoulder and a cap; stands on z = 0, metres."""
    radius, tall = rng.uniform(0.028, 0.042), rng.uniform(0.17, 0.3)
    neck = rng.uniform(0.011, 0.018)
    shoulder = tall * rng.uniform(0.6, 0.8)
    return lathe(
        [
            (0, 0),
            (radius * 0.9, 0),
            (radius, 0.01),
            (radius, shoulder),
            (neck, shoulder + radius * 1.2),
            (neck, tall - 0.02),
            (neck * 1.25, tall - 0.02),
            (neck * 1.25, tall),
            (0, tall),
        ],
        14,
    )


def plant(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A pot with long leaves, a small tree, or a bush."""
    radius, tall = rng.uniform(0.1, 0.22), rng.uniform(0.15, 0.45)
    pot = lathe(
        [
            (0, 0),
            (radius * 0.75, 0),
            (radius, tall),
            (radius * 0.9, tall),
            (radius * 0.85, tall - 0.03),
            (0, tall - 0.03),
        ]
    )
    pieces = [part(pot, props.paint(rng, 0.2))]
    green: list[Solid] = []
    if rng.random() < 0.55:
        for _ in range(int(rng.integers(7, 18))):
            turn, length = rng.uniform(0, 6.3), rng.uniform(0.3, 1.1)
            lean, width = rng.uniform(0.1, 0.9), rng.uniform(0.02, 0.06)
            t = np.linspace(0, 1, 6)
            out = np.stack(
                [np.sin(lean) * length * t, 0 * t, tall + length * (np.cos(lean) * t - 0.45 * lean * t**3)], 1
            )
            leaf = tube(out, width * np.sin(np.pi * (0.12 + 0.85 * t)), 6)
            leaf = (leaf[0] * np.array([1, 1, 1], np.float32), leaf[1])
            green.append(moved(leaf, (0, 0, 0), rotation_vector(np.array([0, 0, turn]))))
    else:
        stem = rng.uniform(0.0, 0.9)
        if stem > 0.2:
            pieces.append(part(rod((0, 0, tall - 0.03), (0, 0, tall + stem), 0.02, 6), wood(rng)))
        crown = rng.uniform(0.15, 0.35)
        green = _clumps(rng, crown, tall + stem + crown * 0.4, 18)
    return [*pieces, part(merge(*green), leaves(rng))]


def bush(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A hedge or a bush on the ground."""
    spread = rng.uniform(0.18, 0.35)
    return [
        part(merge(*_clumps(rng, spread, spread * 0.8, 22), *_clumps(rng, spread * 0.8, spread * 0.4, 10)), leaves(rng))
    ]


def _clumps(rng: np.random.Generator, spread: float, height: float, count: int) -> list[Solid]:
    """Many small balls around a place."""
    balls = []
    for _ in range(count):
        r = spread * rng.uniform(0.3, 0.65)
        at = np.clip(rng.normal(0, 0.42, 3), -0.8, 0.8) * spread + [0, 0, height]
        at[2] = max(at[2], r * 0.95)
        balls.append(moved(rounded((r, r, r * rng.uniform(0.5, 1)), 1.0, 8, 6), at))
    return balls


def luggage(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A suitcase on wheels, or a travelling bag."""
    cloth = props.paint(rng, 0.25)
    if rng.random() < 0.65:
        half = (rng.uniform(0.16, 0.26), rng.uniform(0.1, 0.15), rng.uniform(0.22, 0.36))
        body = moved(rounded(half, rng.uniform(0.15, 0.35)), (0, 0, half[2] + 0.05))
        top, pull = 2 * half[2] + 0.05, rng.uniform(0.02, 0.45)
        x, y = half[0] * 0.5, half[1] * 0.7
        bar = [(-x, y, top - 0.05), (-x, y, top + pull), (x, y, top + pull), (x, y, top - 0.05)]
        frame = [tube(np.array(bar), 0.01, 6)]
        for sx in (-1, 1):
            for sy in (-1, 1):
                frame.append(
                    moved(rounded((0.015, 0.03, 0.03), 1.0, 8, 6), (sx * half[0] * 0.8, sy * half[1] * 0.7, 0.03))
                )
        return [part(body, cloth), part(merge(*frame), plain(np.full(3, rng.uniform(0.03, 0.4)), 0.3))]
    half = (rng.uniform(0.22, 0.35), rng.uniform(0.12, 0.18), rng.uniform(0.12, 0.2))
    t = np.linspace(0, np.pi, 9)
    straps = [
        tube(np.stack([half[0] * 0.45 * np.cos(t), np.full(9, y), half[2] * 1.6 + 0.16 * np.sin(t)], 1), 0.012, 6)
        for y in (-half[1] * 0.4, half[1] * 0.4)
    ]
    return [part(merge(moved(rounded(half, rng.uniform(0.3, 0.7)), (0, 0, half[2])), *straps), cloth)]


def balloons(rng: np.random.Generator, props: Props) -> list[Piece]:
    """One to five on strings; the strings end at the floor."""
    pieces = []
    for _ in range(int(rng.integers(1, 6))):
        place = np.array([*rng.normal(0, 0.2, 2), rng.uniform(0.9, 2.2)])
        size = rng.uniform(0.1, 0.17)
        shape = lathe(
            size
            * np.array([(0, -1.35), (0.12, -1.25), (0.55, -0.8), (0.95, -0.1), (0.95, 0.4), (0.6, 0.85), (0, 1.05)])
        )
        colour = plain(hsv(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.5, 1)), 0.4, 30)
        pieces.append(part(moved(shape, place), colour))
        pieces.append(part(rod((0, 0, 0), place - [0, 0, 1.3 * size], 0.003, 4), plain(np.full(3, 0.7))))
    return pieces


def lamp(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A floor lamp; also what looks a little like a head on a pole."""
    height = rng.uniform(1.1, 1.9)
    foot = lathe([(0, 0), (0.14, 0), (0.13, 0.025), (0.02, 0.03)])
    pole = merge(foot, rod((0, 0, 0.02), (0, 0, height), rng.uniform(0.01, 0.03)))
    if rng.random() < 0.6:
        low, high, tall = rng.uniform(0.12, 0.25), rng.uniform(0.06, 0.2), rng.uniform(0.15, 0.35)
        shade = lathe([(low, 0), (high, tall), (high - 0.004, tall), (low - 0.004, 0)], 18)
        shade = moved(shade, (0, 0, height - tall * 0.7))
    else:
        shade = moved(rounded((r := rng.uniform(0.08, 0.25), r, r * rng.uniform(0.8, 1.3)), 1.0), (0, 0, height))
    return [part(pole, metal(rng)), part(shade, props.paint(rng, 0.2))]


def parasol(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A large umbrella on a pole, open or closed."""
    height = rng.uniform(1.9, 2.5)
    pole = merge(lathe([(0, 0), (0.25, 0), (0.22, 0.06), (0.03, 0.09)]), rod((0, 0, 0.05), (0, 0, height + 0.05), 0.02))
    return [
        part(pole, metal(rng)),
        part(moved(canopy(rng, rng.uniform(0.8, 1.4), rng.random() < 0.25), (0, 0, height)), props.paint(rng, 0.5)),
    ]


def canopy(rng: np.random.Generator, radius: float, closed: bool = False) -> Solid:
    """An umbrella's cloth below its tip at the origin: eight panels that sag between the ribs."""
    if closed:
        r = 0.06 * radius
        return lathe(
            [(0.004, 0), (r * 0.6, -0.15 * radius), (r, -0.5 * radius), (r * 1.3, -0.95 * radius), (r * 0.7, -radius)],
            10,
        )
    t = np.linspace(0.02, 1, 6)
    angle = np.linspace(0, 2 * np.pi, 25)
    drop = radius * rng.uniform(0.25, 0.55)
    sag = 1 - 0.05 * np.abs(np.sin(4 * angle))
    rim = radius * sag[None] * np.sin(t * np.pi / 2)[:, None] ** 0.9
    height = -drop * (1 - np.cos(t * np.pi / 2))[:, None] * (2 - sag[None])
    points = np.stack([rim * np.cos(angle), rim * np.sin(angle), np.broadcast_to(height, rim.shape)], -1)
    rows, columns = points.shape[:2]
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    triangles = np.concatenate(
        [np.stack([a, a + columns, a + 1], 1), np.stack([a + 1, a + columns, a + columns + 1], 1)]
    )
    return points.reshape(-1, 3).astype(np.float32), triangles
