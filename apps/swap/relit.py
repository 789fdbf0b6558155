"""The renderer inside the swap: light and shade of the source's clothes move as their surface has turned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from apps.rerender.normals import Normals
from apps.rerender.renderer import RendererNet, Warp, correction
from apps.swap.regions import TargetView
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
    seen = (source.filled.origin == SEEN).float()[..., None]
    share = look_up(template, seen, view.grid, tuple(view.mask.shape)).values
    laid = torch.cat([view.picture, share], -1) * view.mask[..., None]
    texture = torch.cat([source.filled.colour, seen], -1)
    # the view may show a little less than the map
    shown = replace(correspondence, mask=view.mask.cpu().numpy())
    normals = Normals.behind(template, source.body, correspondence)
    warp = Warp.along(template, shown, laid.permute(2, 0, 1).cpu(), texture.cpu(), normals)
    light = torch.cat(correction(renderer, warp)).permute(1, 2, 0)
    view = replace(view, light=light.to(view.picture))
    return replace(view, picture=view.lit(view.picture))
