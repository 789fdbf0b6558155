"""Averaged weights (EMA), warmed up so that any point of a run is a fair end point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bodymap.errors import UserError
from bodymap.training.sharding import local


class Average:
    """The exponential moving average of a network's state: a_n = d_n a_{n-1} + (1 - d_n) w_n.

    d_n = min(decay, n / (n + 9)), n = 1, 2, ...: at first the mean of the last few steps, later a long one. Floating
    buffers (batch statistics) are averaged too, others are copied. The state dict's names are kept.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes the network's present weights in; call it once after each optimiser step."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        averages, currents = [], []
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                averages.append(local(self.tensors[name]))
                currents.append(local(tensor))
            else:
                self.tensors[name].copy_(tensor)
        torch._foreach_lerp_(averages, currents, 1.0 - decay)

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Inside the block ``model`` holds the averaged weights and is in eval mode; afterwards all is as before."""
        training = {module: module.training for module in model.modules()}
        own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        try:
            model.load_state_dict(self.tensors)
            model.eval()
            yield
        finally:
            model.load_state_dict(own)
            # train() first: networks that cache something in eval mode (timm's TinyViT) drop it there
            model.train()
            for module, was in training.items():
                module.training = was

    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Goes on from a saved average; names and shapes must be those of the network.

        Raises:
            UserError: they are not.
        """
        for name, tensor in self.tensors.items():
            if name not in tensors or tensors[name].shape != tensor.shape:
                raise UserError(
                    f"The checkpoint's average has no fitting \"{name}\"; start again from the run's weights."
                )
            tensor.copy_(tensors[name])
        self.updates = updates
