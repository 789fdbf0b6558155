"""The networks in 8 bits: onnxruntime's static quantisation, calibrated on synthetic people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from bodymap.deploy.graphs import GRAPHS, NETWORKS, Graphs, file_of
from bodymap.deploy.predictor import OnnxBodyMap
from bodymap.people import Pack, PeopleConfig, sample

_PICTURES = 6  # a handful shows the range of what passes through each layer
_SIZE = 480, 360  # pixels


class _Recorder(Graphs):
    """Remembers what the networks were given."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.given: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in NETWORKS}

    def run(self, graph: str, *inputs: np.ndarray) -> list[np.ndarray]:
        if graph in NETWORKS:
            self.given[graph].append(dict(zip(GRAPHS[graph][0], inputs, strict=True)))
        return super().run(graph, *inputs)


class _Reader(CalibrationDataReader):
    def __init__(self, inputs: list[dict[str, np.ndarray]]):
        self.inputs = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.inputs, None)


def quantise(folder: Path) -> None:
    """Adds ``coarse.int8.onnx`` and ``fine.int8.onnx`` to a folder of exported graphs."""
    model = OnnxBodyMap(folder)
    model.graphs = recorder = _Recorder(folder)
    pack = Pack.load(None)
    for seed in range(_PICTURES):
        person = sample(seed, seed, seed, seed, pack=pack, config=PeopleConfig(size=_SIZE), split="train")
        model.read(person.image, mask=person.foreground)
    for name in NETWORKS:
        prepared = folder / f"{name}.prepared.onnx"
        quant_pre_process(str(folder / file_of(name)), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(folder / file_of(name, "int8")),
            _Reader(recorder.given[name]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        prepared.unlink()
