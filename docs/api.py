"""Builds the API reference from the docstrings of the modules that users and other programs may hold on to.

pip install -e ".[docs]"
python docs/api.py                  # out/api/index.html; -o DIR: elsewhere
"""

from __future__ import annotations

import argparse
import importlib
import re
import warnings
from pathlib import Path

# What stays as it is named and typed; everything else may change without notice
PUBLIC: tuple[str, ...] = (
    "bodymap",
    "bodymap.predictor",
    "bodymap.finding",
    "bodymap.types",
    "bodymap.errors",
    "bodymap.photo",
    "bodymap.correspondence_io",
    "bodymap.weights",
    "bodymap.foreground",
    "bodymap.visual",
    "bodymap.surface",
    "bodymap.surface.points",
    "bodymap.surface.colour",
    "bodymap.surface.geodesic",
    "bodymap.rendering",
    "bodymap.warping",
    "bodymap.fitting",
    "bodymap.people",
    "bodymap.people.config",
    "bodymap.losses",
    "bodymap.metrics",
    "bodymap.metrics.accuracy",
    "bodymap.metrics.similarity",
    "bodymap.metrics.segmentation",
    "bodymap.metrics.landmarks",
    "bodymap.metrics.temporal",
    "bodymap.metrics.consistency",
    "bodymap.metrics.calibration",
    "bodymap.metrics.image",
    "bodymap.metrics.exchange",
    "bodymap.network.config",
    "bodymap.training.task",
    "bodymap.training.settings",
    "bodymap.training.loop",
    "bodymap.deploy",
    "apps.swap.transfer",
    "apps.rerender.avatar",
    "apps.rerender.view",
    "apps.layered.predictor",
    "apps.layered.truth",
    "apps.layered.canonical",
)


def build(folder: Path) -> None:
    """Writes one page a module of PUBLIC, an index and a search index into ``folder``."""
    import pdoc

    pdoc.render.configure(docformat="google", show_source=False, footer_text="BodyMap", search=True)
    # Names that packages load on first use are not seen before
    for module in map(importlib.import_module, PUBLIC):
        vars(module).update({name: getattr(module, name) for name in getattr(module, "__all__", ())})
    # Some packages bring all of their modules: what is not listed is taken out again, what is listed comes twice
    listed = "|".join(re.escape(name) for name in PUBLIC)
    warnings.filterwarnings("ignore", "The module specification .* has already been added")
    pdoc.pdoc(*PUBLIC, f"!^(?!({listed})$)", output_directory=folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", metavar="DIR", default="out/api", help="default: out/api")
    folder = Path(parser.parse_args().output)
    try:
        build(folder)
    except ModuleNotFoundError as error:
        if error.name != "pdoc":
            raise
        raise SystemExit('The API reference needs pdoc: pip install -e ".[docs]"') from None
    print(folder / "index.html")


if __name__ == "__main__":
    main()
