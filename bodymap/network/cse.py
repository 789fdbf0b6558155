"""The coarse stage: continuous surface embeddings (Neverova et al. 2020), foreground, which way the person faces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bodymap.network.backbones import build_backbone, normalise_image
from bodymap.network.config import CSEConfig
from bodymap.network.tokens import pad_to_multiple

# pixels decoded at a time: on a CPU their distances to all samples fit its cache
_BLOCK, _BLOCK_GPU = 512, 1 << 15
FACING_NAMES = ("front", "left", "back", "right")  # which of the person's sides is towards the camera


@dataclass(frozen=True)
class CSEOutput:
    """What the CSE stage says, at stride 4 (rows and columns rounded up).

    Attributes:
        embedding: unit vectors.
        foreground: logits.
        facing: logits of FACING_NAMES, one set an image.
        mirrored: where the mirrored image was looked at too, its embedding, turned back: it finds each pixel's place
            on the person's other side.
    """

    embedding: Float[Tensor, "batch dim rows columns"]
    foreground: Float[Tensor, "batch 1 rows columns"]
    facing: Float[Tensor, "batch 4"]
    mirrored: Float[Tensor, "batch dim rows columns"] | None = None


class GlobalContext(nn.Module):
    """Tells every pixel what the whole image shows, and names the side of the person that is seen.

    Local evidence leaves left and right at chance for people seen from behind; the whole picture settles it.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.attention = nn.Conv2d(channels, 1, 1, bias=False)  # a bias would cancel in the softmax
        self.hidden = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.facing = nn.Linear(hidden, len(FACING_NAMES))
        self.back = nn.Linear(hidden, channels)
        # At the start the pooling is a plain mean and nothing is added: a warm start is left unharmed.
        for start in (self.attention.weight, self.back.weight, self.back.bias):
            nn.init.zeros_(start)

    def forward(
        self, x: Float[Tensor, "batch channel rows columns"]
    ) -> tuple[Float[Tensor, "batch channel rows columns"], Float[Tensor, "batch 4"]]:
        weight = self.attention(x).flatten(2).softmax(-1)
        pooled = (x.flatten(2) * weight).sum(-1)
        hidden = self.hidden(pooled)
        return x + self.back(hidden)[:, :, None, None], self.facing(hidden)


