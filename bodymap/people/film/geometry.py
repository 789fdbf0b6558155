"""Kernels from a mesh at rest to what is seen of it: skinning, normals, wrinkles, the depth test with cut-out hair."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from typing import no_type_check

import warp as wp

from bodymap.people.film.records import (
    ALPHA,
    BONES,
    RELIEF,
    WAVES,
    Cast,
    Scene,
)
from bodymap.rendering.warp_kernels import EMPTY, LOW_WORD, edge_functions, pixel_box, sortable

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "fast_math": False, "max_unroll": 8})

# Normals are summed in integers, so that the order of the additions, which a GPU does not fix, does not matter.
# A triangle counts with at most _LARGEST square metres.
_STEPS = wp.constant(8.0e9)
_LARGEST = wp.constant(0.002)
_STRAIN_STEPS = wp.constant(1000.0)
_OPAQUE = wp.constant(110)  # of 255: more opaque than this is solid
_FOLD_ALWAYS = wp.constant(0.3)  # of the relief that a fully compressed cloth has


@wp.func
@no_type_check
def find(starts: wp.array(dtype=int), i: int) -> int:
    """The actor whose share of a buffer holds element ``i``; ``starts`` has one entry more than there are actors."""
    low = int(0)
    high = starts.shape[0] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= i:
            low = middle
        else:
            high = middle
    return low


@wp.kernel
@no_type_check
def pose_kernel(
    cast: wp.array(dtype=Cast),
    vertex_starts: wp.array(dtype=int),
    bones: wp.array2d(dtype=wp.vec4),
    world: wp.array(dtype=wp.vec3),
):
    """Linear blend skinning; ``bones`` (bone, row) are the rows of 3 x 4 transforms, rest to world."""
    v = wp.tid()
    a = find(vertex_starts, v)
    i = v - cast[a].vertex_start
    first = cast[a].bone_start
    p = cast[a].vertices[i]
    h = wp.vec4(p[0], p[1], p[2], 1.0)
    out = wp.vec3(0.0, 0.0, 0.0)
    for k in range(BONES):
        w = cast[a].weight[i, k]
        if w > 0.0:
            b = first + int(cast[a].index[i, k])
            out += w * wp.vec3(wp.dot(bones[b, 0], h), wp.dot(bones[b, 1], h), wp.dot(bones[b, 2], h))
    world[v] = out


@wp.kernel
@no_type_check
def normal_kernel(
    cast: wp.array(dtype=Cast),
    face_starts: wp.array(dtype=int),
    world: wp.array(dtype=wp.vec3),
    total: wp.array2d(dtype=int),
):
    """Adds each face's normal and its loss of area (1: all, negative: stretched) to its corners; see _STEPS."""
    f = wp.tid()
    a = find(face_starts, f)
    i = f - cast[a].face_start
    t = cast[a].triangles[i]
    s = cast[a].vertex_start
    p0 = world[s + t[0]]
    n = wp.cross(world[s + t[1]] - p0, world[s + t[2]] - p0)
    area = wp.length(n)
    r0 = cast[a].vertices[t[0]]
    before = wp.length(wp.cross(cast[a].vertices[t[1]] - r0, cast[a].vertices[t[2]] - r0))
    loss = int(wp.clamp(1.0 - area / wp.max(before, 1.0e-12), -1.0, 1.0) * _STRAIN_STEPS)
    n = n * (_STEPS * wp.min(1.0, _LARGEST / wp.max(area, 1.0e-12)))
    for k in range(3):
        v = s + t[k]
        wp.atomic_add(total, v, 0, int(n[0]))
        wp.atomic_add(total, v, 1, int(n[1]))
        wp.atomic_add(total, v, 2, int(n[2]))
        wp.atomic_add(total, v, 3, loss)
        wp.atomic_add(total, v, 4, 1)


@wp.func
@no_type_check
def wave_height(waves: wp.array2d(dtype=wp.vec4), piece: int, rest: wp.vec3) -> float:
    """Height in [0, 1] of the wrinkles at a place."""
    h = float(0.0)
    for k in range(WAVES):
        w = waves[piece, k]
        h += wp.sin(w[0] * rest[0] + w[1] * rest[1] + w[2] * rest[2] + w[3])
    return 0.5 + 0.5 * h / float(WAVES)


