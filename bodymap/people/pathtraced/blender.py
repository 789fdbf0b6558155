"""Cycles as a camera: a ``Still`` becomes a Blender scene, the scene becomes linear light and a mask of the subject.

``bpy`` (GPL, a gigabyte) is not a dependency of this project: it is imported when the command runs, and its results are
pictures.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bodymap.errors import UserError
from bodymap.people.pathtraced.shaders import Shaders, new_image
from bodymap.people.pathtraced.still import Part, Still
from bodymap.types import Camera

INSTALL = "pip install --no-deps bpy==5.0.1"  # its own wish for numpy below 2 does not hold for what is used here
_SENSOR = 36.0  # millimetres
_SUN_ANGLE = np.radians(1.5)  # wider than the real one: air and clouds
_FLOOR = 30.0  # metres


def import_blender() -> Any:
    """The module ``bpy``.

    Raises:
        UserError: it is not installed.
    """
    try:
        with quiet():
            import bpy
    except ImportError:
        raise UserError(
            f"Path tracing needs Blender as a Python 3.11 module; install it with {INSTALL!r} (about 1 GB on disk)."
        ) from None
    return bpy


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what Blender's own code prints, past Python, off the screen."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for handle, original in enumerate(kept, 1):
            os.dup2(original, handle)
            os.close(original)
        os.close(nowhere)


def lens_of(camera: Camera) -> tuple[float, float, float]:
    """(focal length in mm, shift x, shift y) of a Blender camera whose sensor is as wide as the picture.

    Raises:
        ValueError: pixels that are not square, or skewed axes.
    """
    height, width = camera.size
    K = np.asarray(camera.intrinsics, float)
    if abs(K[0, 0] - K[1, 1]) > 1e-3 * K[0, 0] or abs(K[0, 1]) > 1e-6 * K[0, 0]:
        raise ValueError("Blender's camera has square pixels.")
    # shifts are in picture widths, and move the window, not the picture
    return _SENSOR * K[0, 0] / width, (width / 2 - K[0, 2]) / width, (K[1, 2] - height / 2) / width


def world_from_blender_camera(camera: Camera) -> Float[np.ndarray, "4 4"]:
    """Blender's cameras look along -z with y up, ours along +z with y down."""
    return np.linalg.inv(np.asarray(camera.T_camera_world, float)) @ np.diag([1.0, -1, -1, 1])


def shows_floor(still: Still) -> bool:
    """Whether anything near the floor (lower than 15 cm) lies in the picture or close to it: shadows may fall there."""
    K, T = np.asarray(still.camera.intrinsics, float), np.asarray(still.camera.T_camera_world, float)
    height, width = still.camera.size
    low = np.concatenate([part.vertices[part.vertices[:, 2] < 0.15] for part in still.parts])
    at = low @ T[:3, :3].T + T[:3, 3]
    at = at[at[:, 2] > 0.05]
    pixel = (at / at[:, 2:]) @ K.T
    x, y = pixel[:, 0] / width, pixel[:, 1] / height
    return bool(((x > -0.5) & (x < 1.5) & (y > -0.5) & (y < 1.5)).any())


