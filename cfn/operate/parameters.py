"""Where a stack's parameters come from: what was given, other stacks' outputs, and what the account has."""

from dataclasses import dataclass
from difflib import get_close_matches

import templates
from botocore.exceptions import ClientError
from clients import client
from failure import Failure
from settings import Settings, text
from stacks import Stack

# The roles that DMS knows by name, each once in an account, by the stream's parameters that say whether to make them.
ROLES = {"CreateDmsVpcRole": "dms-vpc-role", "CreateDmsLogsRole": "dms-cloudwatch-logs-role"}


@dataclass(frozen=True)
class Source:
    """A stack whose outputs fill the parameters of the same names in other stacks."""

    kind: str
    anchors: tuple[str, ...] = ()
    """The first of these that a template has as a parameter ties its stack to the source, unless it is given."""
    has_rivals: bool = False
    """Whether a stack may have something else in its place, such as a database of one's own, and then keeps that."""


HANDLERS = Source("handlers")
DATABASE = Source("database", ("SubnetIds", "VpcId", "SecurityGroupIds"), has_rivals=True)
DB_INIT = Source("db-init", ("SourceSecretArn", "SchemaName"), has_rivals=True)
STREAM = Source("stream", ("StreamArn",))

# By kind of stack, those whose outputs it takes. The last one wins.
SOURCES = {
    "handlers": (),
    "database": (),
    "db-init": (HANDLERS, DATABASE),
    "stream": (HANDLERS, DATABASE, DB_INIT),
    "archive": (HANDLERS, STREAM),
    "examples": (DATABASE, DB_INIT, STREAM),
}


def takes_from(settings: Settings, kind: str, source: Source) -> bool:
    """Whether a stack takes a source's outputs."""
    if kind == "examples" and source.has_rivals:
        # Rows are written where the stream reads them.
        kind = "stream"
    if not source.anchors:
        return True
    template = templates.parameters(settings.template(kind))
    anchor = next((name for name in source.anchors if name in template), None)
    if anchor is None or anchor in settings.parameters:
        return False
    stack = Stack.find(settings.names[kind])
    if not source.has_rivals or stack is None or anchor not in stack.parameters:
        return True
    other = Stack.find(settings.names[source.kind])
    return other is not None and stack.parameters[anchor] == other.outputs.get(anchor)


def of(settings: Settings, kind: str) -> dict[str, str]:
    """The parameters of a stack that are given or told by others. Failure if a new stack needs more than that."""
    check_names(settings)
    name, template = settings.names[kind], templates.parameters(settings.template(kind))
    stack = Stack.find(name)
    is_new = stack is None or not stack.parameters
    sources = [source for source in SOURCES[kind] if takes_from(settings, kind, source)]
    others = {source: Stack.find(settings.names[source.kind]) for source in sources}
    told: dict[str, str] = {}
    for other in others.values():
        told |= other.outputs if other else {}
    told |= settings.common
    if is_new:
        told |= roles(settings, template)
    told |= settings.parameters
    found = {parameter: value for parameter, value in told.items() if parameter in template}
    missing = [parameter for parameter, said in template.items() if "Default" not in said and parameter not in found]
    if is_new and missing:
        absent = [
            settings.names[it.kind] for it, other in others.items() if it.anchors and not (other and other.outputs)
        ]
        # A template of one's own may have a database of one's own.
        ours = absent and not settings.own_template
        way = f"deploy {' and '.join(absent)} first (make deploy), or name them" if ours else "name them"
        raise Failure(f"{name} needs {', '.join(missing)}: {way} in PARAMETERS")
    return found


def check_names(settings: Settings) -> None:
    """Failure if a parameter is given that no template has, with the name that was perhaps meant."""
    files = [text("TEMPLATE", str(settings.source(kind))) for kind in SOURCES]
    known = {name for file in files for name in templates.parameters(file)}
    for name in sorted(settings.parameters.keys() - known):
        close = get_close_matches(name, known, 1)
        raise Failure(f"no template has a parameter {name}{f'; is it {close[0]}?' if close else ''}")


def roles(settings: Settings, template: dict[str, dict]) -> dict[str, str]:
    """Which roles a new stack need not make, since the account has them."""
    found = {}
    for parameter, role in ROLES.items():
        if parameter in settings.parameters or parameter not in template:
            continue
        try:
            client("iam").get_role(RoleName=role)
        except ClientError:
            # It is not there, or nobody may look.
            continue
        print(f"{settings.stack}: the account has {role} already: {parameter}=false")
        found[parameter] = "false"
    return found
