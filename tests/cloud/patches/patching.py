"""How ministack is patched: by name, so that a version of it that has moved something is noticed at once."""

import ast
import inspect
import sys
from importlib.metadata import version
from types import ModuleType


def wrap(place: object, name: str, wrapper: callable) -> object:
    """Put `wrapper(what is there)` in the place of a function, wherever ministack has imported it to; the new one.

    `place` is the module or the class that has it. SystemExit if it has not.
    """
    original = getattr(place, name, None)
    if original is None:
        moved(place, name)
    new = wrapper(original)
    holders = [place, *(module for known, module in list(sys.modules.items()) if known.startswith("ministack"))]
    for holder in holders:
        if getattr(holder, name, None) is original:
            setattr(holder, name, new)
    return new


def check(parts: list) -> None:
    """Look up every name of ministack's modules that these modules of patches use. SystemExit if one is gone."""
    for part in parts:
        for node in ast.walk(ast.parse(inspect.getsource(part))):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            place = getattr(part, node.value.id, None)
            if isinstance(place, ModuleType) and place.__name__.startswith("ministack") \
                    and not hasattr(place, node.attr):
                moved(place, node.attr)


def moved(place: object, name: str) -> None:
    """End, since this version of ministack has no such name."""
    have = f"ministack {version('ministack')} has no {name} in {place.__name__}"
    raise SystemExit(f"{have}, which tests/cloud/patches needs: take the version before, or move the patch")
