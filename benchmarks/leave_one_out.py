"""What each group of the people engine's variety is worth: leave it out, train on as many pictures, compare.

    python -m benchmarks.leave_one_out --pack people.pack --photos PHOTOS -o runs/leave_one_out

Every condition makes its pictures once and trains one coarse stage per seed, all from the same start; the coarse stage
is what finds the landmarks, and trains four times as fast as both. Judged on held-out pictures of the full engine and
on photographs in which it is told where the person is. What is finished in the folder is not done again. Writes
``table.md`` and ``results.json`` there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bodymap import BodyMap
from bodymap.cropping import resized
from bodymap.data.photos import Photo, read_photo_sets
from bodymap.data.shards import ShardSettings, write_shards
from bodymap.data.synthetic import SyntheticPeople
from bodymap.evaluation.judge import summarise as summarise_synthetic
from bodymap.evaluation.network import evaluate_network
from bodymap.evaluation.photos import score_photo, summarise
from bodymap.foreground.people import Person
from bodymap.people import Pack, sample
from bodymap.people.config import CameraConfig, FaceConfig, OutfitConfig, PeopleConfig, PoseConfig, SceneConfig
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template
from bodymap.types import Sample

MADE, SIZE = (160, 128), (128, 96)  # of the pictures made, and of what the network sees of them
BATCH = 16
LONGEST = 512  # of photographs: the network sees them smaller still


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
        "nothing worn or carried, few prints": {"outfit": plain_worn},
        "no further people, nothing in front": {"scene": replace(scene, bystander=0.0, occluder=0.0, nobody=0.0)},
        "poses of files only": {"pose": replace(PoseConfig(), procedural=0.0, mix_halves=0.0)},
        "no lens, blur, noise or compression": {
            "camera": replace(camera, distortion=0.0),
            "scene": replace(scene, defocus=0.0),
            "photograph": replace(PeopleConfig().photograph, blur=0, motion=0, noise=0, jpeg=0, low_resolution=0),
        },
        "few kinds of things": {"scene": old_things},
        "no facial actions": {"face": FaceConfig(neutral=1.0, blink=0.0, gaze=0.0)},
    }


@dataclass(frozen=True)
class Exam:
    """What every network is judged by: pictures of the full engine, and photographs with their people, by set."""

    held_out: list[Sample]
    photos: dict[str, list[tuple[Photo, np.ndarray, Person]]]


def main() -> None:
    """Makes, trains, judges; prints a line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack")
    parser.add_argument("--config", default="tiny", help="a name in configs/bodymap")
    parser.add_argument("--init", help="weights that every network starts from; without it from nothing")
    parser.add_argument(
        "--photos", help="a photo set, or a folder of them; see python -m bodymap.evaluate photos --help"
    )
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=2500, help=f"of {BATCH} views")
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", action="append", metavar="TEXT", help="conditions whose name has it; may be repeated")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    exam = _exam(options)
    results: dict[str, list[dict]] = {}
    if options.init:
        results["start"] = [_judged(options.output / "start", options.init, exam)]
        print("start", results["start"], flush=True)
    for name, changes in conditions().items():
        if options.only and not any(text in name for text in options.only):
            continue
        slug = name.replace(",", "").replace(" ", "_")
        shards = options.output / "data" / slug
        _make(shards, options, changes)
        for seed in range(options.seeds):
            run = options.output / f"{slug}_{seed}"
            if not (run / "weights").exists():
                _train(run, shards, seed, options)
            results.setdefault(name, []).append(_judged(run, str(run / "weights"), exam))
            print(name, seed, results[name][-1], flush=True)
        # several processes may share the folder, each with its own --only; the last run without it tells all
        (options.output / "results.json").write_text(json.dumps(results, indent=1))
        (options.output / "table.md").write_text(table(results))


