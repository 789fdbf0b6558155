"""Augmentation: mild, seeded changes of pictures together with their truth, on any device.

Every sample's random numbers come from (seed, its slot) alone, never from its neighbours in the batch or from a worker.
The paper's changes: upper-body crops and rotation (``_placement``), hue and saturation (``_colour``), occlusion
(``_cutouts``, and things in front of people by ``bodymap.people.scene``), crowds (further people, by the same).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from bodymap.data.batch import Batch, expand
from bodymap.data.mirror import Mirror, mirror_truth, turn_normals
from bodymap.data.settings import AugmentConfig
from bodymap.errors import UserError
from bodymap.people.film.blur import gaussian_blur

# Why not kornia, which the project has. Machines with GPUs often lack it, and training must run there. Beside it (0.9,
# one CPU core, ms a view of 224 x 160 from 256 x 192; all of this module: 5.6, where a training step takes over 100):
#   hue, saturation, brightness, contrast  0.3, kornia 1.9: it goes to HSV and back twice, ours is one matrix a sample
#   blur                                   0.23, kornia 0.37; equal to 1e-6
#   occlusion                              0.1, kornia 0.2
#   warp of the picture                    1.5, kornia 0.7 without smoothing where it shrinks and without our edges;
#                                          inside equal to 1e-4 (tests hold both equalities)
#   warp of the truth                      0.8, kornia 0.4 with all maps as float32; it cannot mirror them: left becomes
#                                          right on the template, not only on the picture
# Its ready-made augmentations draw for the whole batch from torch's global generator: the same sample looks different
# in a batch of another size, and a run that goes on would not repeat what it did.

# Value outside the picture for each kind of map; 0 for all others
OUTSIDE = {"triangle": -1, "part": -1}

# RGB <-> YIQ: turning the IQ plane is turning the hue at equal luma
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], dtype=torch.float64)


class Augment:
    """Callable on a batch (compact or expanded) of any size; returns a Batch of ``config.size``.

    Args:
        mirror: of the template.
        others: further surfaces by the prefix of their maps ("upper" of "upper_triangle"); a prefix that is not there
            is of the template.
    """

    def __init__(self, config: AugmentConfig, mirror: Mirror, others: Mapping[str, Mirror] | None = None) -> None:
        self.config = config
        surfaces = {"": mirror} | dict(others or {})
        self.tables = {name: (s.mirror_triangle.cpu(), s.mirror_corner.cpu()) for name, s in surfaces.items()}

    def __call__(self, batch: Batch, slots: Int[Tensor, " batch"]) -> Batch:
        """``slots`` seed the random numbers, sample by sample."""
        config = self.config
        image = _channels_first(batch["image"])
        self._check_triangles(batch)
        draws = _Draws(config.seed, slots, image.device)

        # ---- place: crop, scale, stretch, rotation, mirroring
        flip = draws.chosen(config.flip_share)
        centre, matrix = self._placement(batch, draws, flip)
        points = source_points(centre, matrix, config.size)
        ghost = _reflects_person(batch["layer"] != 0, points)  # also somebody whom no loss looks at
        pixels, inside = _pixels_of(points, *image.shape[2:])
        result = {
            name: _take(value, pixels, inside, OUTSIDE.get(name.rsplit("_", 1)[-1], 0))
            if _is_map(value, image)
            else value
            for name, value in batch.items()
            if name != "image"
        }
        result["image"] = _take_image(image, points, matrix, draws, ghost)
        result = expand(result)
        if "normal" in result:
            result["normal"] = turn_normals(result["normal"], matrix, torch.from_numpy(flip))
        if self.tables[""][0].device != image.device:
            self.tables = {name: tuple(t.to(image.device) for t in both) for name, both in self.tables.items()}
        result = mirror_truth(result, torch.from_numpy(flip), self.tables)

        # ---- look: colour, sharpness, noise, occlusion
        picture = result["image"]
        picture = _colour(picture, draws, config)
        picture = _sharpness(picture, draws, config)
        picture = _noise(picture, draws, config)
        picture = _cutouts(picture, draws, config)
        result["image"] = picture.clamp_(0, 1)
        return result

    def _check_triangles(self, batch: Batch) -> None:
        """Raises UserError where a map numbers triangles that its surface does not have."""
        for name in (name for name in batch if name.endswith("triangle")):
            table = self.tables.get(name.removesuffix("triangle").removesuffix("_"), self.tables[""])[0]
            if (most := int(batch[name].max())) >= len(table):
                raise UserError(
                    f"The training pictures speak of triangle {most}, but the surface has {len(table)}: the shards are "
                    "damaged or made for another template; make them again."
                )

    def _placement(self, batch: Batch, draws: _Draws, flip: np.ndarray) -> tuple[Tensor, Tensor]:
        """Centres (B, 2) and matrices (B, 2, 2) in source pixels (x, y), as ``source_points`` takes them."""
        config = self.config
        height, width = batch["layer"].shape[1:]
        out_height, out_width = config.size
        wide, zoom = draws.chosen(config.wide_share), draws.chosen(config.zoom_share)
        scale = np.where(wide, draws.uniform(1.0, max(1.0, config.wide)), draws.uniform(*config.scale))
        scale = np.where(zoom, draws.uniform(*config.zoom), scale)
        crop_height = height * scale
        crop_width = crop_height * out_width / out_height * draws.uniform(1 - config.aspect, 1 + config.aspect)

        # Ordinary crops slide as far as they stay inside (or keep the picture inside them)
        shift_x, shift_y = draws.uniform(-config.slide, config.slide), draws.uniform(-config.slide, config.slide)
        ordinary = np.stack(
            [width / 2 + shift_x * np.abs(width - crop_width), height / 2 + shift_y * np.abs(height - crop_height)], -1
        )
        centre = draws.tensor(ordinary)
        if zoom.any():
            low, high = _box(batch["layer"] > 0)
            on_person = low + draws.tensor(np.stack([draws.uniform(0, 1), draws.uniform(0, 1)], -1)) * (high - low)
            centre = torch.where(draws.tensor(zoom)[:, None], on_person, centre)

        angle = np.where(draws.chosen(config.rotation_share), draws.normal() * config.rotation, 0.0)
        angle = np.where(draws.chosen(config.turn_share), draws.uniform(-math.pi, math.pi), angle)
        cos, sin = np.cos(angle), np.sin(angle)
        scale_x = np.where(flip, -1, 1) * crop_width / out_width
        scale_y = crop_height / out_height
        matrix = np.stack([cos * scale_x, -sin * scale_y, sin * scale_x, cos * scale_y], -1).reshape(-1, 2, 2)
        return centre, draws.tensor(matrix)


# --------------------------------------------------------------------------------------------------------- randomness


class _Draws:
    """Random numbers for each sample: ``draws.uniform(a, b)`` gives (B,) values, sample i's from its own generator.

    Every call draws for every sample, used or not, so that one sample's numbers never depend on another's choices.
    """

    def __init__(self, seed: int, slots: Tensor, device: torch.device) -> None:
        self.generators = [np.random.default_rng([seed, slot]) for slot in slots.tolist()]
        self.device = device

    def uniform(self, low: float, high: float) -> np.ndarray:
        return np.array([generator.uniform(low, high) for generator in self.generators])

    def normal(self, *shape: int) -> np.ndarray:
        return np.stack([generator.normal(size=shape) for generator in self.generators])

    def chosen(self, share: float) -> np.ndarray:
        """(B,) bool, true for ``share`` of the samples."""
        return self.uniform(0, 1) < share

    def seeds(self) -> list[int]:
        """For ``generator``."""
        return [int(generator.integers(2**62)) for generator in self.generators]

    def generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed)

    def tensor(self, values: np.ndarray) -> Tensor:
        """On the device; float64 becomes float32."""
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        return (tensor.float() if tensor.is_floating_point() else tensor).to(self.device)


# -------------------------------------------------------------------------------------------------------------- place


def source_points(
    centre: Float[Tensor, "batch xy=2"], matrix: Float[Tensor, "batch xy=2 column=2"], size: tuple[int, int]
) -> Float[Tensor, "batch height width xy=2"]:
    """For each output pixel the point of the source, in pixels (x, y), pixel centres at + 0.5.

    source = centre + matrix (output - centre of the output).
    """
    height, width = size
    x = torch.arange(width, device=centre.device, dtype=torch.float32) + 0.5 - width / 2
    y = torch.arange(height, device=centre.device, dtype=torch.float32) + 0.5 - height / 2
    m = matrix[:, :, :, None, None]
    along_x, along_y = x[None, None, None, :], y[None, None, :, None]
    points = centre[:, :, None, None] + m[:, :, 0] * along_x + m[:, :, 1] * along_y
    return points.permute(0, 2, 3, 1)


def take_nearest(
    values: Shaped[Tensor, "batch rows columns *channels"],
    points: Float[Tensor, "batch height width xy=2"],
    outside: float,
) -> Shaped[Tensor, "batch height width *channels"]:
    """The value of the pixel that holds each point, ``outside`` beyond the edges."""
    return _take(values, *_pixels_of(points, values.shape[1], values.shape[2]), outside)


def _pixels_of(points: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The pixel that holds each point, as an index into the flattened batch, and whether it is one of the picture's."""
    x, y = points.floor().int().unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    batch = torch.arange(len(points), device=points.device, dtype=torch.int32)[:, None, None]
    return (batch * height + y.clamp(0, height - 1)) * width + x.clamp(0, width - 1), inside


