"""Mistakes a user can make, and how every command reports them: one sentence, exit code 2, no traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

# What the operating system refuses for reasons outside this program, wherever it happens
REFUSALS = frozenset(
    getattr(errno, name)
    for name in "EACCES EPERM EROFS ENOSPC EDQUOT EFBIG ENAMETOOLONG ELOOP EIO EMFILE ENFILE ENOTDIR EISDIR".split()
    if hasattr(errno, name)
)

# So often a thread of torch's looks whether there is work again before it sleeps: some tenths of a millisecond
SPINS = "10000"


class UserError(Exception):
    """Something the user can put right. The message says in one sentence what is wrong and what to do."""


def run_command(main: Callable[[], int | None]) -> None:
    """Runs a command's ``main`` and ends the process: 0, or 2 with one sentence on stderr for a UserError and for what
    the operating system refuses (a full disk, a name too long), 130 on Ctrl-C."""
    if "OMP_WAIT_POLICY" not in os.environ:
        # read when torch is loaded; beside other work, threads that spin for milliseconds while waiting for each other
        # take several times as long
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # file names may hold bytes that are no text in any encoding: printing one must not be the end
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main() or 0
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        code = 2
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        where = f" {error.filename}" if error.filename else ""
        print(
            one_line(f"error: The system refuses{where} ({error.strerror}); choose another file or place."),
            file=sys.stderr,
        )
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


def one_line(text: object, longest: int = 600) -> str:
    """Text without what would break or colour the line it is printed on, shortened in its middle: names of files and
    what strangers' files hold may be anything."""
    line = "".join(sign if sign.isprintable() or "\udc80" <= sign <= "\udcff" else " " for sign in str(text))
    half = longest // 2
    return line if len(line) <= longest else f"{line[:half]} ... {line[-half:]}"
