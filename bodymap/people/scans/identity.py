"""One registered person as a file: the template's vertices on its surface, skeleton and texture; it can be re-posed.

safetensors with JSON metadata, never pickle. Whole in itself: any pack of the same rig poses it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from bodymap.errors import UserError
from bodymap.files import atomic_path, parse_json, sort_safetensors_header
from bodymap.people.anatomy import template
from bodymap.people.material import Material
from bodymap.people.mesh import Piece, compact, keep_triangles
from bodymap.people.pack import BASE_VERTICES, SKIN_VERTICES, Pack
from bodymap.people.person import Person, assemble
from bodymap.people.shape import Body
from bodymap.types import LAYER_NAMES

FORMAT = "bodymap-person"
VERSION = "2"
_SKIN = LAYER_NAMES.index("skin")
_SHAPES: dict[str, tuple[int | None, ...]] = {
    "vertices": (BASE_VERTICES, 3),
    "heads": (None, 3),
    "coefficients": (None,),
    "local": (None, 3, 3),
    "T_template_scan": (4, 4),
    "texture": (None, None, 3),
    "seen": (None, None),
    "triangle_layer": (None,),
}


@dataclass(frozen=True)
class Identity:
    """A scanned person. Metres, Z up, rest pose.

    Attributes:
        vertices: (19158, 3) base mesh; the first 13380 lie on the scan's surface (clothes and hair included), the
            helpers have moved with the skin beside them.
        heads: (J, 3) bone heads of the body within.
        coefficients: (K,) of that body, in the shape basis of the pack used.
        local: (J, 3, 3) the scan's own pose; the first holds its turn.
        T_template_scan: (4, 4) takes scan coordinates to the metres it was fitted in.
        texture: (T, T, 3) sRGB on the template's UV, v down.  seen: texels that come from the scan.
        triangle_layer: (F,) index into LAYER_NAMES; skin unless the user said otherwise.
        female, age: of the most alike body of the pack: guesses.
        notes: how it was made, for people to read.
    """

    vertices: Float[np.ndarray, "vertex xyz=3"]
    heads: Float[np.ndarray, "bone xyz=3"]
    coefficients: Float[np.ndarray, " component"]
    local: Float[np.ndarray, "bone 3 3"]
    T_template_scan: Float[np.ndarray, "4 4"]
    texture: UInt8[np.ndarray, "texel texel rgb=3"]
    seen: Bool[np.ndarray, "texel texel"]
    triangle_layer: Int[np.ndarray, " face"]
    female: bool
    age: float
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> Body:
        """For whoever dresses or photographs it as any other body."""
        return Body(self.vertices, self.heads, self.coefficients, self.female, self.age)

    def person(self, pack: Pack, seed: int = 0) -> Person:
        """As a subject of photographs: one piece for each layer, all with the scan's texture.

        Raises:
            UserError: the pack has another rig.
        """
        if len(pack.bones.labels) != len(self.heads):
            raise UserError(
                f"This person has {len(self.heads)} bones, the pack {len(pack.bones.labels)}; register the scan again."
            )
        t = template()
        rest = t.vertices.numpy()
        inner = t.triangle_inner.numpy() != 0
        whole = Piece(
            name="skin",
            layer=_SKIN,
            vertices=self.vertices[:SKIN_VERTICES],
            triangles=t.triangles.numpy(),
            uv=t.uv.numpy(),
            uv_triangles=t.uv_triangles.numpy(),
            skin_index=pack.skin_index[:SKIN_VERTICES],
            skin_weight=pack.skin_weight[:SKIN_VERTICES],
            truth=rest,
            rest=rest,
            cloth=np.zeros((SKIN_VERTICES, 2), np.float32),
            material=Material(np.ones(3), texture=self.texture, gloss=0.05),
            template_triangle=np.arange(len(inner)),
        )
        pieces = [keep_triangles(whole, ~inner & (self.triangle_layer == _SKIN))]
        for layer in np.unique(self.triangle_layer[~inner]):
            if layer != _SKIN:
                part = compact(keep_triangles(whole, ~inner & (self.triangle_layer == layer)))
                pieces.append(replace(part, name=f"scan {LAYER_NAMES[layer]}", layer=int(layer)))
        return assemble(seed, self.body, tuple(pieces))

    # ------------------------------------------------------------------ files
    def save(self, path: str | os.PathLike) -> None:
        """Writes the identity; nobody ever sees half a file."""
        from safetensors.numpy import save_file

        tensors = {
            "vertices": self.vertices.astype(np.float32),
            "heads": self.heads.astype(np.float32),
            "coefficients": self.coefficients.astype(np.float32),
            "local": self.local.astype(np.float32),
            "T_template_scan": self.T_template_scan.astype(np.float64),
            "texture": self.texture,
            "seen": self.seen.astype(np.uint8),
            "triangle_layer": self.triangle_layer.astype(np.uint8),
        }
        items = json.dumps({"female": self.female, "age": self.age, "notes": self.notes}, sort_keys=True)
        with atomic_path(path) as temporary:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in tensors.items()},
                temporary,
                {"format": FORMAT, "version": VERSION, "items": items},
            )
            sort_safetensors_header(temporary)

    @staticmethod
    def load(path: str | os.PathLike) -> Identity:
        """Reads an identity.

        Raises:
            UserError: missing, not one, of another version, truncated or inconsistent.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.is_file():
            raise UserError(f"There is no person at {path}; make one with python -m bodymap.people.register.")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
                    raise UserError(f"{path} is not a registered person of version {VERSION}; register the scan again.")
                tensors = {name: file.get_tensor(name) for name in _SHAPES}
            items = parse_json(metadata["items"])
            for name, shape in _SHAPES.items():
                array = tensors[name]
                if len(array.shape) != len(shape) or any(
                    b not in (None, a) for a, b in zip(array.shape, shape, strict=True)
                ):
                    raise ValueError(f"{name} is {array.shape}")
                if not np.isfinite(array).all():
                    raise ValueError(f"{name} is not finite")
            layer = tensors.pop("triangle_layer").astype(np.int64)
            if len(layer) != len(template().triangles) or layer.max() >= len(LAYER_NAMES):
                raise ValueError("triangle_layer does not fit the template")
            return Identity(
                **{**tensors, "seen": tensors["seen"] > 0},
                triangle_layer=layer,
                female=bool(items["female"]),
                age=float(items["age"]),
                notes=dict(items["notes"]),
            )
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"The person {path} is damaged ({reason[:120]}); register the scan again.") from None