def _take(values: Tensor, pixels: Tensor, inside: Tensor, outside: float) -> Tensor:
    taken = values.flatten(0, 2).index_select(0, pixels.flatten()).unflatten(0, pixels.shape)
    return taken.masked_fill_(~inside.reshape(*inside.shape, *(1 for _ in values.shape[3:])), outside)


def _take_image(image: Tensor, points: Tensor, matrix: Tensor, draws: _Draws, ghost: Tensor) -> Tensor:
    """Bilinear, smoothed first where it shrinks; outside the picture its reflection, its border, or one colour."""
    size = torch.tensor([image.shape[3], image.shape[2]], device=image.device, dtype=torch.float32)
    image = _smooth_for_shrinking(image, matrix)

    kind = draws.tensor(draws.uniform(0, 1))
    reflect = (kind < 0.5) & ~ghost
    plain = kind > 0.75
    colour = draws.tensor(np.stack([draws.uniform(0, 1) for _ in range(3)], -1))

    inside = torch.minimum(torch.maximum(points, torch.full_like(size, 0.5)), size - 0.5)
    where = torch.where(reflect[:, None, None, None], points, inside)
    taken = F.grid_sample(image, 2 * where / size - 1, mode="bilinear", padding_mode="reflection", align_corners=False)
    beyond = ((points < 0) | (points > size)).any(-1) & plain[:, None, None]
    return torch.where(beyond[:, None], colour[:, :, None, None], taken)


