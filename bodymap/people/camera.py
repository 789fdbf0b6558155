"""Where the photographer stands and what the picture frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodymap.people.config import CameraConfig
from bodymap.people.limbs import cross
from bodymap.people.pack import Bones
from bodymap.people.skinning import Posed
from bodymap.people.streams import choose
from bodymap.types import Camera

# Bones between whose joints a framing looks, and how many metres it takes in beyond them.
_REGIONS: dict[str, tuple[tuple[str, ...], float]] = {
    "upper": (("head", "spine04", "lowerarm01.L", "lowerarm01.R"), 0.22),
    "lower": (("spine05", "foot.L", "foot.R", "lowerleg01.L", "lowerleg01.R"), 0.18),
    "torso": (("neck01", "spine05", "upperarm01.L", "upperarm01.R"), 0.14),
    "head": (("head", "neck01"), 0.17),
    "hand": (("wrist", "finger3-3"), 0.1),
}


@dataclass(frozen=True)
class View:
    """A camera and how it stands to the subject: ``facing`` as in ``types.Sample``; ``framing`` names the config's."""

    camera: Camera
    facing: float
    framing: str


def front_of(bones: Bones, posed: Posed) -> Float[np.ndarray, " xyz=3"]:
    """The horizontal unit direction the person faces: half pelvis, half chest."""
    front = -posed.rotation[bones.index("root")][:, 1] - posed.rotation[bones.index("spine01")][:, 1]
    front = front.astype(float)
    front[2] = 0
    length = np.linalg.norm(front)
    # someone lying flat faces up or down; then the way the head points says as much as anything
    return front / length if length > 0.2 else np.array([0.0, -1.0, 0.0])


def facing_angle(front: np.ndarray, to_camera: np.ndarray) -> float:
    """0 from the front, +pi/2 when the camera sees the person's left side, in (-pi, pi]."""
    left = np.array([-front[1], front[0], 0.0])  # up x front
    return float(np.arctan2(to_camera @ left, to_camera @ front))


def draw_view(
    rng: np.random.Generator,
    vertices: Float[np.ndarray, "vertex xyz=3"],
    bones: Bones,
    posed: Posed,
    size: tuple[int, int],
    config: CameraConfig,
) -> View:
    """A camera that frames the person.

    Args:
        vertices: posed, standing on z = 0, only those that are drawn.
        size: (height, width) of the picture.
    """
    facing = _draw_facing(rng, config)
    pitch = np.radians(rng.normal(*config.pitch))
    if rng.random() < config.steep:
        pitch = np.radians(rng.uniform(20, 60) if rng.random() < 0.7 else rng.uniform(-35, -15))
    pitch = float(np.clip(pitch, np.radians(-38), np.radians(62)))
    distance = float(np.exp(rng.uniform(*np.log(config.distance))))
    framing = choose(rng, config.framing)
    if framing in ("head", "hand", "torso"):
        distance = float(np.exp(rng.uniform(np.log(0.9), np.log(3.0))))

    region, side = _region(rng, vertices, bones, posed, framing)
    target = (region.min(0) + region.max(0)) / 2
    if framing in ("full", "small"):
        target[2] = target[2] * rng.uniform(0.7, 1.2)
    front = front_of(bones, posed)
    left = np.array([-front[1], front[0], 0.0])
    flat = np.cos(facing) * front + np.sin(facing) * left
    toward = np.cos(pitch) * flat + np.sin(pitch) * np.array([0, 0, 1.0])
    eye = target + distance * toward
    # nobody photographs from under the floor
    eye[2] = max(eye[2], 0.12)
    rotation = look_at(eye, target, np.radians(rng.normal(0, config.roll)))
    position = -rotation @ eye

    at_camera = region @ rotation.T + position
    at_camera = at_camera[at_camera[:, 2] > 0.2]
    plane = at_camera[:, :2] / at_camera[:, 2:]
    x0, y0, scale = _frame(rng, plane, framing, size)
    height, width = size
    intrinsics = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale], [0, 0, 1]], np.float32)
    T = np.eye(4, dtype=np.float32)
    T[:3, :3], T[:3, 3] = rotation, position
    centre = (vertices.min(0) + vertices.max(0)) / 2
    direction = eye - centre
    direction[2] = 0
    camera = Camera(intrinsics, T, (height, width), _draw_distortion(rng, x0, y0, scale, size, config))
    return View(camera, facing_angle(front, direction), framing)


