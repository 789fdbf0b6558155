"""What every provider of person masks offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float32, UInt8


class Foreground(ABC):
    """Made from the text after the colon of ``NAME:ARGUMENT`` (may be empty); checks at once whether it can work."""

    def __init__(self, argument: str = ""):
        self.argument = argument

    @abstractmethod
    def __call__(self, photo: UInt8[np.ndarray, "height width rgb=3"]) -> Float32[np.ndarray, "height width"]:
        """The alpha matte of all people in the photo, in [0, 1], at the photo's size."""
