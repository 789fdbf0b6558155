"""A folder of exported graphs: its description, its tables, and one onnxruntime session a graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int

from bodymap.config import from_dict
from bodymap.errors import UserError
from bodymap.files import read_json, read_npz
from bodymap.finding import PredictorConfig

FORMAT = "bodymap-onnx"
VERSION = 1
DESCRIPTION, TABLES = "bodymap.json", "tables.npz"
Precision = Literal["float32", "int8"]
NETWORKS = ("coarse", "fine")  # those that there may be of each precision
# Names of the graphs' inputs and outputs, in order; `bodymap.export` says what each of them computes.
GRAPHS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "coarse": (("image",), ("embedding", "foreground")),
    "match": (("embedding",), ("answer",)),
    "match_both": (("embedding", "mirrored"), ("answer",)),
    "fine": (("image", "mask", "correspondence"), ("features", "foreground", "layer")),
    "decode": (("features", "embedding", "mirrored"), ("answer",)),
    "blended": (("codes", "rows", "columns"), ("answer", "torn")),
    "one_sided": (("codes", "rows", "columns"), ("answer",)),
    "surface": (("colours", "near"), ("triangle", "barycentric", "part", "uv", "code")),
}
# Leading entries of the inputs that a graph takes at a time: what fits a processor's cache
_AT_A_TIME = {"match": 512, "match_both": 512, "decode": 128, "surface": 1 << 13, "one_sided": 1 << 13}


def file_of(graph: str, precision: Precision = "float32") -> str:
    """The name of a graph's file inside the folder."""
    return f"{graph}.int8.onnx" if precision == "int8" and graph in NETWORKS else f"{graph}.onnx"


class Graphs:
    """The sessions, opened on first use.

    Attributes:
        config: how photographs are fed to the networks.
        code_version: of the template whose points are the answer.
    """

    def __init__(self, folder: str | os.PathLike, precision: Precision = "float32", threads: int = 0):
        """
        Args:
            threads: of the processor; 0: as many as it has.

        Raises:
            UserError: not such a folder, a file of it is missing, or onnxruntime is.
        """
        if precision not in get_args(Precision):
            raise UserError(f"{precision!r} is not a precision of exported networks; use float32 or int8.")
        try:
            import onnxruntime
        except ImportError:
            raise UserError("Exported networks need the package onnxruntime: pip install onnxruntime.") from None
        self.folder, self.precision = Path(folder), precision
        description = self._describe()
        self.code_version: str = description["code_version"]
        self.config = from_dict(PredictorConfig, description["predictor"], f"{self.folder / DESCRIPTION}: predictor")
        for graph in GRAPHS:
            if not (self.folder / file_of(graph, precision)).is_file():
                hint = "; export with --int8" if precision == "int8" and graph in NETWORKS else "; export again"
                raise UserError(f"{self.folder} lacks {file_of(graph, precision)}{hint}.")
        self._outer, self._codes = self._tables()
        self._settings = onnxruntime.SessionOptions()
        self._settings.log_severity_level = 3
        self._settings.intra_op_num_threads = threads
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._tree = None

    def _describe(self) -> dict:
        path = self.folder / DESCRIPTION
        try:
            description = read_json(path)
        except FileNotFoundError:
            raise UserError(f"{self.folder} holds no exported networks; python -m bodymap.export makes them.") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({str(error)[:100]}); export again.") from None
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise UserError(f"{path} does not describe exported networks of bodymap; export again.")
        if description.get("version") != VERSION:
            raise UserError(f"{path} has version {description.get('version')}, this one reads {VERSION}; export again.")
        if not isinstance(description.get("code_version"), str) or not isinstance(description.get("predictor"), dict):
            raise UserError(f"{path} is damaged; export again.")
        return description

    def _tables(self) -> tuple[Int[np.ndarray, " outer"], Float32[np.ndarray, "outer rgb=3"]]:
        """The vertices that can be seen from outside, and their code."""
        path = self.folder / TABLES
        try:
            tables = read_npz(path)
            outer, codes = tables["outer"], tables["outer_code"]
            if outer.ndim != 1 or outer.dtype.kind not in "iu" or codes.shape != (len(outer), 3) or len(outer) < 2:
                raise ValueError("arrays of other shapes")
            if codes.dtype.kind != "f" or not np.isfinite(codes).all() or outer.min() < 0:
                raise ValueError("values out of range")
        except FileNotFoundError:
            raise UserError(f"{self.folder} lacks {TABLES}; export again.") from None
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} is damaged ({str(error)[:100]}); export again.") from None
        return outer, codes

    def run(self, graph: str, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs of one graph."""
        if graph not in self._sessions:
            import onnxruntime

            path = self.folder / file_of(graph, self.precision)
            try:
                self._sessions[graph] = onnxruntime.InferenceSession(
                    str(path), self._settings, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # onnxruntime raises its own, undocumented classes
                line = (str(error).splitlines() or ["unknown reason"])[0][:120]
                raise UserError(f"{path} is damaged or of another onnxruntime ({line}); export again.") from None
        return self._sessions[graph].run(None, dict(zip(GRAPHS[graph][0], inputs, strict=True)))

    def run_blocks(self, graph: str, *inputs: np.ndarray, fixed: tuple[np.ndarray, ...] = ()) -> list[np.ndarray]:
        """The same for a graph that treats the first axis entry by entry, some at a time.

        Args:
            fixed: inputs before the others, the same for all entries.
        """
        size, count = _AT_A_TIME.get(graph, 1 << 15), len(inputs[0])
        # at least once, so that nothing gives outputs without entries
        starts = range(0, max(count, 1), size)
        parts = [self.run(graph, *fixed, *(one[start : start + size] for one in inputs)) for start in starts]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def surface_of(self, colours: Float32[np.ndarray, "point rgb=3"]) -> list[np.ndarray]:
        """Projects colours in [0, 1] on the surface: triangle, barycentric, part, uv and code of each."""
        if self._tree is None:
            from scipy.spatial import cKDTree

            self._tree = cKDTree(self._codes)
        near: Int[np.ndarray, "point 2"] = self._outer[self._tree.query(colours, k=2)[1]]
        return self.run_blocks("surface", colours, near)
