"""The renderer inside the swap: light and shade of the source's clothes move as their surface has turned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from apps.rerender.normals import Normals
from apps.rerender.renderer import TEXELS, RendererNet, correction
from apps.swap.regions import TargetView
from bodymap.errors import UserError
from bodymap.fitting import fit_body
from bodymap.surface import Template
from bodymap.types import Correspondence
from bodymap.warping.fill import SEEN
from bodymap.warping.texture_to_image import look_up

if TYPE_CHECKING:
    from apps.swap.transfer import Source


def relit(
    template: Template, view: TargetView, source: Source, correspondence: Correspondence, renderer: RendererNet
) -> TargetView:
    """The view with the renderer's correction of its picture, ``TargetView.lit`` of others.

    Args:
        correspondence: the target's, of the view.
    """
    normals = form = None
    body = None if source.body is None else body_of(correspondence)
    if body is not None:
        both = Normals.between(template, source.body, body)
        normals, form = both.at_pixels(template, correspondence), both.at_texels(template, TEXELS)
    seen = (source.filled.origin == SEEN).float()[..., None]
    share = look_up(template, seen, view.grid, tuple(view.mask.shape)).values
    alpha = view.mask.float()[None]
    code = torch.from_numpy(correspondence.colour).permute(2, 0, 1).float() / 255
    given = [view.picture.permute(2, 0, 1) * alpha, alpha, share.permute(2, 0, 1) * alpha, code.to(alpha) * alpha]
    texture = [source.filled.colour.permute(2, 0, 1), seen.permute(2, 0, 1)]
    given, texture = [x.cpu() for x in given], [x.cpu() for x in texture]
    if normals is not None:
        normals = normals * given[1]
    light = torch.cat(correction(renderer, *given, *texture, normals, form)).permute(1, 2, 0)
    view = replace(view, light=light.to(view.picture))
    return replace(view, picture=view.lit(view.picture))


def body_of(correspondence: Correspondence) -> Float[np.ndarray, "vertex=13380 xyz=3"] | None:
    """The fitted body's vertices in its camera's space; None where none fits."""
    try:
        return fit_body(correspondence).vertices
    except UserError:
        return None
