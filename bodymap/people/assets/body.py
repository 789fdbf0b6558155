"""Bodies from the Anny model: calibrated random people as a linear basis, with rig, skin weights and helpers.

Anny (code Apache-2.0, data CC0) is MakeHuman's hm08 body as a differentiable model; this module is the only one of
the project that needs it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.people.pack import BASE_VERTICES, Bones, largest_weights

# Shares of ages in years: grown-ups wear the clothes of photographs, children have other proportions
AGES = ((0.06, 3, 7), (0.08, 7, 12), (0.10, 12, 18), (0.46, 18, 45), (0.24, 45, 70), (0.06, 70, 88))
# Groups of base.obj that are kept: helper name -> groups
HELPER_GROUPS = {
    "tights": ("helper-tights",),
    "skirt": ("helper-skirt",),
    "hair": ("helper-hair",),
    "eyes": ("helper-l-eye", "helper-r-eye"),
    "teeth": ("helper-upper-teeth", "helper-lower-teeth"),
    "tongue": ("helper-tongue",),
}
TEST_BODY_EVERY = 10  # a tenth of the identities is held out, as in the paper


@dataclass(frozen=True)
class Bodies:
    """What the pack needs of the body; fields as in ``bodymap.people.pack.Pack``."""

    base_vertices: Float[np.ndarray, "vertex xyz=3"]
    shape_basis: Float[np.ndarray, "component vertex xyz=3"]
    shape_coefficients: Float[np.ndarray, "body component"]
    shape_traits: tuple[dict[str, float], ...]
    shape_split: tuple[str, ...]
    base_heads: Float[np.ndarray, "bone xyz=3"]
    heads_basis: Float[np.ndarray, "component bone xyz=3"]
    bones: Bones
    skin_index: Int[np.ndarray, "vertex 6"]
    skin_weight: Float[np.ndarray, "vertex 6"]


class _Fixed:
    """Stands where Anny's sampler expects a distribution, and hands out values drawn beforehand."""

    def __init__(self, values) -> None:
        self.values = values

    def sample(self, shape):
        return self.values


def random_ages(rng: np.random.Generator, count: int) -> Float[np.ndarray, " body"]:
    """Ages in years, by the shares of AGES."""
    share, low, high = np.array(AGES).T
    group = rng.choice(len(AGES), count, p=share)
    return rng.uniform(low[group], high[group])


def random_genders(rng: np.random.Generator, count: int) -> Float[np.ndarray, " body"]:
    """0 male .. 1 female; nine in ten near an end, so that clothes cut for one find a body to match."""
    return np.where(
        rng.random(count) < 0.1, rng.random(count), rng.choice([0.0, 0.85], count) + 0.15 * rng.random(count)
    )


def build_bodies(count: int, components: int, seed: int = 0, progress: Callable[[str], None] = print) -> Bodies:
    """Samples ``count`` people from Anny and compresses them.

    The first body is the template's (every trait in the middle) and has all coefficients 0.

    Raises:
        UserError: Anny is not installed.
    """
    model = _load_anny()
    import torch
    from anny.shape_distribution import SimpleShapeDistribution
    from anny.skinning.skinning import dense_bone_weights

    rng = np.random.default_rng(seed)
    ages, genders = random_ages(rng, count - 1), random_genders(rng, count - 1)
    # Anny's sampler draws from torch's global generator: lend it a seeded one, and give the caller's state back
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sampler = SimpleShapeDistribution(
            model,
            morphological_age_distribution=_Fixed(torch.tensor(ages, dtype=model.dtype)),
            gender_distribution=_Fixed(torch.tensor(genders, dtype=model.dtype)),
        )
        _, phenotypes = sampler.sample(count - 1)
    # the sampler gives children any chest; theirs grows between 10 and 16
    phenotypes["cupsize"] = phenotypes["cupsize"] * torch.tensor(np.clip((ages - 10) / 6, 0, 1))
    middle = torch.full((1,), 0.5, dtype=model.dtype)
    phenotypes = {k: torch.cat([middle, phenotypes[k].to(model.dtype)]) for k in model.phenotype_labels}

    vertices = np.empty((count, BASE_VERTICES, 3), np.float32)
    heads = np.empty((count, model.bone_count, 3), np.float32)
    rest = torch.eye(4, dtype=model.dtype)[None, None]
    for start in range(0, count, 20):
        batch = {k: v[start : start + 20] for k, v in phenotypes.items()}
        size = len(batch["gender"])
        with torch.no_grad():
            output = model(pose_parameters=rest.repeat(size, model.bone_count, 1, 1), phenotype_kwargs=batch)
        vertices[start : start + size] = output["rest_vertices"].numpy()
        heads[start : start + size] = output["rest_bone_heads"].numpy()
        if start % 100 == 0:
            progress(f"bodies: {start + size} of {count}")

    basis, coefficients = linear_basis(vertices, components)
    base, base_heads = vertices[0].copy(), heads[0].copy()
    heads_basis = np.linalg.lstsq(coefficients, (heads - base_heads).reshape(count, -1), rcond=None)[0]
    worst = np.abs(base + np.tensordot(coefficients[1::50], basis, 1) - vertices[1::50]).max(2)
    progress(
        f"bodies: {components} components, error {1e3 * worst.mean():.2f} mm mean, {1e3 * worst.max():.1f} mm worst"
    )

    dense = dense_bone_weights(model.vertex_bone_weights, model.vertex_bone_indices, model.bone_count).numpy()
    dense = dense if dense.shape[0] == BASE_VERTICES else dense.T
    index, weight = largest_weights(dense)
    traits = {k: v.numpy() for k, v in phenotypes.items() if k != "age"}
    traits["age"] = np.concatenate([[25.0], ages])
    return Bodies(
        base_vertices=base,
        shape_basis=basis,
        shape_coefficients=coefficients,
        shape_traits=tuple({k: round(float(v[n]), 4) for k, v in traits.items()} for n in range(count)),
        shape_split=tuple("test" if n % TEST_BODY_EVERY == TEST_BODY_EVERY - 1 else "train" for n in range(count)),
        base_heads=base_heads,
        heads_basis=heads_basis.reshape(components, -1, 3).astype(np.float32),
        bones=Bones(tuple(model.bone_labels), tuple(int(p) for p in model.bone_parents)),
        skin_index=index,
        skin_weight=weight,
    )


