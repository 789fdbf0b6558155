"""Weights between two runs of one network: ``python -m bodymap.training.mix BEFORE AFTER --share 0.75 -o DIR``.

Training on synthetic people alone sharpens what they show and forgets some of what photographs need; on the straight
line from the weights before to those after lie networks that keep most of both (Wortsman et al. 2022, WiSE-FT). One run
must have started from the other's weights.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bodymap.errors import UserError, run_command


def mix(before: str | os.PathLike, after: str | os.PathLike, share: float, folder: str | os.PathLike) -> Path:
    """Writes (1 - share) before + share after.

    Args:
        before, after: weights of one network (any source of ``bodymap.weights``).
        share: in [0, 1].

    Raises:
        UserError: they are of different networks or templates.
    """
    from bodymap.config import to_dict
    from bodymap.weights import load, save_weights

    a, b = load(before), load(after)
    if a.tensors.keys() != b.tensors.keys() or any(a.tensors[k].shape != b.tensors[k].shape for k in a.tensors):
        raise UserError(f"{before} and {after} are weights of different networks; mix those of two runs of one.")
    if a.metadata.get("code_version") != b.metadata.get("code_version"):
        raise UserError(f"{before} and {after} were trained for different templates.")
    mixed = {
        name: (1 - share) * a.tensors[name].float() + share * after.float() if after.is_floating_point() else after
        for name, after in b.tensors.items()
    }
    about = {k: b.metadata[k] for k in ("code_version",) if k in b.metadata}
    return save_weights(folder, mixed, to_dict(b.config), about)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bodymap.training.mix", description=__doc__.splitlines()[0])
    parser.add_argument("before", metavar="BEFORE", help="name, folder, file or hub id")
    parser.add_argument("after", metavar="AFTER", help="of a run that began with BEFORE")
    parser.add_argument("--share", type=float, default=0.75, metavar="S", help="of AFTER, 0 to 1 (%(default)s)")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    if not 0 <= options.share <= 1:
        raise UserError(f"--share must be from 0 to 1, not {options.share:g}.")
    print(mix(options.before, options.after, options.share, options.output))
    return 0


if __name__ == "__main__":
    run_command(main)
