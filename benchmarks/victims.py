"""The commands that ``hardening.py`` gives spoilt files to; ``stock.py`` makes the sound ones."""

from __future__ import annotations

from dataclasses import dataclass

from stock import TRAIN


@dataclass(frozen=True)
class Victim:
    """A command and the file it is given spoilt.

    Attributes:
        arguments: relative to the case's folder, where the files of the stock lie, and ``out`` does not exist yet.
        target: the file that is spoilt.
        kind: of mutations.KINDS.
        also: files and folders of the stock that the command reads without being told their names.
        weight: its share of all cases, against 1 of most.
        sound: what it says of sound input that it rightly refuses (the networks of next to nothing find nobody).
    """

    name: str
    module: str
    arguments: str
    target: str
    kind: str
    also: tuple[str, ...] = ()
    weight: float = 1.0
    sound: str | None = None


def _v(name: str, module: str, arguments: str, *targets: str, also=(), weight: float = 1.0, sound: str | None = None):
    """One victim for each "file:kind" of ``targets``."""
    return [
        Victim(f"{name} [{file}]", module, arguments, file, kind, tuple(also), weight / len(targets), sound)
        for file, kind in (target.rsplit(":", 1) for target in targets)
    ]


_NOBODY = "No person was found"
_PREDICT = "--weights weights --size 128 --device cpu"

