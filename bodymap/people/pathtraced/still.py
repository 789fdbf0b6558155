"""What a path tracer needs of one shot: meshes in place, light from everywhere, backdrop, and the engine's truth.

The engine poses, lights and labels; only the picture is made anew. So the truth is the very same, and the pictures
differ in everything that the engine's shading leaves out: light that bounces, soft shadows, skin that light enters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from bodymap.people.background import Surroundings, draw_surroundings
from bodymap.people.config import CameraConfig, FaceConfig, PeopleConfig, PhotographConfig, SceneConfig
from bodymap.people.director import direct
from bodymap.people.film.develop import Faults
from bodymap.people.film.film import expose
from bodymap.people.film.stagehand import Take
from bodymap.people.light import Light, harmonics, panorama_directions
from bodymap.people.material import Material
from bodymap.people.pack import Pack
from bodymap.people.stage import Actor, Stage
from bodymap.people.streams import stream
from bodymap.people.studio import samples
from bodymap.rendering.camera import camera_from_world, distort
from bodymap.types import Camera, Sample

# The stand-in for scans of real people: strong expressions, many faces, always somebody, always noise.
PATHTRACED = PeopleConfig(
    size=(512, 512),
    face=FaceConfig(neutral=0.1, strength=(0.8, 1.0), extra=4, extra_strength=0.8),
    camera=CameraConfig(framing={"full": 0.4, "upper": 0.25, "torso": 0.05, "lower": 0.05, "head": 0.2, "small": 0.05}),
    scene=SceneConfig(nobody=0.0, panorama=0.8),
    photograph=PhotographConfig(noise=1.0),
)
# What ``Light.irradiance`` has been multiplied with: Lambert's cosine lobe in each degree of the harmonics
_COSINE = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5], np.float32)[:, None]
_AWAY = np.float32(1e4)  # metres behind the horizon


@dataclass(frozen=True)
class Part:
    """One piece of one actor, in its place.

    Attributes:
        vertices, normals: world, metres; unit. Already bent as the lens bends them: a pinhole sees them where the
            engine does.  rest: on the default body, metres, what wrinkles are functions of.
        cloth: metres across and along the cloth.  triangles: into the vertices.
        corner_uv: of each triangle's corners, v **down**.
        layer: index into LAYER_NAMES.  instance: 0 a thing, 1 the subject, 2.. further people.
    """

    vertices: Float[np.ndarray, "vertex xyz=3"]
    normals: Float[np.ndarray, "vertex xyz=3"]
    rest: Float[np.ndarray, "vertex xyz=3"]
    cloth: Float[np.ndarray, "vertex uv=2"]
    triangles: Int[np.ndarray, "face 3"]
    corner_uv: Float[np.ndarray, "face corner=3 uv=2"]
    material: Material
    layer: int
    instance: int


@dataclass(frozen=True)
class Still:
    """One shot, ready to be rendered.

    Attributes:
        sun: (3,) unit direction towards it.  sun_colour: (3,) what a white surface facing it sends back.
        surroundings: radiance in every direction but the sun's; rows from straight up, as ``panorama_directions``
            with yaw 0. A white surface under radiance 1 from everywhere has colour 1.
        backdrop: linear, what shows where nothing stands.
        truth: of the engine; its image is the engine's, too.
    """

    parts: tuple[Part, ...]
    camera: Camera
    sun: Float[np.ndarray, " xyz=3"]
    sun_colour: Float[np.ndarray, " rgb=3"]
    surroundings: Float[np.ndarray, "h w rgb=3"]
    backdrop: Float[np.ndarray, "height width rgb=3"]
    faults: Faults
    truth: Sample


def prepare(seed: int, pack: Pack, config: PeopleConfig = PATHTRACED, split: str = "test") -> Still:
    """The shot whose four seeds are all ``seed``, as ``people.sample`` would take it."""
    shot = direct(seed, seed, seed, seed, pack, config, split)
    exposure = expose([shot.take], config.supersample)
    stage = exposure.geometry.stage()
    around = draw_surroundings(stream(seed, "surroundings", split), pack, config.scene, split)
    light = shot.take.light
    return Still(
        parts=parts_of(_bent(stage, shot.take.camera), subject_only=bool(exposure.alone[0])),
        camera=shot.take.camera,
        sun=light.sun,
        sun_colour=light.sun_colour,
        surroundings=radiance(light, around),
        backdrop=_backdrop(shot.take, config.supersample),
        faults=shot.faults,
        truth=samples([shot], config.supersample)[0],
    )


def parts_of(stage: Stage, subject_only: bool = False) -> tuple[Part, ...]:
    """The stage taken apart by piece; pieces that show nothing are left out."""
    piece, instance = stage.piece.numpy(), stage.instance.numpy()
    out = []
    for k in range(len(stage.layers)):
        faces = np.flatnonzero(piece == k)
        if not len(faces) or (subject_only and instance[faces[0]] != 1):
            continue
        used, triangles = np.unique(stage.triangles.numpy()[faces], return_inverse=True)
        out.append(
            Part(
                *(getattr(stage, name).numpy()[used] for name in ("vertices", "normals", "rest", "cloth")),
                triangles=triangles.reshape(-1, 3),
                corner_uv=stage.uv.numpy()[stage.uv_triangles.numpy()[faces]],
                material=stage.materials[k],
                layer=int(stage.layers[k]),
                instance=int(instance[faces[0]]),
            )
        )
    return tuple(out)


def radiance(light: Light, around: Surroundings, height: int = 128) -> Float[np.ndarray, "h w rgb=3"]:
    """What shines on people from every direction but the sun's, in the engine's exposure.

    A panorama keeps its own detail, scaled to the engine's mean; invented light is nine harmonics, made positive.
    """
    directions = panorama_directions(height, 2 * height, 0.0)
    if around.panorama is None or around.panorama.radiance is None:
        coefficients = light.irradiance / _COSINE
        return np.clip(harmonics(directions) @ coefficients, 0.02, None).astype(np.float32)
    source = around.panorama.radiance.astype(np.float32)
    rows, columns = source.shape[:2]
    longitude = np.arctan2(-directions[..., 0], -directions[..., 1]) - around.yaw
    column = np.floor((longitude / (2 * np.pi) + 0.5) % 1 * columns).astype(int) % columns
    row = np.minimum((np.arccos(np.clip(directions[..., 2], -1, 1)) / np.pi * rows).astype(int), rows - 1)
    seen = source[row, column]
    # the sun has a lamp of its own: here it is as bright as the brightest of the rest
    level = seen.mean(-1, keepdims=True)
    area = np.sin((np.arange(height) + 0.5) / height * np.pi)[:, None, None]
    mean = (level * area).mean() / area.mean()
    seen = seen * np.minimum(1, 6 * mean / np.maximum(level, 1e-9))
    wanted = light.irradiance[0] * 0.282095  # the mean in every direction
    return (seen * wanted / np.maximum((seen * area).mean((0, 1)) / area.mean(), 1e-9)).astype(np.float32)


def _bent(stage: Stage, camera: Camera) -> Stage:
    """The stage with the lens's distortion in its vertices, as the engine has it; Cycles then needs no lens."""
    T = torch.from_numpy(np.asarray(camera.T_camera_world, np.float32))
    seen = distort(camera_from_world(camera, stage.vertices), camera.distortion)
    return replace(stage, vertices=(seen - T[:3, 3]) @ T[:3, :3]) if camera.distortion else stage


def _backdrop(take: Take, factor: int) -> Float[np.ndarray, "height width rgb=3"]:
    """What the engine paints behind people, without people and the shade that they throw."""
    someone = take.actors[0]
    bones = np.array(someone.bones, np.float32)
    bones[..., 3] -= take.camera.T_camera_world[2, :3] * _AWAY
    away = Actor(someone.mesh, bones, 0)
    empty = replace(take, actors=(away,), touching=np.zeros((0, 2), np.float32))
    return expose([empty], factor).colour[0].numpy()


def over(colour: Float[np.ndarray, "height width rgba=4"], backdrop: Float[np.ndarray, "height width rgb=3"]):
    """Premultiplied colour over a backdrop, linear, as a torch picture batch of one."""
    return torch.from_numpy(np.ascontiguousarray(colour[..., :3] + (1 - colour[..., 3:]) * backdrop, np.float32))[None]