def _smooth_for_shrinking(image: Tensor, matrix: Tensor) -> Tensor:
    """Three-tap smoothing along both axes that lets bilinear sampling shrink up to about twofold without aliasing.

    Shrinking s-fold wants a triangle of variance s^2/6 source pixels; bilinear sampling has 1/6, the taps
    (a, 1 - 2a, a) add 2a: a = (s^2 - 1)/12.
    """
    scale = torch.linalg.vector_norm(matrix, dim=1)  # (B, 2): source pixels an output pixel, along its x and y
    side = ((scale.square() - 1) / 12).clamp(0, 1 / 3)
    for axis, weight in ((3, side[:, 0]), (2, side[:, 1])):
        weight = weight[:, None, None, None]
        before = torch.cat([image.narrow(axis, 0, 1), image.narrow(axis, 0, image.shape[axis] - 1)], axis)
        after = torch.cat([image.narrow(axis, 1, image.shape[axis] - 1), image.narrow(axis, -1, 1)], axis)
        image = image + weight * (before + after - 2 * image)
    return image


def _channels_first(image: Tensor) -> Tensor:
    return image.permute(0, 3, 1, 2).float().div_(255) if image.dtype == torch.uint8 else image


def _is_map(value: Tensor, image: Tensor) -> bool:
    return value.ndim >= 3 and value.shape[1:3] == image.shape[2:]


def _reflects_person(
    foreground: Bool[Tensor, "batch rows columns"], points: Float[Tensor, "batch height width xy=2"]
) -> Bool[Tensor, " batch"]:
    """Whether reflection beyond the picture's edges would show the person again: a person without truth."""
    size = torch.tensor([foreground.shape[2], foreground.shape[1]], device=points.device, dtype=points.dtype)
    beyond = ((points < 0) | (points >= size)).any(-1)
    folded = points % (2 * size)
    folded = torch.minimum(folded, 2 * size - folded)
    # one pixel further in: bilinear sampling reaches that far
    seen = take_nearest(F.max_pool2d(foreground[:, None].float(), 3, 1, 1)[:, 0] > 0, folded, False)
    return (seen & beyond).flatten(1).any(1)


def _box(foreground: Tensor) -> tuple[Tensor, Tensor]:
    """The person's box: low and high corners (B, 2), (x, y) in pixels; the whole picture where there is nobody."""
    height, width = foreground.shape[1:]
    low, high = [], []
    for along, length in ((foreground.any(1), width), (foreground.any(2), height)):
        present = along.any(1)
        first = along.int().argmax(1)
        last = length - along.flip(1).int().argmax(1)
        low.append(torch.where(present, first, 0))
        high.append(torch.where(present, last, length))
    return torch.stack(low, 1).float(), torch.stack(high, 1).float()


