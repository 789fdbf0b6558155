"""Settings of data and augmentation; imports nothing heavy, so that a command can check them at once."""

from __future__ import annotations

from dataclasses import dataclass

from bodymap.config import check_pairs, check_ranges

# The networks work in patches and strides up to this
SIZE_MULTIPLE = 32


@dataclass(frozen=True)
class DensePoseConfig:
    """Annotated photographs to fine-tune on (docs/densepose.md); the first three paths are needed.

    Attributes:
        annotations: a DensePose-COCO .json file.
        pictures: the folder with its pictures.
        adapter: made by ``python -m bodymap.densepose.adapter``.
        pseudo_truth: a folder of ``python -m bodymap.densify``, which says something about most of a person's pixels
            (dense); None: the truth is what the annotators marked, about a hundred points a person (sparse).
    """

    annotations: str
    pictures: str
    adapter: str
    pseudo_truth: str | None = None


@dataclass(frozen=True)
class DataConfig:
    """Where training people come from.

    Attributes:
        densepose: photographs annotated in DensePose-COCO's format instead of synthetic people; None: synthetic ones.
        shards: folder written by ``python -m bodymap.data.shards``; None makes people on the fly.
        pack: people pack for people made on the fly; None: the small one that ships.
        size: (height, width) in pixels of people made on the fly, and of the crops of annotated photographs.
        views_per_person: consecutive views of one person, so that dressing a body pays off.
        seed: of the people.
        render: who takes the pictures of people made on the fly: "workers" (the processes that fetch), "device" (the
            training process, on its device, a batch at a time), or "auto": the device where it is a GPU.
    """

    densepose: DensePoseConfig | None = None
    shards: str | None = None
    pack: str | None = None
    size: tuple[int, int] = (256, 192)
    views_per_person: int = 4
    seed: int = 0
    render: str = "auto"

    def __post_init__(self) -> None:
        check_ranges(self, size=(16, 8192), views_per_person=(1, 10_000), seed=(0, 2**63 - 1))
        if self.render not in ("auto", "workers", "device"):
            raise ValueError(f"render must be auto, workers or device, not {self.render!r}.")
        if self.densepose and self.shards:
            raise ValueError("densepose and shards exclude each other: a run reads one of the two.")


@dataclass(frozen=True)
class AugmentConfig:
    """Mild changes of picture and truth. ``*_share`` are shares of the samples that get the change, in [0, 1].

    Attributes:
        size: (height, width) of the result, multiples of 32.
        scale: range of the crop's height over the picture's; above 1 there is an edge around it.
        wide_share: of crops with a scale from 1 to ``wide``.
        zoom: range of scales of crops placed on the person; ``zoom_share`` of them.
        slide: how far ordinary crops leave the middle; 0.5 reaches the picture's edge.
        aspect: largest relative stretch of the width.
        rotation: standard deviation in radians, for ``rotation_share``; ``turn_share`` gets any angle at all: people
            lie down, stand on their hands, and are photographed with the camera on its side.
        flip_share: mirrored, the truth with it.
        brightness, contrast, saturation: factor ranges; ``channel``: standard deviation of each channel's factor.
        hue: largest turn in radians.
        blur: range of sigma in pixels. resize: range of the factor of shrinking (and growing again).
        sharpen: range of the amount. noise: largest standard deviation. cutouts: largest number; labels stay.
        seed: of all random numbers, together with each sample's slot.
    """

    size: tuple[int, int] = (224, 160)
    scale: tuple[float, float] = (0.72, 1.0)
    wide: float = 1.25
    wide_share: float = 0.2
    zoom: tuple[float, float] = (0.4, 0.72)
    zoom_share: float = 0.15
    slide: float = 0.5
    aspect: float = 0.12
    rotation: float = 0.12
    rotation_share: float = 0.5
    turn_share: float = 0.05
    flip_share: float = 0.5
    colour_share: float = 0.8
    brightness: tuple[float, float] = (0.6, 1.5)
    contrast: tuple[float, float] = (0.6, 1.5)
    channel: float = 0.1
    saturation: tuple[float, float] = (0.0, 1.6)
    hue: float = 0.15
    grey_share: float = 0.1
    blur: tuple[float, float] = (0.3, 1.6)
    blur_share: float = 0.25
    resize: tuple[float, float] = (0.3, 0.8)
    resize_share: float = 0.15
    sharpen: tuple[float, float] = (0.2, 1.2)
    sharpen_share: float = 0.2
    noise: float = 0.06
    noise_share: float = 0.4
    cutouts: int = 2
    cutout_share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self, size=(SIZE_MULTIPLE, 8192), scale=(0.01, 10), wide=(1, 10), zoom=(0.01, 10), slide=(0, 1),
            aspect=(0, 0.9), rotation=(0, 7), brightness=(0, 100), contrast=(0, 100), channel=(0, 1),
            saturation=(0, 100), hue=(0, 7), blur=(0, 100), resize=(0.01, 1), sharpen=(0, 100), noise=(0, 1),
            cutouts=(0, 1000), seed=(0, 2**63 - 1),
        )  # fmt: skip
        check_pairs(self, "scale", "zoom", "brightness", "contrast", "saturation", "blur", "resize", "sharpen")
        if any(side < SIZE_MULTIPLE or side % SIZE_MULTIPLE for side in self.size):
            raise ValueError(f"size must be multiples of {SIZE_MULTIPLE}, not {self.size[0]} x {self.size[1]}.")
        for name in self.__dataclass_fields__:
            if name.endswith("_share") and not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1.")


def no_augmentation(size: tuple[int, int]) -> AugmentConfig:
    """Only the centred crop to ``size``: for evaluation and for looking at exact pictures."""
    shares = {name: 0.0 for name in AugmentConfig.__dataclass_fields__ if name.endswith("_share")}
    return AugmentConfig(size=size, scale=(1.0, 1.0), slide=0.0, aspect=0.0, **shares)
