"""Weights: a name, a folder, a file or a hub id becomes verified tensors and the configuration they belong to.

A weights folder holds ``config.yaml`` and ``model.safetensors``, or ``model-00001-of-00003.safetensors`` and so on when
one file would be larger than ``max_file``. Each file's metadata carries format, version, the template's code version, a
digest of its tensors, and the index of all names, so that a lost, cut or exchanged file is noticed by name. One file of
its own also works: its metadata holds the configuration too.

torch is imported on first use only: a command can refuse a wrong source at once.
"""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodymap.config import read_yaml, save_config
from bodymap.errors import UserError
from bodymap.files import atomic_folder, parse_json, recover_folder, sort_safetensors_header

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FORMAT = "bodymap-weights"
VERSION = "1"
DEFAULT_NAME = "small"
PRESETS = Path(__file__).parent / "pretrained"
MAX_FILE = 16_000_000  # bytes; keeps every file of a repository small
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Weights:
    """What a source holds.

    Attributes:
        config: the configuration saved beside the tensors, nested plain values.
        tensors: name -> tensor, on the CPU, in the dtype of the file (often float16).
        metadata: of the first file; "code_version" names the template's colour code.
        path: the folder or file they were read from.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    path: Path


# ------------------------------------------------------------------------------------------------------------ finding


def find(source: str | os.PathLike | None = None) -> Path:
    """Where the weights lie: a folder or a ``.safetensors`` file.

    Args:
        source: None (the shipped weights), a shipped name, a folder, a file, or a hub id "user/name[@revision]".

    Raises:
        UserError: there is no such thing; names what is there.
    """
    name = DEFAULT_NAME if source is None else os.fspath(source)
    shipped = sorted(folder.name for folder in PRESETS.glob("*") if folder.is_dir()) if PRESETS.is_dir() else []
    if name in shipped:
        return PRESETS / name
    if source is None:
        raise UserError(f"The shipped weights {PRESETS / name} are missing; reinstall bodymap or name other weights.")
    path = Path(name).expanduser()
    if os.path.isdir(path):
        recover_folder(path / "weights")
        # A run folder of the training is as good as the weights folder inside it
        if not list(path.glob("*.safetensors")) and (path / "weights").is_dir():
            path = path / "weights"
        return path
    if os.path.isfile(path):
        return path
    # "runs/x" beside a folder "runs" is a mistyped path, no reason to ask the network
    if HUB_ID.fullmatch(name) and not path.parent.is_dir() and not name.endswith(".safetensors"):
        return _download(name)
    near = difflib.get_close_matches(name, shipped, n=1)
    raise UserError(
        f'There are no weights at "{name}"'
        + (
            f'; did you mean "{near[0]}"?'
            if near
            else f"; give a folder, a .safetensors file, {_or(shipped)} or user/name."
        )
    )


def _or(names: list[str]) -> str:
    return "a shipped name (" + ", ".join(names) + ")" if names else "a shipped name"


def _download(name: str) -> Path:
    """Fetches "user/name[@revision]" through huggingface_hub into its own cache."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f'There is no folder "{name}", and reading it as a hub id needs the package huggingface_hub; install it.'
        ) from None
    repository, _, revision = name.partition("@")
    try:
        return Path(
            snapshot_download(repository, revision=revision or None, allow_patterns=["*.yaml", "*.safetensors"])
        )
    except Exception as error:  # the hub raises a dozen classes, some of them requests'
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f'There is no folder "{name}", and the hub did not give it either: {reason}') from None


# ------------------------------------------------------------------------------------------------------------ loading


def load(source: str | os.PathLike | None = None, code_version: str | None = None) -> Weights:
    """Reads and verifies weights.

    Args:
        source: as ``find``.
        code_version: the template's; weights made for another one are refused, their maps would mean other points.

    Raises:
        UserError: missing, cut off, damaged, another format, version or code version; one sentence that names the file.
    """
    path = find(source)
    files = _files(path)
    tensors: dict[str, Tensor] = {}
    first: dict[str, str] = {}
    for file in files:
        part, metadata = _read_file(file)
        if metadata["index_digest"] != first.get("index_digest", metadata["index_digest"]):
            raise UserError(f"{file} belongs to other weights than {files[0].name}; copy the folder again.")
        first = first or metadata
        tensors.update(part)
    if code_version is not None and first.get("code_version") != code_version:
        raise UserError(
            f'{path} was made for the colour code "{first.get("code_version", "unknown")}", this version of bodymap '
            f'uses "{code_version}"; take weights of this version.'
        )
    index = _parsed(path, first, "index")
    missing = sorted(set(index) - set(tensors))
    if missing:
        absent = sorted({str(index[name]) for name in missing})
        raise UserError(f"{path} lacks {', '.join(absent)}; copy or download the weights again.")
    return Weights(config=_read_config(path, first), tensors=tensors, metadata=first, path=path)


