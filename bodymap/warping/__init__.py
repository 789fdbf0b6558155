"""Between photographs and the template's texture, both ways, and plain ways to fill what no photograph showed.

    partial = image_to_texture(template, photo, correspondence)
    filled = fill_texture(template, partial)
    warped = texture_to_image(template, filled.colour, other_correspondence)

Textures are (T, T, C) tensors on the template's device, uv with v down, texel centres at (j + 0.5) / T.
"""

from bodymap.warping.atlas import Atlas, get_atlas, sample_texture
from bodymap.warping.fill import FilledTexture, fill_texture
from bodymap.warping.fuse import fuse_textures
from bodymap.warping.image_to_texture import PartialTexture, image_to_texture
from bodymap.warping.symmetry import mirror_unseen
from bodymap.warping.texture_to_image import WarpedTexture, look_up, texture_to_image

__all__ = [
    "Atlas",
    "FilledTexture",
    "PartialTexture",
    "WarpedTexture",
    "fill_texture",
    "fuse_textures",
    "get_atlas",
    "image_to_texture",
    "look_up",
    "mirror_unseen",
    "sample_texture",
    "texture_to_image",
]
