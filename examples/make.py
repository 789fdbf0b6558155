"""How the two pictures in this folder were made: people of our own, lit by path tracing.

    python examples/make.py --pack people.pack --tracer PYTHON_WITH_BPY
    python -m apps.swap examples/ben.jpg examples/anna.jpg -o examples/swapped.jpg  # for the web page

The surfaces' own colours come from our rasteriser (cut-out hair, patterns and all), the light that reaches them from
Cycles, which sees the same geometry in white, in a white studio. Colour times light is what a diffuse world looks like.
``bpy`` (GPL, about a gigabyte) is needed here only, so it may live in an environment of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SIZE = (1152, 768)
PEOPLE = {  # name: (person, pose, camera, backdrop colour)
    "anna": (2105, 0, 1, (0.55, 0.62, 0.66)),
    "ben": (2049, 2, 1, (0.66, 0.60, 0.52)),
}


# --------------------------------------------------------------------------------------------- colours, by our engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True, help="a full pack of people")
    parser.add_argument("--tracer", default=sys.executable, help="a Python that can import bpy")
    arguments = parser.parse_args()

    from PIL import Image

    for name in PEOPLE:
        with tempfile.TemporaryDirectory() as folder:
            scene, light = Path(folder) / "scene.npz", Path(folder) / "light.npy"
            colour, hair = _colours(name, arguments.pack, scene)
            subprocess.run([arguments.tracer, __file__, "--trace", str(scene), str(light)], check=True)
            irradiance = np.load(light)
        # strands are too fine for the traced geometry, which has none: they get the light of a patch around them
        smooth = (
            np.asarray(
                Image.fromarray((np.clip(irradiance.mean(-1), 0, 4) * 60).astype(np.uint8))
                .reduce(24)
                .resize(SIZE[::-1])
            )
            / 60
        )
        irradiance = np.where(hair[..., None], smooth[..., None], irradiance)
        linear = colour * irradiance * (0.62 / np.percentile(irradiance, 75))
        srgb = np.clip(linear, 0, 1) ** (1 / 2.2)
        Image.fromarray((srgb * 255).round().astype(np.uint8)).save(Path(__file__).parent / f"{name}.jpg", quality=92)
        print(f"{name}.jpg")


def _colours(name: str, pack_file: str, scene: Path) -> tuple[np.ndarray, np.ndarray]:
    """(linear colour (H, W, 3), hair (H, W) bool); writes the geometry and the camera for the tracer."""
    from bodymap.people.background import Backdrop
    from bodymap.people.camera import draw_view
    from bodymap.people.config import CameraConfig, PeopleConfig, PoseConfig
    from bodymap.people.film.film import expose
    from bodymap.people.film.stagehand import Take
    from bodymap.people.light import Light
    from bodymap.people.pack import Pack
    from bodymap.people.person import get_person
    from bodymap.people.pose import draw_pose
    from bodymap.people.stage import Actor
    from bodymap.people.streams import stream
    from bodymap.types import LAYER_NAMES

    person, pose, camera, backdrop = PEOPLE[name]
    config = PeopleConfig(
        size=SIZE,
        camera=CameraConfig(
            facing={"front": 1.0}, facing_spread=12.0, framing={"full": 1.0}, roll=0, steep=0, distortion=0
        ),
        pose=PoseConfig(
            pack=0,
            procedural=1,
            procedural_kind={"stand": 1.0},
            arms={"down": 1.0},
            hands={"relaxed": 1.0},
            joint_noise=0.2,
        ),
    )
    pack = Pack.load(pack_file)
    subject = get_person(person, pack, config, "train")
    local = draw_pose(stream(pose, "pose", "train"), pack, subject.body.heads, config.pose, "train")
    placed = subject.place(pack, local)
    rng = stream(camera, "camera", "train")
    view = draw_view(rng, placed.probe, pack.bones, placed.posed, SIZE, config.camera)

    # light of one from everywhere: what is left is the surfaces' own colour
    flat = np.zeros((9, 3), np.float32)
    flat[0] = 1 / 0.282095
    white = Light(flat, np.array([0, 0, 1], np.float32), np.zeros(3, np.float32), 0.0)
    wall = Backdrop(image=np.full((1, 1, 3), 255 * np.array(backdrop), np.uint8))
    film = expose([Take((Actor.person(subject, placed, 1),), view.camera, white, wall)])
    stage = film.geometry.stage()
    solid = ~np.array([m.alpha for m in stage.materials])[stage.piece.numpy()]
    np.savez(
        scene,
        vertices=stage.vertices.numpy(),
        triangles=stage.triangles.numpy()[solid],
        intrinsics=view.camera.intrinsics,
        T_camera_world=view.camera.T_camera_world,
    )
    return film.colour[0].clamp(0, 1).numpy(), film.layer[0].numpy() == LAYER_NAMES.index("hair")


# --------------------------------------------------------------------------------------------------- light, by Cycles


def trace(scene_file: str, output: str) -> None:
    """Renders the white scene in a white studio; saves linear light, (H, W, 3) float32."""
    import bpy
    from mathutils import Matrix

    data = np.load(scene_file)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    white = bpy.data.materials.new("white")
    white.use_nodes = True
    shader = white.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0.8, 0.8, 0.8, 1)
    shader.inputs["Roughness"].default_value = 1
    shader.inputs["Specular IOR Level"].default_value = 0

    def add(name: str, vertices: np.ndarray, faces: np.ndarray, smooth: bool) -> None:
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(vertices.tolist(), [], faces.tolist())
        mesh.polygons.foreach_set("use_smooth", [smooth] * len(mesh.polygons))
        mesh.materials.append(white)
        scene.collection.objects.link(bpy.data.objects.new(name, mesh))

    add("person", data["vertices"], data["triangles"], True)
    # a floor that bends up into a wall behind the person, as seen from the camera
    T = data["T_camera_world"].astype(np.float64)
    away = T[2, :3] * [1, 1, 0]
    away /= np.linalg.norm(away)
    side = np.array([away[1], -away[0], 0])
    bend = [(-6.0, 0.0), (1.2, 0.0)] + [
        (1.2 + np.sin(a) * 0.8, 0.8 - np.cos(a) * 0.8) for a in np.linspace(0, np.pi / 2, 12)[1:]
    ]
    profile = bend + [(2.0, 6.0)]
    rows = np.array([[away * d + side * s + [0, 0, z] for s in (-8, 8)] for d, z in profile]).reshape(-1, 3)
    add("studio", rows, np.array([[2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2] for i in range(len(profile) - 1)]), True)

    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.35
    scene.world = world
    for place, energy, size in (
        (-away * 2.5 + side * 2.2 + [0, 0, 3.2], 260, 1.4),
        (-away * 2 - side * 2.5 + [0, 0, 1.8], 60, 2.0),
    ):
        lamp = bpy.data.lights.new("lamp", "AREA")
        lamp.energy, lamp.size = energy, size
        thing = bpy.data.objects.new("lamp", lamp)
        aim = np.array([0, 0, 1.0]) - place
        back = -aim / np.linalg.norm(aim)
        right = np.cross([0, 0, 1], back)
        right /= np.linalg.norm(right)
        frame = np.eye(4)
        frame[:3, 0], frame[:3, 1], frame[:3, 2], frame[:3, 3] = right, np.cross(back, right), back, place
        thing.matrix_world = Matrix(frame.tolist())
        scene.collection.objects.link(thing)

    k = data["intrinsics"]
    height, width = SIZE
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit, camera.sensor_width = "HORIZONTAL", 36
    camera.lens = float(k[0, 0]) * 36 / width
    camera.shift_x, camera.shift_y = float(width / 2 - k[0, 2]) / width, float(k[1, 2] - height / 2) / width
    thing = bpy.data.objects.new("camera", camera)
    # OpenCV's camera looks along +z with y down, Blender's along -z with y up
    pose = np.linalg.inv(T) @ np.diag([1, -1, -1, 1])
    thing.matrix_world = Matrix(pose.tolist())
    scene.collection.objects.link(thing)
    scene.camera = thing

    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 24, True
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.view_settings.view_transform = "Raw"
    scene.render.filepath = output + ".exr"
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(output + ".exr")
    pixels = np.array(image.pixels[:], np.float32).reshape(height, width, 4)[::-1, :, :3]
    np.save(output, pixels)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--trace":
        trace(sys.argv[2], sys.argv[3])
    else:
        main()
