"""Images a second of whole training steps (losses, backward, optimiser), by stage and precision.

    python -m benchmarks.steps [--config configs/bodymap/small.yaml] [--shards DIR] [--size 224x160] [--batch 12]

Without --shards the people come from the shipped pack. Reading and augmenting is not in it: see benchmarks.training.
Starts from --init: an untrained coarse stage is in doubt everywhere, which costs more than any trained one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from bodymap.config import from_dict, load_config
from bodymap.task import BodyMapTask, TaskConfig
from bodymap.train import Config
from bodymap.weights import load, load_into


def seconds_per_image(task: BodyMapTask, batch: dict, device: torch.device, half: bool, steps: int) -> float:
    """The quickest of ``steps`` steps, after one to warm up."""
    task.model.train().to(device, memory_format=torch.channels_last if half else torch.contiguous_format)
    optimizer = torch.optim.AdamW([p for p in task.model.parameters() if p.requires_grad], lr=1e-5)
    times = []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            losses = task.losses(batch)
        sum(value for name, value in losses.items() if not name.startswith("metric_")).backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return min(times[1:]) / len(batch["image"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/bodymap/small.yaml")
    parser.add_argument("--init", default="small", help="weights that fit --config; none: random ones")
    parser.add_argument("--shards")
    parser.add_argument("--size")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = load_config(Config, options.config)
    size = tuple(map(int, options.size.split("x"))) if options.size else config.augment.size
    for stage in ("cse", "bodymap", "both"):
        task = BodyMapTask(
            config.model,
            replace(config.data, shards=options.shards),
            replace(config.augment, size=size),
            replace(from_dict(TaskConfig, config.task, "task"), stage=stage),
            batch_size=options.batch,
            workers=0,
            seed=0,
        )
        if options.init != "none":
            load_into(task.model, load(options.init).tensors, source=options.init)
        batch = task.batch_source().batch(0, device)
        for half in (False, True):
            speed = 1 / seconds_per_image(task, batch, device, half, options.steps)
            precision = "bfloat16, channels last" if half else "float32"
            print(f"{stage:8s} {size[0]} x {size[1]}  batch {options.batch}  {precision:24s} {speed:7.1f} images/s")


if __name__ == "__main__":
    main()
