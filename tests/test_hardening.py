"""Files as bad disks, cut downloads and hostile senders make them: each is refused in one sentence.

The first test is a small part of ``benchmarks/hardening.py``; the others are faults that it, or reading the code for
it, has found, one of each kind.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from torch import nn

from bodymap import config, weights
from bodymap.data.shards import ShardSettings, read_index, write_shards
from bodymap.data.testset import TEST_SETS, stored_pictures, stored_sequences
from bodymap.errors import SPINS, UserError, one_line, run_command
from bodymap.files import parse_json, read_json, read_npz, read_safetensors
from bodymap.outputs import check_names, distinct
from bodymap.photo import read_photo
from bodymap.training.average import Average
from bodymap.training.checkpoint import RunState, load_checkpoint, save_checkpoint, tensors_of
from bodymap.training.sampler import Shuffled

ROOT = Path(__file__).parents[1]
QUICK = "predict [,predict with weights,verify shards,evaluate tables"


def test_a_few_dozen_spoilt_files(tmp_path):
    command = [sys.executable, "benchmarks/hardening.py", "--cases", "32", "--seed", "1", "--spoilt-only"]
    command += ["--only", QUICK, "--json", str(tmp_path / "cases.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    cases = json.loads((tmp_path / "cases.json").read_text())
    assert len(cases) == 32 and {case["code"] for case in cases} == {0, 2}


# ------------------------------------------------------------------------------------------------ what is told, and how
def ends(main, capfd) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        run_command(main)
    return end.value.code, capfd.readouterr().err


def test_what_the_system_refuses_is_one_sentence(tmp_path, capfd):
    code, said = ends(lambda: (tmp_path / ("n" * 300)).is_file() and 0, capfd)
    assert code == 2 and "File name too long" in said and said.count("\n") == 1

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "map.png")

    assert ends(full, capfd)[1].startswith("error: The system refuses map.png (No space left on device); choose ")

    def ours():
        raise FileNotFoundError(errno.ENOENT, "No such file", "a file of ours")

    with pytest.raises(FileNotFoundError):  # a fault of the program stays one
        run_command(ours)


def test_a_sentence_stays_on_its_line_and_short(capfd):
    def main():
        raise UserError("The file a\nb\x1b[31m is bad" + "x" * 9000)

    code, said = ends(main, capfd)
    assert code == 2 and said.count("\n") == 1 and "\x1b" not in said and len(said) < 700
    assert one_line("p\udcff.jpg") == "p\udcff.jpg"


def test_names_that_are_no_text_can_be_printed():
    program = (
        "import sys, os; from bodymap.errors import run_command; run_command(lambda: print(os.fsdecode(b'\\xff.jpg')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 0 and b".jpg" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "own", [{}, {"GOMP_SPINCOUNT": "77"}, {"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "PASSIVE"}], ids=str
)
def test_torchs_threads_do_not_spin_for_long_unless_told_to(own):
    program = "\n".join(
        [
            "import os, sys",
            "def main():",
            "    assert 'torch' not in sys.modules",
            "    print([os.environ.get(name) for name in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')])",
            "import apps.swap.__main__, bodymap.predict",
            "apps.swap.__main__.run_command(main)",
        ]
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env={**kept, **own}
    )
    wanted = [own.get("GOMP_SPINCOUNT", None if own else SPINS), own.get("OMP_WAIT_POLICY")]
    assert done.stdout.strip() == str(wanted), done.stderr


def test_links_that_lead_to_themselves(tmp_path):
    (tmp_path / "a.jpg").symlink_to("a.jpg")
    assert distinct([tmp_path / "a.jpg"]) == [tmp_path / "a.jpg"]
    check_names([tmp_path / "a.jpg"], tmp_path, lambda ending: False)
    with pytest.raises(UserError, match="does not exist"):
        read_photo(tmp_path / "a.jpg")


# ------------------------------------------------------------------------------------------------------------ pictures
def test_postscript_is_not_run(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 128\n%%EndComments\n{ } loop\n")
    with pytest.raises(UserError, match="not an image that can be read"):
        read_photo(tmp_path / "a.jpg")


# -------------------------------------------------------------------------------------------------------- JSON and YAML
def test_json_of_any_depth_and_length(tmp_path):
    for text in ("[" * 200_000, '{"a":' * 200_000, "9" * 10_000, "nan?"):
        with pytest.raises(ValueError):
            parse_json(text)
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError):
        read_json(tmp_path / "a.json")


def test_anchors_that_stand_for_thousands_of_millions(tmp_path):
    names = "abcdefghij"
    lists = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip(names, names[1:], strict=False)
    )
    for text in (lists, "model: &a [*a]\n"):
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(UserError, match="more than 20000 values"):
            config.read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "text", ["a: !!int x\n", "a: !!float x\n", "a: 2001-99-99\n", "[" * 2000, "? [a]\n: 1\n",
             "a: !!python/object/apply:os.system ['true']\n", "a: " + "9" * 5000 + "\n", "<<: 5\n"]
)  # fmt: skip
def test_yaml_that_is_none(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match="is not valid YAML"):
        config.read_yaml(tmp_path / "a.yaml")


# ------------------------------------------------------------------------------------------------------------- archives
def test_an_archive_that_promises_terabytes(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, a=np.zeros(3), b=np.zeros(2))
    assert set(read_npz(file)) == {"a", "b"}
    with pytest.raises(ValueError, match="promises"):
        read_npz(file, most=30)
    for shape in ((2**40, 2**40), (10**9,)):
        with zipfile.ZipFile(file, "w") as archive, archive.open("a.npy", "w") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        with pytest.raises(ValueError, match="promises"):
            read_npz(file)
    np.savez(file, a=np.array([{}], object))
    with pytest.raises(ValueError):
        read_npz(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError):
        read_npz(file)


def spoil_header(file: Path, change) -> None:
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


def test_safetensors_of_every_kind_of_damage(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"a": np.zeros((2, 3), np.float32)}, file)
    assert read_safetensors(file, "np")[0]["a"].shape == (2, 3)
    for change in (
        lambda header: header["a"].update(dtype="F8_E4M3", shape=[24]),
        lambda header: header["a"].update(shape=[10**18, 10**18]),
        lambda header: header["a"].update(data_offsets=[0, 10**15]),
    ):
        save_file({"a": np.zeros((2, 3), np.float32)}, file)
        spoil_header(file, change)
        with pytest.raises(ValueError):
            read_safetensors(file, "np")
    with pytest.raises(UserError, match="cannot be read: is a directory"):
        read_safetensors(tmp_path, "np")


@pytest.fixture
def stored(tmp_path) -> Path:
    return weights.save_weights(tmp_path / "w", {"a": torch.zeros(3)}, {"model": {}}, {"code_version": "1"})


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("index", None, "its index is missing"),
        ("index_digest", None, "its index_digest is missing"),
        ("index", "[" * 100_000, "its index is nested too deeply"),
        ("index", "[]", "its index is no object"),
    ],
)
def test_weights_whose_own_description_is_damaged(stored, name, value, says):
    def change(header):
        header["__metadata__"].pop(name)
        if value is not None:
            header["__metadata__"][name] = value

    spoil_header(stored / "model.safetensors", change)
    with pytest.raises(UserError, match=says):
        weights.load(stored)


# ------------------------------------------------------------------------------------------------------------ trainings
def test_checkpoints_of_every_kind_of_damage(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    average = Average(model, 0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, tensors_of(model, average, optimizer), RunState(step=1))
    load_checkpoint(folder, model, average, optimizer)
    state = json.loads((folder / "state.json").read_text())
    for change, says in (
        ({"step": "one"}, "step is 'one'"),
        ({"samples": -1}, "samples is '-1'"),
        ({"minutes": float("nan")}, "minutes is 'nan'"),
        ({"source": []}, "source is"),
        ({"sizes": {}}, "the sizes of the files are not there"),
        ({"sizes": None}, "the sizes of the files are not there"),
    ):
        (folder / "state.json").write_text(json.dumps(state | change))
        with pytest.raises(UserError, match=says):
            load_checkpoint(folder, model, average, optimizer)
    for name, change, says in (
        ("average", lambda t: t.pop("bias"), 'no fitting "bias"'),
        ("optimizer", lambda t: t.pop("exp_avg/bias"), "optimizer.safetensors is damaged"),
        (
            "optimizer",
            lambda t: t.update({"exp_avg/bias": np.zeros(7, np.float32)}),
            "optimizer.safetensors is damaged",
        ),
    ):
        save_checkpoint(folder, tensors_of(model, average, optimizer), RunState(step=1))
        tensors = load_file(folder / f"{name}.safetensors")
        change(tensors)
        save_file(tensors, folder / f"{name}.safetensors")
        state = json.loads((folder / "state.json").read_text())
        state["sizes"][name] = (folder / f"{name}.safetensors").stat().st_size
        (folder / "state.json").write_text(json.dumps(state))
        with pytest.raises(UserError, match=says):
            load_checkpoint(folder, model, average, optimizer)


@pytest.mark.parametrize("state", [{}, {"sizes": 3}, {"sizes": []}, {"sizes": [[0, -1]]}, {"sizes": [[5, 2]]}])
def test_an_order_of_the_data_that_cannot_be(state):
    with pytest.raises(UserError, match="order of the data"):
        Shuffled(3, 0).load_state(state)


# ----------------------------------------------------------------------------------------------------- folders of data
def test_an_index_with_wrong_entries(tmp_path):
    from support.samples import make_compact

    write_shards(make_compact, 2, tmp_path, ShardSettings(size=(20, 16), per_shard=2))
    index = json.loads((tmp_path / "index.json").read_text())
    for change in (
        lambda i: i["shards"].update({"x": i["shards"]["0"]}),
        lambda i: i["shards"]["0"].pop("sha256"),
        lambda i: i["shards"]["0"].update(count=-3),
        lambda i: i["settings"].update(size=[20]),
        lambda i: i["settings"].update(per_shard=0),
        lambda i: i.update(shards=[]),
    ):
        spoilt = json.loads(json.dumps(index))
        change(spoilt)
        (tmp_path / "index.json").write_text(json.dumps(spoilt))
        with pytest.raises(UserError, match="not an index that this version"):
            read_index(tmp_path)


def test_a_test_set_with_wrong_entries(tmp_path):
    about = {"format": "bodymap-testset", "version": 1}
    for record in ({"kind": "images", "sets": 5}, {"kind": "images"}, {"kind": "images", "sets": {"a": "b"}}):
        (tmp_path / "testset.json").write_text(json.dumps(about | record))
        with pytest.raises(UserError, match="is damaged"):
            stored_pictures(tmp_path, TEST_SETS[0])
    for entries in (None, [5], [{"folder": 1, "name": "a", "split": "b"}], [{}]):
        (tmp_path / "testset.json").write_text(json.dumps(about | {"kind": "sequences", "sequences": entries}))
        with pytest.raises(UserError, match="is damaged"):
            list(stored_sequences(tmp_path))


def test_textures_of_other_shapes(tmp_path):
    from apps.rerender.textures import TextureFolder

    (tmp_path / "textures.json").write_text('{"version": 2, "size": 8}')
    sound = {"colour": np.zeros((2, 8, 8, 3), np.uint8), "layer": np.zeros((2, 8, 8), np.uint8),
             "seen": np.zeros((2, 8, 8), np.uint8)}  # fmt: skip
    save_file(sound, tmp_path / "00000.safetensors")
    assert len(TextureFolder(tmp_path)) == 2
    for change in (
        {"layer": np.zeros((2, 8, 9), np.uint8)},
        {"seen": np.zeros((3, 8, 8), np.uint8)},
        {"colour": np.zeros((2, 8, 8, 3), np.float32)},
        {"more": np.zeros(2, np.uint8)},
    ):
        save_file(sound | change, tmp_path / "00000.safetensors")
        with pytest.raises(UserError, match="00000.safetensors is damaged"):
            TextureFolder(tmp_path)
    (tmp_path / "textures.json").write_text('{"version": 2, "size": "8"}')
    with pytest.raises(UserError, match=r"textures\.json is damaged"):
        TextureFolder(tmp_path)


def test_cloth_whose_arrays_do_not_fit(tmp_path):
    from support.cloth import still_sequence

    from apps.layered.cloth.sequences import read_sequence, write_sequence

    file = tmp_path / "a.safetensors"
    write_sequence(file, still_sequence())
    sound, metadata = read_safetensors(file, "np")
    for name, change, says in (
        ("lift", lambda a: a[:-1], "rotations is"),
        ("0.triangles", lambda a: np.full_like(a, 32000), "an index in 0.triangles"),
        ("1.first", lambda a: np.full_like(a, np.nan), "1.first is not finite"),
        ("bones", lambda a: -a - 1, "an index in bones"),
        ("0.place", None, "0.place"),
    ):
        spoilt = dict(sound)
        spoilt.pop(name) if change is None else spoilt.update({name: np.ascontiguousarray(change(sound[name]))})
        save_file(spoilt, file, metadata)
        with pytest.raises(UserError, match=f"is damaged .*{says}"):
            read_sequence(file)
    save_file(sound, file, metadata | {"about": "{}"})
    with pytest.raises(UserError, match="'garments' is missing"):
        read_sequence(file)


def test_landmarks_that_are_no_numbers(tmp_path):
    from bodymap.data.photos import read_photo_sets

    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    for text in (
        '{"a.png": ' + json.dumps([[float("nan")] * 4] * 33) + "}",
        "[" * 100_000,
        '{"a.png": ' + "9" * 5000 + "}",
    ):
        (tmp_path / "keypoints.json").write_text(text)
        with pytest.raises(UserError, match="keypoints.json"):
            read_photo_sets(tmp_path)


def test_motions_with_impossible_numbers(tmp_path):
    from bodymap.people.assets.poses import read_bvh

    text = "HIERARCHY\nROOT Hips\n{\nOFFSET 0 1 0\nCHANNELS 3 Zrotation Yrotation Xrotation\n}\nMOTION\nFrames: 1\n"
    text += "Frame Time: 0.04\n1 2 3\n"
    file = tmp_path / "a.bvh"
    file.write_text(text)
    assert len(read_bvh(file).frames) == 1
    for word, other in (("0.04", "0"), ("0.04", "nan"), ("0 1 0", "0 1e30 0"), ("0 1 0", "nan 0 0")):
        file.write_text(text.replace(word, other))
        with pytest.raises(UserError, match="not a sound .bvh"):
            read_bvh(file)


def test_a_scan_whose_triangles_name_vertices_that_are_not_there(tmp_path):
    trimesh = pytest.importorskip("trimesh")

    from bodymap.people.scans.read import read_scan

    ball = trimesh.creation.icosphere(4)
    ball.export(tmp_path / "a.ply")
    assert len(read_scan(tmp_path / "a.ply").triangles) == len(ball.faces)
    content = bytearray((tmp_path / "a.ply").read_bytes())
    content[-4:] = (10**6).to_bytes(4, "little")  # the last corner of the last triangle
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(UserError, match="a.ply (is damaged|cannot be read)"):
        read_scan(tmp_path / "a.ply")


@pytest.mark.parametrize(
    "setting, says",
    [
        ("augment.sharpen=[0.2,-1]", "sharpen must lie between 0 and 100"),
        ("augment.blur=[2,1]", "blur is a range, its lower end first"),
        ("train.rate=.nan", '"train.rate" must be a number'),
        ("train.seed=9999999999999999999999", '"train.seed" must be a whole number'),
        ("model.decoder.fine=0", "fine must lie between 1 and 8192"),
        ("model.cse.sigma=0", "sigma must lie between"),
    ],
)
def test_settings_that_cannot_be(setting, says):
    from bodymap.train import Config

    with pytest.raises(UserError, match=says):
        config.load_config(Config, None, [setting])


def test_sizes_that_do_not_go_together():
    from bodymap.network.config import built

    with pytest.raises(UserError, match="No network can be built .*groups"):
        built(lambda: nn.Conv2d(3, 4, 1, groups=3))


def test_a_pack_with_a_hole_in_it(tmp_path):
    from bodymap.people.pack import Pack

    file = tmp_path / "a.pack"
    Pack.load().save(file)
    assert Pack.load(file).pose_count == Pack.load().pose_count
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 5000] = bytes(5000)
    file.write_bytes(content)
    with pytest.raises(UserError, match="a.pack is damaged or incomplete .its checksum does not match"):
        Pack.load(file)
