"""How ministack is patched: by name, so that a version of it that has moved something is noticed at once."""

import sys
from importlib.metadata import version


def wrap(place: object, name: str, wrapper: callable) -> object:
    """Put `wrapper(what is there)` in the place of a function, wherever ministack has imported it to; the new one.

    `place` is the module or the class that has it. SystemExit if it has not.
    """
    original = getattr(place, name, None)
    if original is None:
        have = f"ministack {version('ministack')} has no {name} in {place.__name__}"
        raise SystemExit(f"{have}, which tests/cloud/patches replaces: take the version before, or move the patch")
    new = wrapper(original)
    holders = [place, *(module for known, module in list(sys.modules.items()) if known.startswith("ministack"))]
    for holder in holders:
        if getattr(holder, name, None) is original:
            setattr(holder, name, new)
    return new
