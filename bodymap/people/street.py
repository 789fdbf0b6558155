"""Things of streets: posts, bollards, signs, railings, bicycles, bins, benches."""

from __future__ import annotations

import numpy as np

from bodymap.people.material import hsv
from bodymap.people.mesh import Piece
from bodymap.people.primitives import Solid, box, disc, lathe, merge, moved, rod, rounded, sheet, tube
from bodymap.people.props import Props, metal, part, plain, wood
from bodymap.people.skinning import rotation_vector

_SIGNAL = ([0.75, 0.06, 0.05], [0.05, 0.2, 0.6], [0.85, 0.7, 0.05], [0.05, 0.45, 0.2], [0.9, 0.9, 0.9])


def post(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A pole, a pillar, a trunk."""
    half = (rng.uniform(0.03, 0.12), rng.uniform(0.03, 0.12), rng.uniform(0.5, 1.6))
    return [part(moved(rounded(half, 0.3), (0, 0, half[2])), props.paint(rng))]


def bollard(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A short post with a head and perhaps a bright band; a row of up to three."""
    radius, tall = rng.uniform(0.05, 0.12), rng.uniform(0.6, 1.1)
    head = rng.uniform(0.8, 1.4) * radius
    shape = lathe(
        [
            (0, 0),
            (radius * 1.3, 0),
            (radius * 1.2, 0.06),
            (radius, 0.08),
            (radius, tall * 0.85),
            (head, tall * 0.88),
            (head, tall * 0.96),
            (head * 0.5, tall),
            (0, tall),
        ]
    )
    bands = lathe([(radius * 1.02, tall * 0.62), (radius * 1.02, tall * 0.74)])
    places = [np.array([k * rng.uniform(0.9, 1.5), 0, 0]) for k in range(int(rng.integers(1, 4)))]
    pieces = [part(merge(*(moved(shape, p) for p in places)), metal(rng))]
    if rng.random() < 0.5:
        colour = _SIGNAL[rng.integers(len(_SIGNAL))]
        pieces.append(part(merge(*(moved(bands, p) for p in places)), plain(colour, 0.2)))
    return pieces


def sign(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A round, three- or eight-cornered or square sign on a post, with a rim and bars on it."""
    height, radius = rng.uniform(1.5, 2.4), rng.uniform(0.2, 0.35)
    corners = int(rng.choice([3, 4, 8, 24]))
    turn = np.pi / 2 + (np.pi if corners == 3 and rng.random() < 0.3 else np.pi / corners if corners != 3 else 0)
    angle = turn + np.linspace(0, 2 * np.pi, corners, endpoint=False)

    def plate(size: float, y: float) -> Solid:
        return disc(np.stack([size * np.cos(angle), np.full(corners, y), height + size * np.sin(angle)], 1))

    outer, inner = _SIGNAL[rng.integers(len(_SIGNAL))], _SIGNAL[rng.integers(len(_SIGNAL))]
    pieces = [
        part(rod((0, 0.02, 0), (0, 0.02, height + radius), 0.03), plain(np.full(3, rng.uniform(0.3, 0.6)), 0.3)),
        part(plate(radius, -0.012), plain(outer, 0.2)),
        part(plate(radius, -0.008), plain(np.full(3, 0.4), 0.2)),
        part(plate(radius * 0.8, -0.016), plain(inner, 0.2)),
    ]
    bars = [
        moved(
            box((rng.uniform(0.1, 0.5) * radius, 0.001, rng.uniform(0.05, 0.2) * radius)),
            (rng.normal(0, 0.1) * radius, -0.02, height + rng.normal(0, 0.2) * radius),
            rotation_vector(np.array([0, rng.choice([0.0, 0.78, 1.57]), 0])),
        )
        for _ in range(int(rng.integers(1, 4)))
    ]
    return [
        *pieces,
        part(merge(*bars), plain(_SIGNAL[rng.integers(len(_SIGNAL))] if rng.random() < 0.5 else np.full(3, 0.05))),
    ]


def railing(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A fence: upright bars, cross bars or boards, two to three metres long."""
    half, tall = rng.uniform(0.7, 1.6), rng.uniform(0.7, 1.3)
    kind = rng.random()
    bars: list[Solid] = []
    ends = [rod((x, 0, 0), (x, 0, tall * 1.03), 0.025) for x in np.linspace(-half, half, 3)]
    if kind < 0.45:
        r = rng.uniform(0.006, 0.013)
        bars += [rod((x, 0, 0.08), (x, 0, tall), r, 5) for x in np.arange(-half, half, rng.uniform(0.09, 0.16))]
        bars += [rod((-half, 0, z), (half, 0, z), 0.016, 6) for z in (0.1, tall)]
    elif kind < 0.75:
        bars += [rod((-half, 0, z), (half, 0, z), 0.018, 6) for z in np.linspace(0.2, tall, int(rng.integers(2, 5)))]
    else:
        step = rng.uniform(0.1, 0.18)
        bars += [moved(box((step * 0.4, 0.01, tall / 2)), (x, 0, tall / 2)) for x in np.arange(-half, half, step)]
        bars += [moved(box((half, 0.015, 0.04)), (0, 0.02, z)) for z in (0.2, tall * 0.8)]
    return [part(merge(*ends, *bars), wood(rng) if kind >= 0.75 or rng.random() < 0.15 else metal(rng))]


def bicycle(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Seen from its side when it faces along x; wheels, frame, saddle, handlebar."""
    r, base = rng.uniform(0.29, 0.35), rng.uniform(0.5, 0.56)
    t = np.linspace(0, 2 * np.pi, 22, endpoint=False)
    wheel = tube(np.stack([(r - 0.02) * np.cos(t), 0 * t, (r - 0.02) * np.sin(t)], 1), 0.02, 6, closed=True)
    black = [moved(wheel, (x, 0, r)) for x in (-base, base)]
    spokes = []
    for x in (-base, base):
        for a in np.linspace(0, np.pi, 6, endpoint=False):
            end = (r - 0.03) * np.array([np.cos(a), 0, np.sin(a)])
            spokes.append(rod(np.array([x, 0, r]) - end, np.array([x, 0, r]) + end, 0.0025, 4))
    crank, seat = np.array([-0.08, 0, r - 0.03]), np.array([-0.22, 0, rng.uniform(0.75, 0.9)])
    head = np.array([base - 0.2, 0, rng.uniform(0.75, 0.85)])
    rear, front = np.array([-base, 0, r]), np.array([base, 0, r])
    low = seat + (crank - seat) * 0.25
    if rng.random() < 0.35:
        low = seat + (crank - seat) * 0.6  # a frame to step through
    lines = [
        (crank, seat),
        (crank, head - [0, 0, 0.1]),
        (low, head),
        (rear, crank),
        (rear, seat + (crank - seat) * 0.25),
    ]
    frame = [rod(a, b, 0.017, 6) for a, b in lines]
    bar = head + [0.02, 0, 0.14]
    frame += [rod(front, bar, 0.014, 6)]
    handles = [
        tube(
            np.array(
                [bar + [-0.1, y, 0.02], bar + [0.0, y * 0.6, 0], bar, bar + [0.0, -y * 0.6, 0], bar + [-0.1, -y, 0.02]]
            ),
            0.013,
            6,
        )
        for y in (0.27,)
    ]
    black += [moved(rounded((0.13, 0.07, 0.03), 0.8, 12, 6), seat + [0, 0, 0.03]), *handles]
    black.append(rod(crank + [0.1, -0.1, -0.12], crank + [0.1, 0.0, -0.12], 0.02, 6))
    turn = rotation_vector(np.array([0, 0, rng.choice([0.0, 1.57])]))
    return [
        part(moved(merge(*black), (0, 0, 0), turn), plain(np.full(3, 0.05), 0.1)),
        part(moved(merge(*spokes), (0, 0, 0), turn), plain(np.full(3, 0.5), 0.4)),
        part(
            moved(merge(*frame), (0, 0, 0), turn),
            metal(rng) if rng.random() < 0.5 else plain(hsv(rng.random(), 0.7, 0.6), 0.4),
        ),
    ]


def bin(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A litter bin, a hydrant, a barrel."""
    radius, tall = rng.uniform(0.15, 0.3), rng.uniform(0.5, 1.0)
    belly = rng.uniform(0.85, 1.2)
    body = lathe(
        [
            (0, 0),
            (radius * 0.9, 0),
            (radius * belly, tall * 0.5),
            (radius, tall),
            (radius * 1.06, tall),
            (radius * 1.06, tall * 1.05),
            (radius * 0.7, tall * 1.12),
            (0, tall * 1.14),
        ],
        18,
    )
    return [part(body, metal(rng) if rng.random() < 0.5 else props.paint(rng))]


def bench(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Slats on two feet, with or without a back."""
    half, seat = rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.48)
    slats = [moved(box((half, 0.05, 0.015)), (0, y, seat)) for y in (-0.18, -0.05, 0.08, 0.2)]
    if rng.random() < 0.65:
        slats += [moved(box((half, 0.012, 0.05)), (0, 0.28 + 0.03 * k, seat + 0.15 + 0.13 * k)) for k in range(3)]
    legs: list[Solid] = []
    for x in (-half * 0.8, half * 0.8):
        legs += [moved(box((0.03, 0.2, 0.02)), (x, 0, seat - 0.03)), rod((x, -0.18, 0), (x, -0.15, seat), 0.025, 6)]
        legs.append(tube(np.array([(x, 0.2, 0), (x, 0.22, seat), (x, 0.36, seat + 0.45)]), 0.022, 6))
    return [part(merge(*slats), wood(rng)), part(merge(*legs), metal(rng))]


def flag(rng: np.random.Generator, props: Props) -> list[Piece]:
    """Cloth that hangs on a pole: a flag, a banner, a curtain."""
    tall, wide = rng.uniform(0.7, 1.5), rng.uniform(0.4, 0.9)
    top = rng.uniform(tall + 0.1, 2.4)
    u, v = np.meshgrid(np.linspace(0, 1, 14), np.linspace(0, 1, 8))
    wave = 0.05 * np.sin(u * rng.uniform(6, 16) + rng.uniform(0, 6)) * (0.3 + v)
    cloth = sheet(np.stack([u * wide, wave, top - v * tall], -1))
    return [
        part(cloth, props.paint(rng, 0.6)),
        part(merge(rod((0, 0, 0), (0, 0, top + 0.05), 0.02), rod((0, 0, top), (wide, 0, top), 0.012)), metal(rng)),
    ]
