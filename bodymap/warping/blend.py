"""Putting a warped picture into a photograph: soft edges, light, and skin tones that agree with the rest of it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from bodymap.warping.grid import dilate, erode
from bodymap.warping.windows import window_mean

# Rec. 709, applied to gamma-encoded values: good enough to compare lightness.
_LUMINANCE = (0.2126, 0.7152, 0.0722)
GUIDE_EPSILON = 4e-4


def luminance(image: Float[Tensor, "height width rgb=3"]) -> Float[Tensor, "height width"]:
    return (image * image.new_tensor(_LUMINANCE)).sum(-1)


def box_mean(image: Float[Tensor, "height width"], radius: int) -> Float[Tensor, "height width"]:
    """The mean over a square of 2 radius + 1 pixels, of what of it lies in the picture."""
    return window_mean(image, 2 * radius + 1)


def majority(labels: Int[Tensor, "height width"], radius: int) -> Int[Tensor, "height width"]:
    """Each pixel as most of those around it that have a label (> 0): takes away specks and notches; 0 stays 0."""
    most, result = torch.zeros(labels.shape, device=labels.device), torch.zeros_like(labels)
    for k in labels.unique().tolist():
        if k > 0:
            votes = box_mean((labels == k).float(), radius)
            result = torch.where(votes > most, k, result)
            most = torch.maximum(most, votes)
    return torch.where(labels > 0, result, 0)


def soft_matte(
    region: Float[Tensor, "height width"],
    photo: Float[Tensor, "height width rgb=3"],
    mask: Bool[Tensor, "height width"],
    radius: int,
) -> Float[Tensor, "height width"]:
    """The region with its edges drawn onto the photo's own edges (guided filter, He et al. 2010, equations 5 and 6).

    Args:
        region: in [0, 1].
        mask: where the person is; the matte is exactly 0 elsewhere.
        radius: pixels; nothing changes further from the region's edge than this.
    """
    guide = luminance(photo)
    mean_guide, mean_region = box_mean(guide, radius), box_mean(region, radius)
    covariance = box_mean(guide * region, radius) - mean_guide * mean_region
    variance = box_mean(guide * guide, radius) - mean_guide.square()
    slope = covariance / (variance.clamp_min(0) + GUIDE_EPSILON)
    offset = mean_region - slope * mean_guide
    soft = box_mean(slope, radius) * guide + box_mean(offset, radius)
    # where the photo has no edge the filter is but a blur: firm it up
    soft = ((soft - 0.5) * 2 + 0.5).clamp(0, 1)
    # outside the person the region says nothing about where its edge is: along the outline it is as it was
    edge = dilate(region > 0.02, radius) & ~erode(region > 0.98, radius)
    outline = dilate(~mask, radius)
    return torch.where(edge & ~outline, soft, region) * mask


def composite(
    photo: Float[Tensor, "height width rgb=3"],
    picture: Float[Tensor, "height width rgb=3"],
    matte: Float[Tensor, "height width"],
) -> Float[Tensor, "height width rgb=3"]:
    """The picture over the photo; the photo's own values, exactly, where the matte is 0."""
    alpha = matte[..., None]
    return torch.where(alpha > 0, photo + alpha * (picture - photo), photo)


def blurred_within(
    image: Float[Tensor, "height width"], mask: Bool[Tensor, "height width"], radius: int
) -> Float[Tensor, "height width"]:
    """A wide blur of what lies inside the mask only; 0 where none of it is within reach."""
    # coarse first: the result has no detail below the radius anyway
    factor = max(1, radius // 4)
    height, width = image.shape
    pad = (0, -width % factor, 0, -height % factor)
    both = functional.pad(torch.stack([image * mask, mask.float()])[None], pad)
    both = functional.avg_pool2d(both, factor)[0]
    for _ in range(2):
        both = torch.stack([box_mean(channel, max(1, radius // factor)) for channel in both])
    both = functional.interpolate(both[None], scale_factor=factor, mode="bilinear", align_corners=False)[
        0, :, :height, :width
    ]
    return both[0] / both[1].clamp_min(1e-6) * (both[1] > 1e-6)


def match_shading(
    picture: Float[Tensor, "height width rgb=3"],
    picture_kind: Int[Tensor, "height width"],
    photo: Float[Tensor, "height width rgb=3"],
    photo_kind: Int[Tensor, "height width"],
    mask: Bool[Tensor, "height width"],
    radius: int,
    strength: float = 0.5,
    limit: float = 1.4,
) -> Float[Tensor, "height width rgb=3"]:
    """Gives the picture the photo's coarse light inside the mask; each material keeps its own mean lightness.

    Args:
        picture_kind, photo_kind: what each pixel is made of (a layer): lightness is compared with the mean of its kind,
            so that a dark garment does not count as a shadow.
        radius: pixels; only what is broader than this counts as light.
        strength: 0 leaves the picture alone, 1 takes all of the photo's light.
        limit: no pixel becomes brighter or darker by more than this factor.
    """
    if not bool(mask.any()) or strength <= 0:
        return picture
    light = []
    for image, kind in ((photo, photo_kind), (picture, picture_kind)):
        relative = luminance(image).clamp_min(0.02)
        for k in kind[mask].unique().tolist():
            own = mask & (kind == k)
            relative = torch.where(own, relative / relative[own].mean(), relative)
        light.append(blurred_within(relative, mask, radius))
    factor = ((light[0] + 0.05) / (light[1] + 0.05)).pow(strength).clamp(1 / limit, limit)
    return torch.where(mask[..., None], (picture * factor[..., None]).clamp(0, 1), picture)


def colour_gain(
    colours: Float[Tensor, "a rgb=3"], reference: Float[Tensor, "b rgb=3"], limit: float = 2.5, fewest: int = 30
) -> Float[Tensor, " rgb=3"]:
    """What to multiply ``colours`` by so that their medians become the reference's; 1 where either has too few."""
    if len(colours) < fewest or len(reference) < fewest:
        return torch.ones(3, device=colours.device)
    gain = reference.median(0).values.clamp_min(0.02) / colours.median(0).values.clamp_min(0.02)
    return gain.clamp(1 / limit, limit)