def linear_basis(
    vertices: Float[np.ndarray, "body vertex xyz=3"], components: int
) -> tuple[Float[np.ndarray, "component vertex xyz=3"], Float[np.ndarray, "body component"]]:
    """Best linear basis of the differences to the **first** body, scaled so that coefficients have a mean square of 1.

    Not centred on the mean on purpose: the first body, the template, is then exactly the zero vector.
    """
    count = len(vertices)
    differences = (vertices - vertices[0]).reshape(count, -1)
    # count << 3 * vertices: the small Gram matrix gives the same right singular vectors
    values, left = np.linalg.eigh((differences @ differences.T).astype(np.float64))
    order = np.argsort(values)[::-1][:components]
    coefficients = left[:, order] * np.sqrt(count)
    coefficients[0] = 0
    basis = coefficients.T.astype(np.float32) @ differences / count
    return basis.reshape(components, *vertices.shape[1:]), coefficients.astype(np.float32)


def helper_triangles(
    groups: dict[str, tuple[str, ...]] = HELPER_GROUPS, path: Path | None = None
) -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Triangles (base vertex ids) and UV of the base mesh's helper groups, from Anny's own base.obj.

    Returns:
        name -> (m, 3) int32 triangles; name -> (uv (k, 2) float32 v down in [0, 1], uv_triangles
        (m, 3) int32).
    """
    path = path or anny_folder() / "data" / "mpfb2" / "3dobjs" / "base.obj"
    from bodymap.people.assets.obj import read_obj, triangulate

    mesh = read_obj(path)
    triangles, uvs = {}, {}
    for name, wanted in groups.items():
        corners, uv_corners = triangulate(
            [f for f, g in zip(mesh.faces, mesh.groups, strict=True) if g in wanted],
            [f for f, g in zip(mesh.uv_faces, mesh.groups, strict=True) if g in wanted],
        )
        triangles[name] = corners
        used, compact = np.unique(uv_corners, return_inverse=True)
        # in the base mesh's atlas the helpers lie in a corner: enlarged to the unit square, proportions kept
        uv = mesh.uv[used] - mesh.uv[used].min(0)
        uvs[name] = (uv / max(float(uv.max()), 1e-9), compact.reshape(-1, 3).astype(np.int32))
    return triangles, uvs


def anny_folder() -> Path:
    """Where Anny and its data are installed.

    Raises:
        UserError: it is not.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("Anny, the body model, is not installed: pip install bodymap[people].")
    return Path(spec.submodule_search_locations[0])


def _load_anny():
    anny_folder()
    import anny
    import torch

    # 'original' blendshapes and the makehuman topology keep hm08's vertex numbers, which garments refer to
    return anny.Anny(topology="makehuman", rig="makehuman", phenotypes="all", phenotype_blendshapes="original").to(
        dtype=torch.float32
    )