def read_weights_config(source: str | os.PathLike | None = None) -> dict[str, Any]:
    """Only the configuration of a source, without reading its tensors.

    Raises:
        UserError: as ``load``.
    """
    path = find(source)
    if path.is_dir() and (path / "config.yaml").is_file():
        return read_yaml(path / "config.yaml")
    return _read_config(path, _open(_files(path)[0])[1])


def _files(path: Path) -> list[Path]:
    """The safetensors files of a source, in order."""
    if path.is_file():
        if path.suffix in (".pt", ".pth", ".ckpt", ".bin", ".pkl"):
            raise UserError(f"{path} is a pickle, which can run code when loaded; convert it to .safetensors first.")
        return [path]
    files = sorted(path.glob("model*.safetensors"))
    if not files:
        raise UserError(f"{path} holds no model.safetensors; it is not a weights folder.")
    numbered = [re.fullmatch(r"model-(\d+)-of-(\d+)\.safetensors", file.name) for file in files]
    if any(numbered):
        total = max(int(match[2]) for match in numbered if match)
        for number in range(1, total + 1):
            if not (path / file_name(number, total)).is_file():
                raise UserError(f"{path} lacks {file_name(number, total)}; copy or download the weights again.")
        files = [path / file_name(number, total) for number in range(1, total + 1)]
    return files


def file_name(number: int, total: int) -> str:
    """Name of file ``number`` (from 1) of ``total``."""
    return "model.safetensors" if total == 1 else f"model-{number:05d}-of-{total:05d}.safetensors"


def _open(file: Path):
    """(open safetensors handle, metadata); checks format and version."""
    from safetensors import SafetensorError, safe_open

    try:
        with open(file, "rb") as stream:
            start = stream.read(40)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}).") from None
    if start.startswith(b"version https://git-lfs"):
        raise UserError(f"{file} is only a Git LFS pointer; fetch the file itself with `git lfs pull`.")
    try:
        handle = safe_open(file, framework="pt")
        metadata = handle.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        size = file.stat().st_size
        raise UserError(
            f"{file} ({size} bytes) is cut off or not a safetensors file ({error}); get it again."
        ) from None
    if metadata.get("format") != FORMAT:
        raise UserError(f"{file} is a safetensors file, but not one of BodyMap's weights.")
    if metadata.get("version") != VERSION:
        found = metadata.get("version")
        raise UserError(f"{file} has weights format version {found}, this bodymap reads {VERSION}; update bodymap.")
    for name in ("index", "index_digest", "digest"):
        if name not in metadata:
            raise UserError(f"{file} is damaged (its {name} is missing); copy or download it again.")
    return handle, metadata


