"""The optional backends: the real ones against warp where they are installed, their translation on stand-ins anywhere.

The stand-ins follow the packages' documented conventions (nvdiffrast 0.4 ``ops.py`` and ``rasterize.cu``; pytorch3d
0.7.9 ``rasterize_meshes.py`` and ``rasterize_meshes_cpu.cpp``) but draw with the obvious rasteriser.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types

import pytest
import torch

from bodymap.errors import UserError
from bodymap.rendering import rasterize

SIZE = (33, 47)


# -------------------- the real packages


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("nvdiffrast") is None,
    reason="needs nvdiffrast and a CUDA device",
)
@pytest.mark.parametrize("layers", [1, 3])
def test_nvdiffrast_agrees_with_warp(layers, soup, assert_same):
    clip, triangles = (part.cuda() for part in soup(1, faces=100, batch=2))
    draws = [rasterize(clip, triangles, (128, 192), layers, backend=name) for name in ("nvdiffrast", "warp")]
    # Its coverage is snapped to 1/16 pixel, so edges may move by as much.
    assert_same(*draws, may_differ=0.02)


@pytest.mark.skipif(importlib.util.find_spec("pytorch3d") is None, reason="needs pytorch3d")
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("size", [(40, 60), (60, 40)])
def test_pytorch3d_agrees_with_warp(layers, size, soup, assert_same):
    clip, triangles = soup(1, faces=100, batch=2)
    draws = [rasterize(clip, triangles, size, layers, backend=name) for name in ("pytorch3d", "warp")]
    assert_same(*draws, may_differ=0.01)


# -------------------- stand-ins


def stand_in(monkeypatch, name: str, **contents) -> types.ModuleType:
    """Puts a module into ``sys.modules`` for one test."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    for key, value in contents.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def fresh_backend(monkeypatch, name: str):
    """The backend's module, imported on top of the stand-ins and forgotten afterwards."""
    import bodymap.rendering as package

    # Set and deleted through monkeypatch, so that both places are as before when the test ends.
    monkeypatch.setitem(sys.modules, f"bodymap.rendering.{name}", None)
    monkeypatch.setattr(package, name, None, raising=False)
    monkeypatch.delitem(sys.modules, f"bodymap.rendering.{name}")
    return importlib.import_module(f"bodymap.rendering.{name}")


@pytest.fixture
def fake_nvdiffrast(monkeypatch, reference):
    def raster(clip, triangles, size, layer):
        assert clip.dtype == torch.float32 and triangles.dtype == torch.int32 and clip.is_contiguous()
        drawn = reference(clip, triangles, size, layer + 1)[layer]
        code = (drawn.triangle + 1).int()
        packed = torch.where(code <= 2**24, code.float(), (code + 0x4A800000).view(torch.float32))
        out = torch.stack([drawn.barycentric[..., 0], drawn.barycentric[..., 1], drawn.depth, packed], dim=-1)
        return out * drawn.foreground[..., None], torch.zeros_like(out)

    class DepthPeeler:
        def __init__(self, context, clip, triangles, size, ranges=None, grad_db=True):
            self.arguments, self.layer = (clip, triangles, size), None

        def __enter__(self):
            self.layer = 0
            return self

        def __exit__(self, *error):
            self.layer = None

        def rasterize_next_layer(self):
            self.layer += 1
            return raster(*self.arguments, self.layer - 1)

    def rasterize(context, clip, triangles, size, ranges=None, grad_db=True):
        return raster(clip, triangles, size, 0)

    torch_side = dict(RasterizeCudaContext=lambda device: object(), DepthPeeler=DepthPeeler, rasterize=rasterize)
    package = stand_in(monkeypatch, "nvdiffrast")
    package.torch = stand_in(monkeypatch, "nvdiffrast.torch", **torch_side)
    return fresh_backend(monkeypatch, "nvdiffrast_backend")


class OnGpu(torch.Tensor):
    """A CPU tensor that says it lies on a GPU."""

    is_cuda = True


@pytest.mark.parametrize("layers", [1, 3])
def test_nvdiffrasts_output_is_translated(fake_nvdiffrast, layers, soup, reference, assert_same):
    clip, triangles = soup(2, batch=2)
    got = fake_nvdiffrast.rasterize(clip.as_subclass(OnGpu), triangles.int(), SIZE, layers)
    assert_same(got, reference(clip, triangles, SIZE, layers), tolerance=1e-5, may_differ=0)