@wp.kernel
@no_type_check
def place_kernel(
    cast: wp.array(dtype=Cast),
    scenes: wp.array(dtype=Scene),
    vertex_starts: wp.array(dtype=int),
    total: wp.array2d(dtype=int),
    world: wp.array(dtype=wp.vec3),
    normal: wp.array(dtype=wp.vec3),
    strain: wp.array(dtype=float),
    clip: wp.array(dtype=wp.vec4),
    sunlit: wp.array(dtype=wp.vec3),
    low: wp.array2d(dtype=float),
    high: wp.array2d(dtype=float),
):
    """Unit normals; wrinkles raised where cloth is pressed together; clip coordinates; the box that the sun sees."""
    v = wp.tid()
    a = find(vertex_starts, v)
    i = v - cast[a].vertex_start
    n = wp.normalize(wp.vec3(float(total[v, 0]), float(total[v, 1]), float(total[v, 2])))
    loss = float(total[v, 3]) / (_STRAIN_STEPS * wp.max(float(total[v, 4]), 1.0))
    piece = cast[a].vertex_piece[i]
    p = world[v]
    relief = cast[a].material[piece, RELIEF]
    if relief > 0.0:
        p += n * (
            relief
            * (_FOLD_ALWAYS + wp.clamp(loss * 2.0, 0.0, 1.0))
            * wave_height(cast[a].waves, piece, cast[a].rest[i])
        )
        world[v] = p
    normal[v] = n
    strain[v] = loss
    b = cast[a].picture
    q = scenes[b].clip_from_world * wp.vec4(p[0], p[1], p[2], 1.0)
    if scenes[b].distortion != 0.0 and q[3] > 1.0e-3:
        focal = scenes[b].focal
        centre = scenes[b].centre
        dx = (q[0] / q[3] - centre[0]) / focal[0]
        dy = (q[1] / q[3] - centre[1]) / focal[1]
        bend = 1.0 + scenes[b].distortion * wp.min(dx * dx + dy * dy, scenes[b].distortion_limit)
        q = wp.vec4((dx * bend * focal[0] + centre[0]) * q[3], (dy * bend * focal[1] + centre[1]) * q[3], q[2], q[3])
    clip[v] = q
    s = scenes[b].sun_axes * p
    sunlit[v] = s
    for k in range(3):
        wp.atomic_min(low, b, k, s[k])
        wp.atomic_max(high, b, k, s[k])


@wp.kernel
@no_type_check
def sun_kernel(
    cast: wp.array(dtype=Cast),
    vertex_starts: wp.array(dtype=int),
    sunlit: wp.array(dtype=wp.vec3),
    low: wp.array2d(dtype=float),
    high: wp.array2d(dtype=float),
    clip: wp.array(dtype=wp.vec4),
):
    """Clip coordinates of the sun's parallel view, a little larger than the box of all that stands there."""
    v = wp.tid()
    b = cast[find(vertex_starts, v)].picture
    p = sunlit[v]
    q = wp.vec3(0.0, 0.0, 0.0)
    for k in range(3):
        half = wp.max((high[b, k] - low[b, k]) * 0.51, 1.0e-3)
        q[k] = (p[k] - 0.5 * (low[b, k] + high[b, k])) / half
    clip[v] = wp.vec4(q[0], q[1], q[2], 1.0)


@wp.func
@no_type_check
def alpha_at(texture: wp.uint64, size: wp.vec3i, uv: wp.vec2) -> int:
    """The fourth channel of the nearest texel, 0..255; the texture (height, width, channels) repeats."""
    data = wp.array(ptr=texture, shape=(size[0] * size[1] * size[2],), dtype=wp.uint8)
    row = wp.min(int((uv[1] - wp.floor(uv[1])) * float(size[0])), size[0] - 1)
    column = wp.min(int((uv[0] - wp.floor(uv[0])) * float(size[1])), size[1] - 1)
    return int(data[(row * size[1] + column) * size[2] + 3])


