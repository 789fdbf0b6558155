"""Words and theme of the page."""

import pytest

gradio = pytest.importorskip("gradio", reason='needs Gradio: pip install -e ".[test]"')

from apps.demo import look  # noqa: E402
from apps.swap import choice  # noqa: E402


def test_names_of_files_are_no_markup():
    for line in (look.note, look.good, look.problem):
        assert "<b>" not in line('the photo <b>"x".jpg') and "&lt;b&gt;" in line("the photo <b>.jpg")
    assert 'role="alert"' in look.problem("no")


def test_the_theme_fetches_no_font():
    theme = look.theme()
    css = theme._get_theme_css().replace("http://www.w3.org/2000/svg", "")  # the name of a format, in icons
    assert not theme._stylesheets and "http" not in css


def test_every_choice_of_a_swap_has_its_word():
    assert set(look.WHAT) == set(choice.WHAT)


def test_durations_are_said_where_there_was_one():
    assert look.seconds(4.26) == " in 4.3 s" and look.seconds(0.01) == ""
