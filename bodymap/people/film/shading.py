"""The kernel that colours people: textures, prints, wrinkles, sky and sun with soft shadows, gloss and sheen."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from typing import no_type_check

import warp as wp

from bodymap.people.film.geometry import depth_of, find
from bodymap.people.film.records import (
    BLUE,
    FOLDS,
    GLOSS,
    GREEN,
    MEAN,
    PATTERN_BLEND,
    PATTERN_METRES,
    RED,
    SHEEN,
    SHINE,
    TINT,
    TINT_BLUE,
    TINT_GREEN,
    TINT_MEAN,
    TINT_POWER,
    TINT_RED,
    WAVES,
    WEAVE,
    Cast,
    Scene,
)
from bodymap.rendering.warp_kernels import EMPTY, LOW_WORD, edge_functions

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "fast_math": False, "max_unroll": 8})

SHADOW_SIZE = 320
_SIDE = wp.constant(SHADOW_SIZE)


@wp.func
@no_type_check
def bilinear(texels: wp.uint64, height: int, width: int, channels: int, row: float, column: float) -> wp.vec3:
    """Colour in [0, 1] at a place in texels; texel centres at + 0.5; repeats at the borders."""
    data = wp.array(ptr=texels, shape=(height * width * channels,), dtype=wp.uint8)
    r = row - 0.5
    c = column - 0.5
    r0 = int(wp.floor(r))
    c0 = int(wp.floor(c))
    fr = r - float(r0)
    fc = c - float(c0)
    r1 = (r0 + 1) % height
    c1 = (c0 + 1) % width
    r0 = (r0 + height) % height
    c0 = (c0 + width) % width
    i00 = (r0 * width + c0) * channels
    i01 = (r0 * width + c1) * channels
    i10 = (r1 * width + c0) * channels
    i11 = (r1 * width + c1) * channels
    out = wp.vec3(0.0, 0.0, 0.0)
    for k in range(3):
        top = float(data[i00 + k]) * (1.0 - fc) + float(data[i01 + k]) * fc
        bottom = float(data[i10 + k]) * (1.0 - fc) + float(data[i11 + k]) * fc
        out[k] = (top * (1.0 - fr) + bottom * fr) / 255.0
    return out


@wp.func
@no_type_check
def sky(irradiance: wp.array2d(dtype=wp.vec3), n: int, d: wp.vec3) -> wp.vec3:
    """Nine spherical harmonics in direction ``d``; see ``light.harmonics``."""
    out = irradiance[n, 0] * 0.282095
    out += irradiance[n, 1] * (0.488603 * d[1])
    out += irradiance[n, 2] * (0.488603 * d[2])
    out += irradiance[n, 3] * (0.488603 * d[0])
    out += irradiance[n, 4] * (1.092548 * d[0] * d[1])
    out += irradiance[n, 5] * (1.092548 * d[1] * d[2])
    out += irradiance[n, 6] * (0.315392 * (3.0 * d[2] * d[2] - 1.0))
    out += irradiance[n, 7] * (1.092548 * d[0] * d[2])
    out += irradiance[n, 8] * (0.546274 * (d[0] * d[0] - d[1] * d[1]))
    return out


@wp.func
@no_type_check
def sun_reaches(
    axes: wp.mat33,
    low: wp.array2d(dtype=float),
    high: wp.array2d(dtype=float),
    keys: wp.array2d(dtype=wp.uint64),
    n: int,
    p: wp.vec3,
) -> float:
    """1 in the sun, 0 in the shade, by five looks into the sun's depth map."""
    s = axes * p
    half_x = wp.max((high[n, 0] - low[n, 0]) * 0.51, 1.0e-3)
    half_y = wp.max((high[n, 1] - low[n, 1]) * 0.51, 1.0e-3)
    half_z = wp.max((high[n, 2] - low[n, 2]) * 0.51, 1.0e-3)
    x = ((s[0] - 0.5 * (low[n, 0] + high[n, 0])) / half_x * 0.5 + 0.5) * float(_SIDE)
    y = ((s[1] - 0.5 * (low[n, 1] + high[n, 1])) / half_y * 0.5 + 0.5) * float(_SIDE)
    z = (s[2] - 0.5 * (low[n, 2] + high[n, 2])) / half_z
    slack = 0.018 / half_z
    free = float(0.0)
    for k in range(5):
        dx = float(0.0)
        dy = float(0.0)
        if k < 4:
            dx = -0.91 + 1.82 * float(k % 2)
            dy = -0.91 + 1.82 * float(k // 2)
        column = int(wp.floor(x + dx))
        row = int(wp.floor(y + dy))
        if column < 0 or row < 0 or column >= _SIDE or row >= _SIDE:
            free += 1.0
        else:
            key = keys[n, row * _SIDE + column]
            if key == EMPTY:
                free += 1.0
            elif depth_of(key) + slack > z:
                free += 1.0
    return free * 0.2


@wp.func
@no_type_check
def behind(means: wp.array3d(dtype=float), n: int, y: float, x: float, depth: float) -> float:
    """Metres (0 .. 0.2) that a sample lies behind the mean depth around it; ``means`` is read bilinearly."""
    rows = means.shape[1]
    columns = means.shape[2]
    fy = wp.clamp(y - 0.5, 0.0, float(rows - 1))
    fx = wp.clamp(x - 0.5, 0.0, float(columns - 1))
    r0 = int(fy)
    c0 = int(fx)
    r1 = wp.min(r0 + 1, rows - 1)
    c1 = wp.min(c0 + 1, columns - 1)
    ty = fy - float(r0)
    tx = fx - float(c0)
    top = means[n, r0, c0] * (1.0 - tx) + means[n, r0, c1] * tx
    bottom = means[n, r1, c0] * (1.0 - tx) + means[n, r1, c1] * tx
    return wp.clamp(depth - (top * (1.0 - ty) + bottom * ty) - 0.006, 0.0, 0.2)


@wp.func
@no_type_check
def to_linear(c: wp.vec3) -> wp.vec3:
    return wp.vec3(
        wp.pow(wp.clamp(c[0], 0.015, 0.95), 2.2),
        wp.pow(wp.clamp(c[1], 0.015, 0.95), 2.2),
        wp.pow(wp.clamp(c[2], 0.015, 0.95), 2.2),
    )


@wp.kernel
@no_type_check
def shade_kernel(
    cast: wp.array(dtype=Cast),
    scenes: wp.array(dtype=Scene),
    face_starts: wp.array(dtype=int),
    irradiance: wp.array2d(dtype=wp.vec3),
    world: wp.array(dtype=wp.vec3),
    normal: wp.array(dtype=wp.vec3),
    strain: wp.array(dtype=float),
    clip: wp.array(dtype=wp.vec4),
    keys: wp.array2d(dtype=wp.uint64),
    sun_keys: wp.array2d(dtype=wp.uint64),
    sun_low: wp.array2d(dtype=float),
    sun_high: wp.array2d(dtype=float),
    near_means: wp.array3d(dtype=float),
    far_means: wp.array3d(dtype=float),
    height: int,
    width: int,
    factor: int,
    colour: wp.array2d(dtype=wp.vec3),
    cover: wp.array2d(dtype=float),
):
    """Linear colour of each pixel times its cover: the mean over factor x factor samples. height, width: in pixels."""
    n, j = wp.tid()
    y = j // width
    x = j % width
    rows = float(height * factor)
    columns = float(width * factor)
    total = wp.vec3(0.0, 0.0, 0.0)
    covered = float(0.0)
    eye = scenes[n].eye
    sun = scenes[n].sun
    sun_colour = scenes[n].sun_colour
    sunny = wp.max(sun_colour) > 1.0e-4
    # A pixel within one piece is shaded at two of its four samples: edges need all of them, cloth does not.
    step = int(1)
    if factor == 2:
        first = int(-1)
        for k in range(4):
            key = keys[n, (y * 2 + k // 2) * width * 2 + x * 2 + k % 2]
            own = int(-2)
            if key != EMPTY:
                f = int(key & LOW_WORD)
                a = find(face_starts, f)
                own = a * 65536 + cast[a].piece[f - cast[a].face_start]
            if k == 0:
                first = own
                step = int(3)
            elif own != first:
                step = int(1)
        if step == 3 and first == -2:
            colour[n, j] = total
            cover[n, j] = 0.0
            return
    for k in range(0, factor * factor, step):
        row = y * factor + k // factor
        column = x * factor + k % factor
        key = keys[n, row * width * factor + column]
        if key == EMPTY:
            continue
        covered += 1.0
        f = int(key & LOW_WORD)
        a = find(face_starts, f)
        i = f - cast[a].face_start
        t = cast[a].triangles[i]
        s = cast[a].vertex_start
        fx = (2.0 * float(column) + 1.0) / columns - 1.0
        fy = (2.0 * float(row) + 1.0) / rows - 1.0
        e = edge_functions(clip[s + t[0]], clip[s + t[1]], clip[s + t[2]], fx, fy)
        e = e / (e[0] + e[1] + e[2])
        position = e[0] * world[s + t[0]] + e[1] * world[s + t[1]] + e[2] * world[s + t[2]]
        geometric = wp.normalize(e[0] * normal[s + t[0]] + e[1] * normal[s + t[1]] + e[2] * normal[s + t[2]])
        pressed = e[0] * strain[s + t[0]] + e[1] * strain[s + t[1]] + e[2] * strain[s + t[2]]
        cloth = e[0] * cast[a].cloth[t[0]] + e[1] * cast[a].cloth[t[1]] + e[2] * cast[a].cloth[t[2]]
        view = wp.normalize(eye - position)
        # cloth and hair cards are seen from both sides
        if wp.dot(geometric, view) < -0.05:
            geometric = -geometric

        # what the surface is: texture, tint, print, threads
        piece = cast[a].piece[i]
        base = wp.vec3(cast[a].material[piece, RED], cast[a].material[piece, GREEN], cast[a].material[piece, BLUE])
        texture = cast[a].texture[piece]
        if texture != wp.uint64(0):
            size = cast[a].texture_size[piece]
            c = cast[a].uv_triangles[i]
            uv = e[0] * cast[a].uv[c[0]] + e[1] * cast[a].uv[c[1]] + e[2] * cast[a].uv[c[2]]
            u = (uv[0] - wp.floor(uv[0])) * float(size[1])
            v = (uv[1] - wp.floor(uv[1])) * float(size[0])
            base = bilinear(texture, size[0], size[1], size[2], v, u)
            tint = wp.vec3(
                cast[a].material[piece, TINT_RED],
                cast[a].material[piece, TINT_GREEN],
                cast[a].material[piece, TINT_BLUE],
            )
            kind = cast[a].material[piece, TINT]
            power = cast[a].material[piece, TINT_POWER]
            if kind > 1.5:
                light = (base[0] + base[1] + base[2]) / 3.0 / cast[a].material[piece, TINT_MEAN]
                base = tint * wp.pow(wp.clamp(light, 0.15, 2.2), power)
            elif kind > 0.5:
                base = wp.vec3(
                    tint[0] * wp.pow(base[0], power), tint[1] * wp.pow(base[1], power), tint[2] * wp.pow(base[2], power)
                )
        pattern = cast[a].pattern[piece]
        if pattern != wp.uint64(0):
            side = cast[a].pattern_size[piece]
            across = cloth / cast[a].material[piece, PATTERN_METRES]
            u = (across[0] - wp.floor(across[0])) * float(side)
            v = (across[1] - wp.floor(across[1])) * float(side)
            tile = bilinear(pattern, side, side, 3, v, u)
            blend = cast[a].material[piece, PATTERN_BLEND]
            shading = float(1.0)
            if texture != wp.uint64(0):
                shading = (base[0] + base[1] + base[2]) / 3.0 / cast[a].material[piece, MEAN]
                shading = wp.clamp(0.35 + 0.65 * shading, 0.3, 1.5)
            base = blend * shading * tile + (1.0 - blend) * wp.cw_mul(base, wp.vec3(0.35, 0.35, 0.35) + 1.1 * tile)
        albedo = to_linear(base)
        weave = cast[a].material[piece, WEAVE]
        if weave > 0.0:  # threads: too fine for the picture, they show as faint regular grain
            albedo = albedo * (1.0 + 0.5 * weave * wp.sin(cloth[0] * 2100.0) * wp.sin(cloth[1] * 1900.0))

        # wrinkles tilt the normal: slopes of sharpened plane waves, each within a mask of much longer ones, so that
        # folds begin and end; stronger where the pose presses the cloth together
        bent = geometric
        folds = cast[a].material[piece, FOLDS]
        if folds > 0.0:
            rest = e[0] * cast[a].rest[t[0]] + e[1] * cast[a].rest[t[1]] + e[2] * cast[a].rest[t[2]]
            strength = 0.55 * folds * (0.75 + 2.0 * wp.clamp(pressed, -0.2, 0.5))
            previous = cast[a].waves[piece, WAVES - 1]
            slow = previous[0] * rest[0] + previous[1] * rest[1] + previous[2] * rest[2] + previous[3]
            for m in range(WAVES):
                w = cast[a].waves[piece, m]
                way = wp.vec3(w[0], w[1], w[2])
                phase = wp.dot(way, rest) + w[3]
                mask = 0.5 + 0.5 * wp.sin(slow * 0.21 + 1.0)
                sine = wp.sin(phase)
                # sin(p) + 0.4 sin(2 p + 0.7), the second by the double angle
                slope = sine + 0.4 * (2.0 * sine * wp.cos(phase) * 0.7648 + (1.0 - 2.0 * sine * sine) * 0.6442)
                bent += way * (strength * slope * mask * mask * cast[a].wave_metres[piece, m])
                slow = phase
            bent = wp.normalize(bent)

        # light
        depth = wp.dot(position - eye, scenes[n].forward)
        occlusion = scenes[n].occlusion
        sy = float(row) + 0.5
        sx = float(column) + 0.5
        crease = wp.max(1.0 - occlusion * 3.0 * behind(near_means, n, sy / 2.0, sx / 2.0, depth), 0.35)
        crease = crease * wp.max(1.0 - occlusion * 2.2 * behind(far_means, n, sy / 8.0, sx / 8.0, depth), 0.35)
        ambient = sky(irradiance, n, bent)
        ambient = wp.vec3(wp.max(ambient[0], 0.04), wp.max(ambient[1], 0.04), wp.max(ambient[2], 0.04))
        facing = float(0.0)
        if sunny:
            facing = wp.max(wp.dot(bent, sun), 0.0)
            if facing > 0.0:
                facing = facing * sun_reaches(scenes[n].sun_axes, sun_low, sun_high, sun_keys, n, position)
        out = wp.cw_mul(albedo, ambient * crease + sun_colour * facing)
        gloss = cast[a].material[piece, GLOSS]
        upright = wp.clamp(wp.dot(bent, view), 0.0, 1.0)
        grazing = (1.0 - upright) * (1.0 - upright)
        grazing = grazing * grazing
        if facing > 0.0:
            spark = wp.pow(wp.max(wp.dot(bent, wp.normalize(view + sun)), 0.0), cast[a].material[piece, SHINE])
            out += sun_colour * (gloss * spark * facing * 2.0)
        if gloss > 0.0:
            mirror = sky(irradiance, n, wp.normalize(2.0 * wp.dot(bent, view) * bent - view))
            mirror = wp.vec3(wp.max(mirror[0], 0.0), wp.max(mirror[1], 0.0), wp.max(mirror[2], 0.0))
            out += mirror * (gloss * (0.06 + 0.5 * grazing) * crease)
        sheen = cast[a].material[piece, SHEEN]
        if sheen > 0.0:
            root = wp.vec3(wp.sqrt(albedo[0]), wp.sqrt(albedo[1]), wp.sqrt(albedo[2]))
            out += wp.cw_mul(root, ambient) * (sheen * grazing * crease)
        total += wp.vec3(wp.clamp(out[0], 0.0, 4.0), wp.clamp(out[1], 0.0, 4.0), wp.clamp(out[2], 0.0, 4.0))
    share = 1.0 / float(factor * factor)
    if step == 3:
        share = float(0.5)
    colour[n, j] = total * share
    cover[n, j] = covered * share