# --------------------------------------------------------------------------------------------------------------- look


def _colour(image: Tensor, draws: _Draws, config: AugmentConfig) -> Tensor:
    """Brightness, channels, hue, saturation and contrast as one affine map of RGB a sample; some become grey."""
    use = draws.chosen(config.colour_share)
    grey = draws.chosen(config.grey_share)
    gain = draws.uniform(*config.brightness)[:, None] * (1 + config.channel * draws.normal(3))
    shift = draws.uniform(-0.1, 0.1)
    contrast = draws.uniform(*config.contrast)
    saturation = np.where(grey, 0.0, np.where(use, draws.uniform(*config.saturation), 1.0))
    angle = np.where(use, draws.uniform(-config.hue, config.hue), 0.0)

    # saturation and hue: scale and turn the IQ plane
    turn = np.zeros((len(use), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * np.cos(angle)
    turn[:, 2, 1] = saturation * np.sin(angle)
    turn[:, 1, 2] = -turn[:, 2, 1]
    matrix = torch.linalg.inv(_YIQ).numpy() @ turn @ _YIQ.numpy()
    matrix = matrix * np.where(use[:, None], gain, 1.0)[:, None, :]
    offset = np.where(use, shift, 0.0)
    m, offset = draws.tensor(matrix), draws.tensor(offset)

    # not a matrix product: its rounding may depend on the batch
    r, g, b = image.unbind(1)
    row = lambda i: m[:, i, 0, None, None] * r + m[:, i, 1, None, None] * g + m[:, i, 2, None, None] * b  # noqa: E731
    image = torch.stack([row(0), row(1), row(2)], 1) + offset[:, None, None, None]
    factor = draws.tensor(np.where(use, contrast, 1.0))[:, None, None, None]
    mean = image.mean((1, 2, 3), keepdim=True)
    return mean + (image - mean) * factor


def _sharpness(image: Tensor, draws: _Draws, config: AugmentConfig) -> Tensor:
    """Blurred, shrunk and grown, or sharpened: one of the three, or none."""
    which = draws.uniform(0, 1)
    blur = which < config.blur_share
    resize = ~blur & (which < config.blur_share + config.resize_share)
    sharpen = ~blur & ~resize & (which < config.blur_share + config.resize_share + config.sharpen_share)
    sigma = np.where(blur, draws.uniform(*config.blur), 1.5)
    amount = np.where(blur, -1.0, draws.uniform(*config.sharpen))
    factor = draws.uniform(*config.resize)
    for i in np.flatnonzero(blur | sharpen):
        smooth = gaussian_blur(image[i : i + 1], [float(sigma[i])])[0]
        image[i] = image[i] + float(amount[i]) * (image[i] - smooth)
    for i in np.flatnonzero(resize):
        height, width = image.shape[2:]
        small = F.interpolate(
            image[i : i + 1],
            size=(max(1, round(height * factor[i])), max(1, round(width * factor[i]))),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        image[i] = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)[0]
    return image


def _noise(image: Tensor, draws: _Draws, config: AugmentConfig) -> Tensor:
    strength = draws.uniform(0, config.noise)
    chosen = draws.chosen(config.noise_share)
    seeds = draws.seeds()
    for i in np.flatnonzero(chosen):
        noise = torch.randn(image.shape[1:], generator=draws.generator(seeds[i]), device=image.device)
        image[i] += float(strength[i]) * noise
    return image


def _cutouts(image: Tensor, draws: _Draws, config: AugmentConfig) -> Tensor:
    """Rectangles of one colour or of noise over the picture; the truth stays: things hide people."""
    height, width = image.shape[2:]
    chosen = draws.chosen(config.cutout_share)
    count = np.where(chosen, np.floor(1 + draws.uniform(0, max(config.cutouts, 1))), 0).astype(int)
    count = np.minimum(count, config.cutouts)
    for number in range(config.cutouts):
        tall, broad = draws.uniform(0.04, 0.22) * height, draws.uniform(0.04, 0.25) * width
        top, left = draws.uniform(0, 1), draws.uniform(0, 1)
        plain, seeds = draws.chosen(0.7), draws.seeds()
        for i in np.flatnonzero(count > number):
            h, w = max(1, int(tall[i])), max(1, int(broad[i]))
            y, x = int(top[i] * (height - h)), int(left[i] * (width - w))
            shape = (3, 1, 1) if plain[i] else (3, h, w)
            filling = torch.rand(shape, generator=draws.generator(seeds[i]), device=image.device)
            image[i, :, y : y + h, x : x + w] = filling
    return image
