"""Any ONNX segmenter or matting network as a provider of person masks, through onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from bodymap.errors import UserError
from bodymap.foreground.base import Foreground

DEFAULT_SIDE = 512  # pixels; the shorter side that networks of free input size are fed with
MAXIMUM_LONG_SIDE = 2048


class OnnxForeground(Foreground):
    """``onnx:FILE`` or ``onnx:FILE,mean=0.5,std=0.5,size=512,output=0,channel=0``.

    The network takes one picture (1, 3, H, W) or (1, H, W, 3), normalised as (x - mean) / std with x in [0, 1] (the
    default gives [-1, 1]), and gives a matte (1, C, h, w), (1, h, w) or (h, w), as probabilities or as logits (told by
    the range). A fixed input size in the file is obeyed; otherwise the shorter side is ``size``, sides multiples of 32.
    With several channels ``channel`` is read (after a softmax where they are logits).
    """

    def __init__(self, argument: str):
        super().__init__(argument)
        path, *options = argument.split(",")
        self.mean, self.std, self.size, self.output, self.channel = 0.5, 0.5, DEFAULT_SIDE, 0, None
        for option in options:
            self._set(option)
        if not path:
            raise UserError("The foreground provider 'onnx' needs a file: onnx:NETWORK.onnx.")
        if not Path(path).is_file():
            raise UserError(f"The ONNX file {path} does not exist; check the path.")
        try:
            import onnxruntime
        except ImportError:
            raise UserError("ONNX masks need the package onnxruntime: pip install onnxruntime.") from None
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(path, settings, providers=onnxruntime.get_available_providers())
        except Exception as error:  # onnxruntime raises its own, undocumented classes
            line = (str(error).splitlines() or ["unknown reason"])[0][:120]
            raise UserError(f"{path} is not an ONNX network that can be read ({line}).") from None
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise UserError(f"{path} cannot be used for masks: it must take one picture (1, 3, H, W), nothing else.")
        if self.output >= len(self.session.get_outputs()):
            raise UserError(f"{path} has {len(self.session.get_outputs())} outputs; there is no output {self.output}.")

    def _set(self, option: str) -> None:
        key, _, value = option.partition("=")
        kinds = {"mean": float, "std": float, "size": int, "output": int, "channel": int}
        if key not in kinds:
            raise UserError(f"Unknown option {key!r} after onnx:FILE; there are {', '.join(kinds)}.")
        try:
            number = kinds[key](value)
        except ValueError:
            raise UserError(f"The option {key} after onnx:FILE must be a number, not {value!r}.") from None
        if number < 0 or (key in ("std", "size") and number == 0):
            raise UserError(f"The option {key} after onnx:FILE must be positive, not {value}.")
        setattr(self, key, number)

    def _input_size(self, height: int, width: int, shape: list) -> tuple[int, int, bool]:
        """(rows, columns, channels last?) of the picture to feed."""
        last = shape[3] == 3 and shape[1] != 3
        fixed = shape[1:3] if last else shape[2:4]
        if all(isinstance(side, int) and side > 0 for side in fixed):
            return fixed[0], fixed[1], last
        scale = min(self.size / min(height, width), MAXIMUM_LONG_SIDE / max(height, width))
        rows, columns = (max(32, round(side * scale / 32) * 32) for side in (height, width))
        return rows, columns, last

    def __call__(self, photo: UInt8[np.ndarray, "height width rgb=3"]) -> Float32[np.ndarray, "height width"]:
        from PIL import Image

        height, width = photo.shape[:2]
        node = self.session.get_inputs()[0]
        rows, columns, last = self._input_size(height, width, node.shape)
        picture = Image.fromarray(photo).resize((columns, rows), Image.Resampling.BICUBIC, reducing_gap=2.0)
        values = (np.asarray(picture, np.float32) / 255 - self.mean) / self.std
        values = (values if last else values.transpose(2, 0, 1))[None]
        values = values.astype(np.float16 if node.type == "tensor(float16)" else np.float32)
        try:
            result = self.session.run(None, {node.name: values})[self.output]
        except Exception as error:
            line = (str(error).splitlines() or ["unknown reason"])[0][:120]
            raise UserError(f"The ONNX network {self.argument.split(',')[0]} failed on a picture ({line}).") from None
        matte = self._matte(np.asarray(result, np.float32))
        alpha = Image.fromarray(matte).resize((width, height), Image.Resampling.BICUBIC)
        return np.clip(np.asarray(alpha, np.float32), 0, 1)

    def _matte(self, result: np.ndarray) -> Float32[np.ndarray, "rows columns"]:
        while result.ndim > 3 or (result.ndim == 3 and result.shape[0] == 1):
            if result.shape[0] != 1:
                break
            result = result[0]
        if result.ndim == 3 and result.shape[2] == 1:
            result = result[:, :, 0]
        logits = bool(result.size) and (result.min() < -0.01 or result.max() > 1.01)
        if result.ndim == 3:
            # several classes: the wanted one; two classes are background and person
            channel = self.channel if self.channel is not None else (1 if result.shape[0] == 2 else 0)
            if channel >= result.shape[0]:
                raise UserError(f"The ONNX network gives {result.shape[0]} channels; there is no channel {channel}.")
            if logits and result.shape[0] > 1:
                result = np.exp(result - result.max(axis=0))
                result, logits = result / result.sum(axis=0), False
            result = result[channel]
        if result.ndim != 2:
            raise UserError(f"The ONNX network's output of shape {result.shape} is not a mask.")
        return np.ascontiguousarray(1 / (1 + np.exp(-np.clip(result, -30, 30))) if logits else result, np.float32)
