"""Every distribution that synthetic people are drawn from; the defaults are what the weights are trained on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FaceConfig:
    """Facial expressions. Strengths are shares of an action's full movement."""

    neutral: float = 0.3  # chance of a face at rest (blinks and glances aside)
    expression: dict[str, float] = field(
        default_factory=lambda: {
            "smile": 0.25,
            "open_smile": 0.15,
            "laugh": 0.06,
            "talk": 0.18,
            "surprise": 0.05,
            "sad": 0.06,
            "angry": 0.06,
            "disgust": 0.03,
            "pucker": 0.05,
            "shout": 0.03,
            "mix": 0.08,  # only what ``extra`` adds
        }
    )
    strength: tuple[float, float] = (0.35, 1.0)
    extra: int = 3  # at most so many further actions, of any muscle
    extra_strength: float = 0.5  # theirs at most, and never above the expression's
    both_sides: float = 0.8  # chance that an action of one side comes with its twin
    asymmetry: float = 0.15  # by which share the two sides differ, at most
    blink: float = 0.06  # both eyes closed; a third as often one of them
    gaze: float = 0.6  # chance of eyes that look aside


@dataclass(frozen=True)
class OutfitConfig:
    """What people wear. Tables are weights; they need not sum to 1."""

    kind: dict[str, float] = field(
        default_factory=lambda: {"separates": 0.66, "dress": 0.14, "one_piece": 0.08, "coat": 0.08, "bare": 0.04}
    )
    male_dress: float = 0.1  # chance that a man who drew a dress keeps it
    # chance that a skin of the pack takes a tone drawn from dark to light; else its own: all skins are light or dark
    skin_tone: float = 0.65
    # where a garment comes from: the pack's own ("made"), a shell of the skin, a shell of the smoother helper mesh
    top: dict[str, float] = field(default_factory=lambda: {"made": 0.35, "shell": 0.35, "loose": 0.3})
    bottom: dict[str, float] = field(default_factory=lambda: {"made": 0.27, "shell": 0.3, "loose": 0.25, "skirt": 0.18})
    jacket: float = 0.25  # an open second layer over the top
    # under skirts and dresses, names of ``hosiery``; under shorts with this chance
    legwear: dict[str, float] = field(
        default_factory=lambda: {
            "none": 0.4,
            "sheer": 0.2,
            "opaque": 0.2,
            "patterned": 0.05,
            "net": 0.04,
            "leggings": 0.06,
            "thigh_high": 0.05,
        }
    )
    legwear_shorts: float = 0.35
    # the pack's own ("made"), a plain shell, or names of ``shoes.SHOES``
    footwear: dict[str, float] = field(
        default_factory=lambda: {
            "made": 0.37,
            "shell": 0.1,
            "none": 0.06,
            "boots": 0.2,
            "trainers": 0.13,
            "heels": 0.08,
            "sandals": 0.06,
        }
    )
    hair: dict[str, float] = field(default_factory=lambda: {"made": 0.83, "shell": 0.11, "none": 0.06})
    hat: float = 0.1
    scarf: float = 0.08
    # what jackets and coats are made of: plain or printed "cloth", or names of ``overwear.STUFFS``; their collars
    stuffs: dict[str, float] = field(
        default_factory=lambda: {"cloth": 0.72, "quilted": 0.14, "fur": 0.07, "teddy": 0.07}
    )
    collars: dict[str, float] = field(
        default_factory=lambda: {"none": 0.62, "fur": 0.1, "standing": 0.12, "hood": 0.16}
    )
    bag: float = 0.36
    held: float = 0.12
    pattern: float = 0.36  # chance that a piece of clothing is patterned
    # kinds of seamless patterns (``pattern.py``), and of prints that sit in one place (``prints.py``)
    patterns: dict[str, float] = field(
        default_factory=lambda: {
            "stripes": 0.18,
            "bands": 0.06,
            "check": 0.1,
            "tartan": 0.07,
            "dots": 0.07,
            "floral": 0.11,
            "animal": 0.05,
            "camouflage": 0.05,
            "herringbone": 0.04,
            "scribble": 0.05,
            "denim": 0.07,
            "knit": 0.06,
            "stars": 0.03,
            "zigzag": 0.04,
            "paisley": 0.03,
            "ikat": 0.03,
            "lace": 0.02,
            "houndstooth": 0.02,
            "cloudy": 0.03,
        }
    )
    placed: float = 0.3  # of the patterned pieces: the chance of a print in one place instead
    prints: dict[str, float] = field(
        default_factory=lambda: {
            "lettering": 0.26,
            "logo": 0.2,
            "photo": 0.12,
            "gradient": 0.1,
            "tie_dye": 0.07,
            "blocks": 0.15,
            "stripe": 0.1,
        }
    )
    # chance of each thing worn; names of ``worn.WORN``
    worn: dict[str, float] = field(
        default_factory=lambda: {
            "glasses": 0.13,
            "sunglasses": 0.06,
            "face_mask": 0.03,
            "headphones": 0.03,
            "earrings": 0.14,
            "necklace": 0.25,  # seldom seen: collars cover it
            "watch": 0.15,
            "bracelet": 0.08,
            "gloves": 0.04,
            "socks": 0.2,
            "belt": 0.1,
            "tie": 0.05,
            "waist_bag": 0.03,
            "tied_jacket": 0.03,
        }
    )
    # names of ``bags.BAGS`` and ``carried.HELD``
    bags: dict[str, float] = field(
        default_factory=lambda: {
            "hand_bag": 0.24,
            "arm_bag": 0.14,
            "tote": 0.14,
            "travel_bag": 0.07,
            "shopping_bag": 0.12,
            "shoulder_bag": 0.24,
            "backpack": 0.17,
            "coat_on_arm": 0.1,
        }
    )
    helds: dict[str, float] = field(
        default_factory=lambda: {
            "phone": 0.24,
            "mug": 0.14,
            "bottle": 0.12,
            "book": 0.1,
            "ball": 0.08,
            "bouquet": 0.06,
            "stick": 0.06,
            "cane": 0.06,
            "umbrella": 0.08,
            "folder": 0.06,
        }
    )


