"""Semantic masks of users: label pictures, the colours that this app writes, arrays; and how they are drawn."""

from __future__ import annotations

import os

import numpy as np
from jaxtyping import Int, UInt8

from bodymap.errors import UserError
from bodymap.foreground.file import is_scaled
from bodymap.visual.maps import LAYER_COLOURS

# background, body, upper, lower; the colours of bodymap's layer maps
COLOURS: UInt8[np.ndarray, "layer rgb=3"] = np.concatenate([np.zeros((1, 3), np.uint8), LAYER_COLOURS[[1, 3, 4]]])
HIGHEST = 4  # PERSON, see apps.layered.heads


def read_layers(source: str | os.PathLike | np.ndarray, size: tuple[int, int]) -> Int[np.ndarray, "height width"]:
    """A semantic mask at the photo's size (height, width): 0 background, 1 body, 2 upper, 3 lower, 4 some layer.

    Args:
        source: picture whose pixels hold these numbers (grey or palette), or the COLOURS; or an array of numbers.

    Raises:
        UserError: unreadable, other values, of another shape than the photo, or nobody in it.
    """
    if isinstance(source, np.ndarray):
        title, labels = "The mask", source
    else:
        title = f"The mask {source}"
        labels = _read(source, title)
    if labels.ndim == 3 and labels.shape[2] in (3, 4):
        labels = _from_colours(labels[..., :3], title)
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise UserError(f"{title} must hold one whole number a pixel, not {labels.dtype} of shape {labels.shape}.")
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high > HIGHEST:
        raise UserError(
            f"{title} holds the values {low} to {high}; a semantic mask has 0 background, 1 body, 2 upper, 3 lower."
        )
    if is_scaled(labels.shape, size, title):
        y, x = (((np.arange(to) + 0.5) * of / to).astype(int) for to, of in zip(size, labels.shape, strict=True))
        labels = labels[y[:, None], x[None, :]]
    if not labels.any():
        raise UserError(f"{title} is empty: no pixel is marked as body (1), upper (2) or lower (3).")
    return labels.astype(np.int8)


def _read(path: str | os.PathLike, title: str) -> np.ndarray:
    from bodymap.photo import DAMAGE, open_image

    image = open_image(path)
    try:
        return np.asarray(image if image.mode in ("L", "P", "I", "I;16", "1") else image.convert("RGB"))
    except DAMAGE as error:
        raise UserError(f"{title} is damaged and cannot be read ({str(error)[:100]}).") from None


def _from_colours(picture: UInt8[np.ndarray, "height width rgb=3"], title: str) -> np.ndarray:
    """The nearest of COLOURS; grey label pictures saved as RGB work too."""
    if picture.max(initial=0) <= HIGHEST and (picture == picture[..., :1]).all():
        return picture[..., 0]
    distance = np.abs(picture[..., None, :].astype(int) - COLOURS).sum(-1)
    if np.mean(distance.min(-1) > 40) > 0.01:
        names = ", ".join(f"{tuple(int(v) for v in c)}" for c in COLOURS)
        raise UserError(f"{title} has other colours than those of background, body, upper and lower: {names}.")
    return distance.argmin(-1)


def draw_layers(visible: Int[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width rgb=3"]:
    """One colour a layer, as ``read_layers`` reads them."""
    return COLOURS[visible]
