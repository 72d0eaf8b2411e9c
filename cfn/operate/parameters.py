"""Where a stack's parameters come from: what was given, other stacks' outputs, and what the account has.

A parameter that was given is the stack's own: it keeps its value when it is left out, also where another stack has an
output of the name. What is whose is noted in the description of the stack's change set.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

import templates
from botocore.exceptions import ClientError
from clients import client
from failure import Failure
from settings import Settings, text, value_of
from stacks import Stack

# The roles that DMS knows by name, each once in an account, by the stream's parameters that say whether to make them.
ROLES = {"CreateDmsVpcRole": "dms-vpc-role", "CreateDmsLogsRole": "dms-cloudwatch-logs-role"}


@dataclass(frozen=True)
class Source:
    """A stack whose outputs fill the parameters of the same names in other stacks."""

    kind: str
    anchors: tuple[str, ...] = ()
    """The first of these that a template has as a parameter ties its stack to the source, unless it is the stack's own:
    who has a database takes nothing of Sluice's."""


HANDLERS = Source("handlers")
DATABASE = Source("database", ("SubnetIds", "VpcId", "SecurityGroupIds"))
DB_INIT = Source("db-init", ("SourceSecretArn", "SchemaName"))
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


@dataclass(frozen=True)
class Ties:
    """Which of a stack's parameters are its own, and which stacks it takes the others from."""

    own: frozenset[str]
    follows: frozenset[str]

    def description(self, before: "Ties") -> str:
        """A change set's description: how it is once the change set is executed, and if it is rolled back."""
        states = [{"own": sorted(ties.own), "from": sorted(ties.follows)} for ties in (self, before)]
        return json.dumps(states[0] | ({"before": states[1]} if before != self else {}), separators=(",", ":"))


@dataclass(frozen=True)
class Parameters:
    """What a stack is told."""

    values: dict[str, str]
    """Those that are given, or told by others. What is left out stays as it is."""
    description: str
    """What to note in the change set."""


def takes_from(settings: Settings, kind: str, source: Source) -> bool:
    """Whether a stack takes a source's outputs."""
    _, now = ties(settings, kind)
    return not source.anchors or settings.names[source.kind] in now.follows


def owns(settings: Settings, kind: str, parameter: str) -> bool:
    """Whether a parameter is a stack's own, and no other stack's to tell."""
    _, now = ties(settings, kind)
    return parameter in now.own


def of(settings: Settings, kind: str) -> Parameters:
    """The parameters of a stack that are given or told by others. Failure if it needs more than that."""
    check_names(settings)
    name, template = settings.names[kind], templates.parameters(settings.template(kind))
    stack = Stack.find(name)
    before, now = ties(settings, kind)
    sources = [source for source in SOURCES[kind] if takes_from(settings, kind, source)]
    told = {output: value for output, (value, _) in outputs(settings, sources).items() if output not in now.own}
    told |= settings.common
    if not (stack and stack.parameters):
        told |= roles(settings, template)
    told |= settings.parameters
    found = {parameter: value for parameter, value in told.items() if parameter in template}
    known = found.keys() | (stack.parameters.keys() if stack else set())
    missing = [parameter for parameter, said in template.items() if "Default" not in said and parameter not in known]
    if missing:
        names = [settings.names[source.kind] for source in sources if source.anchors]
        absent = [it for it in names if not ((other := Stack.find(it)) and other.outputs)]
        # A template of one's own may have a database of one's own.
        ours = absent and not settings.own_template
        way = f"deploy {' and '.join(absent)} first (make deploy), or name them" if ours else "name them"
        raise Failure(f"{name} needs {', '.join(missing)}: {way} in PARAMETERS")
    if stack and noted(stack) is None:
        others = outputs(settings, SOURCES[kind])
        for it in sorted(now.own & others.keys() - found.keys()):
            value, other = others[it]
            print(
                f"{name}: {it} stays {stack.parameters[it]}, though {other} says {value}: "
                "name it in PARAMETERS to change it"
            )
    # What comes into being later is not what it was made from.
    now = Ties(now.own, frozenset(filter(Stack.find, now.follows)))
    if stack and stack.is_stuck:
        # A rollback leads to what was before the first failure.
        before = noted(stack, undone=True) or before
    return Parameters(found, now.description(before))


def ties(settings: Settings, kind: str) -> tuple[Ties, Ties]:
    """What a stack is tied to: as it is, and after a deployment with these settings. A new one may follow any other."""
    template, stack = templates.parameters(settings.template(kind)), Stack.find(settings.names[kind])
    sources = SOURCES[kind]
    names = {settings.names[source.kind] for source in sources}
    told = {output: value for output, (value, _) in outputs(settings, sources).items()}
    tellable = template.keys() & {it for source in sources for it in templates.outputs(settings.template(source.kind))}
    before = noted(stack) if stack else None
    if before is None:
        # A value that is not the output, or without an output not the default, is what somebody wanted.
        defaults = {it: value_of(template[it]["Default"]) for it in tellable if "Default" in template[it]}
        given = tellable & (stack.parameters if stack else {}).keys()
        wanted = {it for it in given if stack.parameters[it] != told.get(it, defaults.get(it))}
        before = Ties(frozenset(wanted), frozenset(names))
    given = settings.common | settings.parameters
    # Whoever gives what the other stack says takes it from there again.
    own = {it for it in tellable if (given[it] != told.get(it) if it in given else it in before.own)}
    # Another time it may be called with the names of others.
    follows = set(before.follows - names)
    for source in sources:
        anchor = next((it for it in source.anchors if it in template), None)
        name = settings.names[source.kind]
        if kind == "examples" and source in (DATABASE, DB_INIT):
            # Rows are written where the stream reads them.
            is_tied = anchor not in own and takes_from(settings, "stream", source)
        else:
            is_tied = anchor and anchor not in own and (anchor in given or name in before.follows)
        if is_tied:
            follows.add(name)
    return before, Ties(frozenset(own), frozenset(follows))


def outputs(settings: Settings, sources: Iterable[Source]) -> dict[str, tuple[str, str]]:
    """What sources say: each output's value, and the name of the stack."""
    found = {}
    for source in sources:
        name = settings.names[source.kind]
        stack = Stack.find(name)
        found |= {output: (value, name) for output, value in stack.outputs.items()} if stack else {}
    return found


def noted(stack: Stack, *, undone: bool = False) -> Ties | None:
    """What the change set notes that a stack was deployed by. None if other means deployed it."""
    try:
        said = json.loads(description(stack.change_set))
        said = said.get("before", said) if undone or "ROLLBACK" in stack.status else said
        return Ties(frozenset(said["own"]), frozenset(said["from"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


@cache
def description(change_set: str) -> str:
    """A change set's description; empty if it is gone, or there was none."""
    if not change_set:
        return ""
    try:
        return client("cloudformation").describe_change_set(ChangeSetName=change_set).get("Description", "")
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("ChangeSetNotFound"):
            return ""
        raise


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
