"""The sound files that ``hardening.py`` spoils.

Everything is as small as it can be: networks of next to nothing, pictures of 128 x 96, three frames of a film.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SIZE = (128, 96)  # of pictures, (height, width)
# What makes a training as short as it can be
TRAIN = (
    "--device cpu --steps 2 --set train.batch_size=2 --set train.threads=1 --set train.tensorboard=false "
    "--set train.preview_minutes=0"
)
_JOINTS = {
    "Hips": {
        "LowerBack": {"Spine": {"Spine1": {
            "Neck": {"Neck1": {"Head": {}}},
            "LeftShoulder": {"LeftArm": {"LeftForeArm": {"LeftHand": {}}}},
            "RightShoulder": {"RightArm": {"RightForeArm": {"RightHand": {}}}},
        }}},
        "LeftUpLeg": {"LeftLeg": {"LeftFoot": {}}},
        "RightUpLeg": {"RightLeg": {"RightFoot": {}}},
    }
}  # fmt: skip


def write_motion(path: Path, frames: int = 3) -> None:
    """A .bvh of the Carnegie Mellon skeleton that sways a little."""
    lines, count = ["HIERARCHY"], 0

    def joint(name: str, below: dict, depth: int) -> None:
        nonlocal count
        side = 1 if name.startswith("Left") else -1 if name.startswith("Right") else 0
        down = -1 if "Leg" in name or "Foot" in name else 1
        lines.append(f"{'ROOT' if depth == 0 else 'JOINT'} {name}")
        lines.append("{")
        lines.append(f"OFFSET {side * (4 if 'Arm' in name or 'Hand' in name else 1)} {down * 2} 0")
        names = "Zrotation Yrotation Xrotation"
        lines.append(f"CHANNELS 6 Xposition Yposition Zposition {names}" if depth == 0 else f"CHANNELS 3 {names}")
        count += 6 if depth == 0 else 3
        for child, further in below.items():
            joint(child, further, depth + 1)
        if not below:
            lines.extend(["End Site", "{", f"OFFSET {side} {down} 0", "}"])
        lines.append("}")

    joint("Hips", _JOINTS["Hips"], 0)
    lines += ["MOTION", f"Frames: {frames}", "Frame Time: 0.04"]
    rng = np.random.default_rng(0)
    lines += [" ".join(f"{value:.3f}" for value in rng.normal(0, 4, count)) for _ in range(frames)]
    path.write_text("\n".join(lines) + "\n")


def build_stock(folder: Path, only: set[str] | None = None) -> None:
    """Makes the sound files; half a minute, most of it the people and the exported networks.

    Args:
        only: names of files and folders that are needed; None: all.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    makers = {
        "photo.jpg": _pictures, "weights": _weights, "film.mp4": _films, "adapter.npz": _annotated,
        "mask.onnx": _segmenter,
        "exported": _exported, "small.pack": _pack, "assets": _assets, "scan.glb": _scans, "shards": _shards,
        "stored": _test_sets, "photos": _photo_set, "run": _run, "textures": _textures, "layered": _layered,
        "cloth": _cloth, "tables": _tables, "folder": _folder,
    }  # fmt: skip
    # what else a maker makes, and whose files it needs itself
    beside = {"tiny.yaml": "weights", "layered.yaml": "weights", "completion.yaml": "weights", "layers": "shards"}
    beside |= {"heights.yaml": "weights", "matches": "shards", "heights": "layered"}
    needs = {"film.mp4": ["photo.jpg"], "photos": ["photo.jpg"], "run": ["weights", "shards"]}
    needed = None if only is None else {beside.get(name, name) for name in only}
    if needed is not None:
        needed |= {first for name in needed for first in needs.get(name, ())}
    for name, make in makers.items():
        if needed is None or name in needed:
            make(folder)