@dataclass(frozen=True)
class PoseConfig:
    """Where poses come from, and how they are varied."""

    pack: float = 0.35
    procedural: float = 0.65
    mix_halves: float = 0.25  # arms of one pack pose on another
    joint_noise: float = 1.0
    # postures from rules: names of ``stances.STANCES``, or "random": every joint anywhere within its limits;
    # most people in photographs stand or walk
    procedural_kind: dict[str, float] = field(
        default_factory=lambda: {
            "stand": 0.34,
            "contrapposto": 0.15,
            "crossed_legs": 0.02,
            "walk": 0.27,
            "run": 0.03,
            "stairs": 0.03,
            "bend": 0.03,
            "lean": 0.02,
            "crouch": 0.02,
            "sit": 0.07,
            "sit_floor": 0.015,
            "cross_legged": 0.015,
            "kneel": 0.02,
            "lie": 0.01,
            "wild": 0.04,
            "random": 0.04,
        }
    )
    # where the head turns
    look: dict[str, float] = field(
        default_factory=lambda: {
            "ahead": 0.48,
            "aside": 0.24,
            "down": 0.14,
            "up": 0.04,
            "tilted": 0.05,
            "back": 0.05,  # over the shoulder; the trunk turns along
        }
    )
    # names of ``gestures.SINGLE`` and ``gestures.DOUBLE``; stances that are about the arms have tables of their own
    arms: dict[str, float] = field(
        default_factory=lambda: {
            "down": 0.42,
            "hips": 0.1,
            "pocket": 0.09,
            "back_pocket": 0.02,
            "crossed": 0.08,
            "clasped": 0.05,
            "behind": 0.04,
            "front": 0.08,
            "carry": 0.04,
            "phone": 0.04,
            "face": 0.04,
            "hair": 0.03,
            "strap": 0.02,
            "chest": 0.02,
            "elbow": 0.02,
            "raised": 0.04,
            "wave": 0.02,
            "point": 0.02,
            "outward": 0.02,
            "forward": 0.03,
            "wild": 0.04,
        }
    )
    # names of ``hands.SHAPES``, where a gesture asks for none
    hands: dict[str, float] = field(
        default_factory=lambda: {
            "relaxed": 0.48,
            "flat": 0.09,
            "fist": 0.1,
            "hook": 0.05,
            "cup": 0.05,
            "grip": 0.05,
            "pinch": 0.03,
            "spread": 0.03,
            "point": 0.03,
            "victory": 0.02,
            "thumbs_up": 0.02,
            "free": 0.05,
        }
    )


