"""The kernel that writes the truth: template point, layer, normal and instance of every pixel."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from typing import no_type_check

import warp as wp

from bodymap.people.film.geometry import find
from bodymap.people.film.queries import closest
from bodymap.people.film.records import Cast, Scene
from bodymap.rendering.warp_kernels import EMPTY, LOW_WORD, edge_functions

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "fast_math": False, "max_unroll": 8})


@wp.kernel
@no_type_check
def label_kernel(
    cast: wp.array(dtype=Cast),
    scenes: wp.array(dtype=Scene),
    face_starts: wp.array(dtype=int),
    normal: wp.array(dtype=wp.vec3),
    world: wp.array(dtype=wp.vec3),
    clip: wp.array(dtype=wp.vec4),
    keys: wp.array2d(dtype=wp.uint64),
    skin: wp.uint64,
    skin_faces: wp.array(dtype=int),
    height: int,
    width: int,
    factor: int,
    triangle: wp.array2d(dtype=int),
    barycentric: wp.array2d(dtype=wp.vec3),
    layer: wp.array2d(dtype=wp.int8),
    facing: wp.array2d(dtype=wp.vec3),
    instance: wp.array2d(dtype=wp.int8),
):
    """A pixel is the subject's when at least half of its samples are; its truth is that of the first of them.

    Bare skin is itself; everything else is projected on the template from the place it is bound to: ``skin`` is the
    outer template, ``skin_faces`` the numbers of its triangles.
    """
    n, j = wp.tid()
    y = j // width
    x = j % width
    wide = width * factor
    samples = factor * factor
    mine = int(0)
    others = int(0)
    other = int(0)
    chosen = int(-1)
    for k in range(samples):
        # of 2 x 2 samples the diagonal first: one sample in the middle of the pixel would be best
        q = k
        if factor == 2:
            q = 3 * k
            if k > 1:
                q = k - 1
            if k == 3:
                q = int(2)
        s = (y * factor + q // factor) * wide + x * factor + q % factor
        key = keys[n, s]
        if key != EMPTY:
            who = cast[find(face_starts, int(key & LOW_WORD))].instance
            if who == 1:
                mine += 1
                if chosen < 0:
                    chosen = s
            elif who > 1:
                others += 1
                other = wp.max(other, who)
    triangle[n, j] = -1
    barycentric[n, j] = wp.vec3(0.0, 0.0, 0.0)
    layer[n, j] = wp.int8(0)
    facing[n, j] = wp.vec3(0.0, 0.0, 0.0)
    if mine * 2 < samples or chosen < 0:
        if others * 2 < samples:
            other = int(0)
        instance[n, j] = wp.int8(other)
        return
    instance[n, j] = wp.int8(1)

    f = int(keys[n, chosen] & LOW_WORD)
    a = find(face_starts, f)
    i = f - cast[a].face_start
    t = cast[a].triangles[i]
    s = cast[a].vertex_start
    fx = (2.0 * float(chosen % wide) + 1.0) / float(wide) - 1.0
    fy = (2.0 * float(chosen // wide) + 1.0) / float(height * factor) - 1.0
    e = edge_functions(clip[s + t[0]], clip[s + t[1]], clip[s + t[2]], fx, fy)
    e = e / (e[0] + e[1] + e[2])
    layer[n, j] = wp.int8(cast[a].layer[cast[a].piece[i]])
    m = wp.normalize(e[0] * normal[s + t[0]] + e[1] * normal[s + t[1]] + e[2] * normal[s + t[2]])
    place = e[0] * world[s + t[0]] + e[1] * world[s + t[1]] + e[2] * world[s + t[2]]
    if wp.dot(m, wp.normalize(scenes[n].eye - place)) < -0.05:
        m = -m
    facing[n, j] = scenes[n].camera_axes * m
    own = cast[a].template_triangle[i]
    if own >= 0:
        triangle[n, j] = own
        barycentric[n, j] = e
        return

    p = e[0] * cast[a].truth[t[0]] + e[1] * cast[a].truth[t[1]] + e[2] * cast[a].truth[t[2]]
    found = closest(skin, p)
    triangle[n, j] = skin_faces[found.face]
    barycentric[n, j] = found.weight