def _make(folder: Path, options: argparse.Namespace, changes: dict) -> None:
    people = SyntheticPeople(options.pack, MADE, seed=11, views_per_person=8, options=changes)
    # the settings only guard against mixing folders
    settings = ShardSettings(pack=str(sorted(changes)), seed=11, size=MADE, views_per_person=8)
    write_shards(people.sample, options.pictures, folder, settings, options.workers)


def _train(run: Path, shards: Path, seed: int, options: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "bodymap.train", "--config", f"configs/bodymap/{options.config}.yaml"]
    command += ["--shards", str(shards), "-o", str(run), *(["--init", options.init] if options.init else [])]
    # by steps alone: minutes would not be the same for all; weights are there when they are complete
    command += ["--steps", str(options.steps), "--max-minutes", "600"]
    settings = {
        "train.seed": seed,
        "train.batch_size": BATCH,
        "train.threads": 1,
        "train.decay": 0.5,
        "train.average": 0.99,
        "train.preview_minutes": 0,
        "train.save_minutes": 1000,
        "augment.size": list(SIZE),
        "task.stage": "cse",
        "task.cse_pixels": 2000,
    }
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _judged(folder: Path, weights: str, exam: Exam) -> dict:
    file = folder / "figures.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        figures = _judge(weights, exam)
        file.write_text(json.dumps(figures))
    return json.loads(file.read_text())


def _judge(weights: str, exam: Exam) -> dict:
    config = PredictorConfig(stage="cse", size=max(SIZE), coarse_size=max(SIZE))
    model = BodyMap.from_pretrained(weights, device="cpu", config=config)
    template = load_template()
    judged = evaluate_network(model.net, template, exam.held_out, "cse")
    figures = summarise_synthetic(judged, float(template.sample_geodesic.max()), detail=False)
    out = {
        "synthetic mask": 100 * figures["mask"]["iou"],
        "synthetic median, cm": figures["geodesic"]["median_cm"],
        "within 10 cm": 100 * figures["acc_cm"]["10"],
    }
    for name, photos in exam.photos.items():
        scores = [
            score_photo(photo, model.expand(image, model.read(image, person)), None, template)
            for photo, image, person in photos
        ]
        figures = summarise(scores, template)
        if "mask" in figures:
            out[f"{name} mask"] = 100 * figures["mask"]["mean"]
        if "landmarks" in figures:
            out[f"{name} landmarks"] = 100 * figures["landmarks"]["score"]
            out["right part, either side"] = 100 * figures["landmarks"]["part"]
    return out


def _exam(options: argparse.Namespace) -> Exam:
    pack, config = Pack.load(options.pack), PeopleConfig(size=SIZE, scene=SceneConfig(nobody=0.0))
    samples = [
        sample(90_000 + k // 4, k, k, k, pack=pack, config=config, split="test") for k in range(options.held_out)
    ]
    photos: dict[str, list] = {}
    for each in read_photo_sets(options.photos) if options.photos else ():
        for photo in each.photos:
            image = photo.image()
            scale = min(1.0, LONGEST / max(image.shape[:2]))
            height, width = (round(side * scale) for side in image.shape[:2])
            person = _person(photo, height, width)
            if person is not None:
                photos.setdefault(each.name, []).append((photo, resized(image, (height, width)), person))
    return Exam(samples, photos)


def _person(photo: Photo, height: int, width: int) -> Person | None:
    truth = photo.foreground((height, width))
    if truth is not None:
        rows, columns = (np.flatnonzero(truth.any(axis=axis)) for axis in (1, 0))
        box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    elif photo.landmarks is not None:
        x, y = (photo.landmarks[:, :2] * (width, height)).T
        extra = 0.06 * np.ptp(y)  # to the top of the head and the soles
        box = x.min() - extra, y.min() - extra, x.max() + extra, y.max() + extra
    else:
        return None
    box = tuple(np.clip(box, 0, (width, height, width, height)).astype(float))
    region = np.zeros((height, width), bool)
    region[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    return Person(box, float(region.sum()), region, 1.0)


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
