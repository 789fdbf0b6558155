"""The whole way from a scan to an identity: read, align, fit, displace, colour."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.people.anatomy import template
from bodymap.people.mesh import corner_normals
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.rig import State
from bodymap.people.scans.align import align
from bodymap.people.scans.displace import displace
from bodymap.people.scans.fit import Fitter, fit_body
from bodymap.people.scans.identity import Identity
from bodymap.people.scans.labels import parse_layers
from bodymap.people.scans.matching import Target, surface_gap
from bodymap.people.scans.read import read_scan, sample_scan
from bodymap.people.scans.texture import transfer_texture
from bodymap.people.scans.visible import seen_faces

STEPS = 30
_SAMPLES = 60000  # points of the scan among which matches are sought


@dataclass(frozen=True)
class Registration:
    """An identity, and where it lies in its scan.

    Attributes:
        vertices: (13380, 3) the template's vertices on the scan's surface, in the **scan's** coordinates and unit.
        body: (13380, 3) the same of the fitted body before its displacement.
        gap: mean distance across the surface between person and scan, metres; holes left out.
    """

    identity: Identity
    vertices: Float[np.ndarray, "vertex xyz=3"]
    body: Float[np.ndarray, "vertex xyz=3"]
    gap: float


def register(
    path: str | os.PathLike,
    pack: Pack,
    *,
    steps: int = STEPS,
    up: str | None = None,
    unit: str | None = None,
    height: float | None = None,
    texture: int = 1024,
    layers: Int[np.ndarray, " face"] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> Registration:
    """Fits the template to a scan; about a minute and a half on one core.

    Args:
        pack: whose bodies are fitted.
        steps: Gauss-Newton iterations of shape and pose in all.
        up: the scan's up axis, a key of ``frame.AXES``.  unit: a key of ``frame.UNITS``.  None: found.
        height: metres; overrules the unit.
        texture: texels along a side.
        layers: index into LAYER_NAMES of each template triangle; None: all skin.
        seed: of where the scan is sampled.

    Raises:
        UserError: the scan cannot be read, or no person fits it.
    """
    scan = read_scan(path)
    progress(f"scan: {len(scan.triangles)} triangles, {len(scan.pictures)} textures")
    placed = align(scan, pack, up, unit, height, seed)
    progress(f"aligned: unit {placed.unit}")
    upright = scan.moved(placed.T_template_scan)
    target = Target(sample_scan(upright, _SAMPLES, np.random.default_rng(seed), seen_faces(upright)))
    fitter = Fitter(pack, target)
    state = fit_body(fitter, placed.state, steps, progress)
    surface, rest = displace(fitter, state)

    outer = fitter.fine.ids
    gap = surface_gap(surface[outer], corner_normals(surface, fitter.triangles)[outer].astype(float), target)
    progress(f"displaced: {1e3 * gap:.1f} mm from the scan on average")
    colours = transfer_texture(upright, target, surface, texture)
    progress(f"texture: {100 * colours.seen.sum() / max(colours.covered, 1):.0f} % of it seen")

    alike = int(((pack.shape_coefficients - state.shape) ** 2).sum(1).argmin())
    traits = pack.shape_traits[alike]
    notes = {"scan": Path(path).name, "unit": placed.unit, "gap": round(gap, 5), "steps": steps}
    identity = Identity(
        vertices=_with_helpers(pack, state, rest),
        heads=pack.heads(state.shape).astype(np.float32),
        coefficients=state.shape.astype(np.float32),
        local=state.local.astype(np.float32),
        T_template_scan=placed.T_template_scan,
        texture=colours.colour,
        seen=colours.seen,
        triangle_layer=parse_layers([]) if layers is None else layers,
        female=float(traits.get("gender", 0.5)) > 0.5,
        age=float(traits.get("age", 30.0)),
        notes=notes,
    )
    back = np.linalg.inv(placed.T_template_scan)
    in_scan = [points @ back[:3, :3].T + back[:3, 3] for points in (surface, fitter.full.posed(state))]
    return Registration(identity, in_scan[0], in_scan[1], gap)


def _with_helpers(pack: Pack, state: State, rest: np.ndarray) -> Float[np.ndarray, "vertex xyz=3"]:
    """The base mesh with displaced skin; its helpers move with the skin vertex nearest to them on the default body, so
    that garments of the pack can be put on."""
    from scipy.spatial import cKDTree

    vertices = pack.vertices(state.shape).astype(float)
    move = rest - vertices[:SKIN_VERTICES]
    outer = np.flatnonzero(template().vertex_triangles[:, 0].numpy() >= 0)
    near = outer[cKDTree(pack.base_vertices[outer]).query(pack.base_vertices[SKIN_VERTICES:])[1]]
    return np.concatenate([rest, vertices[SKIN_VERTICES:] + move[near]]).astype(np.float32)
