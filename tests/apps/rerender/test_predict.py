"""Re-rendering with an oracle in the network's place: in photos whose colours are the code every answer is exact."""

import subprocess
import sys
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import trimesh
from PIL import Image
from support.mapped import psnr
from support.oracle import Oracle, code_photo

from apps.rerender.avatar import make_avatar
from apps.rerender.export import write_mesh
from apps.rerender.predict import main
from apps.rerender.view import frame_camera, render_rgba
from bodymap import BodyMap, UserError
from bodymap.correspondence_io import save_layer_maps
from bodymap.fitting.body import project
from bodymap.fitting.picture import draw
from bodymap.people.skinning import rotation_vector
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template
from bodymap.types import LAYER_NAMES, LayerMaps
from bodymap.visual.video import write_film


@pytest.fixture(scope="module")
def model():
    return BodyMap(Oracle(), load_template(), config=PredictorConfig(size=224, coarse_size=160))


@pytest.fixture(scope="module")
def photo():
    return code_photo(240, 0.3).image


@pytest.fixture(scope="module")
def avatar(model, photo):
    return make_avatar(photo, model.predict(photo), texture_size=512)


def code_error(avatar, vertices, camera) -> np.ndarray:
    """Differences in [0, 255] between what is rendered and the code of what the camera sees."""
    rgb, alpha = render_rgba(avatar, vertices, camera)
    truth = draw(vertices, camera)
    inside = truth.mask & (alpha[..., 0] > 0.999)
    return np.abs(rgb[inside] - truth.colour[inside]).max(-1)


def test_the_photos_own_view_comes_back(avatar, photo, model):
    rgb, alpha = render_rgba(avatar, avatar.vertices, avatar.fit.camera)
    mask = model.predict(photo).mask
    covered = alpha[..., 0] > 0.5
    assert (covered & mask).sum() > 0.9 * (covered | mask).sum()
    both = (alpha[..., 0] > 0.99) & mask
    assert psnr(rgb[both] / 255, photo[both] / 255) > 24
    assert np.allclose(avatar.turned(0), avatar.vertices, atol=1e-9)
    assert np.allclose(avatar.turned(360), avatar.vertices, atol=1e-5)


def test_a_turned_body_shows_the_right_places(avatar):
    camera = frame_camera(avatar.fit.camera, [avatar.turned(40)], 240)
    assert max(camera.size) == pytest.approx(240, abs=2)
    error = code_error(avatar, avatar.turned(40), camera)
    assert np.median(error) < 6
    # positive: what is on the person's left comes into view
    t = load_template()
    left = t.vertices[:, 0].argmax().item()
    assert avatar.turned(40)[left, 2] < avatar.vertices[left, 2]


def test_another_pose_moves_the_limb_and_keeps_the_floor(avatar):
    own = avatar.posed(avatar.fit.state.local, own_root=True)
    assert np.allclose(own, avatar.vertices, atol=1e-6)
    local = avatar.fit.state.local.copy()
    bone = avatar.fit.pack.bones.labels.index("lowerarm01.L")
    local[bone] = rotation_vector([0.0, 0, 0.8]) @ local[bone]
    moved = np.linalg.norm(avatar.posed(local, own_root=True) - avatar.vertices, axis=1)
    weight = ((avatar.fit.pack.skin_index == bone) * avatar.fit.pack.skin_weight).sum(1)[: len(moved)]
    assert moved[weight > 0.9].mean() > 0.015
    feet = avatar.vertices[:, 1] > np.quantile(avatar.vertices[:, 1], 0.95)
    assert moved[feet].max() < 1e-6
    # in the pack's axes an untouched root stands upright, on the same ground, and looks at the camera
    rest = avatar.posed(np.tile(np.eye(3), (len(local), 1, 1)))
    assert (rest @ avatar.up).min() == pytest.approx((avatar.vertices @ avatar.up).min())
    assert np.ptp(rest @ avatar.up) > 2.5 * np.ptp(rest[:, 2])