class Studio:
    """Renders stills. ``samples``: paths a pixel.  ``threads``: 0 for all cores."""

    def __init__(self, samples: int = 16, threads: int = 0):
        self.bpy = import_blender()
        self.samples, self.threads = samples, threads

    def render(self, still: Still, seed: int = 0) -> Float[np.ndarray, "height width rgba=4"]:
        """Linear light, premultiplied; alpha is what people, things and their shadows on the floor cover."""
        with quiet():
            scene = self._scene(still)
            shaders = Shaders(self.bpy)
            for part in still.parts:
                self._object(scene, part, shaders.surface(part.material, part.layer))
            self._light(scene, still)
            if shows_floor(still):  # it costs as much as everything else together
                self._floor(scene)
            scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.seed = self.samples, True, seed
            scene.cycles.denoising_prefilter = "FAST"
            return self._take(scene)

    def silhouette(self, still: Still) -> Float[np.ndarray, "height width"]:
        """The share of each pixel in which the subject is seen: what the truth's foreground is compared with."""
        with quiet():
            scene = self._scene(still)
            shaders = Shaders(self.bpy)
            for part in still.parts:
                self._object(scene, part, shaders.mask(part.material, float(part.instance == 1)))
            cycles = scene.cycles
            cycles.samples, cycles.use_denoising, cycles.seed = 16, False, 0
            cycles.pixel_filter_type, cycles.filter_width = "BOX", 1.0
            return self._take(scene)[..., 0]

    def _scene(self, still: Still) -> Any:
        """An empty scene with the still's camera."""
        bpy = self.bpy
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        height, width = still.camera.size
        scene.render.engine = "CYCLES"
        scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
        scene.render.film_transparent = True
        scene.render.threads_mode = "FIXED" if self.threads else "AUTO"
        if self.threads:
            scene.render.threads = self.threads
        cycles = scene.cycles
        cycles.device = "CPU"
        cycles.use_adaptive_sampling, cycles.adaptive_threshold, cycles.adaptive_min_samples = True, 0.03, 8
        cycles.max_bounces, cycles.diffuse_bounces, cycles.transparent_max_bounces = 4, 2, 24
        cycles.caustics_reflective = cycles.caustics_refractive = False
        lens = bpy.data.cameras.new("camera")
        lens.sensor_fit, lens.sensor_width = "HORIZONTAL", _SENSOR
        lens.lens, lens.shift_x, lens.shift_y = lens_of(still.camera)
        lens.clip_start, lens.clip_end = 0.01, 1000.0
        eye = bpy.data.objects.new("camera", lens)
        eye.matrix_world = self._matrix(world_from_blender_camera(still.camera))
        scene.collection.objects.link(eye)
        scene.camera = eye
        return scene

    def _object(self, scene: Any, part: Part, material: Any) -> None:
        mesh = self.bpy.data.meshes.new("part")
        count, faces = len(part.vertices), len(part.triangles)
        mesh.vertices.add(count)
        mesh.vertices.foreach_set("co", _flat(part.vertices))
        mesh.loops.add(3 * faces)
        mesh.loops.foreach_set("vertex_index", _flat(part.triangles, np.int32))
        mesh.polygons.add(faces)
        mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * faces, 3, dtype=np.int32))
        mesh.polygons.foreach_set("use_smooth", np.ones(faces, bool))
        for name, uv in (("uv", part.corner_uv * [1, -1] + [0, 1]), ("cloth", part.cloth[part.triangles] * [1, -1])):
            mesh.uv_layers.new(name=name).data.foreach_set("uv", _flat(uv))
        mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", _flat(part.rest))
        mesh.update(calc_edges=True)
        mesh.normals_split_custom_set_from_vertices(part.normals.tolist())
        mesh.materials.append(material)
        scene.collection.objects.link(self.bpy.data.objects.new("part", mesh))

    def _light(self, scene: Any, still: Still) -> None:
        """The surroundings as an environment, and the sun."""
        bpy = self.bpy
        world = bpy.data.worlds.new("world")
        scene.world = world
        tree = world.node_tree
        tree.nodes.clear()
        shine, image = tree.nodes.new("ShaderNodeBackground"), tree.nodes.new("ShaderNodeTexEnvironment")
        image.image = new_image(bpy, environment_image(still.surroundings), True)
        out = tree.nodes.new("ShaderNodeOutputWorld")
        tree.links.new(image.outputs["Color"], shine.inputs["Color"])
        tree.links.new(shine.outputs[0], out.inputs["Surface"])
        level = float(np.max(still.sun_colour))
        if level < 1e-4:
            return
        lamp = bpy.data.lights.new("sun", "SUN")
        # a white surface that faces irradiance pi has radiance 1
        lamp.energy, lamp.angle = np.pi * level, _SUN_ANGLE
        lamp.color = [float(c) / level for c in still.sun_colour]
        sun = bpy.data.objects.new("sun", lamp)
        sun.matrix_world = self._matrix(_facing(np.asarray(still.sun, float)))
        scene.collection.objects.link(sun)

    def _floor(self, scene: Any) -> None:
        """z = 0, there only for shadows."""
        mesh = self.bpy.data.meshes.new("floor")
        s = _FLOOR
        mesh.from_pydata([(-s, -s, 0), (s, -s, 0), (s, s, 0), (-s, s, 0)], [], [(0, 1, 2, 3)])
        floor = self.bpy.data.objects.new("floor", mesh)
        floor.is_shadow_catcher = True
        scene.collection.objects.link(floor)

    def _matrix(self, rows: Float[np.ndarray, "4 4"]) -> Any:
        from mathutils import Matrix  # comes with bpy

        return Matrix(rows.tolist())

    def _take(self, scene: Any) -> Float[np.ndarray, "height width rgba=4"]:
        """Renders; the picture comes back through a file, the only way Blender hands out its numbers."""
        settings = scene.render.image_settings
        settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
        scene.render.use_file_extension = False
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.exr"
            scene.render.filepath = str(path)
            self.bpy.ops.render.render(write_still=True)
            image = self.bpy.data.images.load(str(path))
            width, height = image.size
            pixels = np.empty(4 * width * height, np.float32)
            image.pixels.foreach_get(pixels)
            self.bpy.data.images.remove(image)
        return pixels.reshape(height, width, 4)[::-1].copy()


def environment_image(surroundings: Float[np.ndarray, "h w rgb=3"]) -> Float[np.ndarray, "h w rgba=4"]:
    """Our panorama (middle column -Y, columns turn towards -X) in Cycles' order (middle column +X, turning to -Y)."""
    turned = np.roll(surroundings, surroundings.shape[1] // 4, axis=1)
    return np.concatenate([turned, np.ones((*turned.shape[:2], 1))], 2).astype(np.float32)


def _facing(direction: Float[np.ndarray, " xyz=3"]) -> Float[np.ndarray, "4 4"]:
    """A frame whose z axis is ``direction``: lamps shine along -z."""
    z = direction / np.linalg.norm(direction)
    x = np.cross([0, 0, 1.0] if abs(z[2]) < 0.9 else [1.0, 0, 0], z)
    x /= np.linalg.norm(x)
    frame = np.eye(4)
    frame[:3, :3] = np.stack([x, np.cross(z, x), z], 1)
    return frame


def _flat(values: np.ndarray, kind: type = np.float32) -> np.ndarray:
    return np.ascontiguousarray(values, kind).ravel()
