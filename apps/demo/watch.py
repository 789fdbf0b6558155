"""How a job tells where it is, and how it learns that nobody wants it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


class Cancelled(Exception):
    """The job was stopped between two of its steps."""


def _silent(share: float, text: str) -> None:
    pass


@dataclass(frozen=True)
class Watch:
    """Called before each step with the share done so far and what comes next.

    Attributes:
        show: takes the share of the whole job in [0, 1] and the step's name.
        stopped: whether the job is to end here.
        start, end: the part of the whole job that this watch stands for.
    """

    show: Callable[[float, str], object] = _silent
    stopped: Callable[[], bool] = lambda: False
    start: float = 0.0
    end: float = 1.0

    def __call__(self, share: float, text: str) -> None:
        """Raises:
        Cancelled: somebody stopped the job.
        """
        self.check()
        self.show(self.start + share * (self.end - self.start), text)

    def check(self) -> None:
        """Raises ``Cancelled`` where the job was stopped; says nothing."""
        if self.stopped():
            raise Cancelled

    def part(self, start: float, end: float) -> Watch:
        """The watch of a part of this job."""
        length = self.end - self.start
        return Watch(self.show, self.stopped, self.start + start * length, self.start + end * length)


QUIET = Watch()  # of who only wants the result


class Tickets:
    """Which jobs of which visitor are still wanted: one cancels all that they started so far."""

    def __init__(self) -> None:
        self._current: dict[str, int] = {}
        self._lock = threading.Lock()
        self._last = 0

    def take(self, visitor: str) -> int:
        """The ticket for a job that starts now."""
        with self._lock:
            return self._current.setdefault(visitor, self._next())

    def cancel(self, visitor: str) -> None:
        """Every ticket of the visitor is void; nothing is kept of them."""
        with self._lock:
            self._current.pop(visitor, None)

    def valid(self, visitor: str, ticket: int | None) -> bool:
        with self._lock:
            return self._current.get(visitor) == ticket

    def _next(self) -> int:
        # never used twice: a ticket of before a cancel stays void after the next job began
        self._last += 1
        return self._last
