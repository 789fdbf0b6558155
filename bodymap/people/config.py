"""Every distribution that synthetic people are drawn from; the defaults are what the weights are trained on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class OutfitConfig:
    """What people wear. Tables are weights; they need not sum to 1."""

    kind: dict[str, float] = field(
        default_factory=lambda: {"separates": 0.66, "dress": 0.14, "one_piece": 0.08, "coat": 0.08, "bare": 0.04}
    )
    male_dress: float = 0.1  # chance that a man who drew a dress keeps it
    # where a garment comes from: the pack's own ("made"), a shell of the skin, a shell of the smoother helper mesh
    top: dict[str, float] = field(default_factory=lambda: {"made": 0.35, "shell": 0.35, "loose": 0.3})
    bottom: dict[str, float] = field(default_factory=lambda: {"made": 0.27, "shell": 0.3, "loose": 0.25, "skirt": 0.18})
    jacket: float = 0.25  # an open second layer over the top
    footwear: dict[str, float] = field(default_factory=lambda: {"made": 0.66, "shell": 0.27, "none": 0.07})
    hair: dict[str, float] = field(default_factory=lambda: {"made": 0.83, "shell": 0.11, "none": 0.06})
    hat: float = 0.1
    scarf: float = 0.05
    bag: float = 0.22
    held: float = 0.12
    pattern: float = 0.36  # chance that a piece of clothing is patterned


@dataclass(frozen=True)
class PoseConfig:
    """Where poses come from, and how they are varied."""

    pack: float = 0.5
    procedural: float = 0.5
    mix_halves: float = 0.25  # arms of one pack pose on another
    joint_noise: float = 1.0
    procedural_kind: dict[str, float] = field(
        default_factory=lambda: {"stand": 0.52, "walk": 0.2, "sit": 0.12, "wild": 0.16}
    )
    arms: dict[str, float] = field(
        default_factory=lambda: {
            "down": 0.34,
            "hips": 0.14,
            "pocket": 0.12,
            "crossed": 0.1,
            "front": 0.1,
            "raised": 0.08,
            "wild": 0.12,
        }
    )
    hands: dict[str, float] = field(
        default_factory=lambda: {"relaxed": 0.5, "flat": 0.15, "fist": 0.12, "point": 0.05, "free": 0.18}
    )


@dataclass(frozen=True)
class CameraConfig:
    """From where the subject is seen. Angles in degrees, distances in metres."""

    # Left and right from behind are learnt only if people are seen from behind often: see design FACTS, training trial.
    facing: dict[str, float] = field(default_factory=lambda: {"front": 0.33, "back": 0.34, "any": 0.33})
    facing_spread: float = 40.0
    framing: dict[str, float] = field(
        default_factory=lambda: {
            "full": 0.48,
            "upper": 0.2,
            "lower": 0.06,
            "torso": 0.06,
            "head": 0.06,
            "hand": 0.03,
            "small": 0.11,
        }
    )
    distance: tuple[float, float] = (1.9, 7.0)
    pitch: tuple[float, float] = (4.0, 9.0)  # mean and deviation of the common case
    steep: float = 0.1  # chance of a view from well above or below
    roll: float = 3.5
    least_pixels: float = 0.015  # the subject covers at least this share of the picture


@dataclass(frozen=True)
class SceneConfig:
    """What else is in the picture."""

    panorama: float = 0.62  # else a procedural background
    studio: float = 0.12  # plain backgrounds, of the procedural ones
    bystander: float = 0.24
    bystanders: int = 2  # at most
    companions: int = 24  # how many different bystanders exist: they are costly to dress
    occluder: float = 0.2
    distractor: float = 0.3
    nobody: float = 0.04  # chance that the subject and the bystanders are left out: things are not people


@dataclass(frozen=True)
class LightConfig:
    """Exposure and contrast."""

    sun: float = 0.5  # chance of a strong directional light with a cast shadow, where the light is procedural
    exposure: tuple[float, float] = (0.58, 1.22)
    occlusion: tuple[float, float] = (0.4, 1.0)


@dataclass(frozen=True)
class PhotographConfig:
    """What cameras and files do to a picture; chances of each."""

    blur: float = 0.35
    motion: float = 0.07
    noise: float = 0.5
    jpeg: float = 0.6
    low_resolution: float = 0.12
    tone: float = 0.6
    monochrome: float = 0.02


@dataclass(frozen=True)
class PeopleConfig:
    """Everything; ``size`` is (height, width) in pixels. Rendering happens at ``supersample`` times the size."""

    size: tuple[int, int] = (256, 192)
    supersample: int = 2
    layers: int = 4  # surfaces peeled where hair is cut out by its texture
    outfit: OutfitConfig = field(default_factory=OutfitConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    scene: SceneConfig = field(default_factory=SceneConfig)
    light: LightConfig = field(default_factory=LightConfig)
    photograph: PhotographConfig = field(default_factory=PhotographConfig)
