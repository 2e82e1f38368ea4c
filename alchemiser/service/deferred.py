"""Modules that are loaded when they are first needed, so that nobody pays for what he does not use: commands, the embedded exchange."""

import gc
import importlib
from typing import Any


def load(path: str) -> Any:
    """Import and return ``package.module:attribute``.

    The garbage collector rests meanwhile: an import makes many objects that live as long as the process, and looking through them again
    and again takes a quarter of the time. What was imported is then taken out of its later rounds.
    """
    module, _, attribute = path.partition(":")
    gc.disable()
    try:
        found = getattr(importlib.import_module(module), attribute)
    finally:
        gc.enable()
    gc.freeze()
    return found