def test_up_is_where_a_standing_body_is_above_its_feet(avatar):
    assert avatar.up @ [0, -1, 0] > np.cos(np.radians(12))
    # a camera that looks down by 15 degrees sees the same body tilted
    tilt = rotation_vector([np.radians(15), 0, 0])
    local = avatar.fit.state.local.copy()
    local[0] = tilt @ local[0]
    seen = replace(avatar, fit=replace(avatar.fit, state=replace(avatar.fit.state, local=local)))
    assert np.allclose(seen.up, tilt @ avatar.up, atol=1e-6)
    half = [np.linalg.norm(seen.turned(a)[:, :2] - seen.turned(a)[:, :2].mean(0), axis=1).max() for a in (0, 180)]
    assert half[0] == pytest.approx(half[1], rel=0.2)


def test_a_second_photo_shows_what_the_first_one_hides(avatar, model, photo):
    behind = code_photo(240, np.pi).image
    both = make_avatar(photo, model.predict(photo), texture_size=512, more=[(behind, model.predict(behind))])
    alone, together = ((a.texture.origin == 1).float().mean() for a in (avatar, both))
    assert together > 1.4 * alone
    assert np.allclose(both.vertices, avatar.vertices)
    camera = frame_camera(both.fit.camera, [both.turned(180)], 240)
    assert (
        np.median(code_error(both, both.turned(180), camera))
        < 6
        < np.median(code_error(avatar, avatar.turned(180), camera))
    )


def test_framing_keeps_everything_in_the_picture(avatar):
    bodies = [avatar.turned(a) for a in (0, 90, 200)]
    camera = frame_camera(avatar.fit.camera, bodies, 300)
    assert camera.size[0] % 2 == camera.size[1] % 2 == 0
    for body in bodies:
        seen = project(body, camera)
        assert seen.min() > 0 and (seen < camera.size[::-1]).all()


def test_mesh_carries_the_texture(avatar, tmp_path):
    write_mesh(tmp_path / "person.glb", avatar, avatar.vertices)
    mesh = trimesh.load(tmp_path / "person.glb", force="mesh")
    t = avatar.template
    assert len(mesh.faces) == int((t.triangle_inner == 0).sum())
    assert np.ptp(mesh.vertices[:, 1]) == pytest.approx(np.ptp(avatar.vertices[:, 1]), rel=1e-3)
    # upright, and facing the viewer like the photo's person
    image = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    uv = mesh.visual.uv
    column, row = uv[:, 0] * image.shape[1], (1 - uv[:, 1]) * image.shape[0]
    colour = image[row.astype(int).clip(0, image.shape[0] - 1), column.astype(int).clip(0, image.shape[1] - 1)]
    origin = avatar.vertices - avatar.pivot
    nearest = np.linalg.norm(mesh.vertices[:, None, :2] * [1, -1] - origin[None, ::50, :2], axis=-1).argmin(0)
    assert np.median(np.abs(colour[nearest] / 255 - t.code[::50].numpy()).max(-1)) < 0.25


@pytest.fixture
def photos(tmp_path, monkeypatch, model, photo):
    Image.fromarray(photo).save(tmp_path / "one.png")
    Image.fromarray(code_photo(240, -0.5).image).save(tmp_path / "two.png")
    monkeypatch.setattr(BodyMap, "from_pretrained", classmethod(lambda cls, *a, **k: model))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command(photos, capsys):
    fast = ["--texture", "256", "--size", "96"]
    main(["one.png", "--also", "two.png", "--turn", "90", "-o", "side.png", "--export", "person.glb", *fast])
    main(["one.png", "--frames", "3", "-o", "turn.gif", "--completion", "plain", *fast])
    main(["one.png", "--pose", "two.png", "-o", "posed.webp", *fast])
    write_film("walk.gif", [code_photo(240, angle).image for angle in (0.0, 0.2, 0.4)], fps=10)
    main(["one.png", "--driving", "walk.gif", "--frames", "2", "-o", "driven.gif", *fast])
    assert len(iio.imread("turn.gif")) == 3 and len(iio.imread("driven.gif")) == 2
    names = sorted(p.name for p in photos.iterdir())
    made = ["driven.gif", "person.glb", "posed.webp", "side.png", "turn.gif"]
    assert names == sorted([*made, "one.png", "two.png", "walk.gif"])
    assert "seen" in capsys.readouterr().err


