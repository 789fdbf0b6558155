"""Parameters of every size, and the time of one size's forward and backward passes.

python -m benchmarks.network [--size small] [--image 224 160] [--batch 1] [--device cpu] [--channels-last]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable

import torch

from benchmarks.sizes import SIZES
from bodymap.network import ModelConfig, build_model
from bodymap.network.heads import features_at
from bodymap.surface import load_template


def parameters_table() -> None:
    """Millions of parameters by part; on the meta device, so that the largest needs no memory."""
    print("millions of parameters")
    template = load_template()
    for name, config in SIZES.items():
        with torch.device("meta"):
            network = build_model(config, template)
        parts = {part: sum(p.numel() for p in module.parameters()) for part, module in network.named_children()}
        print(f"  {name:6s}{sum(parts.values()) / 1e6:8.2f}:", end="")
        print(*(f" {part} {numbers / 1e6:.2f}" for part, numbers in parts.items()), sep=",")


def seconds(function: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median time of a call, after two that are not counted; on a CPU the process' time alone."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times = []
    for _ in range(repeats + 2):
        start = clock()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - start)
    return sorted(times[2:])[repeats // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--image", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), default=(224, 160))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--frozen-stages", type=int, default=0, help="of the appearance stream, where it is a TinyViT")
    parser.add_argument("--pixels", type=int, default=1024, help="at which scores are trained, an image")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parameters_table()

    device, size, batch = torch.device(arguments.device), tuple(arguments.image), arguments.batch
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    config: ModelConfig = SIZES[arguments.size]
    appearance = dataclasses.replace(config.appearance, frozen_stages=arguments.frozen_stages)
    network = build_model(dataclasses.replace(config, appearance=appearance), load_template())
    network = network.to(device, memory_format=layout)
    image = torch.rand(batch, 3, *size, device=device).contiguous(memory_format=layout)
    mask = torch.ones(batch, 1, *size, device=device)
    correspondence = torch.rand(batch, 4, *size, device=device)
    chosen = torch.rand(batch, *size, device=device) < arguments.pixels / (size[0] * size[1])
    third = torch.rand(batch, *size, device=device) < 1 / 3

    def evaluate(function: Callable[[], object]) -> float:
        network.eval()
        with torch.no_grad():
            return seconds(function, device, arguments.repeats) / batch

    def train_main() -> None:
        prediction = network(image, mask, correspondence)
        scores = network.scores(features_at(prediction.features, chosen))
        (scores.square().mean() + prediction.foreground.mean() + prediction.layer.mean()).backward()

    def train_cse() -> None:
        output = network.cse(image)
        (output.embedding.mean() + output.foreground.mean() + output.facing.mean()).backward()

    with torch.no_grad():
        coarse, features = network.eval().cse(image), network(image, mask, correspondence).features
    print(f"{arguments.size} at {size[0]} x {size[1]}, batch {batch}, {device}, one thread: milliseconds an image")
    rows = {
        "whole forward": evaluate(lambda: network(image)),
        "  CSE stage": evaluate(lambda: network.cse(image)),
        "  correspondence image": evaluate(lambda: network.correspondence_image(coarse, size)),
        "  streams to heads": evaluate(lambda: network(image, mask, correspondence)),
        "scores of a third of the pixels": evaluate(lambda: network.scores(features_at(features, third))),
    }
    network.train()
    rows["train all but the CSE stage"] = seconds(train_main, device, arguments.repeats) / batch
    rows["train the CSE stage"] = seconds(train_cse, device, arguments.repeats) / batch
    for name, value in rows.items():
        print(f"  {name:34s}{1e3 * value:8.1f}")


if __name__ == "__main__":
    main()
