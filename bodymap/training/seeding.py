"""All random numbers of a step as a function of integers, so that no generator's state has to be saved."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(*seed: int) -> None:
    """Seeds the global generators of torch (all devices), numpy and random from any integers.

    The loop calls it before every forward pass, so no generator's state has to be saved.
    """
    value = int(np.random.SeedSequence([abs(part) for part in seed]).generate_state(1)[0])
    torch.manual_seed(value)
    np.random.seed(value)
    random.seed(value)
