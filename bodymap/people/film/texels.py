"""Images where the kernels can read them: each is copied to a device once, the ones used last stay there."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_LARGEST = 2 << 30  # bytes a device; a CPU reads the arrays in place
_kept: OrderedDict[tuple[int, torch.device], tuple[np.ndarray, Tensor]] = OrderedDict()


def texels(image: UInt8[np.ndarray, "height width channel"], device: torch.device) -> UInt8[Tensor, "h w c"]:
    """The image on the device. Hold the result as long as its address is in use; do not write into the image."""
    if device.type == "cpu":
        return torch.from_numpy(np.ascontiguousarray(image))
    key = (id(image), device)
    if key not in _kept:
        _kept[key] = (image, torch.from_numpy(np.ascontiguousarray(image)).to(device))
        while sum(tensor.numel() for _, tensor in _kept.values()) > _LARGEST:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key][1]
