"""One line on stderr that says how far a long evaluation is and when it will be done."""

from __future__ import annotations

import sys
import time


class Progress:
    """Counts steps of about equal cost; prints ``label: 12/100, 3 min left`` live, or ten times off a terminal."""

    def __init__(self, total: int, label: str):
        self.total, self.label = total, label
        self._done = 0
        self._start = time.monotonic()
        self._live = sys.stderr.isatty()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        last = self._done >= self.total
        if not (self._live or last or self._done % max(1, self.total // 10) == 0):
            return
        elapsed = time.monotonic() - self._start
        left = "" if last else f", {duration(elapsed / self._done * (self.total - self._done))} left"
        line = f"{self.label}: {self._done}/{self.total}{left}"
        end = "" if self._live and not last else "\n"
        print(f"\r{line:<70}" if self._live else line, end=end, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
