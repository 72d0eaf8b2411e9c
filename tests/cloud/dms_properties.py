"""From a resource's properties in a template to the parameters of a DMS call."""


def parameters(client, operation: str, rtype: str, props: dict) -> dict:
    """The properties that `operation` takes, by its own names and types.

    A template may say "3306" for a number and "true" for a truth value, and writes
    some names differently (MySqlSettings for MySQLSettings). A property that no
    operation of the type takes is a mistake in the template.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    known = all_names(client, rtype)
    unknown = [name for name in props if name.lower() not in known]
    if unknown:
        raise ValueError(f"Encountered unsupported property {unknown[0]} in {rtype}")
    return convert(shape, {name: value for name, value in props.items() if name != "Tags"})


def all_names(client, rtype: str) -> set:
    """What the type's Create and Modify take, in lower case."""
    name = rtype.rsplit("::", 1)[-1]
    return {
        member.lower() for verb in ("Create", "Modify")
        for member in client.meta.service_model.operation_model(verb + name).input_shape.members
    }


def convert(shape, value):
    """`value` in the type that `shape` asks for; members that it lacks are left out."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = {name.lower(): name for name in shape.members}
        return {
            members[name.lower()]: convert(shape.members[members[name.lower()]], item)
            for name, item in value.items() if name.lower() in members and item is not None
        }
    if kind == "list" and isinstance(value, list):
        return [convert(shape.member, item) for item in value]
    if kind == "boolean":
        return str(value).lower() == "true"
    if kind in ("integer", "long"):
        return int(value)
    if kind == "timestamp":
        return float(value)
    if kind == "string" and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value
