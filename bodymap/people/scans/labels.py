"""Which parts of a scan are cloth: what the user says, as a layer for each triangle of the template."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from bodymap.errors import UserError
from bodymap.people.anatomy import template
from bodymap.types import LAYER_NAMES, PART_NAMES


def parse_layers(rules: list[str]) -> Int[np.ndarray, " face"]:
    """Rules such as ``upper=torso_front,torso_back,upper_arm``; a part without its side means both.

    Returns:
        Index into LAYER_NAMES for each triangle of the template; skin where no rule says otherwise.

    Raises:
        UserError: no such layer or part.
    """
    part = template().triangle_part.numpy()
    out = np.full(len(part), LAYER_NAMES.index("skin"))
    worn = LAYER_NAMES[1:]
    for rule in rules:
        layer, _, parts = rule.partition("=")
        if layer not in worn or not parts:
            raise UserError(f"--layer must look like upper=torso_front,torso_back with a layer of {', '.join(worn)}.")
        for name in parts.split(","):
            found = [k for k, known in enumerate(PART_NAMES) if name in (known, known.partition("_")[2])]
            if not found:
                raise UserError(f"There is no body part {name!r}; choose of {', '.join(PART_NAMES)}.")
            out[np.isin(part, found)] = LAYER_NAMES.index(layer)
    return out
