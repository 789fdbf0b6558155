"""The rasteriser's two kernels in warp: one source compiled for the CPU and for CUDA.

Edge functions are taken in homogeneous coordinates (Olano and Greer 1997, "Triangle scan conversion using 2D
homogeneous coordinates"), relative to the pixel. Do not expand them: the expanded polynomial loses too many bits in
float32.
"""

# No "from __future__ import annotations" here: warp reads the annotations as types. The shape checks that tests install
# must not wrap these functions: warp compiles their source.
from typing import no_type_check

import warp as wp

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "fast_math": False, "max_unroll": 4})

EMPTY = wp.constant(wp.uint64(0xFFFFFFFFFFFFFFFF))
LOW_WORD = wp.constant(wp.uint64(0xFFFFFFFF))


@wp.func
@no_type_check
def sortable(z: float) -> wp.uint32:
    """The bits of a float, rearranged so that they sort as an unsigned integer the way the floats do."""
    bits = wp.cast(z, wp.uint32)
    if (bits >> wp.uint32(31)) != wp.uint32(0):
        return ~bits
    return bits | (wp.uint32(1) << wp.uint32(31))


@wp.func
@no_type_check
def edge_functions(p0: wp.vec4, p1: wp.vec4, p2: wp.vec4, x: float, y: float) -> wp.vec3:
    """Unnormalised perspective-correct barycentric weights of the ray through (x, y) in [-1, 1]."""
    q0x = p0[0] - x * p0[3]
    q0y = p0[1] - y * p0[3]
    q1x = p1[0] - x * p1[3]
    q1y = p1[1] - y * p1[3]
    q2x = p2[0] - x * p2[3]
    q2y = p2[1] - y * p2[3]
    return wp.vec3(q1x * q2y - q1y * q2x, q2x * q0y - q2y * q0x, q0x * q1y - q0y * q1x)


@wp.func
@no_type_check
def include(box: wp.vec4, p: wp.vec4) -> wp.vec4:
    """Grows (x_min, y_min, x_max, y_max) by the projection of a point with w > 0."""
    x = p[0] / p[3]
    y = p[1] / p[3]
    return wp.vec4(wp.min(box[0], x), wp.min(box[1], y), wp.max(box[2], x), wp.max(box[3], y))


@wp.func
@no_type_check
def include_visible(box: wp.vec4, p: wp.vec4) -> wp.vec4:
    """Grows the box by a corner of a triangle that reaches behind the camera, if it is before the near plane."""
    grown = box
    if p[2] + p[3] >= 0.0:
        if p[3] > 1.0e-6:
            grown = include(box, p)
        else:
            # Not with a camera's matrix; with another the triangle may run off to infinity.
            grown = wp.vec4(-1.0, -1.0, 1.0, 1.0)
    return grown


@wp.func
@no_type_check
def include_near(box: wp.vec4, p: wp.vec4, q: wp.vec4) -> wp.vec4:
    """Grows the box by the point where the edge p q passes the near plane z = -w, if it does."""
    dp = p[2] + p[3]
    dq = q[2] + q[3]
    grown = box
    if (dp >= 0.0) != (dq >= 0.0):
        middle = p + (q - p) * (dp / (dp - dq))
        if middle[3] > 1.0e-6:
            grown = include(box, middle)
        else:
            grown = wp.vec4(-1.0, -1.0, 1.0, 1.0)
    return grown


@wp.func
@no_type_check
def pixel_box(p0: wp.vec4, p1: wp.vec4, p2: wp.vec4, height: int, width: int) -> wp.vec4i:
    """(first column, last column, first row, last row) of the pixels that a triangle may cover; last < first: none."""
    # What can be seen: the projected corners, or those of the triangle cut at the near plane.
    box = wp.vec4(1.0e30, 1.0e30, -1.0e30, -1.0e30)
    if p0[3] > 1.0e-6 and p1[3] > 1.0e-6 and p2[3] > 1.0e-6:
        box = include(include(include(box, p0), p1), p2)
    else:
        box = include_visible(include_visible(include_visible(box, p0), p1), p2)
        box = include_near(include_near(include_near(box, p0, p1), p1, p2), p2, p0)
    columns = float(width)
    rows = float(height)
    # A guard of a thousandth of a pixel: the exact test decides.
    x_low = (box[0] * 0.5 + 0.5) * columns - 0.501
    x_high = (box[2] * 0.5 + 0.5) * columns - 0.499
    y_low = (box[1] * 0.5 + 0.5) * rows - 0.501
    y_high = (box[3] * 0.5 + 0.5) * rows - 0.499
    # Written so that NaN, too, ends here.
    if not (x_high >= 0.0 and y_high >= 0.0 and x_low <= columns - 1.0 and y_low <= rows - 1.0):
        return wp.vec4i(0, -1, 0, -1)
    return wp.vec4i(
        wp.clamp(int(wp.ceil(wp.max(x_low, 0.0))), 0, width),
        wp.clamp(int(wp.floor(wp.min(x_high, columns - 1.0))), -1, width - 1),
        wp.clamp(int(wp.ceil(wp.max(y_low, 0.0))), 0, height),
        wp.clamp(int(wp.floor(wp.min(y_high, rows - 1.0))), -1, height - 1),
    )


