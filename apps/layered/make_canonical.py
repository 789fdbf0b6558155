"""Makes ``canonical.safetensors``: the upper and the lower canonical garment surface, from the template body.

    python -m apps.layered.make_canonical

A surface is the body's skin without head, hands and feet, smoothed and moved out, plus two bridges: ruled strips from
leg to leg, in front and behind, along the lines on which a taut skirt leaves the legs. Trousers use the legs, a skirt
the outer legs and the bridges. All its vertices are fixed mixtures of skin vertices, so a body of any shape has one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bodymap.errors import run_command
from bodymap.files import atomic_path
from bodymap.people.mesh import corner_normals, neighbour_table, smooth
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.wardrobe import Wardrobe
from bodymap.surface import load_template
from bodymap.surface.make_template import choose_samples, mirror_of, surface_graph
from bodymap.types import PART_NAMES

OUTPUT = Path(__file__).parent / "canonical.safetensors"
VERSION = "garment-1"
SAMPLES = 1024
NEIGHBOURS = 48
SMOOTHING, OFFSET = 6, 0.012  # rounds; metres
ROW, COLUMNS = 0.02, 13  # metres between a bridge's rows; vertices in a row (odd: one lies in the middle)
_NARROWEST = 0.008  # metres from the middle at which a bridge begins
# Bridges in the texture, in place of the head: (left, top, width) and how much texture a metre takes.
_CHARTS = ((0.675, 0.3, 0.085), (0.775, 0.3, 0.085))
_TEXTURE_PER_METRE = 0.4
_EQUALISE = 0.3  # of the code, as in the body's


def shell(skin: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Skin vertices smoothed (hollows fill) and moved out along the normals, metres; of a body of any shape."""
    smoothed = smooth(skin, neighbour_table(triangles, len(skin)), SMOOTHING)
    return smoothed + OFFSET * corner_normals(smoothed, triangles)


