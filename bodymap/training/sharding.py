"""Weights that lie in pieces on several processes (FSDP): taken apart, put together, refused where the loop cannot.

Without FSDP every function here gives back what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from accelerate import Accelerator
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from bodymap.errors import UserError


def refuse_strangers() -> None:
    """Refuses strategies of ``accelerate launch`` that take optimiser and gradients out of the loop's hands.

    Raises:
        UserError: DeepSpeed or Megatron-LM was asked for.
    """
    for variable, name in (("ACCELERATE_USE_DEEPSPEED", "DeepSpeed"), ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM")):
        if os.environ.get(variable, "false").lower() == "true":
            raise UserError(
                f"{name} steps the optimiser itself, which this loop does not allow; "
                "spread the weights with configs/accelerate/fsdp.yaml instead."
            )


def spreads(accelerator: Accelerator) -> bool:
    """Whether this run's weights are to be spread over its processes.

    Raises:
        UserError: by FSDP's first version, which replaces the parameters that the optimiser knows.
    """
    if str(accelerator.distributed_type.value) != "FSDP":
        return False
    if not accelerator.is_fsdp2:
        raise UserError(
            "Only the second version of FSDP works here; set fsdp_version: 2, as configs/accelerate/fsdp.yaml."
        )
    # Half precision by autocast, as everywhere: FSDP's own policy would also round what a batch holds
    accelerator.state.fsdp_plugin.mixed_precision_policy = None
    return True


def local(tensor: Tensor) -> Tensor:
    """The piece that lies on this process, as a tensor that shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The pieces of all processes put together; every process must call it, with the same names in the same order."""
    return {name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor for name, tensor in tensors.items()}


def spread_like(tensor: Tensor, reference: Tensor) -> Tensor:
    """A whole tensor taken apart as ``reference`` of the same shape is; every process must call it."""
    if not isinstance(reference, DTensor) or tensor.shape != reference.shape:
        return tensor
    return distribute_tensor(tensor.to(reference.device), reference.device_mesh, reference.placements)
