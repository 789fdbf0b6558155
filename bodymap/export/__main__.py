"""The command: a trained predictor as ONNX graphs that onnxruntime runs without torch (``bodymap.deploy``).

    python -m bodymap.export [WEIGHTS] -o DIR [--int8]

writes into DIR the graphs (``graphs.py`` says what each computes), ``tables.npz`` (what the decoding looks up outside
them) and ``bodymap.json``. Each graph is run on random inputs of several sizes and compared with torch before DIR
appears.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bodymap.cropping import check_size
from bodymap.errors import UserError, run_command
from bodymap.finding import PredictorConfig
from bodymap.weights import find


def main(arguments: Sequence[str] | None = None) -> None:
    """Exports; UserError where a graph does not say what torch says."""
    options = _parser().parse_args(arguments)
    check_size(options.size)
    find(options.weights)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise UserError(f'Exporting needs the package {package}: pip install "bodymap[onnx]".') from None

    from bodymap.export.graphs import export
    from bodymap.predictor import BodyMap

    model = BodyMap.from_pretrained(options.weights, device="cpu", config=PredictorConfig(size=options.size))
    for graph, difference in export(model, options.output, options.int8).items():
        print(f"{graph:12s} differs from torch by at most {difference:.1e}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.export", description="Writes a predictor as ONNX graphs for python -m bodymap.deploy."
    )
    parser.add_argument("weights", metavar="WEIGHTS", nargs="?", help="default: the shipped ones")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder for the graphs")
    parser.add_argument("--size", metavar="PX", type=int, default=PredictorConfig.size, help="default: %(default)s")
    parser.add_argument("--int8", action="store_true", help="also write the networks in 8 bits")
    return parser


if __name__ == "__main__":
    run_command(main)
