"""Garments grown from the body: a region of the skin (or of the smoother helper mesh) moved outwards, with clean hems.

A region is given by a *level* per base vertex in metres: negative inside, zero along the hem.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.anatomy import Anatomy, template
from bodymap.people.binding import closest_within
from bodymap.people.material import Material
from bodymap.people.mesh import (
    Piece,
    at_all_corners,
    corner_normals,
    corner_sums,
    cut,
    dots,
    neighbour_table,
    smooth,
    used_vertices,
)
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.shape import Body
from bodymap.people.wardrobe import Wardrobe, cloth_coordinates

Level = Float[np.ndarray, " vertex"]


# ------------------------------------------------------------------ regions
def sleeves(a: Anatomy, length: float) -> Level:
    """Everything but the arms beyond ``length`` metres from the shoulder joint; 0 or less: sleeveless."""
    return np.minimum(a.arm - length, (a.of("arm", "hand") - 0.5) * 0.2)


def legs(a: Anatomy, length: float) -> Level:
    """Everything but the legs beyond ``length`` metres from the hip joint."""
    return np.minimum(a.leg - length, (a.of("leg", "foot") - 0.4) * 0.2)


def above(a: Anatomy, height: float) -> Level:
    """The trunk above a height (z on the default body); arms are not touched."""
    return np.minimum(height - a.rest[:, 2], (0.5 - a.of("arm", "hand")) * 0.2)


def below(a: Anatomy, height: float) -> Level:
    """The trunk and legs below a height; no arms, no hands."""
    return np.maximum(a.rest[:, 2] - height, (a.of("arm", "hand") - 0.3) * 0.2)


def neckline(a: Anatomy, width: float, front: float, back: float, pointed: bool) -> Level:
    """Everything outside an opening around the neck: half width, depth below the neck in front and behind, metres."""
    top = a.heads["neck01"][2] + 0.02
    x = np.abs(a.rest[:, 0]) / width
    depth = np.where(a.rest[:, 1] < a.heads["neck01"][1], front, back)
    z = (top - a.rest[:, 2]) / depth
    radius = x + np.maximum(z, 0) if pointed else np.hypot(x, np.maximum(z, 0))
    return np.minimum(1 - radius, 1.0) * min(width, front, back) * np.where(a.rest[:, 2] > top - 0.35, 1, 0.2)


def open_front(a: Anatomy, gap: float) -> Level:
    """Everything but a strip of half width ``gap`` down the front."""
    front = a.rest[:, 1] < -0.02
    return np.where(front & (a.of("arm", "hand") < 0.3), gap - np.abs(a.rest[:, 0]), -0.05)


# ------------------------------------------------------------------ growing
def grow(
    wardrobe: Wardrobe,
    body: Body,
    level: Level,
    offset: Float[np.ndarray, " vertex"],
    material: Material,
    layer: int,
    name: str,
    source: str = "skin",
    steps: int = 4,
    textured: bool = False,
) -> Piece:
    """A garment over the region level < 0.

    Args:
        offset: (19158,) metres above the skin.
        source: "skin", or "tights", the helper mesh: smoother, without fingers, toes and face.
        steps: rounds of smoothing; more make the cloth span hollows.
        textured: with the skin's texture coordinates (of the source "skin" only): what is seen through the cloth.
    """
    if source == "tights" and "tights" not in wardrobe.pack.helpers:
        source = "skin"
    base, triangles, neighbours, truth, cloth = _source(wardrobe, source)
    ground = _ground(wardrobe, body, source)
    level = level[base]
    # wider than the garment, or the hem would lie half on smoothed and half on unsmoothed cloth
    smoothed = smooth(ground[0], neighbours, steps, level < 0.07)
    # from here on only what the cut will look at: most garments are a small part of the body
    kept = np.flatnonzero(~at_all_corners(~(level < 0), triangles))
    used = used_vertices(triangles[kept], len(base))
    vertices, normals, skin, skin_normal = (values[used] for values in ground)
    offset = offset[base[used]]
    # only along the normal: vertices that slide about would make hems and prints wavy
    grown = vertices + normals * dots(smoothed[used] - vertices, normals)[:, None]
    height = dots(grown - skin, skin_normal)
    grown = grown + skin_normal * np.maximum(0.0015 - height, 0)[:, None] + normals * offset[:, None]
    # nowhere much closer to the skin than the offset
    height = dots(grown - skin, skin_normal)
    grown = grown + skin_normal * np.maximum(0.75 * offset + 0.001 - height, 0)[:, None]
    uv, uv_triangles = np.zeros((len(base), 2), np.float32), triangles
    if textured:
        t = template()
        uv, uv_triangles = t.skin_uv.numpy(), t.uv_triangles.numpy()[t.triangle_inner.numpy() == 0]
    number = np.zeros(len(base), np.int64)
    number[used] = np.arange(len(used))
    pack = wardrobe.pack
    piece = Piece(
        name=name,
        layer=layer,
        vertices=grown.astype(np.float32),
        triangles=number[triangles[kept]],
        uv=uv,
        uv_triangles=uv_triangles[kept],
        skin_index=pack.skin_index[base[used]],
        skin_weight=pack.skin_weight[base[used]],
        truth=truth[used],
        rest=wardrobe.anatomy.rest[base[used]],
        cloth=cloth[used],
        material=material,
    )
    return cut(piece, level[used])


def _source(wardrobe: Wardrobe, source: str):
    """(base ids, triangles, neighbours, truth, cloth coordinates) of the mesh that shells grow from; cached."""
    cache = wardrobe.kept
    key = ("source", source)
    if key not in cache:
        if source == "skin":
            t = template()
            triangles = t.triangles.numpy()[t.triangle_inner.numpy() == 0]
            base = np.arange(SKIN_VERTICES)
            truth = wardrobe.anatomy.rest[base]
        else:
            base, flat = np.unique(wardrobe.pack.helpers["tights"], return_inverse=True)
            triangles = flat.reshape(-1, 3)
            truth = wardrobe.bind(wardrobe.anatomy.rest[base])
        a = wardrobe.anatomy
        cloth = cloth_coordinates(a, a.rest[base], a.arm[base], a.share[base])
        cache[key] = (base, triangles, neighbour_table(triangles, len(base)), truth, cloth)
    return cache[key]


def _ground(wardrobe: Wardrobe, body: Body, source: str):
    """(vertices, normals, skin, skin normals) of what shells grow from on a body, the latter two under each vertex;
    a person's garments follow each other, so the last body's are kept."""
    kept = wardrobe.kept
    if kept.get("ground of") is not body:
        kept["ground of"], kept["ground"] = body, {}
    if source not in kept["ground"]:
        base, triangles, *_ = _source(wardrobe, source)
        if ("sums", source) not in kept:
            kept["sums", source] = corner_sums(triangles, len(base))
        vertices = body.vertices[base]
        normals = corner_normals(vertices, triangles, kept["sums", source])
        kept["ground"][source] = vertices, normals, *_under(wardrobe, body, source, base, vertices, normals)
    return kept["ground"][source]


def _under(wardrobe, body, source, base, vertices, normals):
    """The skin point and skin normal under each source vertex, on this body."""
    if source == "skin":
        return vertices, normals
    cache = wardrobe.kept
    if ("under", source) not in cache:
        import torch

        rest = torch.from_numpy(wardrobe.anatomy.rest[base])
        cache["under", source] = tuple(x.numpy() for x in closest_within(template(), rest))
    triangle, weight = cache["under", source]
    corners = template().triangles.numpy()[triangle]
    skin = body.vertices[:SKIN_VERTICES]
    point = (skin[corners] * weight[..., None]).sum(1)
    normal = (body.skin_normal[corners] * weight[..., None]).sum(1)
    return point, normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
