"""Textures and panoramas as small webp images."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from bodymap.errors import UserError
from bodymap.files import read_npz
from bodymap.people.assets.lookup import files_below
from bodymap.people.assets.makehuman import Licences

PANORAMA_SIZE = (1024, 512)  # width, height
RADIANCE_SIZE = (64, 32)
# What damaged files raise in PIL and numpy
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, OverflowError, TypeError, struct.error)
_DAMAGE += (zlib.error, zipfile.BadZipFile)
_PANORAMA_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def open_image(path: Path):
    """A PIL image, RGB or RGBA.

    Raises:
        UserError: missing or damaged.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    except (*_DAMAGE, Image.DecompressionBombError):
        raise UserError(f"The picture {path} cannot be read.") from None


def encode_texture(
    path: Path, size: int, quality: int, keep_alpha: bool, occlusion: Path | None = None
) -> tuple[UInt8[np.ndarray, " byte"], bool]:
    """A texture as webp, its longer side at most ``size``; and whether it is a cut-out (alpha that matters was kept).

    Ambient occlusion is multiplied in at half strength: it gives folds some depth without a second texture.
    """
    from PIL import Image, ImageChops

    image = open_image(path)
    image.thumbnail((size, size), Image.Resampling.BOX)
    if occlusion is not None:
        shade = open_image(occlusion).convert("L").resize(image.size, Image.Resampling.BOX)
        shade = shade.point(lambda value: 128 + value // 2)
        image_alpha = image.getchannel("A") if image.mode == "RGBA" else None
        image = ImageChops.multiply(image.convert("RGB"), Image.merge("RGB", [shade] * 3))
        if image_alpha is not None:
            image.putalpha(image_alpha)
    cut_out = False
    if image.mode == "RGBA":
        cut_out = keep_alpha and float((np.asarray(image)[..., 3] < 128).mean()) > 0.002
        image = image if cut_out else image.convert("RGB")
    return _webp(image, quality), cut_out


def _webp(image, quality: int) -> UInt8[np.ndarray, " byte"]:
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=quality, alpha_quality=70, method=4, exact=image.mode == "RGBA")
    return np.frombuffer(buffer.getvalue(), np.uint8)


def plain_texture(colour: tuple[float, float, float]) -> UInt8[np.ndarray, " byte"]:
    """A texture of one sRGB colour in [0, 1]."""
    from PIL import Image

    return _webp(Image.new("RGB", (8, 8), tuple(round(255 * value) for value in colour)), 100)


@dataclass(frozen=True)
class PanoramaFile:
    """A panorama as found: name, encoded image, radiance (h, w, 3) float32 or None, licence."""

    name: str
    image: UInt8[np.ndarray, " byte"]
    radiance: Float[np.ndarray, "height width rgb=3"] | None
    licence: str


def find_panoramas(folder: Path) -> list[Path]:
    """Pictures twice as wide as high that lie with a radiance file, or in a folder named after panoramas."""
    from PIL import Image

    found = []
    words = ("hdri", "panorama")
    for path in files_below(folder, *_PANORAMA_ENDINGS):
        named = any(word in part.lower() for part in (folder.name, *path.parts[-3:-1]) for word in words)
        if not named and not list(path.parent.glob("radiance*.npz")):
            continue
        try:
            with Image.open(path) as image:
                width, height = image.size
        except (*_DAMAGE, Image.DecompressionBombError):
            width, height = 2, 1  # reading it will say so
        if width == 2 * height:
            found.append(path)
    return found


def read_panorama(path: Path, licences: Licences, quality: int = 75) -> PanoramaFile:
    """Reads a panorama and, from a ``radiance*.npz`` beside it, its linear radiance.

    Raises:
        UserError: damaged.
    """
    from PIL import Image

    image = open_image(path).convert("RGB").resize(PANORAMA_SIZE, Image.Resampling.BOX)
    radiance = None
    for archive in sorted(path.parent.glob("radiance*.npz")):
        try:
            arrays = read_npz(archive, most=4 << 30)
            if path.stem in arrays:
                radiance = shrink(arrays[path.stem].astype(np.float32))
                if radiance.ndim != 3 or radiance.shape[2] != 3 or not np.isfinite(radiance).all():
                    raise ValueError("not a picture")
        except _DAMAGE:
            raise UserError(f"The radiance file {archive} cannot be read.") from None
    return PanoramaFile(path.stem, _webp(image, quality), radiance, licences.of(path))


def shrink(radiance: Float[np.ndarray, "height width rgb=3"]) -> Float[np.ndarray, "small_height small_width rgb=3"]:
    """Averages blocks down to RADIANCE_SIZE (energy is kept); smaller or odd sizes are returned as they are."""
    width, height = RADIANCE_SIZE
    h, w = radiance.shape[:2]
    if h % height or w % width or h < height:
        return radiance
    return radiance.reshape(height, h // height, width, w // width, 3).mean((1, 3))
