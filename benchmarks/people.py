"""Speed of synthetic people on one core: ``python -m benchmarks.people --pack FILE``; CPU seconds."""

from __future__ import annotations

import argparse
import time


def main() -> None:
    """Dresses new people, then photographs each five times, as training does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", default="256x192")
    options = parser.parse_args()
    import torch

    from bodymap.people import Pack, PeopleConfig, sample
    from bodymap.people.person import build_person

    torch.set_num_threads(1)
    pack = Pack.load(options.pack)
    height, width = (int(v) for v in options.size.split("x"))
    config = PeopleConfig(size=(height, width))
    start = time.process_time()
    sample(0, 0, 0, 0, pack=pack, config=config)
    print(f"first sample (grids, kernels)   {time.process_time() - start:6.2f} s")
    for k in range(30):  # companions and garments that are bound once
        sample(k // 5, k, k, k, pack=pack, config=config)
    start = time.process_time()
    for k in range(8):
        build_person(1000 + k, pack, config, "train")
    print(f"dressing one person             {(time.process_time() - start) / 8:6.3f} s")
    start = time.process_time()
    for k in range(options.count):
        sample(2000 + k // 5, k, k, k, pack=pack, config=config)
    print(f"one picture, five of a person   {(time.process_time() - start) / options.count:6.3f} s")


if __name__ == "__main__":
    main()
