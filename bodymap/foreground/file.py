"""Masks that the user brings: pictures, arrays and their checks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from bodymap.errors import UserError
from bodymap.foreground.base import Foreground

if TYPE_CHECKING:
    from PIL import Image

# A mask drawn on a scaled copy of the photo fits when its aspect agrees up to rounding: a pixel and a half of its own.
ASPECT_SLACK = 1.5


class FileForeground(Foreground):
    """``file:PATH``: a picture, white (or opaque) on the person."""

    def __init__(self, argument: str):
        super().__init__(argument)
        if not argument:
            raise UserError("The foreground provider 'file' needs a path: file:MASK.png.")

    def __call__(self, photo: UInt8[np.ndarray, "height width rgb=3"]) -> Float32[np.ndarray, "height width"]:
        return read_mask(self.argument, photo.shape[:2]).astype(np.float32)


def read_mask(
    source: str | os.PathLike | Image.Image | np.ndarray, size: tuple[int, int]
) -> Bool[np.ndarray, "height width"]:
    """Reads a mask of the person and brings it to the photo's size (height, width).

    Pictures: what is brighter than half counts; where an alpha channel varies, it is the mask (cut-outs of other
    tools). Palette and 0/1 label pictures work too. Arrays: (H, W) of bool, of integers 0/1 or 0..255, of floats in
    [0, 1].

    Raises:
        UserError: unreadable, of another shape than the photo, or empty.
    """
    if isinstance(source, np.ndarray):
        return check_mask(_binary(source), size, "The mask")
    if hasattr(source, "numpy") and hasattr(source, "dim"):  # a torch tensor, without importing torch
        return check_mask(_binary(source.detach().cpu().numpy()), size, "The mask")

    from bodymap.photo import DAMAGE, name_of, open_image, read_photo

    image = open_image(source)
    title = f"The mask {name_of(source)}"
    try:
        has_alpha = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
        if has_alpha:
            alpha = np.asarray(image.convert("RGBA").getchannel("A"))
            if alpha.min() != alpha.max():
                return check_mask(alpha > 127, size, title)
        if image.mode in ("1", "P", "L"):
            # label pictures hold 0 and 1, black to the eye: take the stored indices unless there are real grey levels
            values = np.asarray(image)
            if values.dtype == bool or values.max() <= 1:
                return check_mask(values > 0, size, title)
    except DAMAGE as error:
        raise UserError(f"{title} is damaged and cannot be read ({str(error)[:100]}).") from None
    return check_mask(read_photo(image).max(axis=2) > 127, size, title)


def _binary(values: np.ndarray) -> Bool[np.ndarray, "height width"]:
    values = np.squeeze(values)
    if values.ndim == 3 and values.shape[2] in (3, 4):
        values = values[:, :, :3].max(axis=2)
    if values.ndim != 2:
        raise UserError(f"A mask given as an array must have the shape (height, width), not {values.shape}.")
    if values.dtype == bool:
        return values
    if values.dtype.kind not in "uif":
        raise UserError(f"A mask given as an array must hold booleans or numbers, not {values.dtype}.")
    if values.size and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError("The mask contains values that are not finite; give booleans, or numbers in [0, 1].")
    return values > (0.5 if values.size == 0 or values.max() <= 1 else 127)


def check_mask(
    mask: Bool[np.ndarray, "mask_height mask_width"], size: tuple[int, int], title: str = "The mask"
) -> Bool[np.ndarray, "height width"]:
    """Accepts a mask of the photo's size or of the same shape scaled (then it is resized), and one that is not empty.

    Raises:
        UserError: another shape, or no pixel set.
    """
    if is_scaled(mask.shape, size, title):
        from PIL import Image

        grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size[::-1], Image.Resampling.BILINEAR)
        mask = np.asarray(grey) > 127
    if not mask.any():
        raise UserError(f"{title} is empty: no pixel is marked as the person; white (or True) marks the person.")
    return mask


def is_scaled(shape: tuple[int, int], size: tuple[int, int], title: str) -> bool:
    """Whether a mask of ``shape`` has to be resized to the photo's (height, width).

    Raises:
        UserError: it is of another shape than the photo.
    """
    (rows, columns), (height, width) = shape, size
    # both ratios must describe the same scaling, up to the rounding of the smaller picture's sides
    slack = ASPECT_SLACK * max(width / max(columns, 1), 1.0)
    if rows == 0 or columns == 0 or abs(rows * width / columns - height) > slack:
        raise UserError(
            f"{title} is {columns} x {rows} pixels, but the photo is {width} x {height}; "
            "it must be the photo's size or the same shape scaled."
        )
    return (rows, columns) != (height, width)
