"""Who refers to whom in a template, and so which resource CloudFormation handles before which."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# What Fn::Sub puts in: ${Name} and ${Name.Attribute}, but not ${!Literal}.
SUBSTITUTED = re.compile(r"\$\{\s*([^!\s}][^\s}]*)\s*\}")

Resource = dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """One resource named by another one, or a parameter."""

    name: str
    attribute: str = ""
    """The attribute that Fn::GetAtt or Fn::Sub takes; empty for the resource itself."""
    only_if: frozenset[str] = frozenset()
    """The conditions of each Fn::If around it; `!` before the name stands for a condition that is false."""


def references(value: object, only_if: frozenset[str] = frozenset()) -> Iterator[Reference]:
    """What a value refers to, in long forms, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from references(item, only_if)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        match key, inner:
            case "Ref", str():
                yield Reference(inner, "", only_if)
            case "Fn::GetAtt", str() | [str(), str()]:
                name, _, attribute = (inner if isinstance(inner, str) else ".".join(inner)).partition(".")
                yield Reference(name, attribute, only_if)
            case "Fn::Sub", str() | [str(), dict()]:
                text, given = (inner, {}) if isinstance(inner, str) else inner
                for name in SUBSTITUTED.findall(text):
                    if name not in given:
                        name, _, attribute = name.partition(".")
                        yield Reference(name, attribute, only_if)
                yield from references(given, only_if)
            case "Fn::If", [str(condition), then, otherwise]:
                yield from references(then, only_if | {condition})
                yield from references(otherwise, only_if | {f"!{condition}"})
            case _:
                yield from references(inner, only_if)


def attribute(value: object) -> tuple[str, str] | None:
    """The resource and the attribute that a value is, by Fn::GetAtt or by a Fn::Sub of nothing else."""
    match value:
        case {"Fn::GetAtt": _}:
            pass
        case {"Fn::Sub": str(text) | [str(text), _]} if SUBSTITUTED.fullmatch(text):
            pass
        case _:
            return None
    found = list(references(value))
    return (found[0].name, found[0].attribute) if len(found) == 1 and found[0].attribute else None


def depended_on(resource: Resource) -> Iterator[Reference]:
    """What CloudFormation handles before a resource: what DependsOn names, and what the resource refers to."""
    named = resource.get("DependsOn") or []
    for name in [named] if isinstance(named, str) else named:
        yield Reference(name)
    yield from references({key: value for key, value in resource.items() if key != "DependsOn"})


def depends(resources: dict[str, Resource], name: str, on: str, given: set[str] | None = None) -> bool:
    """Whether a resource depends on another one, directly or through others.

    With `given`, a way counts only if it is there whenever these conditions hold. A resource whose condition is false
    isn't there, and orders nothing.
    """
    seen, rest = {name}, [name]
    while rest:
        for it in depended_on(resources[rest.pop()]):
            if it.name in seen or it.name not in resources or not (given is None or it.only_if <= given):
                continue
            if it.name == on:
                return True
            condition = resources[it.name].get("Condition")
            if given is None or condition is None or condition in given:
                seen.add(it.name)
                rest.append(it.name)
    return False
