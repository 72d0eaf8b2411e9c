"""Conditions that look something up in the template's mappings."""

import sys

from ministack.services.cloudformation import engine


def install() -> None:
    """ministack takes Fn::FindInMap in a condition for a text: put in what it finds."""
    original = engine._evaluate_conditions

    def evaluate(template: dict, params: dict) -> dict:
        found = {name: looked_up(definition, template.get("Mappings", {}), params)
                 for name, definition in template.get("Conditions", {}).items()}
        return original({**template, "Conditions": found}, params)

    # Everywhere it was imported to, by its name.
    for name, module in list(sys.modules.items()):
        if name.startswith("ministack.services.cloudformation") and \
                getattr(module, "_evaluate_conditions", None) is original:
            module._evaluate_conditions = evaluate


def looked_up(node, mappings: dict, params: dict):
    """The same, with the values of mappings in place of the functions that find them."""
    if isinstance(node, list):
        return [looked_up(item, mappings, params) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::FindInMap" in node:
        return engine.find_in_map(node["Fn::FindInMap"], mappings, lambda argument: resolved(argument, params))
    return {name: looked_up(value, mappings, params) for name, value in node.items()}


def resolved(argument, params: dict):
    """An argument of Fn::FindInMap: a literal, or a parameter's value."""
    if isinstance(argument, dict) and argument.get("Ref") in params:
        return params[argument["Ref"]]["Value"]
    return argument
