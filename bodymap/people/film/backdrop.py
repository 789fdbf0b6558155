"""The kernel that paints what lies behind people, along each pixel's own ray, and the shade they throw on the floor."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from typing import no_type_check

import numpy as np
import warp as wp

from bodymap.people.film.records import Scene
from bodymap.people.film.shading import bilinear, sun_reaches

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "fast_math": False, "max_unroll": 8})

FLAT, PANORAMA, ROOM = 0, 1, 2
_FLAT = wp.constant(FLAT)
_PANORAMA = wp.constant(PANORAMA)
_PI = wp.constant(3.14159265358979)


@wp.struct
class Box:
    """A block in a room, in the room's axes: tile repeated every ``metres``, ``shade`` of the sides across x, y, z."""

    low: wp.vec3
    high: wp.vec3
    tile: wp.uint64
    side: int
    metres: float
    shade: wp.vec3
    tint: wp.vec3


@wp.struct
class Surround:
    """One picture's surroundings; see ``background.Backdrop``. ``tile`` .. ``tint``: the six faces of a room are the
    boxes ``first`` .. ``first + 5``, the blocks in it the ``blocks`` after them."""

    kind: int
    image: wp.uint64
    height: int
    width: int
    yaw: float
    saturation: float
    contrast: float
    gain: float
    grain: wp.uint64
    grain_side: int
    grain_size: float
    grain_strength: float
    axes: wp.mat33
    low: wp.vec3
    high: wp.vec3
    open_sky: int
    sky: wp.vec3
    first: int
    blocks: int
    touching: int
    touches: int


BOX_DTYPE, SURROUND_DTYPE = np.dtype(Box.numpy_dtype()), np.dtype(Surround.numpy_dtype())


@wp.func
@no_type_check
def painted(box: Box, p: wp.vec3, axis: int) -> wp.vec3:
    """The tile at a place of a face across ``axis``, by the two coordinates that run along it."""
    u = p[1]
    v = p[2]
    if axis == 1:
        u = p[0]
    if axis == 2:
        u = p[0]
        v = p[1]
    u = u / box.metres
    v = v / box.metres
    side = float(box.side)
    c = bilinear(box.tile, box.side, box.side, 3, (v - wp.floor(v)) * side, (u - wp.floor(u)) * side)
    return wp.cw_mul(c, box.tint)