def _parsed(path: Path, metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """An entry of the metadata that holds a JSON object."""
    try:
        value = parse_json(metadata[name])
        if not isinstance(value, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise UserError(f"{path} is damaged (its {name} is {error}); copy or download it again.") from None
    return value


def _read_file(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError

    handle, metadata = _open(file)
    with handle:
        try:
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, RuntimeError, TypeError, KeyError) as error:
            raise UserError(f"{file} is damaged ({str(error)[:120]}); copy or download it again.") from None
    if metadata.get("digest") != digest(tensors):
        raise UserError(f"{file} is damaged (its checksum does not match); copy or download it again.")
    return tensors, metadata


def _read_config(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    beside = (path if path.is_dir() else path.parent) / "config.yaml"
    if path.is_dir() and beside.is_file():
        return read_yaml(beside)
    if "config" in metadata:
        return _parsed(path, metadata, "config")
    if beside.is_file():
        return read_yaml(beside)
    raise UserError(f"{path} has no config.yaml beside it; the network cannot be built without it.")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    import torch

    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b"")
    return total.hexdigest()


# ------------------------------------------------------------------------------------------------------------- saving


def save_weights(
    folder: str | os.PathLike,
    tensors: Mapping[str, Tensor],
    config: Any,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | str | None = "float16",
    max_file: int = MAX_FILE,
) -> Path:
    """Writes a weights folder, all of it or nothing; one already there is replaced.

    Floating tensors are stored as ``dtype`` (None: as they are), except those whose values it cannot hold. A tensor
    that alone is larger than ``max_file`` bytes gets a file of its own.

    Args:
        tensors: name -> tensor (a state dict).
        config: dataclass or nested plain values; becomes config.yaml.
        metadata: text to text; should name the template's "code_version".
    """
    from safetensors.torch import save_file

    stored = {name: _to_dtype(tensor, dtype) for name, tensor in sorted(tensors.items())}
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in stored.items():
        if groups[-1] and size + tensor.nbytes > max_file:
            groups.append({})
            size = 0
        groups[-1][name] = tensor
        size += tensor.nbytes
    index = {name: file_name(i + 1, len(groups)) for i, group in enumerate(groups) for name in group}
    digests = [digest(group) for group in groups]
    common = {
        **(metadata or {}),
        "format": FORMAT,
        "version": VERSION,
        "index": json.dumps(index),
        "index_digest": hashlib.sha256(" ".join(digests).encode()).hexdigest(),
    }
    with atomic_folder(folder) as temporary:
        save_config(config, temporary / "config.yaml")
        # The first file alone carries the configuration once more: a single file is then enough to build the network
        for i, group in enumerate(groups):
            extra = {"config": json.dumps(read_yaml(temporary / "config.yaml"))} if i == 0 else {}
            file = temporary / file_name(i + 1, len(groups))
            save_file(group, file, {**common, **extra, "digest": digests[i]})
            sort_safetensors_header(file)
    return Path(folder)


def _to_dtype(tensor: Tensor, dtype: torch.dtype | str | None) -> Tensor:
    import torch

    tensor = tensor.detach().cpu()
    if dtype is not None and tensor.is_floating_point():
        narrow = tensor.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
        # float16 ends at 65504: a value beyond it would come back as infinity
        if bool(torch.equal(torch.isfinite(narrow), torch.isfinite(tensor))):
            tensor = narrow
    # clone: safetensors refuses tensors that share memory (tied weights, views)
    return tensor.clone(memory_format=torch.contiguous_format)


# --------------------------------------------------------------------------------------------------- into the network


@dataclass(frozen=True)
class Mismatch:
    """What does not fit between a network and a set of tensors.

    Attributes:
        missing: names that the network has and the tensors lack.
        unexpected: names that the tensors have and the network lacks.
        shapes: name -> (shape in the network, shape in the tensors).
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def __str__(self) -> str:
        lines = [f"missing     {name}" for name in self.missing]
        lines += [f"unexpected  {name}" for name in self.unexpected]
        lines += [f"shape       {name}: network {ours}, file {theirs}" for name, (ours, theirs) in self.shapes.items()]
        return "\n".join(lines) or "everything fits"


def report(model: nn.Module, tensors: Mapping[str, Tensor]) -> Mismatch:
    """Compares names and shapes of a network's state with ``tensors``; ``str()`` of it lists everything."""
    state = model.state_dict()
    return Mismatch(
        missing=tuple(sorted(set(state) - set(tensors))),
        unexpected=tuple(sorted(set(tensors) - set(state))),
        shapes={
            name: (tuple(state[name].shape), tuple(tensors[name].shape))
            for name in sorted(set(state) & set(tensors))
            if state[name].shape != tensors[name].shape
        },
    )


def load_into(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    allow_missing: Iterable[str] = (),
    allow_unexpected: Iterable[str] = (),
    source: str | os.PathLike = "the weights",
) -> Mismatch:
    """Copies ``tensors`` into ``model`` (casting to its dtypes); everything must fit but what the patterns allow.

    Args:
        allow_missing: patterns such as "heads.layer.*": these may keep their values.
        allow_unexpected: patterns of tensors that may be left over.
        source: opens the error message.

    Returns:
        what did not fit but was allowed.

    Raises:
        UserError: anything else does not fit; the sentence counts and names the first ones. The network is unchanged.
    """
    found = report(model, tensors)
    problems = {
        "missing": _not_allowed(found.missing, allow_missing),
        "unexpected": _not_allowed(found.unexpected, allow_unexpected),
        "of another shape": list(found.shapes),
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{len(names)} tensors {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for what, names in problems.items()
            if names
        )
        raise UserError(f"{source} does not fit this network: {listed}; check that its config.yaml is the one used.")
    model.load_state_dict({name: t for name, t in tensors.items() if name not in found.unexpected}, strict=False)
    return found


def load_parts(
    model: nn.Module, tensors: Mapping[str, Tensor], parts: Iterable[str], source: str | os.PathLike = "the weights"
) -> int:
    """Copies only some parts of a network, whole ones; everything else keeps its values, whatever ``tensors`` holds.

    Args:
        parts: first words of the names, such as "cse" or "appearance".

    Returns:
        how many tensors were copied.

    Raises:
        UserError: the network or the tensors lack a part, or it does not fit; the network is unchanged.
    """
    parts = list(parts)
    chosen = {name: tensor for name, tensor in tensors.items() if name.split(".")[0] in parts}
    for part in parts:
        for what, names in (("This network", model.state_dict()), (os.fspath(source), chosen)):
            there = sorted({name.split(".")[0] for name in (tensors if names is chosen else names)})
            if part not in there:
                raise UserError(f'{what} has no part "{part}"; there are {", ".join(there)}.')
    load_into(model, chosen, [name for name in model.state_dict() if name.split(".")[0] not in parts], source=source)
    return len(chosen)


def _not_allowed(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    patterns = list(patterns)
    return [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