def seams(grown: np.ndarray, triangles: np.ndarray, top: float, bottom: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """For front and back the rows' ends on the left leg: (edge (R, 2) of vertices, share (R,) of the second).

    A row's end is the foremost (hindmost) point of the left half's section at the row's height: there a straight
    line to its mirror image touches both legs.
    """
    from scipy.ndimage import gaussian_filter1d

    edges = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    edges = edges[(grown[edges, 0] > -1e-4).all(1)]
    a, b = grown[edges[:, 0]], grown[edges[:, 1]]
    heights = np.arange(top, bottom, -ROW)
    result = []
    for sign in (-1, 1):
        found = []
        for z in heights:
            crosses = np.flatnonzero((a[:, 2] - z) * (b[:, 2] - z) < 0)
            share = (z - a[crosses, 2]) / (b[crosses, 2] - a[crosses, 2])
            found.append((crosses, share, a[crosses] * (1 - share[:, None]) + b[crosses] * share[:, None]))
        # the foremost points wander from vertex to vertex: a smooth line through them is what is meant
        x = np.array([p[(sign * p[:, 1]).argmax(), 0] for _, _, p in found])
        x = gaussian_filter1d(x, 2.0, mode="nearest")
        ends, shares = [], []
        for (crosses, share, p), wanted in zip(found, x, strict=True):
            if wanted < _NARROWEST and not ends:  # above, belly or back is foremost in the middle: nothing to bridge
                continue
            middle = (p[:, 1].min() + p[:, 1].max()) / 2
            side = np.where(sign * (p[:, 1] - middle) > 0, np.abs(p[:, 0] - wanted), np.inf)
            k = side.argmin()
            ends.append(edges[crosses[k]])
            shares.append(share[k])
        result.append((np.array(ends), np.array(shares)))
    return result


def make() -> dict[str, np.ndarray]:
    """The tensors of both surfaces, under ``upper.`` and ``lower.``."""
    pack, t = Pack.load(), load_template()
    a = Wardrobe.of(pack).anatomy
    skin = t.vertices.numpy().astype(np.float64)
    outer = t.triangle_inner.numpy() == 0
    grown = shell(skin, t.triangles.numpy()[outer]).astype(np.float64)
    limb = a.of("leg", "foot")[:SKIN_VERTICES]
    covered = (a.of("hand")[:SKIN_VERTICES] < 0.9) & (a.of("foot")[:SKIN_VERTICES] < 0.9)
    covered &= (a.of("head")[:SKIN_VERTICES] < 0.1) & (skin[:, 2] < a.heads["neck01"][2] + 0.1)
    low = covered & (skin[:, 2] < a.heads["spine04"][2] + 0.13) & (a.of("arm", "hand")[:SKIN_VERTICES] < 0.05)
    tensors = {}
    for name, region in (("upper", covered), ("lower", low)):
        body_triangle = np.flatnonzero(outer & region[t.triangles.numpy()].all(1))
        for key, value in _surface(t, grown, body_triangle, limb, a).items():
            tensors[f"{name}.{key}"] = value
    return tensors


def _surface(t, grown: np.ndarray, body_triangle: np.ndarray, limb: np.ndarray, a) -> dict[str, np.ndarray]:
    from scipy.sparse.csgraph import dijkstra

    body = t.triangles.numpy()[body_triangle]
    used, flat = np.unique(body, return_inverse=True)
    count = len(used)
    triangles, uv_triangles = [flat.reshape(-1, 3)], [t.uv_triangles.numpy()[body_triangle]]
    corner, share = [np.tile(used[:, None], (1, 4))], [np.tile([1.0, 0, 0, 0], (count, 1))]
    uv = [t.uv.numpy().astype(np.float64)]
    ankle = float(grown[used[limb[used] > 0.5], 2].min()) + 0.02
    ends = seams(grown, body, top=float(a.heads["upperleg01.L"][2]) + 0.04, bottom=ankle)
    mirror = t.mirror_vertex.numpy()
    mirrored = [np.searchsorted(used, mirror[used])]
    joints = []  # (vertex of a bridge, vertex of the body that it lies next to)
    for (edge, along), (left, top, width) in zip(ends, _CHARTS, strict=True):
        first, rows = sum(len(c) for c in corner), len(edge)
        u = np.linspace(0, 1, COLUMNS)
        c = np.concatenate([edge, mirror[edge]], 1)
        s = np.stack([1 - along, along], 1)
        corner.append(np.repeat(c, COLUMNS, 0))
        share.append(np.concatenate([s[:, None] * (1 - u[:, None]), s[:, None] * u[:, None]], 2).reshape(-1, 4))
        i, j = np.meshgrid(np.arange(rows - 1), np.arange(COLUMNS - 1), indexing="ij")
        p = (i * COLUMNS + j).reshape(-1)
        # the diagonals of mirrored cells are mirrored too, so that the mesh is symmetric
        flipped = (j >= COLUMNS // 2).reshape(-1)
        q = np.stack([p, p + 1, p + COLUMNS, p + COLUMNS + 1], 1)
        cell = np.where(flipped[:, None], q[:, [0, 1, 2, 1, 3, 2]], q[:, [0, 1, 3, 0, 3, 2]]).reshape(-1, 3)
        triangles.append(cell + first)
        uv_triangles.append(cell + sum(len(x) for x in uv))
        v = top + ROW * _TEXTURE_PER_METRE * np.arange(rows)
        mirrored.append(first + (np.arange(rows)[:, None] * COLUMNS + np.arange(COLUMNS)[::-1]).reshape(-1))
        uv.append(np.stack(np.broadcast_arrays(left + width * u[None], v[:, None]), -1).reshape(-1, 2))
        inside = np.searchsorted(used, c)
        for row in range(rows):
            joints += [(first + row * COLUMNS, inside[row, k]) for k in (0, 1)]
            joints += [(first + row * COLUMNS + COLUMNS - 1, inside[row, k]) for k in (2, 3)]
    corner, share = np.concatenate(corner), np.concatenate(share)
    vertices = (grown[corner] * share[..., None]).sum(1)
    # mirror images meet to rounding only
    vertices[np.abs(vertices[:, 0]) < 1e-5, 0] = 0
    bridge = np.repeat([False, True], [len(body_triangle), sum(len(x) for x in triangles[1:])])
    triangles, uv_triangles = np.concatenate(triangles), np.concatenate(uv_triangles)
    mirror_vertex, mirror_triangle, mirror_corner = mirror_of(vertices, triangles, np.concatenate(mirrored))

    inner = _between(vertices[:count], ends, grown, limb[used])
    hull = np.concatenate([~inner[triangles[: len(body_triangle)]].all(1), np.ones(bridge.sum(), bool)])
    code = _code(vertices, triangles)
    chosen = choose_samples(vertices, np.ones(len(vertices), bool), mirror_vertex, SAMPLES)
    graph = _joined(surface_graph(vertices, triangles), vertices, np.array(joints))
    from_samples = dijkstra(graph, indices=chosen)
    table = from_samples[:, chosen]
    part = t.vertex_part.numpy()[used]
    bridging = vertices[count:]
    thigh, side = bridging[:, 2] > a.heads["lowerleg01.L"][2], bridging[:, 0] < 0
    names = np.array([[PART_NAMES.index(f"{s}_{p}") for s in ("left", "right")] for p in ("shin", "thigh")])
    part = np.concatenate([part, names[thigh.astype(int), side.astype(int)]])
    region = t.vertex_region.numpy()
    region = np.concatenate([region[used], region[corner[count:, 0]]])
    source = np.full(len(triangles), -1)
    source[: len(body_triangle)] = body_triangle
    i16, i32, f32 = np.int16, np.int32, np.float32
    return {
        "vertices": vertices.astype(f32),
        "triangles": triangles.astype(i32),
        "uv": np.concatenate(uv).astype(f32),
        "uv_triangles": uv_triangles.astype(i32),
        "code": code.astype(f32),
        "vertex_part": part.astype(i16),
        "vertex_region": region.astype(i16),
        "mirror_vertex": mirror_vertex.astype(i16),
        "mirror_triangle": mirror_triangle.astype(i16),
        "mirror_corner": mirror_corner.astype(np.int8),
        "samples": chosen.astype(i16),
        "sample_geodesic_upper": ((table + table.T) / 2)[np.triu_indices(len(chosen), 1)].astype(np.float16),
        "vertex_sample": from_samples.argmin(0).astype(i16),
        "sample_neighbours": np.argsort(from_samples, axis=1, kind="stable")[:, :NEIGHBOURS].astype(i16),
        "body_triangle": source.astype(i16),
        "hull": hull.astype(np.uint8),
        "corner": corner.astype(i16),
        "share": share.astype(f32),
    }


def _between(vertices: np.ndarray, ends: list, grown: np.ndarray, limb: np.ndarray) -> np.ndarray:
    """(V,) bool: on the inner side of a leg, between the lines on which the bridges leave it."""
    lines = []
    for edge, along in ends:
        line = grown[edge[:, 0]] * (1 - along[:, None]) + grown[edge[:, 1]] * along[:, None]
        lines.append(line[np.argsort(line[:, 2])])
    (xf, yf), (xb, yb) = [[np.interp(vertices[:, 2], p[:, 2], p[:, k]) for k in (0, 1)] for p in lines]
    share = np.clip((vertices[:, 1] - yf) / (yb - yf), 0, 1)
    # a little within the lines, so that what is left overlaps the bridges' ends
    inner = np.abs(vertices[:, 0]) < xf + (xb - xf) * share - 0.004
    return inner & (vertices[:, 2] < lines[0][-1, 2])


def _joined(graph, vertices: np.ndarray, joints: np.ndarray):
    """The graph with the bridges' ends tied to the leg they lie on."""
    import scipy.sparse as sparse

    weight = np.maximum(np.linalg.norm(vertices[joints[:, 0]] - vertices[joints[:, 1]], axis=1), 1e-6)
    rows, columns = np.concatenate([joints, joints[:, ::-1]]).T
    return graph.maximum(sparse.coo_matrix((np.tile(weight, 2), (rows, columns)), graph.shape).tocsr())


def _code(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Each axis over its whole range, moved some way towards equal area a level; mirroring turns r into 1 - r."""
    from bodymap.surface.code_design import equalised, per_axis

    p = vertices[triangles]
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1) / 2
    whole = np.ones(len(vertices), bool)
    at_vertex = np.bincount(triangles.ravel(), np.repeat(area / 3, 3), len(vertices))
    return equalised(per_axis(vertices, whole), whole, at_vertex, _EQUALISE)


def main() -> None:
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(description="Makes the canonical garment surfaces anew; some seconds.")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, metavar="FILE", help="(%(default)s)")
    output = parser.parse_args().output

    tensors = make()
    with atomic_path(output) as path:
        metadata = {"format": "bodymap-garments", "version": VERSION, "licence": "CC0-1.0 (as the template)"}
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, str(path), metadata)
    for name in ("upper", "lower"):
        print(f"{name}: {len(tensors[f'{name}.vertices'])} vertices, {len(tensors[f'{name}.triangles'])} triangles")


if __name__ == "__main__":
    run_command(main)
