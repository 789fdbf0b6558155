"""Settings of the layered network and its training; imports nothing heavy, so that a command can check them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from bodymap.config import check_ranges
from bodymap.network.config import FusionConfig, HeadsConfig

HEIGHTS = "heights"  # the shipped weights of the network of heights


@dataclass(frozen=True)
class LayeredConfig:
    """The decoder's sizes.

    Attributes:
        base: the BodyMap weights whose coarse stage is built upon.
        match: each layer's scores start from the single-layer match of the same pixel, carried over to the layer's
            surface; the network learns by how much to trust it. False is the paper's RGB-only.
        hidden: whether it was trained on pictures that tell where garments are hidden; False: the predictor takes a
            garment to be where it is visible.
        features: channels from the coarsest level up to stride 4.
        fine: channels at stride 2, from which places are computed.
        edge: channels at full resolution, from which layers are.
        fusion, heads: as in the BodyMap network.
    """

    base: str = "small"
    match: bool = True
    hidden: bool = True
    features: int = 96
    fine: int = 64
    edge: int = 16
    fusion: FusionConfig = field(default_factory=FusionConfig)
    heads: HeadsConfig = field(default_factory=lambda: HeadsConfig(hidden=192))

    def __post_init__(self) -> None:
        check_ranges(self, features=(1, 8192), fine=(1, 8192), edge=(1, 8192))


@dataclass(frozen=True)
class HeightConfig:
    """The network of heights (``apps.layered.heights``).

    Attributes:
        base: the BodyMap weights whose matches it was trained on.
        widths: channels of the levels, from half of the grid's resolution down.
    """

    base: str = "small"
    widths: tuple[int, ...] = (40, 80, 112, 144)

    def __post_init__(self) -> None:
        check_ranges(self, widths=(1, 8192))
        if not 2 <= len(self.widths) <= 6:
            raise ValueError("widths are of 2 to 6 levels.")


@dataclass(frozen=True)
class MaskConfig:
    """How masks are damaged, each image by chance on its own. ``*_share`` are shares of the images in [0, 1].

    Attributes:
        own_share: of batches whose masks are the network's own answer to a mask without layers.
        nothing_share: no mask at all.  person_share: the person without layers.
        wobble: largest displacement of a boundary in pixels, and ``wobble_share``.
        grow: largest number of pixels by which the whole person shrinks or grows, and ``grow_share``.
        blobs: largest number of ellipses of one other layer, or of nothing known, and ``blob_share``.
        swap_share: one layer is called another in half of the picture, or in all of it.
    """

    own_share: float = 0.2
    nothing_share: float = 0.12
    person_share: float = 0.1
    wobble: float = 7.0
    wobble_share: float = 0.6
    grow: int = 6
    grow_share: float = 0.4
    blobs: int = 3
    blob_share: float = 0.4
    swap_share: float = 0.12

    def __post_init__(self) -> None:
        check_ranges(self, **{name: (0, 1) for name in self.__dataclass_fields__ if name.endswith("_share")})
        check_ranges(self, wobble=(0, 1000), grow=(0, 1000), blobs=(0, 1000))


@dataclass(frozen=True)
class LayeredDataConfig:
    """Where training pictures come from.

    Attributes:
        shards: folders (``apps.layered.samples``), all of one size of picture.
        shares: of the stream, one a folder; empty: by the number of pictures.
        seed: of the order.
    """

    shards: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, shares=(0, 1e9), seed=(0, 2**63 - 1))
        if self.shares and (len(self.shares) != len(self.shards) or not sum(self.shares) > 0):
            raise ValueError("shares are one a folder, and not all of them 0.")


@dataclass(frozen=True)
class LayeredLosses:
    """lambda of each term.

    ``unseen``: what it counts that a garment is absent where another layer is visible and nobody knows.
    """

    classification: float = 1.0
    geodesic: float = 1.0
    visible: float = 1.0
    presence: float = 0.5
    unseen: float = 0.3


@dataclass(frozen=True)
class LayeredTaskConfig:
    """How much of each batch the losses look at.

    Attributes:
        pixels: a batch and layer for the classification; ``geodesic_pixels`` of these for L_geo.
        covered: the most of the body's pixels that lie under clothes, as a share.
        better: share of the images whose match is the truth with small mistakes: at prediction the match is BodyMap's,
            which is better than the coarse stage's in training.
    """

    pixels: int = 1500
    geodesic_pixels: int = 192
    covered: float = 0.5
    better: float = 0.5
    masks: MaskConfig = field(default_factory=MaskConfig)
    losses: LayeredLosses = field(default_factory=LayeredLosses)

    def __post_init__(self) -> None:
        many = (1, 10_000_000)
        check_ranges(self, pixels=many, geodesic_pixels=many, covered=(0, 1), better=(0, 1))


@dataclass(frozen=True)
class HeightTaskConfig:
    """What the network of heights is shown. Shares are of the pictures, in [0, 1].

    Attributes:
        size: (rows, columns) of the grid.
        zoom: the person's box with its usual margin is scaled by up to this factor, as a logarithm (less, more).
        shift: standard deviation of the box's displacement as a share of its longer side; ``far_share`` of the
            pictures are displaced by up to half of it.
        rotation: standard deviation in radians; stretch: of the logarithm of height to width.
        better: where the body is seen, its match is the truth with small mistakes.
        without: the lower garment has no match.
        masks: their damage, in cells of the grid; ``own_share`` is not used.
    """

    size: tuple[int, int] = (64, 48)
    zoom: tuple[float, float] = (0.15, 0.35)
    shift: float = 0.04
    far_share: float = 0.15
    rotation: float = 0.1
    stretch: float = 0.08
    better: float = 0.5
    without: float = 0.3
    seed: int = 0
    masks: MaskConfig = field(
        default_factory=lambda: MaskConfig(0.0, 0.02, 0.05, wobble=1.5, wobble_share=0.4, grow=1, grow_share=0.3,
                                           blobs=2, blob_share=0.3, swap_share=0.08)
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self, size=(16, 1024), zoom=(0, 2), shift=(0, 1), rotation=(0, 3), stretch=(0, 1))
        check_ranges(self, far_share=(0, 1), better=(0, 1), without=(0, 1), seed=(0, 2**63 - 1))
