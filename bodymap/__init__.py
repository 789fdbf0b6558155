"""BodyMap: dense correspondence between photographs of clothed people and one template body.

    from bodymap import BodyMap, PART_NAMES
    model = BodyMap.from_pretrained()
    correspondence = model.predict("photo.jpg")

Heavy modules load on first use, so that commands answer ``--help`` and bad input at once.
"""

from bodymap.errors import UserError
from bodymap.types import LAYER_NAMES, PART_NAMES, Camera, Correspondence, LayerMaps, Sample

__version__ = "0.1.0"
__all__ = [
    "LAYER_NAMES",
    "PART_NAMES",
    "BodyMap",
    "Camera",
    "Correspondence",
    "LayerMaps",
    "Sample",
    "UserError",
]


def __getattr__(name: str):
    if name == "BodyMap":
        from bodymap.predictor import BodyMap

        return BodyMap
    raise AttributeError(f"module 'bodymap' has no attribute {name!r}")