@wp.kernel
@no_type_check
def fill_kernel(
    clip: wp.array2d(dtype=wp.vec4),
    triangles: wp.array(dtype=wp.vec3i),
    height: int,
    width: int,
    row_step: int,
    peel: int,
    previous: wp.array2d(dtype=wp.uint64),
    keys: wp.array2d(dtype=wp.uint64),
):
    """Lowers every covered pixel's key, (depth, triangle) in one 64-bit word, to this triangle's.

    One thread walks every ``row_step``-th row of one triangle's box. ``peel``: only keys above the previous layer's
    count.
    """
    n, f, row = wp.tid()
    t = triangles[f]
    p0 = clip[n, t[0]]
    p1 = clip[n, t[1]]
    p2 = clip[n, t[2]]
    w0 = p0[3]
    w1 = p1[3]
    w2 = p2[3]

    box = pixel_box(p0, p1, p2, height, width)
    columns = float(width)
    rows = float(height)
    for y in range(box[2] + row, box[3] + 1, row_step):
        fy = (2.0 * float(y) + 1.0) / rows - 1.0
        for x in range(box[0], box[1] + 1):
            fx = (2.0 * float(x) + 1.0) / columns - 1.0
            a = edge_functions(p0, p1, p2, fx, fy)
            if (a[0] >= 0.0 and a[1] >= 0.0 and a[2] >= 0.0) or (a[0] <= 0.0 and a[1] <= 0.0 and a[2] <= 0.0):
                total = a[0] + a[1] + a[2]
                w = w0 * a[0] + w1 * a[1] + w2 * a[2]
                # Same sign: in front of the camera. Degenerate triangles have total 0.
                if w * total > 0.0:
                    z = (p0[2] * a[0] + p1[2] * a[1] + p2[2] * a[2]) / w
                    if z >= -1.0 and z <= 1.0:
                        key = (wp.uint64(sortable(z)) << wp.uint64(32)) | wp.uint64(f)
                        i = y * width + x
                        if peel == 0 or key > previous[n, i]:
                            wp.atomic_min(keys, n, i, key)


@wp.kernel
@no_type_check
def resolve_kernel(
    clip: wp.array2d(dtype=wp.vec4),
    triangles: wp.array(dtype=wp.vec3i),
    height: int,
    width: int,
    keys: wp.array2d(dtype=wp.uint64),
    triangle: wp.array2d(dtype=wp.int64),
    barycentric: wp.array2d(dtype=wp.vec3),
    depth: wp.array2d(dtype=float),
):
    """Turns the winning keys into triangle index, barycentric weights and depth."""
    n, i = wp.tid()
    key = keys[n, i]
    if key == EMPTY:
        triangle[n, i] = wp.int64(-1)
        barycentric[n, i] = wp.vec3(0.0, 0.0, 0.0)
        depth[n, i] = 1.0
        return
    f = int(key & LOW_WORD)
    t = triangles[f]
    p0 = clip[n, t[0]]
    p1 = clip[n, t[1]]
    p2 = clip[n, t[2]]
    fx = (2.0 * float(i % width) + 1.0) / float(width) - 1.0
    fy = (2.0 * float(i // width) + 1.0) / float(height) - 1.0
    a = edge_functions(p0, p1, p2, fx, fy)
    total = a[0] + a[1] + a[2]
    triangle[n, i] = wp.int64(f)
    barycentric[n, i] = a / total
    depth[n, i] = (p0[2] * a[0] + p1[2] * a[1] + p2[2] * a[2]) / (p0[3] * a[0] + p1[3] * a[1] + p2[3] * a[2])