VICTIMS: tuple[Victim, ...] = (
    # ---- the backbone
    *_v(
        "predict",
        "bodymap.predict",
        f"photo.jpg -o out --mask mask.png {_PREDICT}",
        "photo.jpg:picture",
        "mask.png:picture",
        weight=5,
    ),
    *_v(
        "predict whom it finds",
        "bodymap.predict",
        "photo.jpg -o out --size 128 --device cpu",
        "photo.jpg:picture",
        weight=0.7,
    ),
    *_v(
        "predict several",
        "bodymap.predict",
        f"photo.jpg other.png -o out --all {_PREDICT}",
        "photo.jpg:picture",
        weight=1.5,
        sound=_NOBODY,
    ),
    *_v(
        "predict with weights",
        "bodymap.predict",
        f"photo.jpg -o out --mask mask.png {_PREDICT}",
        "weights/config.yaml:yaml",
        "weights/model.safetensors:safetensors",
        weight=4,
    ),
    *_v(
        "predict with one file of weights",
        "bodymap.predict",
        "photo.jpg -o out --mask mask.png --weights weights/model.safetensors --size 128 --device cpu",
        "weights/model.safetensors:safetensors",
    ),
    *_v(
        "predict mp4",
        "bodymap.predict",
        f"film.mp4 -o out --arrays {_PREDICT}",
        "film.mp4:binary",
        weight=1.3,
        sound=_NOBODY,
    ),
    *_v(
        "predict whom it finds in a film",
        "bodymap.predict",
        "film.gif -o out --size 128 --device cpu",
        "film.gif:picture",
        weight=0.4,
    ),
    *_v("predict gif", "bodymap.predict", f"film.gif -o out {_PREDICT}", "film.gif:picture", sound=_NOBODY),
    *_v(
        "predict iuv",
        "bodymap.predict",
        f"photo.jpg -o out --mask mask.png --format iuv --adapter adapter.npz {_PREDICT}",
        "adapter.npz:npz",
        weight=1.5,
    ),
    *_v(
        "predict with a segmenter",
        "bodymap.predict",
        f"photo.jpg -o out --foreground onnx:mask.onnx {_PREDICT}",
        "mask.onnx:binary",
        sound=_NOBODY,
    ),
    *_v(
        "export",
        "bodymap.export",
        "weights -o out --size 128",
        "weights/config.yaml:yaml",
        "weights/model.safetensors:safetensors",
        weight=0.6,
    ),
    *_v(
        "deploy",
        "bodymap.deploy",
        "exported photo.jpg -o out --mask mask.png --threads 1",
        "exported/bodymap.json:json",
        "exported/tables.npz:npz",
        "exported/fine.onnx:binary",
        "exported/decode.onnx:binary",
        "photo.jpg:picture",
        "mask.png:picture",
        weight=4,
    ),
    *_v(
        "mix",
        "bodymap.training.mix",
        "weights other -o out",
        "weights/config.yaml:yaml",
        "other/model.safetensors:safetensors",
    ),
    # ---- people
    *_v(
        "preview",
        "bodymap.people.preview",
        "--pack small.pack --count 1 --size 64x48 -o out.png",
        "small.pack:safetensors",
        weight=4,
    ),
    *_v(
        "inspect",
        "bodymap.people.inspect",
        "--pack small.pack --count 1 --size 64x48 --json out.json --worst out.png",
        "small.pack:safetensors",
        weight=0.6,
    ),
    *_v(
        "assets",
        "bodymap.people.assets",
        "assets --motion motion -o out.pack",
        "assets/clothes/vest/vest.mhclo:text",
        "assets/clothes/vest/vest.obj:text",
        "assets/clothes/vest/vest.mhmat:text",
        "assets/clothes/vest/vest_diffuse.png:picture",
        "motion/walk.bvh:text",
        weight=0.7,
    ),
    *_v(
        "register",
        "bodymap.people.register",
        "scan.glb -o out.safetensors --steps 3 --texture 64",
        "scan.glb:glb",
        weight=2,
    ),
    *_v(
        "register obj",
        "bodymap.people.register",
        "scan.obj -o out.safetensors --steps 3 --texture 64",
        "scan.obj:text",
        weight=0.5,
    ),
    *_v(
        "shards",
        "bodymap.data.shards",
        "--pack small.pack --count 2 --size 32 32 --per-shard 2 -o out",
        "small.pack:safetensors",
    ),
    *_v(
        "verify shards",
        "bodymap.data.shards",
        "--verify -o shards",
        "shards/index.json:json",
        "shards/shard-00000.safetensors:safetensors",
        weight=1.5,
    ),
    *_v(
        "go on with shards",
        "bodymap.data.shards",
        "--count 4 --seed 0 --size 32 32 --per-shard 2 -o made",
        "made/index.json:json",
        "made/shard-00000.safetensors:safetensors",
    ),
    *_v(
        "test set",
        "bodymap.data.testset",
        "images --count 2 --size 64x48 -o stored",
        "stored/testset.json:json",
        "stored/held_out_assets/index.json:json",
    ),
    # ---- measuring
    *_v(
        "evaluate photos",
        "bodymap.evaluate",
        "photos photos --json out.json --sheet out.png --weights weights --device cpu",
        "photos/keypoints.json:json",
        "photos/photos.csv:text",
        "photos/classes.csv:text",
        "photos/anna.jpg:picture",
        "photos/masks/anna.png:picture",
        "photos/anna_labels.png:picture",
        weight=4,
    ),
    *_v(
        "evaluate synthetic",
        "bodymap.evaluate",
        "synthetic --stored stored --count 1 --no-checks --json out.json --sheet o.png --weights weights --device cpu",
        "stored/testset.json:json",
        "stored/held_out_assets/index.json:json",
        "stored/held_out_assets/shard-000000.tar:binary",
        weight=2,
    ),
    *_v(
        "evaluate breaks",
        "bodymap.evaluate",
        "breaks --stored stored --count 1 --heights 0 --json out.json --weights weights --device cpu",
        "stored/testset.json:json",
        weight=0.5,
    ),
    *_v(
        "evaluate sequences",
        "bodymap.evaluate",
        "sequences films --json out.json --weights weights --device cpu",
        "films/testset.json:json",
        "films/turn_000/index.json:json",
        "films/turn_000/shard-000000.tar:binary",
        weight=1.5,
    ),
    *_v(
        "evaluate densepose",
        "bodymap.evaluate",
        "densepose coco.json coco --adapter adapter.npz --json out.json --weights weights --device cpu",
        "coco.json:json",
        "adapter.npz:npz",
        "coco/1.png:picture",
        weight=3,
    ),
    *_v(
        "evaluate densepose of others",
        "bodymap.evaluate",
        "densepose coco.json coco --adapter adapter.npz --json out.json --detections found",
        "found/1.npz:npz",
        "coco.json:json",
        weight=2,
    ),
    *_v(
        "evaluate tables",
        "bodymap.evaluate",
        "tables --results figures.json --json out.json",
        "figures.json:json",
        weight=1.5,
    ),
    *_v(
        "densify",
        "bodymap.densify",
        "coco.json coco --adapter adapter.npz --size 64 64 --weights weights --device cpu -o out",
        "coco.json:json",
        "adapter.npz:npz",
        "coco/1.png:picture",
        weight=2,
    ),
    *_v(
        "adapter",
        "bodymap.densepose.adapter",
        "table.mat body.obj -o out.npz",
        "table.mat:binary",
        "body.obj:text",
        weight=0.6,
        sound="is not the body",
    ),
    # ---- training
    *_v(
        "train",
        "bodymap.train",
        f"--config tiny.yaml --shards shards {TRAIN} -o out",
        "tiny.yaml:yaml",
        "shards/index.json:json",
        "shards/shard-00000.safetensors:safetensors",
        weight=5,
    ),
    *_v(
        "train from weights",
        "bodymap.train",
        f"--config tiny.yaml --shards shards --init weights {TRAIN} -o out",
        "weights/model.safetensors:safetensors",
        weight=0.7,
    ),
    *_v(
        "train from foreign weights",
        "bodymap.train",
        f"--config tiny.yaml --shards shards --start foreign.safetensors {TRAIN} -o out",
        "foreign.safetensors:safetensors",
        weight=0.7,
        sound="has no TinyViT",
    ),
    *_v(
        "train with a pack",
        "bodymap.train",
        f"--config tiny.yaml --pack small.pack --set data.size=[32,32] --set augment.size=[32,32] {TRAIN} -o out",
        "small.pack:safetensors",
        weight=0.7,
    ),
    *_v(
        "resume",
        "bodymap.train",
        "-o run --resume --steps 3",
        "run/config.yaml:yaml",
        "run/checkpoint/state.json:json",
        "run/checkpoint/model.safetensors:safetensors",
        "run/checkpoint/optimizer.safetensors:safetensors",
        "run/checkpoint/average.safetensors:safetensors",
        "run/journal.jsonl:text",
        also=("shards",),
        weight=4,
    ),
    *_v(
        "train completion",
        "apps.rerender.train",
        f"--config completion.yaml --set task.textures=textures --set train.precision=float32 {TRAIN} -o out",
        "completion.yaml:yaml",
        "textures/textures.json:json",
        "textures/00000.safetensors:safetensors",
        also=("textures",),
        weight=3,
    ),
    *_v(
        "train layered",
        "apps.layered.train",
        f"--config layered.yaml --shards layers {TRAIN} -o out",
        "layered.yaml:yaml",
        "layers/index.json:json",
        "layers/shard-00000.safetensors:safetensors",
        weight=3,
    ),
    *_v(
        "train heights",
        "apps.layered.train_heights",
        f"--config heights.yaml --shards matches {TRAIN} -o out",
        "heights.yaml:yaml",
        "matches/index.json:json",
        "matches/shard-00000.safetensors:safetensors",
        weight=3,
    ),
    # ---- applications
    *_v(
        "swap",
        "apps.swap",
        "photo.jpg target.jpg -o out.png --sheet out.jpg --texture 128 --size 128 --device cpu",
        "photo.jpg:picture",
        "target.jpg:picture",
        weight=0.7,
    ),
    *_v(
        "rerender",
        "apps.rerender.predict",
        "photo.jpg --turn 30 --size 64 --texture 128 --background scene.png --device cpu -o out.png --export out.glb",
        "photo.jpg:picture",
        "scene.png:picture",
        weight=0.7,
    ),
    *_v(
        "rerender a motion",
        "apps.rerender.predict",
        "photo.jpg --motion motion/walk.bvh --frames 2 --size 64 --texture 128 --device cpu -o out.gif",
        "motion/walk.bvh:text",
        weight=1.5,
    ),
    *_v(
        "rerender with weights",
        "apps.rerender.predict",
        "photo.jpg --turn 30 --size 64 --texture 128 --device cpu -o out.png --completion completion",
        "completion/config.yaml:yaml",
        "completion/model.safetensors:safetensors",
        weight=1.5,
    ),
    *_v(
        "rerender driven",
        "apps.rerender.predict",
        "photo.jpg --driving film.mp4 --frames 2 --size 64 --texture 128 --device cpu -o out.mp4",
        "film.mp4:binary",
        weight=0.5,
    ),
    *_v(
        "measure completion",
        "apps.rerender.evaluate",
        "completion textures --completion plain --count 1 --json out.json --lpips lpips.safetensors",
        "textures/textures.json:json",
        "textures/00000.safetensors:safetensors",
        "lpips.safetensors:safetensors",
        weight=1.5,
        sound="does not hold LPIPS",
    ),
    *_v(
        "layered",
        "apps.layered.predict",
        "photo.jpg -o out --mask labels.png --weights layered --heights heights --size 128 --device cpu",
        "photo.jpg:picture",
        "labels.png:picture",
        "layered/config.yaml:yaml",
        "layered/model.safetensors:safetensors",
        "heights/config.yaml:yaml",
        "heights/model.safetensors:safetensors",
        weight=3,
    ),
    *_v(
        "simulate",
        "apps.layered.simulate",
        "--out cloth --sequences 1 --frames 5",
        "cloth/00_walk.safetensors:safetensors",
        weight=2,
    ),
    *_v(
        "layered samples",
        "apps.layered.samples",
        "cloth cloth --count 1 --size 32 32 -o out",
        "cloth/00_walk.safetensors:safetensors",
        weight=1.5,
    ),
    *_v(
        "layered samples of shards",
        "apps.layered.samples",
        "shards stored/held_out_assets -o out",
        "stored/held_out_assets/index.json:json",
        "stored/held_out_assets/shard-000000.tar:binary",
    ),
    *_v(
        "matches of layers",
        "apps.layered.samples",
        "matches layers -o out",
        "layers/shard-00000.safetensors:safetensors",
        weight=1.5,
    ),
)
