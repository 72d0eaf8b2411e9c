"""Destroying the stacks, once somebody has read what goes and what stays."""

import sys
import textwrap
from collections.abc import Iterator

import events
import templates
from clients import client
from deploy import ended
from failure import Failure
from parameters import DATABASE, DB_INIT, takes_from
from settings import STACKS, Settings
from stacks import Resource, Stack, importers, resources

# What stays of a resource by the policy of its deletion.
KEEPING = {"Retain": "as it is", "RetainExceptOnCreate": "as it is", "Snapshot": "a last snapshot"}
# Where no policy is given, CloudFormation takes a snapshot of these.
SNAPSHOT_TYPES = ("AWS::RDS::DBCluster",)

# What holds data that nobody can make again.
STORES = ("AWS::Kinesis::Stream", "AWS::RDS::DBCluster", "AWS::S3::Bucket")


def run(settings: Settings) -> None:
    """Delete the stacks, each before the one that it needs. Failure if nobody agrees, or one can't be deleted."""
    stacks = [stack for kind in going(settings) if (stack := Stack.find(settings.names[kind]))]
    if not stacks:
        print(f"There is no stack {', '.join(settings.names.values())}.")
        return
    names = {stack.name for stack in stacks}
    for stack in list(stacks):
        others = importers(stack) - names
        if others:
            print(f"{stack.name} stays: {', '.join(sorted(others))} use{'s' if len(others) == 1 else ''} it")
            stacks.remove(stack)
    for stack in stacks:
        if stack.is_busy and stack.status != "DELETE_IN_PROGRESS":
            raise Failure(f"{stack.name} is {stack.status}: wait until that is over (make status)")
        if stack.parameters.get("DeletionProtection") == "true":
            raise Failure(f"{stack.name} is protected: deploy it with DeletionProtection=false before you destroy it")
    for stack in stacks:
        tell(stack)
    print("The functions' uploads stay in their bucket.")
    if not settings.yes:
        ask(stacks)
    for stack in stacks:
        before = events.newest(stack.id)
        client("cloudformation").delete_stack(StackName=stack.id)
        ended(stack.name, events.follow(stack.id, before), {"DELETE_COMPLETE"})


def going(settings: Settings) -> Iterator[str]:
    """The kinds of stacks that go, each before those that it needs: no database that the stream doesn't use."""
    yield from ("examples", "archive", "stream")
    stream = Stack.find(settings.stack)
    is_default = settings.stack == STACKS["stream"][1]
    if takes_from(settings, "stream", DB_INIT) if stream else is_default:
        yield "db-init"
        if takes_from(settings, "db-init", DATABASE):
            yield "database"
    yield "handlers"


def tell(stack: Stack) -> None:
    """Print what goes with a stack, and what stays of it."""
    print(f"{stack.name} ({stack.status})")
    if stack.is_draft:
        print("  goes:  the name; nothing was ever made under it")
        return
    template = templates.read(client("cloudformation").get_template(StackName=stack.id)["TemplateBody"])
    goes, stays = [], []
    for resource in resources(stack.id):
        keeping = KEEPING.get(policy(resource, template["Resources"].get(resource.name, {})))
        if keeping:
            stays.append(f"  stays: {resource.name} ({resource.type}, {resource.id}): {keeping}")
            continue
        goes.append(resource.name)
        if resource.type in STORES:
            print(f"  GOES, with the data in it: {resource.name} ({resource.type}, {resource.id})")
    print(textwrap.fill(" ".join(goes) or "nothing", 118, initial_indent="  goes:  ", subsequent_indent="         "))
    print("\n".join(stays or ["  stays: nothing"]))


def policy(resource: Resource, definition: dict) -> str:
    """A resource's deletion policy."""
    default = "Snapshot" if resource.type in SNAPSHOT_TYPES else "Delete"
    return definition.get("DeletionPolicy") or default


def ask(stacks: list[Stack]) -> None:
    """Failure unless each stack's name is typed."""
    for stack in stacks:
        print(f"Type {stack.name} to delete it: ", end="", flush=True)
        if sys.stdin.readline().strip() != stack.name:
            raise Failure("\nNothing was deleted.")
