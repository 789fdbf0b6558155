"""Configuration: a dataclass, filled from a YAML file (which may inherit from another) and from the command line.

    @dataclass(frozen=True)
    class Config:
        model: ModelConfig = ModelConfig()
        train: TrainConfig = TrainConfig()

    parser = argparse.ArgumentParser()
    add_config_arguments(parser, Config, {"--steps": "train.steps"})
    config = config_from_arguments(Config, parser.parse_args())

A later source wins: the dataclass' defaults, the file named by ``base:``, the file itself, the short flags, ``--set``.
Nothing here imports torch, so that a command can refuse a wrong configuration at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from bodymap.errors import UserError
from bodymap.files import atomic_path

Config = TypeVar("Config")

# Files may inherit from files; a longer chain than this is a circle or a mistake.
MAX_BASES = 8
# Values that a configuration may hold once its anchors are followed: a few lines of anchors can stand for thousands of
# millions. Ours hold a few hundred.
MAX_VALUES = 20_000


class _Text(str):
    """A value as typed on the command line: read as YAML unless the field wants plain text."""


# ------------------------------------------------------------------------------------------------- reading and writing


def load_config(cls: type[Config], path: str | os.PathLike | None = None, overrides: Sequence[str] = ()) -> Config:
    """Builds the configuration ``cls`` from a YAML file and from ``section.key=value`` overrides.

    Raises:
        UserError: a file is missing or not YAML, a key is unknown, a value has the wrong type or is out of range.
    """
    values: dict[str, Any] = {}
    for file, mapping in _yaml_chain(Path(path)) if path is not None else ():
        _merge(values, _parse_dataclass(cls, mapping, "", f"{file}: "))
    for override in overrides:
        _merge(values, _parse_dataclass(cls, _override_mapping(override), "", f"--set {override}: "))
    return _construct(cls, values, "", f"{path}: " if path is not None else "")


def from_dict(cls: type[Config], mapping: Mapping[str, Any], where: str = "") -> Config:
    """Builds ``cls`` from nested plain values (what ``to_dict`` gives); ``where`` opens the error messages.

    Raises:
        UserError: as ``load_config``.
    """
    where = f"{where}: " if where else ""
    return _construct(cls, _parse_dataclass(cls, mapping, "", where), "", where)


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain values of a configuration, fit for YAML and JSON: tuples become lists, paths text."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, os.PathLike) else value

    return plain(config)


def save_config(config: Any, path: str | os.PathLike) -> None:
    """Writes the resolved configuration (a dataclass or nested plain values) as YAML; loads back to an equal one."""
    import yaml

    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(to_dict(config), sort_keys=False, width=120), encoding="utf-8")


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """One YAML file as a mapping, without following ``base:``; only plain values, never objects.

    Raises:
        UserError: it is missing, not readable, not YAML, or not a mapping.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"The configuration {path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"The configuration {path} cannot be read ({reason}).") from None
    try:
        mapping = yaml.load(text, Loader=_strict_loader())
        _count_values(mapping)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        # values with a type of their own (dates, !!int) raise what their type raises
        problem = "a number of thousands of digits" if "digits" in str(error) else " ".join(str(error).split())[:300]
        raise UserError(f"The configuration {path} is not valid YAML: {problem}.") from None
    except RecursionError:
        raise UserError(f"The configuration {path} is not valid YAML: it is nested too deeply.") from None
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        raise UserError(f"The configuration {path} must hold keys and values, not a {type(mapping).__name__}.")
    return mapping


def _strict_loader():
    """PyYAML's safe loader, which also refuses a key given twice (the second would win silently)."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise yaml.constructor.ConstructorError(
                        None, None, f'the key "{key}" is given twice', node.start_mark
                    )
            return super().construct_mapping(node, deep)

    return StrictLoader


def _count_values(tree: Any) -> None:
    """ValueError where a tree, its anchors followed, holds more than MAX_VALUES values."""
    count, waiting = 0, [tree]
    while waiting:
        value = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            raise ValueError(f"it stands for more than {MAX_VALUES} values")
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set)):
            waiting.extend(value)


def _yaml_chain(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The file and those it inherits from, the remotest first; ``base`` is relative to the file that names it."""
    chain: list[tuple[Path, dict[str, Any]]] = []
    while True:
        mapping = read_yaml(path)
        base = mapping.pop("base", None)
        chain.insert(0, (path, mapping))
        if base is None:
            return chain
        if not isinstance(base, str):
            raise UserError(f'{path}: "base" must name one YAML file.')
        if len(chain) > MAX_BASES:
            raise UserError(
                f'{path}: more than {MAX_BASES} files inherit from each other; look for a circle of "base:".'
            )
        path = path.parent / base


