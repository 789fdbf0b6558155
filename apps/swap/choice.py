"""What a swap exchanges: ``all``, or some of upper, lower, shoes and hair, as users write it."""

from __future__ import annotations

from collections.abc import Iterable

from bodymap.errors import UserError

GARMENTS = ("upper", "lower", "shoes")
WHAT = ("all", *GARMENTS, "hair")


def chosen(what: str | Iterable[str]) -> tuple[str, ...]:
    """The names asked for, each once, in the order of ``WHAT``.

    Args:
        what: one name, several joined by commas, or several of either.

    Raises:
        UserError: an unknown name, none at all, or ``all`` beside a garment that it holds already.
    """
    parts = [what] if isinstance(what, str) else list(what)
    names = {name.strip().lower() for part in parts for name in part.split(",") if name.strip()}
    for name in sorted(names):
        if name not in WHAT:
            raise UserError(f"There is nothing called {name!r} to swap; choose all, {', '.join(WHAT[1:-1])} or hair.")
    if not names:
        raise UserError(f"Nothing was named to swap; choose some of {', '.join(WHAT)}.")
    doubled = sorted(names & set(GARMENTS)) if "all" in names else []
    if doubled:
        raise UserError(f"all holds {doubled[0]} already; name either all or single garments.")
    return tuple(name for name in WHAT if name in names)