def test_layer_maps_go_with_their_photos(photos, model, photo, monkeypatch):
    c = model.predict(photo)
    upper = c.mask & (np.arange(c.size[0])[:, None] < c.size[0] // 2)
    for name in ("one", "two"):
        save_layer_maps(LayerMaps(c, None, None, (2 * upper).astype(np.int8)), photos / f"{name}.npz")
    given = []

    def make_avatar(*arguments, **options):
        given.append((arguments, options))
        raise UserError("that is all")

    monkeypatch.setattr("apps.rerender.avatar.make_avatar", make_avatar)
    with pytest.raises(UserError, match="that is all"):
        main(
            ["one.png", "--also", "two.png", "--layers", "two.npz", "one.npz", "-o", "out.png", "--completion", "plain"]
        )
    (_, first), options = given[0]
    # whom they show is meant, and their garments are the map's
    assert not first.mask[~upper].any() and first.mask.any() and options["layers"].visible.max() == 2
    also = options["more"][0][1]
    assert (also.layer[also.mask & upper] == LAYER_NAMES.index("upper")).all() and also.mask.any()


def test_in_the_photo_itself(photos, photo, model):
    main(["one.png", "--turn", "30", "-o", "in.png", "--background", "photo", "--texture", "256"])
    shown, mask = np.asarray(Image.open("in.png")), model.predict(photo).mask
    assert shown.shape == photo.shape
    # far from where the person is and was it is the photo, and the person is in it
    columns = np.flatnonzero(mask.any(0))
    aside = [0, 1, -2, -1]
    assert columns[0] > 8 and np.array_equal(shown[:, aside], photo[:, aside])
    assert (np.abs(shown.astype(int) - photo).max(-1) > 20)[mask].mean() > 0.2
    Image.fromarray(np.full((60, 200, 3), (0, 255, 0), np.uint8)).save("green.png")
    main(["one.png", "--turn", "0", "-o", "on.png", "--background", "green.png", "--size", "120", "--texture", "256"])
    shown = np.asarray(Image.open("on.png"))
    assert max(shown.shape) == 120 and (shown == (0, 255, 0)).all(-1).mean() == pytest.approx(1 - mask.mean(), abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one.png", "-o", "film.avi"], "must end in"),
        (["one.png", "-o", "film.gif", "--size", "9"], "--size"),
        (["one.png", "-o", "film.gif", "--frames", "0"], "--frames"),
        (["one.png", "-o", "film.gif", "--texture", "0"], "--texture"),
        (["one.png", "-o", "film.gif", "--fps", "0"], "--fps"),
        (["one.png", "-o", "one.png"], "would replace"),
        (["one.png", "--pose", "two.png", "-o", "two.png"], "would replace"),
        (["one.png", "-o", "film.gif", "--export", "person.obj"], "glb"),
        (["one.png", "-o", "film.gif", "--motion", "one.png"], "bvh"),
        (["one.png", "-o", "film.gif", "--driving", "none.mp4"], "does not exist"),
        (["one.png", "-o", "film.gif", "--completion", "none_there"], "no weights"),
        (["one.png", "-o", "film.gif", "--completion", "diffusion:none_there"], "no diffusion pipeline"),
        (["one.png", "-o", "film.gif", "--background", "none.png"], "none.png"),
        (["one.png", "-o", "two.png", "--background", "two.png"], "would replace"),
        (["one.png", "-o", "film.gif", "--renderer", "none_there"], "no weights"),
        (["missing.png", "-o", "film.gif"], "missing.png"),
        (["one.png", "-o", "film.gif", "--layers", "none.npz"], "none.npz do not exist"),
    ],
)
def test_mistakes_of_the_user(photos, arguments, message):
    before = sorted(photos.iterdir())
    with pytest.raises(UserError, match=message):
        main(arguments)
    assert sorted(photos.iterdir()) == before


def test_help_needs_no_torch():
    code = (
        "import sys\nfrom apps.rerender.predict import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_texture_tells_where_it_is_from(avatar):
    origin = avatar.texture.origin
    assert {0, 1, 3} <= set(origin.unique().tolist())
    changed = replace(avatar, displacement=avatar.displacement + 0.01)
    assert np.abs(changed.vertices - avatar.vertices).max() > 0.001
