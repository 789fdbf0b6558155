"""What each group of the people engine's variety is worth: leave it out, train ``tiny`` on as many pictures, compare.

    python -m benchmarks.leave_one_out --pack people.pack --photos PHOTOS -o runs/leave_one_out

Every condition makes its pictures once and trains one network per seed; the held-out pictures, of the full engine, are
the same for all. What is finished in the folder is not done again. Writes ``table.md`` and ``results.json`` there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bodymap.people.config import CameraConfig, FaceConfig, OutfitConfig, PeopleConfig, PoseConfig, SceneConfig

CONFIG = "configs/bodymap/tiny.yaml"
SIZE = (128, 96)


def _without(table: dict[str, float], *keep: str) -> dict[str, float]:
    return {name: weight if name in keep else 0.0 for name, weight in table.items()}


def conditions() -> dict[str, dict]:
    """Name -> fields of ``PeopleConfig`` that differ from the defaults."""
    outfit, scene, camera = OutfitConfig(), SceneConfig(), CameraConfig()
    plain_worn = replace(
        outfit,
        worn=_without(outfit.worn),
        placed=0.0,
        patterns=_without(outfit.patterns, "stripes", "check", "dots", "denim"),
        bag=0.0,
        held=0.0,
    )
    old_things = replace(
        scene,
        occluders=_without(scene.occluders, "post", "counter", "ball"),
        distractors=_without(scene.distractors, "teddy", "chair", "block", "post"),
    )
    return {
        "everything": {},
        "no facial actions": {"face": FaceConfig(neutral=1.0, blink=0.0, gaze=0.0)},
        "nothing worn or carried, few prints": {"outfit": plain_worn},
        "few kinds of things": {"scene": old_things},
        "no further people, nothing in front": {"scene": replace(scene, bystander=0.0, occluder=0.0, nobody=0.0)},
        "poses of files only": {"pose": replace(PoseConfig(), procedural=0.0, mix_halves=0.0)},
        "no lens, blur, noise or compression": {
            "camera": replace(camera, distortion=0.0),
            "scene": replace(scene, defocus=0.0),
            "photograph": replace(PeopleConfig().photograph, blur=0, motion=0, noise=0, jpeg=0, low_resolution=0),
        },
    }


def main() -> None:
    """Makes, trains, judges; prints a line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack")
    parser.add_argument(
        "--photos", help="a photo set, or a folder of them; see python -m bodymap.evaluate photos --help"
    )
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    results: dict[str, list[dict]] = {}
    for name, changes in conditions().items():
        slug = name.replace(",", "").replace(" ", "_")
        shards = options.output / "data" / slug
        _make(shards, options, changes)
        for seed in range(options.seeds):
            run = options.output / f"{slug}_{seed}"
            figures = _train_and_judge(run, shards, seed, options)
            results.setdefault(name, []).append(figures)
            print(name, seed, figures, flush=True)
    (options.output / "results.json").write_text(json.dumps(results, indent=1))
    (options.output / "table.md").write_text(table(results))


def _make(folder: Path, options: argparse.Namespace, changes: dict) -> None:
    from bodymap.data.shards import ShardSettings, write_shards
    from bodymap.data.synthetic import SyntheticPeople

    people = SyntheticPeople(options.pack, SIZE, seed=11, views_per_person=8, options=changes)
    # the settings only guard against mixing folders
    settings = ShardSettings(pack=str(sorted(changes)), seed=11, size=SIZE, views_per_person=8)
    write_shards(people.sample, options.pictures, folder, settings, options.workers)


def _train_and_judge(run: Path, shards: Path, seed: int, options: argparse.Namespace) -> dict:
    done = run / "figures.json"
    if not done.exists():
        train = [sys.executable, "-m", "bodymap.train", "--config", CONFIG, "--shards", str(shards), "-o", str(run)]
        # by steps alone: minutes would not be the same for all
        train += ["--steps", str(options.steps), "--max-minutes", "600", "--set", f"train.seed={seed}"]
        subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
        done.write_text(json.dumps(_judge(run / "weights", options)))
    return json.loads(done.read_text())


def _judge(weights: Path, options: argparse.Namespace) -> dict:
    from bodymap import BodyMap
    from bodymap.evaluation import judge
    from bodymap.evaluation.network import evaluate_network
    from bodymap.surface import load_template

    model = BodyMap.from_pretrained(str(weights), device="cpu")
    template = load_template()
    judged = evaluate_network(model.net, template, list(_held_out(options)), method="fused")
    figures = judge.summarise(judged, float(template.sample_geodesic.max()), detail=False)
    out = {"synthetic mask": figures["mask"]["iou"], "synthetic median, cm": figures["cm"]["median_cm"]}
    return out | (_photos(weights, options.photos) if options.photos else {})


def _photos(weights: Path, photos: str) -> dict:
    file = weights.parent / "photos.json"
    command = [sys.executable, "-m", "bodymap.evaluate", "photos", photos, "--weights", str(weights), "--json", file]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    out = {}
    for name, figures in json.loads(file.read_text())["photos"].items():
        out[f"{name} mask"] = figures["mask"]["mean"]
        if "landmarks" in figures:
            out[f"{name} landmarks"] = figures["landmarks"]["score"]
    return out


def _held_out(options: argparse.Namespace) -> Iterator:
    from bodymap.people import Pack, sample

    pack, config = Pack.load(options.pack), PeopleConfig(size=(96, 64), scene=SceneConfig(nobody=0.0))
    for k in range(options.held_out):
        yield sample(90_000 + k // 4, k, k, k, pack=pack, config=config, split="test")


def table(results: dict[str, list[dict]]) -> str:
    """Means over the seeds, +- half of their spread."""
    columns = list(next(iter(results.values()))[0])
    lines = ["| left out | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, rows in results.items():
        cells = []
        for column in columns:
            values = np.array([row[column] for row in rows])
            cells.append(f"{values.mean():.3g} ± {np.ptp(values) / 2:.2g}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