def _override_mapping(override: str) -> dict[str, Any]:
    """``a.b=value`` -> {"a": {"b": value}}"""
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UserError(f'--set takes section.key=value, not "{override}".')
    value: Any = _Text(text.strip())
    for name in reversed(names):
        value = {name: value}
    return value


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def check_ranges(config: Any, **limits: tuple[float, float]) -> None:
    """For ``__post_init__``: ValueError unless each named field, or each item of a tuple, lies between its limits.

    None is let through.
    """
    for name, (low, high) in limits.items():
        value = getattr(config, name)
        for item in value if isinstance(value, tuple) else (value,):
            if item is not None and not low <= item <= high:
                raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {item}.")


def check_pairs(config: Any, *names: str) -> None:
    """For ``__post_init__``: ValueError unless each named field is a range, its lower end first."""
    for name in names:
        low, high = getattr(config, name)
        if low > high:
            raise ValueError(f"{name} is a range, its lower end first, not {low}, {high}.")


# ------------------------------------------------------------------------------------------------------ checking types


def _parse_dataclass(cls: type, mapping: Any, path: str, where: str) -> dict[str, Any]:
    """Checks names and types of a (partial) mapping against ``cls``; nested dataclasses stay dictionaries."""
    if isinstance(mapping, _Text):
        mapping = _read_text(mapping)
    if not isinstance(mapping, Mapping):
        raise UserError(f'{where}"{path}" is a section with keys of its own, not {_show(mapping)}.')
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    values = {}
    for key, value in mapping.items():
        full = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise UserError(f'{where}unknown key "{full}"{_suggestion(cls, str(key), known)}')
        values[key] = _parse_value(hints[key], value, full, where)
    return values


def _suggestion(cls: type, key: str, known: list[str]) -> str:
    """The nearest name in this section, else in the sections below, else the list of names."""
    near = difflib.get_close_matches(key, known, n=1)
    if not near:
        below = {path.rsplit(".", 1)[-1]: path for path in reversed(list(_all_paths(cls)))}
        near = [below[name] for name in difflib.get_close_matches(key, below, n=1)]
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known here: {', '.join(known)}." if known else "; this section has no keys."


def _all_paths(cls: type, prefix: str = "") -> Iterable[str]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        nested = _dataclass_of(hints[field.name])
        if nested is not None:
            yield from _all_paths(nested, f"{prefix}{field.name}.")
        yield prefix + field.name


def _dataclass_of(hint: Any) -> type | None:
    """The dataclass that a field's type holds (also in ``X | None``), or None."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _parse_value(hint: Any, value: Any, path: str, where: str) -> Any:
    """``value`` as the type ``hint``; raises UserError naming ``path``."""
    wrong = UserError(f'{where}"{path}" must be {_describe(hint)}, not {_show(value)}.')
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _read_text(value)
    if dataclasses.is_dataclass(hint):
        return _parse_dataclass(hint, value, path, where)
    if _is_union(hint):
        if type(None) in arguments and (value is None or (isinstance(value, _Text) and _read_text(value) is None)):
            return None
        options = [option for option in arguments if option is not type(None)]
        if len(options) == 1:
            return _parse_value(options[0], value, path, where)
        for option in options:
            try:
                return _parse_value(option, value, path, where)
            except UserError:
                continue
        raise wrong
    if origin is Literal:
        for choice in arguments:
            if value == choice and type(value) in (type(choice), _Text):
                return choice
            if isinstance(value, _Text) and _read_text(value) == choice:
                return choice
        near = difflib.get_close_matches(str(value), [str(choice) for choice in arguments], n=1)
        hint_text = f'; did you mean "{near[0]}"?' if near else ""
        raise UserError(f'{where}"{path}" must be {_describe(hint)}, not {_show(value)}{hint_text or "."}')
    if hint is str or hint is Path:
        if isinstance(value, _Text):
            value = str(value)
        if not isinstance(value, (str, os.PathLike)):
            raise wrong
        return hint(value)

    value = _read_text(value)
    if hint is bool:
        if not isinstance(value, bool):
            raise wrong
        return value
    if hint in (int, float):
        return _parse_number(hint, value, wrong)
    if origin in (tuple, list):
        if isinstance(value, str) and "," in value:  # 224,160 on the command line
            value = [_Text(item.strip()) for item in value.split(",")]
        elif origin is tuple and arguments[-1:] == (Ellipsis,) and not isinstance(value, (list, tuple)):
            value = [value] if value is not None else value
        if not isinstance(value, (list, tuple)):
            raise wrong
        if origin is tuple and arguments[-1:] != (Ellipsis,):
            if len(value) != len(arguments):
                raise wrong
            kinds = arguments
        else:
            kinds = (arguments[0],) * len(value)
        return origin(
            _parse_value(kind, item, f"{path}[{i}]", where)
            for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if origin in (dict, Mapping) or hint is dict:
        if not isinstance(value, Mapping):
            raise wrong
        kind = arguments[1] if arguments else Any
        return {str(key): _parse_value(kind, item, f"{path}.{key}", where) for key, item in value.items()}
    raise TypeError(f"{path}: a configuration field cannot have the type {hint}")


def _parse_number(hint: type, value: Any, wrong: UserError) -> int | float:
    # YAML 1.1 reads 1e-3 as text; people mean the number
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise wrong from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong
    # no setting is infinite, or larger than what arrays count with
    if not -(2**63) <= value < 2**63 and (hint is int or not math.isfinite(value)):
        raise wrong
    if hint is float:
        return float(value)
    if not float(value).is_integer():
        raise wrong
    return int(value)


def _read_text(value: Any) -> Any:
    """A value from the command line, also inside a mapping, as YAML reads it; any other value unchanged."""
    if isinstance(value, dict):
        return {key: _read_text(item) for key, item in value.items()}
    if not isinstance(value, _Text):
        return value
    import yaml

    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return str(value)


def _show(value: Any) -> str:
    text = str(value) if isinstance(value, _Text) else repr(value)
    return f'"{text}"' if isinstance(value, _Text) else (text if len(text) <= 60 else text[:57] + "...")


def _describe(hint: Any) -> str:
    """A field's type in words."""
    plain = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in plain:
        return plain[hint]
    if _is_union(hint):
        return " or ".join("nothing (null)" if option is type(None) else _describe(option) for option in arguments)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin is tuple and arguments[-1:] != (Ellipsis,):
        return f"a list of {len(arguments)} values"
    if origin in (tuple, list):
        return f"a list, each {_describe(arguments[0])}"
    return "a section of keys and values" if dataclasses.is_dataclass(hint) or origin is dict else str(hint)


