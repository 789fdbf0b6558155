"""Reading photographs: any file, PIL image or array becomes upright (H, W, 3) uint8 RGB, or one clear sentence."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from bodymap.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

# What predict returns has the photo's size at about 35 bytes a pixel: beyond this, ordinary machines run out of memory.
MAXIMUM_PIXELS = 50_000_000
MINIMUM_SIDE = 16  # pixels; nothing smaller shows a person
# Every kind of picture that people keep photographs in (JPEG: also MPO, the stereo pairs of telephones). Pillow knows
# others (PostScript, which it gives to an interpreter to run; formats of the eighties), whose readers are no business
# of a stranger's file.
FORMATS = (
    "JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM", "AVIF", "JPEG2000", "TGA", "PCX", "ICO", "PSD",
)  # fmt: skip
# What Pillow's readers raise of damaged files
DAMAGE = (
    OSError, SyntaxError, ValueError, OverflowError, EOFError, IndexError, TypeError, KeyError, AttributeError,
    NotImplementedError, ArithmeticError, RuntimeError, AssertionError, struct.error, zlib.error,
)  # fmt: skip


def name_of(source: Any) -> str:
    """How error messages call a photo: its path, or what kind of object it is."""
    if isinstance(source, (str, os.PathLike)):
        return str(source)
    file = getattr(source, "filename", None)
    if file:
        return str(file)
    return "the given array" if isinstance(source, np.ndarray) else "the given image"


def read_photo(source: str | os.PathLike | Image.Image | np.ndarray) -> UInt8[np.ndarray, "height width rgb=3"]:
    """Reads a photograph as it should be looked at.

    Files and PIL images may have any mode: grey, palette, CMYK, 16 bits a channel; the EXIF orientation is applied,
    what is transparent becomes white, an animation gives its first picture. Arrays are uint8, (H, W), (H, W, 3) or
    (H, W, 4).

    Returns:
        (H, W, 3) uint8 RGB, contiguous; the caller may write into it only after copying (an array passes through).

    Raises:
        UserError: not a photo, damaged, smaller than MINIMUM_SIDE or larger than MAXIMUM_PIXELS, or an array of floats.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    image, name = open_image(source), name_of(source)
    try:
        return _upright_rgb(image, name)
    finally:
        if image is not source:
            image.close()


def open_image(source: str | os.PathLike | Image.Image) -> Image.Image:
    """Opens a picture without decoding it and checks its size: cheap enough for every input before the work starts.

    Raises:
        UserError: as read_photo, but for damage further inside the file.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, Image.Image):
        _check_size(source.width, source.height, name_of(source))
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise UserError(
            f"A photo must be a path, a PIL image or an (H, W, 3) uint8 array, not a {type(source).__name__}."
        )
    path = Path(source)
    if not os.path.exists(path):  # false, too, for names that the system cannot have
        if str(source).startswith(("http:", "https:")):
            raise UserError(f"{source} is a web address; download the photo first and give its path.")
        raise UserError(f"The photo {path} does not exist; check the path.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the photos in it one by one (for example {path}/*.jpg).")
    try:
        if path.stat().st_size == 0:
            raise UserError(f"The file {path} is empty (0 bytes); it was perhaps not copied completely.")
        # Pillow's own guard against decompression bombs warns or raises by a global limit; ours below is stricter
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.init()  # else it knows the commonest formats only
            image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        raise UserError(
            f"{path} is not an image that can be read; give a JPEG, PNG, WebP, TIFF, GIF or BMP file."
        ) from None
    except Image.DecompressionBombError:
        raise UserError(_too_large(f"The photo {path} is")) from None
    except PermissionError:
        raise UserError(f"The photo {path} cannot be opened: permission denied.") from None
    except DAMAGE as error:
        raise UserError(f"The photo {path} is damaged and cannot be read ({_short(error)}).") from None
    try:
        _check_size(image.width, image.height, str(path))
    except UserError:
        image.close()
        raise
    return image


def _from_array(array: np.ndarray) -> UInt8[np.ndarray, "height width rgb=3"]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise UserError(f"A photo given as an array must have the shape (height, width, 3), not {array.shape}.")
    if array.dtype != np.uint8:
        hint = "; multiply values in [0, 1] by 255, round and convert" if array.dtype.kind == "f" else ""
        raise UserError(f"A photo given as an array must be uint8, not {array.dtype}{hint}.")
    _check_size(array.shape[1], array.shape[0], "the given array")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    elif array.shape[2] == 4:
        alpha = array[:, :, 3:].astype(np.uint16)
        array = ((array[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(array)


def _upright_rgb(image: Image.Image, name: str) -> UInt8[np.ndarray, "height width rgb=3"]:
    from PIL import Image

    try:
        if getattr(image, "is_animated", False) and image.tell() != 0:
            image.seek(0)
        with warnings.catch_warnings():
            # a strange EXIF block or palette is no reason to bother the user: the picture is there
            warnings.simplefilter("ignore")
            image.load()
            picture = _to_rgb(image)
    except MemoryError:
        raise UserError(_too_large(f"The photo {name} is")) from None
    except DAMAGE as error:
        raise UserError(f"The photo {name} is damaged and cannot be read completely ({_short(error)}).") from None

    # conversions drop the metadata, hence the orientation is asked of the original
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            orientation = image.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block raises whatever its parser happens to meet; the picture itself is fine
        orientation = 1
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    if orientation in turns:
        picture = picture.transpose(turns[orientation])
    return np.ascontiguousarray(np.asarray(picture))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB, on white."""
    from PIL import Image

    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_scaled_to_bytes(np.asarray(image), mode)).convert("RGB")
    if mode == "La":
        image, mode = image.convert("LA"), "LA"
    if mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, picture).convert("RGB")
    if mode in ("CMYK", "LAB"):
        return _managed(image)
    return image.convert("RGB")


def _scaled_to_bytes(values: np.ndarray, mode: str) -> UInt8[np.ndarray, "height width"]:
    """Deep grey pictures: 16-bit ones span 0..65535; for 32-bit and float ones the largest value decides."""
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    if mode.startswith("I;16"):
        top = 65535.0
    else:
        largest = float(values.max())
        ladder = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
        top = next((step for step in ladder if largest <= step), largest)
    return np.clip(values * (255.0 / top) + 0.5, 0, 255).astype(np.uint8)


def _managed(image: Image.Image) -> Image.Image:
    """Printing colours through the profile in the file where there is one: the plain formula gives garish colours."""
    profile = image.info.get("icc_profile")
    if profile:
        from io import BytesIO

        from PIL import ImageCms

        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB")


def _check_size(width: int, height: int, name: str) -> None:
    start = f"The photo {name}" if not name.startswith("the given") else name[0].upper() + name[1:]
    if min(width, height) < MINIMUM_SIDE:
        raise UserError(
            f"{start} is {width} x {height} pixels: too small to show a person (at least {MINIMUM_SIDE} each way)."
        )
    if width * height > MAXIMUM_PIXELS:
        raise UserError(_too_large(f"{start} is {width} x {height} pixels:"))


def _too_large(start: str) -> str:
    return f"{start} too large: at most {MAXIMUM_PIXELS // 1_000_000} megapixels can be mapped; scale it down first."


def _short(error: BaseException) -> str:
    """One line of a library's own message, for the brackets of a sentence."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:100].rstrip(".")
