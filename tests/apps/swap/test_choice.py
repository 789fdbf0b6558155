"""What users may name."""

import pytest

from apps.swap.choice import chosen
from apps.swap.folder import photos_in
from bodymap.errors import UserError


def test_names_in_any_form_and_order():
    assert chosen("all") == ("all",)
    assert (
        chosen("shoes,upper") == chosen(["upper", "shoes"]) == chosen(("upper, shoes", "UPPER")) == ("upper", "shoes")
    )
    assert chosen("hair,all") == ("all", "hair")


@pytest.mark.parametrize(
    "what, message", [("hat", "'hat'"), (" , ", "Nothing"), ([], "Nothing"), ("all,lower", "lower already")]
)
def test_mistakes_are_named(what, message):
    with pytest.raises(UserError, match=message):
        chosen(what)


def test_photographs_of_a_folder(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    assert [p.name for p in photos_in(tmp_path)] == ["a.png", "b.JPG"]
    with pytest.raises(UserError, match="not a folder"):
        photos_in(tmp_path / "a.png")
    with pytest.raises(UserError, match="no photograph"):
        photos_in(tmp_path / "c.png")
