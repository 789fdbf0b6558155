"""How the page looks and speaks: theme, style sheet, words, lines of news."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

STYLE = Path(__file__).with_name("style.css")
_FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = {"Ben": _FOLDER / "ben.jpg", "Anna": _FOLDER / "anna.jpg"}  # source, target
SWAPPED = _FOLDER / "swapped.jpg"  # python -m apps.swap examples/ben.jpg examples/anna.jpg -o examples/swapped.jpg

HEAD = """# BodyMap
Give one person the looks of another, and see the map that makes it possible."""
FOOT = """**What it is.** For every pixel of a person, BodyMap finds the point of one template body that it shows.
Swaps, textures and turntables follow from that. The computer that runs this page does the work; pictures go nowhere
else and are forgotten when it stops.

**What it is not.** Not the paper's model, but an independent one that learned from synthetic people. It errs with
loose clothes, crowds and unusual poses, and what a photo does not show is made up. It cannot tell who anybody is.
Please use pictures of people who agree."""
EXAMPLE = "An example: Anna in Ben's outfit. Drag the line, then try your own."
ROLES = ("1 · Whose looks", "2 · On whom")
WHAT = {"all": "Whole outfit", "upper": "Top", "lower": "Bottoms", "shoes": "Shoes", "hair": "Hair"}
LAYERS = {"body": "body", "upper": "top", "lower": "bottoms"}


def theme() -> gr.Theme:
    """One accent, and the fonts that the visitor has: nothing is fetched."""
    return gr.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        # white on the theme's own lighter teal is hard to read
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_600",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_secondary_background_fill="*background_fill_primary",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_border_color="*border_color_primary",
        button_border_width="1px",
    )


def note(text: str) -> str:
    """A line of news."""
    return _line(text, "", "status")


def good(text: str) -> str:
    """A line of good news."""
    return _line(text, " good", "status")


def problem(text: str) -> str:
    """A line that asks the visitor to do something else."""
    return _line(text, " problem", "alert")


def seconds(duration: float) -> str:
    """Of a job, for the end of a sentence; nothing where it was done before."""
    return f" in {duration:.1f} s" if duration >= 0.1 else ""


def _line(text: str, kind: str, role: str) -> str:
    # file names are the visitor's
    return f'<p class="note{kind}" role="{role}">{escape(text)}</p>'
