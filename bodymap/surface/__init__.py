"""The template body: pure geometry. One mesh, its colour code, its parts, its geodesics; no images, no networks."""

from bodymap.surface.body import Template, load_template
from bodymap.surface.parts import REGION_NAMES
from bodymap.types import PART_NAMES

__all__ = ["PART_NAMES", "REGION_NAMES", "Template", "load_template"]
