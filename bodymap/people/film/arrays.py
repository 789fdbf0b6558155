"""Torch tensors and numpy records as kernels take them: descriptors, which cost a third of a ``wp.array``."""

from __future__ import annotations

import numpy as np
import torch
import warp as wp
from jaxtyping import Shaped
from torch import Tensor


def view(tensor: Shaped[Tensor, "..."], dtype: type | None = None):
    """The tensor's memory for ``wp.launch``; ``dtype`` as in ``wp.from_torch``. The descriptor holds the tensor."""
    return wp.from_torch(tensor, dtype, requires_grad=False, return_ctype=True)


def structs(records: Shaped[np.ndarray, " row"], device: torch.device):
    """Structured records, on the device, for a kernel's array of the warp struct whose layout they have."""
    rows = torch.from_numpy(records.view(np.uint8).reshape(len(records), -1)).to(device)
    # one element a record, a record apart: kernels look at where the first lies and at the step only
    return view(rows[:, 0])
