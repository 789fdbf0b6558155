"""Cloth over a moving body: newton's SolverStyle3D (projective dynamics), both garments in one solve.

The body is a static mesh shape whose points and velocities are written anew each substep, so that friction follows the
skin. Vertices that are held (a waistband) are moved with the skin and never solved.

Facts about newton 1.8 that the code depends on:

* particles are culled by the box that a mesh shape had when the model was made: the box is made large;
* a closed mesh gets its sign by counting ray crossings, wrong where a skinned body overlaps itself: the flag is taken
  off, and the sign comes from pseudo-normals;
* ``.numpy()`` on the CPU is a view of the living state: results are copied.
"""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
import warp as wp
from jaxtyping import Float, Int

from bodymap.errors import UserError

wp.set_module_options({"enable_backward": False})

FPS = 30


@dataclass(frozen=True)
class SolverConfig:
    """How cloth behaves and how finely it is solved; the defaults held in all our trials (docs/layered.md).

    Attributes:
        substeps: a frame.  iterations, linear_iterations: of a substep.
        stretch, bend: stiffness.  density: kg/m^2.
        contact, contact_damping: stiffness between body and cloth, and its damping.  friction: between them.
        radius: metres that cloth keeps off the body.  thickness: metres between two layers.
        air: share of the velocity that is lost in a second, as a rate.  fastest: m/s, a bound.
    """

    substeps: int = 10
    iterations: int = 2
    linear_iterations: int = 20
    stretch: float = 4e2
    bend: float = 2e-6
    density: float = 0.2
    contact: float = 1e3
    contact_damping: float = 1e-3
    friction: float = 0.3
    radius: float = 0.005
    thickness: float = 0.003
    air: float = 0.6
    fastest: float = 8.0