class CSEStage(nn.Module):
    """Encoder, a small feature pyramid decoder to stride 4, and the heads.

    Args:
        config: see CSEConfig.
        eigenvectors: (S, K) Laplace-Beltrami eigenvectors of the template at its S samples, smooth ones first.
        code: (S, 3) colour codes of the samples, in [0, 1].
        mirror: (S,) the sample on the other side of each; None where ``both_ways`` is not needed.
    """

    def __init__(
        self,
        config: CSEConfig,
        eigenvectors: Float[Tensor, "s k"],
        code: Float[Tensor, "s 3"],
        mirror: Int[Tensor, " s"] | None = None,
    ):
        super().__init__()
        self.config = config
        self.encoder = build_backbone(config.encoder, channels=3)
        if tuple(self.encoder.strides[:3]) != (4, 8, 16):
            raise ValueError(f"the CSE stage needs an encoder with strides 4, 8, 16, got {self.encoder.strides}")
        at4, at8, at16, last = self.encoder.channels
        small, middle, wide = config.lateral
        self.lateral4 = _conv_norm_relu(at4, small, 1)
        self.lateral8 = _conv_norm_relu(at8, middle, 1)
        self.lateral16 = _conv_norm_relu(at16 + last, wide, 1)
        self.merge16 = _two_convolutions(wide, config.merge16)
        self.merge8 = _two_convolutions(config.merge16[-1] + middle, config.merge8)
        self.merge4 = _two_convolutions(config.merge8[-1] + small, config.merge4)
        self.context = GlobalContext(config.merge16[-1], config.context)

        width = config.merge4[-1]
        self.foreground = nn.Conv2d(width, 1, 1)
        self.embed = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, config.dim, 1))
        # C of METHOD 4: rough eigenfunctions start small, so that neighbours on the body start with like embeddings.
        # The eigenvectors' scale is divided out: the result does not depend on how the template normalises them.
        count = eigenvectors.shape[1]
        decay = 1 / (1 + torch.arange(count) / 2)
        self.basis = nn.Parameter(torch.randn(count, config.dim) * decay[:, None])
        scale = eigenvectors.square().mean(0, keepdim=True).sqrt().clamp(min=1e-12)
        # the template's, not the weights': known again when the network is built
        self.register_buffer("eigenvectors", (eigenvectors / scale).float(), persistent=False)
        self.register_buffer("code", code.float(), persistent=False)
        alike = torch.cdist(self.code, self.code, p=torch.inf)
        neighbours = alike.topk(min(config.candidates, len(code)), largest=False).indices
        self.register_buffer("neighbours", neighbours, persistent=False)  # (S, candidates), by colour
        self.register_buffer("mirror", mirror, persistent=False)

    def forward(self, image: Float[Tensor, "batch rgb=3 height width"]) -> CSEOutput:
        """The image is RGB in [0, 1], of any size."""
        rows, columns = -(-image.shape[-2] // 4), -(-image.shape[-1] // 4)
        _, (y, _, _), facing = self.features(image)
        return self.answer(y[..., :rows, :columns], facing)

    def answer(
        self, finest: Float[Tensor, "batch channel rows columns"], facing: Float[Tensor, "batch 4"]
    ) -> CSEOutput:
        """The heads, on the decoder's level at stride 4."""
        return CSEOutput(F.normalize(self.embed(finest).float(), dim=1), self.foreground(finest), facing)

    def features(
        self, image: Float[Tensor, "batch rgb=3 height width"]
    ) -> tuple[list[Tensor], list[Tensor], Float[Tensor, "batch 4"]]:
        """What other networks can build on: the encoder's four levels, the decoder's levels at strides 4, 8 and 16
        (the whole picture's context in them), and the logits of FACING_NAMES.

        The image is RGB in [0, 1], of any size; it is padded to multiples of the encoder's.
        """
        levels = self.encoder(pad_to_multiple(normalise_image(image), self.encoder.multiple))
        at4, at8, at16, last = levels

        y = self.merge16(self.lateral16(torch.cat([at16, _resize(last, at16)], 1)))
        y16, facing = self.context(y)
        y8 = self.merge8(torch.cat([_resize(y16, at8), self.lateral8(at8)], 1))
        y4 = self.merge4(torch.cat([_resize(y8, at4), self.lateral4(at4)], 1))
        return levels, [y4, y8, y16], facing

    def both_ways(self, image: Float[Tensor, "batch rgb=3 height width"]) -> CSEOutput:
        """Looks at the image and at its mirror image: twice the time, fewer lefts for rights.

        The width must be a multiple of 4, so that the cells of both lie on each other.
        """
        if self.mirror is None:
            raise ValueError("this stage was built without the samples' mirror")
        if image.shape[-1] % 4:
            raise ValueError(f"the width must be a multiple of 4, not {image.shape[-1]}")
        output = self(torch.cat([image, image.flip(-1)]))
        embedding, mirrored = output.embedding.chunk(2)
        foreground, mirrored_foreground = output.foreground.chunk(2)
        facing, mirrored_facing = output.facing.chunk(2)
        swapped = mirrored_facing[:, [FACING_NAMES.index(name) for name in ("front", "right", "back", "left")]]
        return CSEOutput(
            embedding,
            (foreground + mirrored_foreground.flip(-1)) / 2,
            (facing + swapped) / 2,
            mirrored.flip(-1),
        )

    def vertex_embedding(self) -> Float[Tensor, "s dim"]:
        """e_v = normalise(Phi C): one unit vector a sample."""
        with torch.autocast(self.basis.device.type, enabled=False):
            return F.normalize(self.eigenvectors @ self.basis.float(), dim=-1)

    @torch.no_grad()
    def decode(
        self, embedding: Float[Tensor, "n dim"], mirrored: Float[Tensor, "n dim"] | None = None
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"]]:
        """Colour codes in [0, 1] and confidences in [0, 1].

        The colour is the posterior mean over the best sample and its neighbours in colour, which is finer than the
        samples' spacing; the confidence is the posterior mass there.

        Args:
            mirrored: the same pixels' ``CSEOutput.mirrored``; both together decide.
        """
        size = _BLOCK_GPU if embedding.is_cuda else _BLOCK
        samples = self.sample_embeddings()
        if torch.compiler.is_exporting():  # whoever runs the exported graph sends blocks
            return self._decode_block(self.distance(embedding, mirrored, samples))
        blocks = embedding.split(size)
        others = [None] * len(blocks) if mirrored is None else mirrored.split(size)
        parts = [
            self._decode_block(self.distance(block, other, samples))
            for block, other in zip(blocks, others, strict=True)
        ]
        return torch.cat([code for code, _ in parts]), torch.cat([confidence for _, confidence in parts])

    def sample_embeddings(self) -> tuple[Float[Tensor, "s dim"], Float[Tensor, "s dim"] | None]:
        """``vertex_embedding``, and in the same order those of the samples' places on the other side."""
        vertices = self.vertex_embedding()
        return vertices, None if self.mirror is None else vertices[self.mirror]

    def distance(
        self,
        embedding: Float[Tensor, "*batch n dim"],
        mirrored: Float[Tensor, "*batch n dim"] | None,
        samples: tuple[Tensor, Tensor | None],
    ) -> Float[Tensor, "*batch n s"]:
        """Of pixels to the samples (``sample_embeddings``); with what the mirror image says, the mean of both: divided
        by -sigma it is the mean of both log posteriors, but for constants."""
        vertices, opposite = samples
        own = embedding_distance(embedding, vertices)
        return own if mirrored is None else (own + embedding_distance(mirrored, opposite)) / 2

    def _decode_block(self, distance: Float[Tensor, "n s"]) -> tuple[Tensor, Tensor]:
        nearest, best = distance.min(-1)
        near = self.neighbours[best]
        mass = ((nearest[:, None] - distance.gather(1, near)) / self.config.sigma).exp()
        code = self.code[near]
        mass = mass * ((code - self.code[best][:, None]).abs().amax(-1) < 0.1)
        # in place: this matrix is the whole cost of the decoding
        total = distance.sub_(nearest[:, None]).mul_(-1 / self.config.sigma).exp_().sum(-1)
        return (mass[..., None] * code).sum(1) / mass.sum(-1, keepdim=True), mass.sum(-1) / total


def embedding_distance(
    pixels: Float[Tensor, "*batch n dim"], vertices: Float[Tensor, "*batch s dim"]
) -> Float[Tensor, "*batch n s"]:
    """|e - e_v| between unit vectors, by sqrt(2 - 2 e . e_v); always in float32, whose gradient stays finite at 0."""
    with torch.autocast(pixels.device.type, enabled=False):
        add = torch.addmm if pixels.ndim == 2 else torch.baddbmm
        square = add(pixels.new_full((), 2.0).float(), pixels.float(), vertices.float().mT, alpha=-2)
        return square.clamp(min=1e-6).sqrt()


@torch.no_grad()
def correspondence_image(
    stage: CSEStage, output: CSEOutput, size: tuple[int, int]
) -> Float[Tensor, "batch 4 height width"]:
    """The CSE match as an image: colour code and confidence, all 0 outside the CSE's foreground.

    Args:
        size: (height, width) of the image in pixels; that which the output was computed from, up to scale.
    """
    batch, _, rows, columns = output.foreground.shape
    foreground = output.foreground.float().sigmoid()
    # Decoded a little beyond the silhouette too, so that its outermost full-resolution pixels find a colour.
    near = F.max_pool2d(foreground, 3, stride=1, padding=1)[:, 0] > 0.3
    mirrored = None if output.mirrored is None else output.mirrored.permute(0, 2, 3, 1)[near]
    colour, confidence = stage.decode(output.embedding.permute(0, 2, 3, 1)[near], mirrored)
    coarse = torch.zeros(batch, rows, columns, 4, device=foreground.device)
    coarse[near] = torch.cat([colour, confidence[:, None]], dim=-1)
    coarse = coarse.permute(0, 3, 1, 2)

    # Where neighbours agree their colours are interpolated. Elsewhere the embedding is, and decoded anew: codes of two
    # body parts would mix to a third part's, and the nearest cell's would leave blocks of four pixels. Cells beyond the
    # silhouette, which have learned nothing, hardly count.
    weight = _cell_weight(foreground)
    sharp = _upsample_stride4(coarse, size, "nearest-exact")
    image = _upsample_stride4(coarse * weight, size, "bilinear") / _upsample_stride4(weight, size, "bilinear")
    agree = (image - sharp)[:, :3].abs().amax(1) < 0.05
    inside = _upsample_stride4(foreground, size, "bilinear")[:, 0] > 0.5
    edge = (inside & ~agree).nonzero(as_tuple=True)
    if len(edge[0]):
        colour, confidence = stage.decode(*_embeddings_at(output, edge, size))
        image.permute(0, 2, 3, 1)[edge] = torch.cat([colour, confidence[:, None]], dim=-1)
    return image * inside[:, None]


def _embedding_at(
    embedding: Float[Tensor, "batch dim rows columns"],
    weight: Float[Tensor, "batch 1 rows columns"],
    pixels: tuple[Tensor, Tensor, Tensor],
    size: tuple[int, int],
) -> Float[Tensor, "n dim"]:
    """Unit embeddings at (image, row, column) of an image of ``size``: bilinear between the four cells around, each of
    which counts by its ``weight``. Cells lie as ``_upsample_stride4`` has them."""
    batch, *place = pixels
    corners = []
    exact = _is_exact(embedding, size)
    for pixel, cells, length in zip(place, embedding.shape[-2:], size, strict=True):
        scale = 0.25 if exact else cells / length
        position = ((pixel + 0.5) * scale - 0.5).clamp(0, cells - 1)
        low = position.floor().clamp(max=max(0, cells - 2)).long()
        corners.append((low, (low + 1).clamp(max=cells - 1), (position - low)[:, None]))
    (top, bottom, down), (left, right, across) = corners
    values = (embedding.float() * weight).permute(0, 2, 3, 1)
    upper = torch.lerp(values[batch, top, left], values[batch, top, right], across)
    lower = torch.lerp(values[batch, bottom, left], values[batch, bottom, right], across)
    return F.normalize(torch.lerp(upper, lower, down), dim=-1)


@torch.no_grad()
def evidence_at(
    stage: CSEStage,
    output: CSEOutput,
    pixels: tuple[Int[Tensor, "*batch n"], Int[Tensor, "*batch n"], Int[Tensor, "*batch n"]],
    size: tuple[int, int],
    samples: Int[Tensor, "*batch candidate"] | None = None,
) -> Float[Tensor, "*batch n s"]:
    """What the stage says of single pixels: the samples' log likelihoods, up to a constant a pixel.

    Args:
        pixels: (image, row, column) of each.
        size: (height, width) of the image in pixels; that which the output was computed from, up to scale.
        samples: only these, for each pixel of the same place in the batch; None: all of them.
    """
    own, mirrored = _embeddings_at(output, tuple(one.flatten() for one in pixels), size)
    shape = *pixels[0].shape, -1
    return evidence_of(stage, own.view(shape), None if mirrored is None else mirrored.view(shape), samples)


def evidence_of(
    stage: CSEStage,
    own: Float[Tensor, "*batch n dim"],
    mirrored: Float[Tensor, "*batch n dim"] | None,
    samples: Int[Tensor, "*batch candidate"] | None = None,
) -> Float[Tensor, "*batch n s"]:
    """``evidence_at`` of pixels whose embeddings are known."""
    vertices = stage.sample_embeddings()
    embeddings = own, mirrored
    if samples is None:
        embeddings = tuple(one if one is None else one.flatten(0, -2) for one in embeddings)
    else:
        vertices = tuple(one if one is None else one[samples] for one in vertices)
    distance = stage.distance(*embeddings, vertices)
    return distance.mul_(-1 / stage.config.sigma).view(*own.shape[:-1], -1)


def _embeddings_at(
    output: CSEOutput, pixels: tuple[Tensor, Tensor, Tensor], size: tuple[int, int]
) -> tuple[Tensor, Tensor | None]:
    """Both embeddings of an output at single pixels; the second is None where it is. Cells beyond the silhouette, which
    have learned nothing, hardly count."""
    weight = _cell_weight(output.foreground.float().sigmoid())
    mirrored = None if output.mirrored is None else _embedding_at(output.mirrored, weight, pixels, size)
    return _embedding_at(output.embedding, weight, pixels, size), mirrored


def _cell_weight(foreground: Tensor) -> Tensor:
    return foreground.clamp(min=1e-3)


@torch.no_grad()
def mask_from_foreground(output: CSEOutput, size: tuple[int, int]) -> Float[Tensor, "batch 1 height width"]:
    """A soft mask in [0, 1], dilated by about one coarse pixel so that the decoder can refine it inwards."""
    foreground = F.max_pool2d(output.foreground.float().sigmoid(), 3, stride=1, padding=1)
    return _upsample_stride4(foreground, size, "bilinear")


def _upsample_stride4(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """To ``size``; where the coarse image is the size's fourth rounded up, exactly by 4, then cut."""
    kind = {"mode": mode} if mode.startswith("nearest") else {"mode": mode, "align_corners": False}
    if _is_exact(x, size):
        return F.interpolate(x, scale_factor=4, **kind)[..., : size[0], : size[1]]
    return F.interpolate(x, size=size, **kind)


def _is_exact(x: Tensor, size: tuple[int, int]) -> bool:
    """Whether the coarse image is a fourth of the size, rounded up."""
    return (-(-size[0] // 4), -(-size[1] // 4)) == tuple(x.shape[-2:])


def _resize(x: Tensor, like: Tensor) -> Tensor:
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _conv_norm_relu(channels: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def _two_convolutions(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    first, second = widths
    return nn.Sequential(_conv_norm_relu(channels, first, 3), _conv_norm_relu(first, second, 3))