def _pictures(folder: Path) -> None:
    from PIL import Image

    for source, name in (("anna.jpg", "photo.jpg"), ("ben.jpg", "target.jpg"), ("ben.jpg", "other.png")):
        with Image.open(ROOT / "examples" / source) as image:
            image.convert("RGB").resize(SIZE[::-1]).save(folder / name)
    Image.new("RGB", (80, 60), (90, 120, 60)).save(folder / "scene.png")
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    person = ((rows - 64) / 56) ** 2 + ((columns - 48) / 20) ** 2 < 1
    Image.fromarray(person).save(folder / "mask.png")
    labels = np.where(person, np.where(rows < 30, 1, np.where(rows < 70, 2, 3)), 0).astype(np.uint8)
    Image.fromarray(labels).save(folder / "labels.png")


def _network():
    from dataclasses import replace

    import torch

    from bodymap.config import load_config
    from bodymap.network import build_model
    from bodymap.surface import load_template
    from bodymap.train import Config

    tiny = load_config(Config, ROOT / "configs" / "bodymap" / "tiny.yaml").model
    stream = replace(tiny.appearance, depth=1)
    config = replace(tiny, cse=replace(tiny.cse, encoder=stream), appearance=stream, correspondence=stream)
    torch.manual_seed(0)
    return config, build_model(config, load_template())


def _weights(folder: Path) -> None:
    from safetensors.torch import save_file

    from bodymap.config import to_dict
    from bodymap.surface import load_template
    from bodymap.weights import save_weights

    config, network = _network()
    about = {"code_version": load_template().code_version}
    for name in ("weights", "other"):
        save_weights(folder / name, network.state_dict(), {"model": to_dict(config)}, about)
    encoder = network.cse.encoder.state_dict()
    save_file({name: value.clone() for name, value in encoder.items()}, folder / "foreign.safetensors")
    rng = np.random.default_rng(0)
    figures = {"held_out_assets": {"acc_rgb": {"5": 0.4, "10": 0.6, "20": 0.8}, "values": rng.random(3).tolist()}}
    (folder / "figures.json").write_text(json.dumps({"synthetic": figures}))
    tiny = (ROOT / "configs" / "bodymap" / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text(tiny.replace("depth: 4", "depth: 1"))
    (folder / "layered.yaml").write_text((ROOT / "configs" / "layered" / "tiny.yaml").read_text())
    (folder / "heights.yaml").write_text((ROOT / "configs" / "layered" / "heights" / "tiny.yaml").read_text())
    (folder / "completion.yaml").write_text(
        "what: completion\nmodel: {size: 32, channels: [8, 12]}\n"
        "task: {adversary: {weight: 0.1, begin_minutes: 0.0, width: 8}}\n"
    )


def _films(folder: Path) -> None:
    import imageio.v2 as imageio

    from bodymap.visual.video import write_film

    picture = imageio.imread(folder / "photo.jpg")
    for ending in ("mp4", "gif"):
        write_film(folder / f"film.{ending}", [picture, np.roll(picture, 2, 1), np.roll(picture, 4, 1)], 25)


def _annotated(folder: Path) -> None:
    from PIL import Image
    from support.densepose import template_adapter, write_obj, write_table
    from support.mapped import correspondence
    from support.pictures import template_sample

    from bodymap.densepose import synthetic
    from bodymap.densepose.iuv import iuv_of_map

    adapter = template_adapter()
    adapter.save(folder / "adapter.npz")
    write_table(adapter.table, folder / "table.mat")
    write_obj(adapter.vertices, adapter.table.body_triangles, folder / "body.obj")
    sample = template_sample(0.0, SIZE)
    entry = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        **synthetic.annotate(sample, adapter, np.random.default_rng(0), 0),
    }
    about = {"images": [{"id": 1, "file_name": "1.png", "height": SIZE[0], "width": SIZE[1]}], "annotations": [entry],
             "categories": [{"id": 1, "name": "person"}]}  # fmt: skip
    (folder / "coco.json").write_text(json.dumps(about))
    for name in ("coco", "found"):
        (folder / name).mkdir(exist_ok=True)
    Image.fromarray(sample.image).save(folder / "coco" / "1.png")
    iuv = iuv_of_map(adapter, correspondence(0.0, SIZE))
    np.savez(folder / "found" / "1.npz", labels=iuv[..., 0], uv=np.moveaxis(iuv[..., 1:], -1, 0) / 255)