@wp.kernel
@no_type_check
def backdrop_kernel(
    scenes: wp.array(dtype=Scene),
    surrounds: wp.array(dtype=Surround),
    boxes: wp.array(dtype=Box),
    touching: wp.array(dtype=wp.vec2),
    world_axes: wp.array(dtype=wp.mat33),
    directions: wp.array(dtype=wp.mat33),
    irradiance: wp.array2d(dtype=wp.vec3),
    sun_keys: wp.array2d(dtype=wp.uint64),
    sun_low: wp.array2d(dtype=float),
    sun_high: wp.array2d(dtype=float),
    cover: wp.array2d(dtype=float),
    height: int,
    width: int,
    picture: wp.array2d(dtype=wp.vec3),
):
    """Linear colours; black where ``cover`` is 1.

    ``directions`` take (column, row, 1) of a pixel's centre to (x, y, 1) before the lens, ``world_axes`` from there to
    the world.
    """
    n, j = wp.tid()
    if cover[n, j] >= 1.0:
        picture[n, j] = wp.vec3(0.0, 0.0, 0.0)
        return
    column = float(j % width) + 0.5
    row = float(j // width) + 0.5
    bent = directions[n] * wp.vec3(column, row, 1.0)
    straight = bent
    if scenes[n].distortion != 0.0:
        for _turn in range(5):
            square = wp.min(straight[0] * straight[0] + straight[1] * straight[1], scenes[n].distortion_limit)
            scale = 1.0 / (1.0 + scenes[n].distortion * square)
            straight = wp.vec3(bent[0] * scale, bent[1] * scale, 1.0)
    ray = wp.normalize(world_axes[n] * straight)
    eye = scenes[n].eye
    kind = surrounds[n].kind
    colour = wp.vec3(0.5, 0.5, 0.5)
    reach = float(1.0e6)
    if kind == _FLAT:
        rows = surrounds[n].height
        columns = surrounds[n].width
        y = wp.clamp(row / float(height) * float(rows), 0.5, float(rows) - 0.5)
        x = wp.clamp(column / float(width) * float(columns), 0.5, float(columns) - 0.5)
        colour = bilinear(surrounds[n].image, rows, columns, 3, y, x)
    elif kind == _PANORAMA:
        longitude = wp.atan2(-ray[0], -ray[1]) - surrounds[n].yaw
        u = longitude / (2.0 * _PI) + 0.5
        u = (u - wp.floor(u)) * float(surrounds[n].width)
        tall = float(surrounds[n].height)
        v = wp.clamp((0.5 - wp.asin(wp.clamp(ray[2], -1.0, 1.0)) / _PI) * tall, 0.5, tall - 0.501)
        colour = bilinear(surrounds[n].image, surrounds[n].height, surrounds[n].width, 3, v, u)
        grey = (colour[0] + colour[1] + colour[2]) / 3.0
        colour = wp.vec3(grey, grey, grey) + (colour - wp.vec3(grey, grey, grey)) * surrounds[n].saturation
        half = wp.vec3(0.5, 0.5, 0.5)
        colour = ((colour - half) * surrounds[n].contrast + half) * surrounds[n].gain
    else:
        axes = surrounds[n].axes
        o = axes * eye
        d = axes * ray
        for k in range(3):
            if wp.abs(d[k]) < 1.0e-5:
                d[k] = 1.0e-5
        # the walls, from the inside
        first = surrounds[n].first
        axis = int(0)
        upper = int(0)
        for k in range(3):
            wall = surrounds[n].low[k]
            if d[k] > 0.0:
                wall = surrounds[n].high[k]
            t = (wall - o[k]) / d[k]
            if t < reach:
                reach = t
                axis = k
                upper = int(d[k] > 0.0)
        face = axis * 2 + upper
        if face == 5 and surrounds[n].open_sky == 1:
            colour = surrounds[n].sky
        else:
            colour = painted(boxes[first + face], o + d * reach, axis)
        # the blocks in it
        hit = int(-1)
        hit_axis = int(0)
        for b in range(first + 6, first + 6 + surrounds[n].blocks):
            enter = float(-1.0e6)
            leave = float(1.0e6)
            side = int(0)
            for k in range(3):
                t0 = (boxes[b].low[k] - o[k]) / d[k]
                t1 = (boxes[b].high[k] - o[k]) / d[k]
                if wp.min(t0, t1) > enter:
                    enter = wp.min(t0, t1)
                    side = k
                leave = wp.min(leave, wp.max(t0, t1))
            if enter < leave and enter > 0.2 and enter < reach:
                reach = enter
                hit = b
                hit_axis = side
        if hit >= 0:
            colour = painted(boxes[hit], o + d * reach, hit_axis) * boxes[hit].shade[hit_axis]
    if surrounds[n].grain_strength > 0.0:
        texels_wide = float(surrounds[n].grain_side)
        u = column / surrounds[n].grain_size
        v = row / surrounds[n].grain_size
        g = bilinear(
            surrounds[n].grain,
            surrounds[n].grain_side,
            surrounds[n].grain_side,
            3,
            (v - wp.floor(v)) * texels_wide,
            (u - wp.floor(u)) * texels_wide,
        )
        colour = colour * (1.0 + surrounds[n].grain_strength * (2.0 * g[0] - 1.0))
    out = wp.vec3(
        wp.pow(wp.clamp(colour[0], 0.0, 1.0), 2.2),
        wp.pow(wp.clamp(colour[1], 0.0, 1.0), 2.2),
        wp.pow(wp.clamp(colour[2], 0.0, 1.0), 2.2),
    )

    # the floor (z = 0) is darker where people keep the sun off it, and close to what touches it
    if ray[2] < -0.02:
        away = eye[2] / -ray[2]
        if away < 25.0 and away < reach + 0.05:
            p = eye + ray * away
            shade = float(1.0)
            if wp.max(scenes[n].sun_colour) > 1.0e-4:
                sun = (scenes[n].sun_colour[0] + scenes[n].sun_colour[1] + scenes[n].sun_colour[2]) / 3.0
                sky = (irradiance[n, 0][0] + irradiance[n, 0][1] + irradiance[n, 0][2]) / 3.0 * 0.282
                lit = sun_reaches(scenes[n].sun_axes, sun_low, sun_high, sun_keys, n, p + wp.vec3(0.0, 0.0, 0.02))
                shade = 1.0 - 0.75 * sun / (sun + sky + 1.0e-6) * (1.0 - lit)
            near = float(1.0e6)
            for k in range(surrounds[n].touching, surrounds[n].touching + surrounds[n].touches):
                dx = touching[k][0] - p[0]
                dy = touching[k][1] - p[1]
                near = wp.min(near, dx * dx + dy * dy)
            shade = shade * (1.0 - 0.5 * scenes[n].occlusion * wp.exp(-near / 0.0144))
            out = out * shade
    picture[n, j] = out