@wp.kernel
@no_type_check
def move_body_kernel(
    before: wp.array(dtype=wp.vec3),
    after: wp.array(dtype=wp.vec3),
    share: float,
    rate: float,
    points: wp.array(dtype=wp.vec3),
    velocities: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    points[i] = before[i] * (1.0 - share) + after[i] * share
    velocities[i] = (after[i] - before[i]) * rate


@wp.kernel
@no_type_check
def hold_kernel(
    held: wp.array(dtype=int),
    before: wp.array(dtype=wp.vec3),
    after: wp.array(dtype=wp.vec3),
    share: float,
    q: wp.array(dtype=wp.vec3),
    qd: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    q[held[i]] = before[i] * (1.0 - share) + after[i] * share
    qd[held[i]] = wp.vec3(0.0, 0.0, 0.0)


@wp.kernel
@no_type_check
def calm_kernel(qd: wp.array(dtype=wp.vec3), keep: float, fastest: float):
    i = wp.tid()
    v = qd[i] * keep
    speed = wp.length(v)
    if speed > fastest:
        v = v * (fastest / speed)
    qd[i] = v


class ClothSolver:
    """Some garments about one body.

    Args:
        garments: (vertices (n, 3), triangles (m, 3)) each, at rest about the body, metres; and, where the cloth rests
            at the lengths of another shape, that (n, 3).
        body, body_triangles: the body at rest.
        held: ids of all garments' vertices, counted through, that follow the skin.
    """

    def __init__(
        self,
        garments: list[tuple[np.ndarray, ...]],
        body: Float[np.ndarray, "vertex xyz=3"],
        body_triangles: Int[np.ndarray, "face 3"],
        held: Int[np.ndarray, " held"],
        config: SolverConfig | None = None,
    ):
        wp.config.quiet = True
        try:
            import newton
            from newton.solvers import style3d
        except ImportError:
            raise UserError("The package newton is not installed; run pip install 'bodymap[cloth]'.") from None
        c = self.config = config or SolverConfig()
        self.dt = 1 / (FPS * c.substeps)
        builder = newton.ModelBuilder(gravity=(0.0, 0.0, -9.81))
        newton.solvers.SolverStyle3D.register_custom_attributes(builder)
        for vertices, triangles, *pattern in garments:
            panel = _flat(pattern[0] if pattern else vertices, triangles)
            style3d.add_cloth_mesh(
                builder,
                pos=wp.vec3(0.0, 0.0, 0.0),
                rot=wp.quat_identity(),
                vel=wp.vec3(0.0, 0.0, 0.0),
                vertices=vertices.tolist(),
                indices=triangles.reshape(-1).tolist(),
                panel_verts=panel.tolist(),
                panel_indices=list(range(len(panel))),
                density=c.density,
                particle_radius=c.radius,
                tri_aniso_ke=wp.vec3(c.stretch, c.stretch, 0.1 * c.stretch),
                edge_aniso_ke=wp.vec3(c.bend, c.bend, c.bend),
            )
        corners = np.ascontiguousarray(body_triangles, np.int32).reshape(-1)
        mesh = newton.Mesh(np.ascontiguousarray(body, np.float32), corners, compute_inertia=False)
        shape = newton.ModelBuilder.ShapeConfig(ke=c.contact, kd=c.contact_damping, mu=c.friction, margin=0.0, gap=0.0)
        number = builder.add_shape_mesh(body=-1, mesh=mesh, cfg=shape)
        model = self.model = builder.finalize(device="cpu")
        model.soft_contact_ke, model.soft_contact_kd, model.soft_contact_mu = c.contact, c.contact_damping, c.friction
        for box, far in ((model.shape_collision_aabb_lower, -100.0), (model.shape_collision_aabb_upper, 100.0)):
            values = box.numpy().copy()
            values[number] = far
            box.assign(values)
        if getattr(model, "_shape_mesh_properties", None) is not None:
            model._shape_mesh_properties.zero_()
        flags, mass = model.particle_flags.numpy().copy(), model.particle_inv_mass.numpy().copy()
        flags[held] &= ~int(newton.ParticleFlags.ACTIVE)
        mass[held] = 0
        model.particle_flags.assign(flags)
        model.particle_inv_mass.assign(mass)
        self._held = wp.array(np.ascontiguousarray(held, np.int32), dtype=int, device="cpu")
        self._mesh = mesh.mesh
        self._pipeline = newton.CollisionPipeline(model, soft_contact_gap=0.012)
        self._contacts = self._pipeline.contacts()
        steps = newton.solvers.SolverStyle3D.Config(iterations=c.iterations, linear_iterations=c.linear_iterations)
        self._solver = newton.solvers.SolverStyle3D(model, config=steps)
        self._solver.collision.radius = c.thickness
        self._now, self._next, self._control = model.state(), model.state(), model.control()

    def frame(
        self,
        body: tuple[Float[np.ndarray, "vertex xyz=3"], Float[np.ndarray, "vertex xyz=3"]],
        held: tuple[Float[np.ndarray, "held xyz=3"], Float[np.ndarray, "held xyz=3"]],
    ) -> Float[np.ndarray, "vertex xyz=3"]:
        """One frame on, while body and held vertices go from the first to the second of each; all cloth vertices."""
        bodies = [_vectors(vertices) for vertices in body]
        pins = [_vectors(vertices) for vertices in held]
        self._solver.rebuild_bvh(self._now)
        keep = float(np.exp(-self.config.air * self.dt))
        for k in range(self.config.substeps):
            share = (k + 1) / self.config.substeps
            rate = 1 / (self.config.substeps * self.dt)
            _run(move_body_kernel, len(bodies[0]), *bodies, share, rate, self._mesh.points, self._mesh.velocities)
            self._mesh.refit()
            if len(self._held):
                for state in (self._now, self._next):
                    _run(hold_kernel, len(self._held), self._held, *pins, share, state.particle_q, state.particle_qd)
            self._pipeline.collide(self._now, self._contacts)
            self._now.clear_forces()
            self._solver.step(self._now, self._next, self._control, self._contacts, self.dt)
            self._now, self._next = self._next, self._now
            _run(calm_kernel, self.model.particle_count, self._now.particle_qd, keep, self.config.fastest)
        return self._now.particle_q.numpy().copy()


def _run(kernel, count: int, *arguments) -> None:
    wp.launch(kernel, count, inputs=list(arguments), device="cpu")


def _vectors(array: np.ndarray) -> wp.array:
    return wp.array(np.ascontiguousarray(array, np.float32).reshape(-1, 3), dtype=wp.vec3, device="cpu")


def _flat(vertices: np.ndarray, triangles: np.ndarray) -> Float[np.ndarray, "corner xy=2"]:
    """Every triangle laid flat by itself: its rest shape is its shape in 3-D."""
    a, b, c = (vertices[triangles[:, k]].astype(float) for k in range(3))
    along = b - a
    length = np.linalg.norm(along, axis=1)
    along /= length[:, None]
    x = ((c - a) * along).sum(1)
    y = np.linalg.norm(c - a - x[:, None] * along, axis=1)
    zero = np.zeros_like(x)
    return np.stack([np.stack([zero, zero], 1), np.stack([length, zero], 1), np.stack([x, y], 1)], 1).reshape(-1, 2)
