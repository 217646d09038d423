"""The server and command line, which are one program inside the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def path() -> Path:
    """The program: what the variable ``AIRLANE_BIN`` names, else the one inside the package.

    Raises:
        FileNotFoundError: There is none: the package was built without.
    """
    named = os.environ.get("AIRLANE_BIN")
    found = Path(named) if named else Path(__file__).parent / "_bin" / "airlane"
    if not found.is_file():
        raise FileNotFoundError(f"there is no server at {found}: install a wheel that has one, or name it with AIRLANE_BIN")
    return found


def main() -> None:
    """``airlane …`` of the shell: becomes the program, so that signals and exit codes are its own."""
    try:
        program = str(path())
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    os.execv(program, ["airlane", *sys.argv[1:]])