def _draw_distortion(
    rng: np.random.Generator, x0: float, y0: float, scale: float, size: tuple[int, int], config: CameraConfig
) -> float:
    """k1 of the lens: ``config.bend`` is how far it moves the picture's farthest corner, as a share of its radius."""
    bend = rng.uniform(*config.bend)
    if rng.random() >= config.distortion:
        return 0.0
    corner = max(x0**2, (x0 + size[1] / scale) ** 2) + max(y0**2, (y0 + size[0] / scale) ** 2)
    return float(bend / corner)


def _draw_facing(rng: np.random.Generator, config: CameraConfig) -> float:
    kind = choose(rng, config.facing)
    spread = np.radians(config.facing_spread)
    if kind == "front":
        return float(rng.uniform(-spread, spread))
    if kind == "back":
        return float(np.pi + rng.uniform(-spread, spread))
    return float(rng.uniform(-np.pi, np.pi))


def _region(rng, vertices, bones, posed, framing) -> tuple[np.ndarray, str]:
    """World points that the picture should hold."""
    side = "L" if rng.random() < 0.5 else "R"
    if framing not in _REGIONS:
        return vertices[:: max(1, len(vertices) // 3000)].astype(float), side
    names, margin = _REGIONS[framing]
    joints = []
    for name in names:
        label = name if name in bones.labels else f"{name}.{side}"
        joints.append(posed.position[bones.index(label)])
    joints = np.array(joints, float)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * margin
    return (joints[:, None] + corners[None]).reshape(-1, 3), side


def look_at(eye: np.ndarray, target: np.ndarray, roll: float) -> Float[np.ndarray, "3 3"]:
    """The axes of a camera that looks from one place to another, as rows: right, down, forward; roll in radians."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = cross(forward, np.array([0, 0, 1.0]))
    right /= np.linalg.norm(right)
    down = cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, -s * right + c * down, forward])


def _frame(rng, plane, framing, size) -> tuple[float, float, float]:
    """(x0, y0) of the picture's top left corner in the plane z = 1, and pixels per unit."""
    height, width = size
    low, high = plane.min(0), plane.max(0)
    wide, tall = high[0] - low[0], high[1] - low[1]
    if framing in ("full", "small"):
        margin = rng.uniform(0.01, 0.13, 2) if framing == "full" else np.exp(rng.uniform(np.log(0.25), np.log(1.6), 2))
        top, bottom = low[1] - tall * margin[0], high[1] + tall * margin[1] * rng.uniform(0.3, 1)
    else:
        top, bottom = low[1] - tall * rng.uniform(-0.05, 0.15), high[1] + tall * rng.uniform(-0.1, 0.2)
    need = wide * (rng.uniform(1.03, 1.3) if framing in ("full", "small") else rng.uniform(0.85, 1.1))
    if need > (bottom - top) * width / height:  # too wide for this height: take more above and below
        extra = need * height / width - (bottom - top)
        share = rng.uniform(0.3, 0.7)
        top, bottom = top - extra * share, bottom + extra * (1 - share)
    scale = height / (bottom - top)
    spare = width / scale - wide
    shift = rng.uniform(-0.45, 0.45) * max(spare, 0) + (
        0 if framing in ("full", "small") else rng.normal(0, 0.05) * wide
    )
    x0 = (low[0] + high[0]) / 2 - width / scale / 2 + shift
    return float(x0), float(top), float(scale)