def _construct(cls: type[Config], values: Mapping[str, Any], path: str, where: str) -> Config:
    """The dataclass from checked values; a ValueError of its ``__post_init__`` becomes a UserError."""
    hints = typing.get_type_hints(cls)
    arguments = {}
    for field in dataclasses.fields(cls):
        full = f"{path}.{field.name}" if path else field.name
        nested = _dataclass_of(hints[field.name])
        if field.name in values:
            value = values[field.name]
            if nested is not None and isinstance(value, Mapping):
                value = _construct(nested, value, full, where)
            arguments[field.name] = value
        elif field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f'{where}"{full}" is missing; it must be {_describe(hints[field.name])}.')
    try:
        return cls(**arguments)
    except ValueError as error:
        raise UserError(f"{where}{path + ': ' if path else ''}{error}") from None


# -------------------------------------------------------------------------------------------------- the command line


def add_config_arguments(parser: argparse.ArgumentParser, cls: type, flags: Mapping[str, str] | None = None) -> None:
    """Adds ``--config FILE``, ``--set section.key=value`` and short flags that stand for one key each.

    Args:
        flags: for example {"--steps": "train.steps"}; help and default are read from the dataclass.
    """
    group = parser.add_argument_group("configuration")
    group.add_argument("--config", metavar="FILE", help="YAML file with the differences from the defaults")
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="config_overrides",
        action="append",
        default=[],
        help="change one key, for example --set model.depth=4; may be repeated",
    )
    for flag, path in (flags or {}).items():
        hint, default, text = _field_at(cls, path)
        group.add_argument(
            flag,
            metavar=path.rsplit(".", 1)[-1].upper(),
            dest=f"config_flag:{path}",
            help=f"{text or path + ': ' + _describe(hint)} (default: {default})".replace("%", "%%"),
        )


def config_from_arguments(
    cls: type[Config], arguments: argparse.Namespace, path: str | os.PathLike | None = None
) -> Config:
    """The configuration that the parsed command line asks for; ``path`` is the file where ``--config`` is not given.

    Raises:
        UserError: as ``load_config``.
    """
    flags = [
        f"{name.partition(':')[2]}={value}"
        for name, value in vars(arguments).items()
        if name.startswith("config_flag:") and value is not None
    ]
    return load_config(cls, arguments.config or path, [*flags, *arguments.config_overrides])


def _field_at(cls: type, path: str) -> tuple[Any, Any, str]:
    """(type, default, help text) of the field at a dotted path; help is the field's metadata "help"."""
    *sections, name = path.split(".")
    for section in sections:
        cls = _dataclass_of(typing.get_type_hints(cls)[section])
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return typing.get_type_hints(cls)[name], default, field.metadata.get("help", "")
