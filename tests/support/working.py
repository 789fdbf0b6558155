"""A work for many files that needs no network: it counts bytes, and stumbles where a file says so."""

from __future__ import annotations

import os
from pathlib import Path

from bodymap.batch import Item
from bodymap.errors import UserError


class Counting:
    """Writes ``<stem>.txt`` with the size of each file; "bad" in a file is a fault, "die" the end of the process."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.read_now = self.most = 0

    def read(self, item: Item) -> bytes:
        content = item.path.read_bytes()
        if content == b"bad":
            raise UserError(f"{item.path} is bad.")
        if content == b"die":
            os._exit(1)
        self.read_now += 1
        self.most = max(self.most, self.read_now)
        return content

    def do(self, item: Item, picture: bytes) -> str:
        if picture == b"huge":
            raise MemoryError
        file = self.output / f"{item.stem}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(len(picture)))
        self.read_now -= 1
        return f"{item.path} -> {file}"
