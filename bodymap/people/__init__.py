"""Synthetic clothed people, in two halves: ``assets`` makes a pack file, the rest turns a pack into samples."""

_HOME = {"sample": "studio", "PeopleConfig": "config", "Pack": "pack"}
__all__ = ["Pack", "PeopleConfig", "sample"]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'bodymap.people' has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = value = getattr(import_module(f"bodymap.people.{_HOME[name]}"), name)
    return value
