"""Pinhole cameras in torch: world -> camera -> clip coordinates and pixels. Conventions: see ``bodymap.types``.

Clip space is not flipped in y, so that row 0 of a rasterised image is the top of the photograph.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bodymap.types import Camera

NEAR, FAR = 0.1, 50.0


def transform(T: Float[Tensor, "... 4 4"], points: Float[Tensor, "... point xyz=3"]) -> Tensor:
    """Applies a rigid transform (..., 4, 4) to points (..., N, 3)."""
    return points @ T[..., :3, :3].transpose(-1, -2) + T[..., None, :3, 3]


def camera_from_world(camera: Camera, points: Float[Tensor, "*batch point xyz=3"]) -> Tensor:
    """World points (..., N, 3) in the camera's axes, metres; the third coordinate is the depth."""
    return transform(torch.as_tensor(camera.T_camera_world, dtype=points.dtype, device=points.device), points)


def clip_from_camera(
    points_camera: Float[Tensor, "*batch vertex xyz=3"],
    intrinsics: Float[Tensor, "... 3 3"],
    size: tuple[int, int],
    near: float = NEAR,
    far: float = FAR,
) -> Float[Tensor, "*batch vertex xyzw=4"]:
    """Clip coordinates for ``rasterize``.

    Args:
        points_camera: (..., V, 3) metres, x right, y down, z forward.
        intrinsics: (3, 3) or (..., 3, 3), pixels, centre of the top left pixel at (0.5, 0.5).
        size: (height, width) of the image in pixels.
        near, far: depths in metres that become z/w = -1 and +1; nothing outside is drawn.

    Returns:
        (..., V, 4); w is the depth in metres.
    """
    height, width = size
    x, y, z = points_camera.unbind(-1)
    K = intrinsics.to(points_camera)[..., None, :, :]
    clip_x = 2 * (K[..., 0, 0] * x + K[..., 0, 1] * y + K[..., 0, 2] * z) / width - z
    clip_y = 2 * (K[..., 1, 1] * y + K[..., 1, 2] * z) / height - z
    clip_z = (far + near) / (far - near) * z - 2 * far * near / (far - near)
    return torch.stack([clip_x, clip_y, clip_z, z], dim=-1)


def clip_from_world(
    points: Float[Tensor, "*batch vertex xyz=3"], camera: Camera, near: float = NEAR, far: float = FAR
) -> Float[Tensor, "*batch vertex xyzw=4"]:
    """Clip coordinates (..., V, 4) of world points as the camera sees them; distortion moves the vertices."""
    intrinsics = torch.as_tensor(camera.intrinsics, dtype=points.dtype, device=points.device)
    at_camera = distort(camera_from_world(camera, points), camera.distortion)
    return clip_from_camera(at_camera, intrinsics, camera.size, near, far)


def distort(points_camera: Float[Tensor, "*batch point xyz=3"], k1: float) -> Float[Tensor, "*batch point xyz=3"]:
    """Camera points (..., N, 3) moved across the view at their depth to where a lens shows them; see ``types.Camera``.

    Beyond the radius where k1 would fold the picture over, and behind the camera, the scale stays what it is there.
    """
    if k1 == 0:
        return points_camera
    x, y, z = points_camera.unbind(-1)
    square = (x * x + y * y) / z.clamp_min(1e-3).square()
    scale = 1 + k1 * square.clamp_max(distortion_limit(k1))
    return torch.stack([x * scale, y * scale, z], -1)


def distortion_limit(k1: float) -> float:
    """The largest |d|^2 that ``distort`` tells apart: for barrel distortion nine tenths of where it turns back."""
    return 0.3 / -k1 if k1 < 0 else 1e6


def undistort(directions: Float[Tensor, "*batch point xy=2"], k1: float) -> Float[Tensor, "*batch point xy=2"]:
    """The inverse of ``distort`` for (x, y) / z, by fixed-point iteration; exact to 1e-5 for the lenses of a phone."""
    out = directions
    for _ in range(8 if k1 else 0):
        out = directions / (1 + k1 * out.square().sum(-1, keepdim=True).clamp_max(distortion_limit(k1)))
    return out