def test_nvdiffrasts_large_indices_are_decoded(fake_nvdiffrast):
    wanted = torch.tensor([0, 1, 2**24, 2**24 + 1, 2**24 + 2, 30_000_000], dtype=torch.int32)
    packed = torch.where(wanted <= 2**24, wanted.float(), (wanted + 0x4A800000).view(torch.float32))
    raster = torch.stack([packed * 0 + 0.2, packed * 0 + 0.3, packed * 0 + 0.4, packed], dim=-1)[None, None]
    fragments = fake_nvdiffrast._fragments(raster)
    assert fragments.triangle.flatten().tolist() == [n - 1 for n in wanted.tolist()]
    torch.testing.assert_close(fragments.barycentric[0, 0, 1], torch.tensor([0.2, 0.3, 0.5]))
    assert fragments.depth[0, 0, 0] == 1 and fragments.barycentric[0, 0, 0].abs().max() == 0


def test_nvdiffrast_on_the_cpu_is_refused_in_a_sentence(fake_nvdiffrast):
    with pytest.raises(UserError, match="GPU only"):
        rasterize(torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]]), SIZE, backend="nvdiffrast")


@pytest.fixture
def fake_pytorch3d(monkeypatch, reference):
    class Meshes:
        def __init__(self, verts, faces):
            self.verts, self.faces = verts, faces

    def rasterize_meshes(
        meshes,
        image_size,
        blur_radius,
        faces_per_pixel,
        bin_size=None,
        max_faces_per_bin=None,
        perspective_correct=False,
    ):
        height, width = image_size
        (verts,), (faces,) = meshes.verts, meshes.faces
        assert faces.dtype == torch.int64 and max_faces_per_bin >= len(faces) and not perspective_correct
        # Its screen: x to the left, y up, the shorter side spans [-1, 1]; triangles that touch z < 1e-8 are dropped.
        kept = torch.nonzero((verts[faces][..., 2] >= 1e-8).all(-1))[:, 0]
        shorter = min(image_size)
        x, y = -verts[:, 0] * shorter / width, -verts[:, 1] * shorter / height
        # z is affine on the screen and sorts; 100 stands for its missing far plane.
        clip = torch.stack([x, y, verts[:, 2] / 100, torch.ones_like(x)], dim=-1)
        layers = reference(clip[None], faces[kept], image_size, faces_per_pixel)
        index = torch.stack([layer.triangle for layer in layers], dim=-1)
        z = torch.stack([100 * layer.depth for layer in layers], dim=-1)
        index = torch.where(index >= 0, kept[index.clamp_min(0)], -1)
        return index, torch.where(index >= 0, z, -1.0), None, None

    stand_in(monkeypatch, "pytorch3d")
    stand_in(monkeypatch, "pytorch3d.renderer")
    stand_in(monkeypatch, "pytorch3d.renderer.mesh")
    stand_in(monkeypatch, "pytorch3d.renderer.mesh.rasterize_meshes", rasterize_meshes=rasterize_meshes)
    stand_in(monkeypatch, "pytorch3d.structures", Meshes=Meshes)
    return fresh_backend(monkeypatch, "pytorch3d_backend")


@pytest.mark.parametrize("size", [(33, 47), (47, 33)])
def test_pytorch3ds_screen_is_translated(fake_pytorch3d, size, soup, reference, assert_same):
    # The soup has triangles that pass the near plane and the far one.
    clip, triangles = soup(4, faces=60, batch=2)
    behind = (clip[..., 2] < -clip[..., 3])[:, triangles]
    assert (behind.any(-1) & ~behind.all(-1)).any() and (clip[..., 2] > clip[..., 3]).any()
    got = rasterize(clip, triangles, size, layers=3, backend="pytorch3d")
    assert_same(got, reference(clip, triangles, size, 3), tolerance=2e-3, may_differ=0.004)


def test_cutting_at_the_near_plane_keeps_what_is_in_front(fake_pytorch3d):
    # z + w is 1 at corners 0 and 1, -1 at corner 2, -2 at corner 3.
    clip = torch.tensor([[0.0, 0.0, 0.0, 1.0], [2.0, 0.0, 0.0, 1.0], [0.0, 2.0, -2.0, 1.0], [5.0, 5.0, -3.0, 1.0]])
    triangles = torch.tensor([[0, 1, 2], [2, 3, 0], [2, 3, 3], [1, 0, 1]])
    points, faces, origin = fake_pytorch3d.cut_at_near_plane(clip, triangles)
    assert origin.tolist() == [0, 0, 1, 3]
    assert ((points[:, 2] + points[:, 3])[faces] >= -1e-6).all()
    edges = points[faces][:2, 1:, :2] - points[faces][:2, :1, :2]
    area = (edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) / 2
    # The whole has area 2; a quarter of it, beyond the cut through the middles, is gone; the sense is kept.
    torch.testing.assert_close(area.sum(), torch.tensor(1.5))
    assert (area > 0).all()