def _segmenter(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    shape = [1, 3, "h", "w"]
    node = helper.make_node("ReduceMean", ["image"], ["matte"], axes=[1], keepdims=1)
    graph = helper.make_graph(
        [node], "mean", [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("matte", TensorProto.FLOAT, [1, 1, "h", "w"])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "mask.onnx")


def _exported(folder: Path) -> None:
    from bodymap.export.graphs import export
    from bodymap.predictor import BodyMap, PredictorConfig
    from bodymap.surface import load_template

    export(BodyMap(_network()[1], load_template(), config=PredictorConfig(size=128)), folder / "exported")


def _pack(folder: Path) -> None:
    from bodymap.people.pack import Pack

    Pack.load().save(folder / "small.pack")  # with a checksum, which the one that ships is older than


def _assets(folder: Path) -> None:
    from support.garments import write_garment

    write_garment(folder / "assets" / "clothes" / "vest", "vest")
    (folder / "motion").mkdir(exist_ok=True)
    write_motion(folder / "motion" / "walk.bvh")


def _scans(folder: Path) -> None:
    from support.densepose import write_obj
    from support.scans import export_scan

    from bodymap.people import Pack, PeopleConfig
    from bodymap.people.person import build_person

    pack = Pack.load()
    person = build_person(0, pack, PeopleConfig(), "train")
    piece = person.pieces[0]
    export_scan(folder / "scan.glb", (piece,), piece.vertices.astype(float))
    write_obj(piece.vertices, piece.triangles, folder / "scan.obj")


def _shards(folder: Path) -> None:
    from support.pictures import template_sample

    from apps.layered.samples import Matches, layers_of
    from bodymap.data.batch import compact
    from bodymap.data.shards import ShardSettings, write_shards
    from bodymap.data.shards.__main__ import main

    samples = [template_sample(0.5 * k, SIZE, k) for k in range(4)]
    settings = ShardSettings(size=SIZE, per_shard=2)
    write_shards(lambda k: compact(samples[k]), 4, folder / "shards", settings)
    write_shards(lambda k: layers_of(samples[k]), 4, folder / "layers", settings)
    write_shards(Matches(str(folder / "layers")), 4, folder / "matches", settings)
    main(["--count", "4", "--seed", "0", "--size", "32", "32", "--per-shard", "2", "-o", str(folder / "made")])


def _test_sets(folder: Path) -> None:
    from bodymap.data import testset
    from bodymap.data.testset import Frames, _about, _shard_settings, _write_record

    testset.write_pictures(folder / "stored", 2, (64, 48))
    from bodymap.data.shards import write_shards

    settings = _shard_settings(None, (64, 48), 0, 30)
    planned = [{"folder": "turn_000", "name": "turn", "number": 0, "split": "train", "frames": 2}]
    write_shards(Frames("turn", 0, None, (64, 48)), 2, folder / "films" / "turn_000", settings)
    _write_record(folder / "films", _about("sequences", settings) | {"fps": 30, "sequences": planned})


def _photo_set(folder: Path) -> None:
    from PIL import Image

    root = folder / "photos"
    (root / "masks").mkdir(parents=True, exist_ok=True)
    (root / "anna.jpg").write_bytes((folder / "photo.jpg").read_bytes())
    (root / "masks" / "anna.png").write_bytes((folder / "mask.png").read_bytes())
    labels = np.asarray(Image.open(folder / "labels.png"))
    Image.fromarray(labels).save(root / "anna_labels.png")
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.random((33, 3)), np.ones((33, 1))], 1).round(3)
    (root / "keypoints.json").write_text(json.dumps({"anna.jpg": points.tolist()}))
    (root / "photos.csv").write_text("file,person\nanna.jpg,anna\n")
    (root / "classes.csv").write_text("id,name,group\n1,skin,body\n2,shirt,upper\n3,trousers,lower\n")