def depth_from_clip(depth: Tensor, near: float = NEAR, far: float = FAR) -> Tensor:
    """z/w of ``Fragments.depth`` back to metres along the camera's axis, for the same ``near`` and ``far``."""
    return 2 * far * near / ((far + near) - depth * (far - near))


def project(camera: Camera, points: Float[Tensor, "*batch point xyz=3"]) -> Float[Tensor, "*batch point xy=2"]:
    """World points (..., N, 3) to pixels (column, row).

    Points behind the camera give meaningless pixels: test the depth (``camera_from_world``) first.
    """
    at_camera = distort(camera_from_world(camera, points), camera.distortion)
    return project_camera(at_camera, torch.as_tensor(camera.intrinsics, dtype=points.dtype, device=points.device))


def project_camera(points_camera: Tensor, intrinsics: Tensor) -> Tensor:
    """Camera points (..., N, 3) to pixels (..., N, 2): ``pixel = K x / z``."""
    homogeneous = points_camera @ intrinsics.transpose(-1, -2)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def unproject(
    camera: Camera, pixels: Float[Tensor, "*batch point xy=2"], depth: Float[Tensor, "*batch point"]
) -> Tensor:
    """The inverse of ``project``: pixels (..., N, 2) and their depth (..., N) in metres to world points (..., N, 3)."""
    K = torch.as_tensor(camera.intrinsics, dtype=pixels.dtype, device=pixels.device)
    T = torch.as_tensor(camera.T_camera_world, dtype=pixels.dtype, device=pixels.device)
    rays = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1) @ torch.linalg.inv(K).T
    rays = torch.cat([undistort(rays[..., :2], camera.distortion), rays[..., 2:]], dim=-1)
    return (rays * depth[..., None] - T[:3, 3]) @ T[:3, :3]


def look_at(
    eye: Tensor | Sequence[float], target: Tensor | Sequence[float], up: Tensor | Sequence[float] = (0.0, 0.0, 1.0)
) -> Float[Tensor, "*batch 4 4"]:
    """T_camera_world of a camera at ``eye`` that looks at ``target``, with ``up`` pointing up in the picture.

    All three are (..., 3) world coordinates; they must not be parallel or coincide.
    """
    eye = torch.as_tensor(eye, dtype=torch.float32) if not isinstance(eye, Tensor) else eye
    target = torch.as_tensor(target).to(eye)
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    right = torch.linalg.cross(forward, torch.as_tensor(up).to(eye).expand_as(forward))
    right = torch.nn.functional.normalize(right, dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-2)
    T = torch.zeros((*forward.shape[:-1], 4, 4), dtype=eye.dtype, device=eye.device)
    T[..., :3, :3] = rotation
    T[..., :3, 3] = -(rotation @ eye[..., None])[..., 0]
    T[..., 3, 3] = 1.0
    return T


def intrinsics_from_fov(fov: float, size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """K for a vertical field of view in radians, with square pixels and the axis through the middle of the image."""
    height, width = size
    focal = 0.5 * height / torch.tan(torch.tensor(0.5 * float(fov), dtype=torch.float64))
    K = torch.tensor([[float(focal), 0.0, 0.5 * width], [0.0, float(focal), 0.5 * height], [0.0, 0.0, 1.0]])
    return K


def camera_looking_at(eye: Sequence[float], target: Sequence[float], fov: float, size: tuple[int, int]) -> Camera:
    """A ``types.Camera`` at ``eye`` that looks at ``target``; ``fov`` is vertical, in radians."""
    return Camera(
        intrinsics=intrinsics_from_fov(fov, size).numpy(),
        T_camera_world=look_at([float(v) for v in eye], [float(v) for v in target]).numpy(),
        size=(int(size[0]), int(size[1])),
    )
