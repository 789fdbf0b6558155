"""Speed of synthetic people on one core, and of photographing them on a device, kept apart from directing them.

    python -m benchmarks.people --pack FILE [--device cuda]

Without --device CPU seconds of one core; with it also pictures a second of the device.
"""

from __future__ import annotations

import argparse
import time


def main() -> None:
    """Dresses new people, then photographs each five times, as training does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", default="256x192")
    parser.add_argument("--device", help="cuda, ...: also time the photographing alone there")
    options = parser.parse_args()
    import torch

    from bodymap.people import Pack, PeopleConfig, sample
    from bodymap.people.director import direct
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
        direct(3000 + k // 5, k, k, k, pack, config, "train")
    print(f"directing one, five of a person {(time.process_time() - start) / options.count:6.3f} s")
    start = time.process_time()
    for k in range(options.count):
        sample(2000 + k // 5, k, k, k, pack=pack, config=config)
    print(f"one picture, five of a person   {(time.process_time() - start) / options.count:6.3f} s")
    if options.device:
        photographing(options.pack, (height, width), 96, torch.device(options.device))


def photographing(pack: str | None, size: tuple[int, int], count: int, device) -> None:
    """Best of four, after two to warm up: with the meshes' way to the device, and with meshes that are there."""
    import torch

    from bodymap.data.synthetic import Shots, SyntheticPeople
    from bodymap.people.film.cargo import unload
    from bodymap.people.studio import photograph

    people = SyntheticPeople(pack, size, seed=5, views_per_person=8)
    shots = Shots(people)
    cargo = shots.collate([shots[k] for k in range(count)])["cargo"]
    loaded, config = people.load()

    def best(work) -> float:
        times = []
        for _ in range(6):
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return min(times[2:])

    there = unload(cargo, loaded, device)
    for name, work in (
        ("sent and photographed", lambda: shots.finish({"cargo": cargo}, device)),
        ("photographed", lambda: photograph(there, config.supersample, device)),
    ):
        print(f"{name} on {device.type:4}: {count / best(work):7.0f} pictures a second")


if __name__ == "__main__":
    main()
