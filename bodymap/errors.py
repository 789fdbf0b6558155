"""Mistakes a user can make, and how every command reports them: one sentence, exit code 2, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can put right. The message says in one sentence what is wrong and what to do."""


def run_command(main: Callable[[], int | None]) -> None:
    """Runs a command's ``main`` and ends the process: 0, or 2 with one sentence on stderr for a UserError, 130 on
    Ctrl-C."""
    try:
        code = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
