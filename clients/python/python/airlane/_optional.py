"""Libraries that are there or not: imported when a method needs them, never before."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str, what: str) -> Any:
    """The module.

    Raises:
        ImportError: It is not installed; the text says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} needs {module}: pip install {module}", name=module) from error


def have(module: str) -> Any | None:
    """The module, or ``None`` where it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