@wp.kernel
@no_type_check
def fill_kernel(
    cast: wp.array(dtype=Cast),
    face_starts: wp.array(dtype=int),
    clip: wp.array(dtype=wp.vec4),
    shown: wp.array(dtype=int),
    height: int,
    width: int,
    row_step: int,
    keys: wp.array2d(dtype=wp.uint64),
):
    """As ``rendering.warp_kernels.fill_kernel``, over the actors of many pictures; what alpha cuts away is not drawn.

    A key is (depth, face of the batch). ``shown`` (actor): 0 leaves an actor out.
    """
    f, row = wp.tid()
    a = find(face_starts, f)
    if shown[a] == 0:
        return
    i = f - cast[a].face_start
    t = cast[a].triangles[i]
    s = cast[a].vertex_start
    n = cast[a].picture
    p0 = clip[s + t[0]]
    p1 = clip[s + t[1]]
    p2 = clip[s + t[2]]
    w0 = p0[3]
    w1 = p1[3]
    w2 = p2[3]

    box = pixel_box(p0, p1, p2, height, width)
    if box[0] > box[1] or box[2] > box[3]:
        return
    columns = float(width)
    rows = float(height)
    piece = cast[a].piece[i]
    cut_out = cast[a].material[piece, ALPHA] > 0.0
    for y in range(box[2] + row, box[3] + 1, row_step):
        fy = (2.0 * float(y) + 1.0) / rows - 1.0
        for x in range(box[0], box[1] + 1):
            fx = (2.0 * float(x) + 1.0) / columns - 1.0
            e = edge_functions(p0, p1, p2, fx, fy)
            if (e[0] >= 0.0 and e[1] >= 0.0 and e[2] >= 0.0) or (e[0] <= 0.0 and e[1] <= 0.0 and e[2] <= 0.0):
                sum = e[0] + e[1] + e[2]
                w = w0 * e[0] + w1 * e[1] + w2 * e[2]
                # Same sign: in front of the camera. Degenerate triangles have sum 0.
                if w * sum > 0.0:
                    z = (p0[2] * e[0] + p1[2] * e[1] + p2[2] * e[2]) / w
                    if z >= -1.0 and z <= 1.0:
                        key = (wp.uint64(sortable(z)) << wp.uint64(32)) | wp.uint64(f)
                        j = y * width + x
                        if key < keys[n, j]:
                            solid = bool(True)
                            if cut_out:
                                c = cast[a].uv_triangles[i]
                                uv = e[0] * cast[a].uv[c[0]] + e[1] * cast[a].uv[c[1]] + e[2] * cast[a].uv[c[2]]
                                solid = (
                                    alpha_at(cast[a].texture[piece], cast[a].texture_size[piece], uv / sum) > _OPAQUE
                                )
                            if solid:
                                wp.atomic_min(keys, n, j, key)


@wp.func
@no_type_check
def depth_of(key: wp.uint64) -> float:
    """The reverse of ``sortable``: z/w of a key."""
    bits = wp.uint32(key >> wp.uint64(32))
    if (bits >> wp.uint32(31)) != wp.uint32(0):
        bits = bits & wp.uint32(0x7FFFFFFF)
    else:
        bits = ~bits
    return wp.cast(bits, float)


@wp.kernel
@no_type_check
def count_kernel(
    cast: wp.array(dtype=Cast),
    face_starts: wp.array(dtype=int),
    keys: wp.array2d(dtype=wp.uint64),
    count: wp.array(dtype=int),
):
    """How many samples of each picture see its subject."""
    n, j = wp.tid()
    key = keys[n, j]
    if key != EMPTY:
        if cast[find(face_starts, int(key & LOW_WORD))].instance == 1:
            wp.atomic_add(count, n, 1)


@wp.kernel
@no_type_check
def mean_depth_kernel(
    keys: wp.array2d(dtype=wp.uint64),
    height: int,
    width: int,
    near: float,
    far: float,
    depth: wp.array3d(dtype=float),
    cover: wp.array3d(dtype=float),
):
    """Metres to the covered samples of each block of 2 x 2 (their mean), and the share that is covered."""
    n, y, x = wp.tid()
    total = float(0.0)
    count = float(0.0)
    for k in range(4):
        row = 2 * y + k // 2
        column = 2 * x + k % 2
        if row < height and column < width:
            key = keys[n, row * width + column]
            if key != EMPTY:
                total += 2.0 * far * near / ((far + near) - depth_of(key) * (far - near))
                count += 1.0
    depth[n, y, x] = total * 0.25
    cover[n, y, x] = count * 0.25
