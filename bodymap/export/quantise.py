"""The networks in 8 bits: the weights of matrix products, by onnxruntime's dynamic quantisation.

Convolutions stay as they are: with 8 bits there as well (static quantisation, calibrated on synthetic people) points
move visibly, and it is no faster (docs/deploy.md).
"""

from __future__ import annotations

from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from bodymap.deploy.graphs import NETWORKS, file_of


def quantise(folder: Path) -> None:
    """Adds ``coarse.int8.onnx`` and ``fine.int8.onnx`` to a folder of exported graphs."""
    for name in NETWORKS:
        whole, prepared = folder / file_of(name), folder / f"{name}.prepared.onnx"
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        target = folder / file_of(name, "int8")
        quantize_dynamic(
            str(prepared), str(target), op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
        )
        prepared.unlink()