def _run(folder: Path) -> None:
    import os

    from bodymap import train

    before, sys.argv = (os.getcwd(), sys.argv), ["train", *f"--config tiny.yaml --shards shards {TRAIN}".split()]
    try:
        os.chdir(folder)
        sys.argv += ["-o", "run", "--set", "train.save_minutes=100"]
        train.main()
    finally:
        os.chdir(before[0])
        sys.argv = before[1]


def _textures(folder: Path) -> None:
    import shutil

    from safetensors.torch import save_file

    from apps.rerender import textures
    from apps.rerender.pretrained import SHIPPED
    from apps.rerender.shelves import write_shelf
    from apps.rerender.textures import TextureSettings, make_person
    from bodymap.people import Pack

    settings, pack = TextureSettings(size=64, per_file=2, per_person=1), Pack.load()
    make = lambda people: [make_person(k, settings, pack) for k in people]  # noqa: E731
    write_shelf(folder / "textures", textures.RECORD, settings, make, 2, 2, quiet=True)
    shutil.copytree(SHIPPED / "completion", folder / "completion", dirs_exist_ok=True)
    import torch

    save_file({"features.0.weight": torch.zeros(4, 3, 3, 3)}, folder / "lpips.safetensors")


def _layered(folder: Path) -> None:
    import shutil

    from apps.layered.predictor import PRETRAINED
    from apps.layered.settings import HEIGHTS

    shutil.copytree(PRETRAINED / "small", folder / "layered", dirs_exist_ok=True)
    shutil.copytree(PRETRAINED / HEIGHTS, folder / "heights", dirs_exist_ok=True)


def _cloth(folder: Path) -> None:
    from support.cloth import still_sequence

    from apps.layered.cloth.sequences import write_sequence

    (folder / "cloth").mkdir(exist_ok=True)
    write_sequence(folder / "cloth" / "00_walk.safetensors", still_sequence())


def _tables(folder: Path) -> None:
    """A network that takes everything for a person, four people of noise to train on."""
    import torch
    from support.ellipse import SIZE as size
    from support.ellipse import ellipse

    from bodymap.config import to_dict
    from bodymap.data.shards import ShardSettings, write_shards
    from bodymap.surface import load_template
    from bodymap.weights import save_weights

    config, network = _network()
    with torch.no_grad():
        network.cse.foreground.bias.fill_(3.0)
    template, root = load_template(), folder / "tables"
    root.mkdir(exist_ok=True)
    save_weights(
        root / "weights", network.state_dict(), {"model": to_dict(config)}, {"code_version": template.code_version}
    )
    tiny = (ROOT / "configs" / "bodymap" / "tiny.yaml").read_text().replace("depth: 4", "depth: 1")
    (root / "base.yaml").write_text(tiny)
    (root / "tiny.yaml").write_text(
        "base: base.yaml\ntask: {stage: bodymap, appearance_start: cse, pixels: 200, geodesic_pixels: 32, pairs: 4}\n"
        "augment: {size: [64, 32]}\ntrain: {batch_size: 2, preview_minutes: 0, save_minutes: 0.0001}\n"
    )
    write_shards(lambda index: ellipse(template, index), 4, root / "people", ShardSettings(size=size))


def _folder(folder: Path) -> None:
    """Small photographs in which somebody is found."""
    from PIL import Image

    (folder / "folder" / "more").mkdir(parents=True, exist_ok=True)
    with Image.open(ROOT / "examples" / "anna.jpg") as image:
        for number, name in enumerate(("a", "b", "more/c")):
            image.convert("RGB").resize((96 - 4 * number, 128)).save(folder / "folder" / f"{name}.png")