@dataclass(frozen=True)
class CameraConfig:
    """From where the subject is seen. Angles in degrees, distances in metres."""

    # Left and right from behind are learnt only if people are seen from behind often: see design FACTS, training trial.
    facing: dict[str, float] = field(default_factory=lambda: {"front": 0.33, "back": 0.34, "any": 0.33})
    facing_spread: float = 40.0
    framing: dict[str, float] = field(
        default_factory=lambda: {
            "full": 0.54,
            "upper": 0.18,
            "lower": 0.05,
            "torso": 0.05,
            "head": 0.05,
            "hand": 0.02,
            "small": 0.11,
        }
    )
    distance: tuple[float, float] = (1.9, 7.0)
    pitch: tuple[float, float] = (4.0, 9.0)  # mean and deviation of the common case
    steep: float = 0.1  # chance of a view from well above or below
    roll: float = 3.5
    distortion: float = 0.25  # chance of a lens that bends straight lines
    bend: tuple[float, float] = (-0.09, 0.05)  # how far it moves the picture's corner, share of its distance
    least_pixels: float = 0.015  # the subject covers at least this share of the picture


@dataclass(frozen=True)
class SceneConfig:
    """What else is in the picture."""

    panorama: float = 0.66  # else a procedural background
    studio: float = 0.12  # plain backgrounds, of the procedural ones
    defocus: float = 0.2  # chance that what is behind the person is out of focus, seldom much
    bystander: float = 0.24
    bystanders: int = 2  # at most
    companions: int = 24  # how many different bystanders exist: they are costly to dress
    occluder: float = 0.2
    distractor: float = 0.3
    nobody: float = 0.04  # chance that the subject and the bystanders are left out: things are not people
    # what stands before the subject, and what beside and behind it: names of ``things.THINGS``
    occluders: dict[str, float] = field(
        default_factory=lambda: {
            "post": 0.15,
            "counter": 0.2,
            "bush": 0.1,
            "ball": 0.07,
            "table": 0.1,
            "chair": 0.06,
            "railing": 0.08,
            "bollard": 0.04,
            "sign": 0.03,
            "bicycle": 0.03,
            "plant": 0.04,
            "luggage": 0.03,
            "balloons": 0.02,
            "parasol": 0.02,
            "lamp": 0.02,
            "bench": 0.02,
            "dog": 0.03,
            "flag": 0.02,
        }
    )
    distractors: dict[str, float] = field(
        default_factory=lambda: {
            "statue": 0.09,
            "mannequin": 0.06,
            "poster": 0.11,
            "hanger": 0.05,
            "rack": 0.04,
            "coat_stand": 0.04,
            "laundry": 0.02,
            "teddy": 0.06,
            "dog": 0.04,
            "cat": 0.02,
            "horse": 0.02,
            "sheep": 0.01,
            "bird": 0.02,
            "block": 0.1,
            "chair": 0.06,
            "table": 0.04,
            "bench": 0.02,
            "lamp": 0.04,
            "plant": 0.04,
            "bush": 0.03,
            "luggage": 0.02,
            "balloons": 0.01,
            "parasol": 0.02,
            "flag": 0.02,
            "post": 0.02,
            "bollard": 0.02,
            "sign": 0.02,
            "railing": 0.02,
            "bicycle": 0.03,
            "bin": 0.02,
            "ball": 0.02,
        }
    )


@dataclass(frozen=True)
class LightConfig:
    """Contrast, and the light's own brightness before the camera meters it."""

    sun: float = 0.5  # chance of a strong directional light with a cast shadow, where the light is procedural
    exposure: tuple[float, float] = (0.58, 1.22)
    occlusion: tuple[float, float] = (0.4, 1.0)


@dataclass(frozen=True)
class PhotographConfig:
    """What cameras and files do to a picture; chances of each, unless said otherwise."""

    blur: float = 0.25
    motion: float = 0.05
    noise: float = 0.5
    jpeg: float = 0.6
    low_resolution: float = 0.1
    tone: float = 0.6
    monochrome: float = 0.02
    metered: tuple[float, float] = (0.7, 0.95)  # which share of the correction (in stops) the light meter makes
    exposure: float = 0.35  # stops, deviation of what it gets wrong
    misjudged: float = 1.0  # the same for one picture in twelve


@dataclass(frozen=True)
class PeopleConfig:
    """Everything; ``size`` is (height, width) in pixels. Rendering happens at ``supersample`` times the size."""

    size: tuple[int, int] = (256, 192)
    supersample: int = 2
    covered: bool = False  # also the truth of the bare body under everything
    face: FaceConfig = field(default_factory=FaceConfig)
    outfit: OutfitConfig = field(default_factory=OutfitConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    scene: SceneConfig = field(default_factory=SceneConfig)
    light: LightConfig = field(default_factory=LightConfig)
    photograph: PhotographConfig = field(default_factory=PhotographConfig)
