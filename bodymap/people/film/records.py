"""What the kernels read: one ``Cast`` per actor of a batch of pictures, one ``Scene`` per picture."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
import numpy as np
import warp as wp

import bodymap.rendering.warp_backend  # noqa: F401  (starts warp, quietly)

# Columns of ``Cast.material``; ``Cast.waves`` holds WAVES rows (rad/m, phase) a piece.
(
    RED,
    GREEN,
    BLUE,
    ALPHA,
    GLOSS,
    SHINE,
    WEAVE,
    SHEEN,
    FOLDS,
    PATTERN_METRES,
    PATTERN_BLEND,
    TINT,
    TINT_RED,
    TINT_GREEN,
    TINT_BLUE,
    TINT_POWER,
    TINT_MEAN,
    MEAN,
    RELIEF,
) = range(19)
MATERIAL_COLUMNS = 19
WAVES = 6
# How many bones move one vertex
BONES = 6


@wp.struct
class Cast:
    """One actor: its mesh at rest (as ``person.Mesh``), its materials, and where it stands in the batch's buffers."""

    vertices: wp.array(dtype=wp.vec3)
    index: wp.array2d(dtype=wp.uint8)
    weight: wp.array2d(dtype=float)
    vertex_piece: wp.array(dtype=int)
    rest: wp.array(dtype=wp.vec3)
    truth: wp.array(dtype=wp.vec3)
    cloth: wp.array(dtype=wp.vec2)
    uv: wp.array(dtype=wp.vec2)
    triangles: wp.array(dtype=wp.vec3i)
    uv_triangles: wp.array(dtype=wp.vec3i)
    piece: wp.array(dtype=int)
    template_triangle: wp.array(dtype=int)
    layer: wp.array(dtype=int)
    material: wp.array2d(dtype=float)
    waves: wp.array2d(dtype=wp.vec4)
    # 1 / (rad / m) of each wave
    wave_metres: wp.array2d(dtype=float)
    # addresses of uint8 texels; 0: none
    texture: wp.array(dtype=wp.uint64)
    texture_size: wp.array(dtype=wp.vec3i)
    pattern: wp.array(dtype=wp.uint64)
    pattern_size: wp.array(dtype=int)
    picture: int
    instance: int
    vertex_start: int
    face_start: int
    bone_start: int


@wp.struct
class Scene:
    """One picture: its camera, the sun's, and the light."""

    clip_from_world: wp.mat44
    eye: wp.vec3
    forward: wp.vec3
    camera_axes: wp.mat33
    # of the lens (k1, see types.Camera), and from its (x, y) / z to x/w, y/w of the clip space
    distortion: float
    distortion_limit: float
    focal: wp.vec2
    centre: wp.vec2
    sun: wp.vec3
    sun_colour: wp.vec3
    sun_axes: wp.mat33
    occlusion: float


# Building these takes warp a millisecond, and numpy another to read what warp built
CAST_DTYPE, SCENE_DTYPE = np.dtype(Cast.numpy_dtype()), np.dtype(Scene.numpy_dtype())
