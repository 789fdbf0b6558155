"""The islands of a UV layout: what hangs together in it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def islands(uv_triangles: Int[np.ndarray, "face 3"]) -> Int[np.ndarray, " face"]:
    """For each triangle the index of its island: 0, 1, ... in the order of the islands' first UV vertices."""
    pairs = np.concatenate([uv_triangles[:, :2], uv_triangles[:, 1:]])
    count = int(uv_triangles.max()) + 1
    label = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (count, count)), directed=False)[1]
    used, first = np.unique(label[np.unique(uv_triangles)], return_index=True)
    rank = np.empty(label.max() + 1, int)
    rank[used[first.argsort()]] = np.arange(len(used))
    return rank[label[uv_triangles[:, 0]]]
