"""Destroying the stacks, once somebody has read what goes and what stays."""

import sys
import textwrap
from collections.abc import Iterator

import events
import templates
from botocore.exceptions import ClientError
from change_sets import deletion
from clients import client
from deploy import ended
from failure import Failure
from parameters import DATABASE, DB_INIT, takes_from
from settings import STACKS, Settings
from stacks import Resource, Stack, importers, resources

# What stays of a resource by the policy of its deletion.
RETAINING = dict.fromkeys(("Retain", "RetainExceptOnCreate"), "as it is")
KEEPING = {**RETAINING, "Snapshot": "a last snapshot"}
# Where no policy is given, CloudFormation takes a snapshot of these.
SNAPSHOT_TYPES = ("AWS::RDS::DBCluster",)

# These can be protected from outside the template, so RDS is asked: what its commands call each, the parameter that
# names one, and the list in the answer.
ASKED = {
    "AWS::RDS::DBCluster": ("db-cluster", "DBClusterIdentifier", "DBClusters"),
    "AWS::RDS::DBInstance": ("db-instance", "DBInstanceIdentifier", "DBInstances"),
}
# The properties by which others are protected.
PROTECTIONS = ("DeletionProtection", "DeletionProtectionEnabled")

# What holds data that nobody can make again.
STORES = ("AWS::Kinesis::Stream", "AWS::RDS::DBCluster", "AWS::S3::Bucket")


def run(settings: Settings) -> None:
    """Delete the stacks, each before the one that it needs. Failure if nobody agrees, or one can't be deleted."""
    stacks = [stack for kind in going(settings) if (stack := Stack.find(settings.names[kind]))]
    if not stacks:
        print(f"There is no stack {', '.join(settings.names.values())}.")
        return
    names = {stack.name for stack in stacks}
    handlers = next((stack for stack in stacks if stack.name == settings.names["handlers"]), None)
    others = set().union(*importers(handlers).values()) - names if handlers else set()
    if others:
        print(f"{handlers.name} stays: {', '.join(sorted(others))} use{'s' if len(others) == 1 else ''} it")
        stacks.remove(handlers)
    refusals = [refusal for stack in stacks for refusal in refused(stack, names)]
    if refusals:
        raise Failure("\n".join(["Nothing was deleted:", *refusals]))
    for stack in stacks:
        tell(stack)
    print("The functions' uploads stay in their bucket.")
    if not settings.yes:
        ask(stacks)
    for stack in stacks:
        # One that is going already is seen to its end.
        before = None if stack.is_going else events.newest(stack.id)
        client("cloudformation").delete_stack(StackName=stack.id)
        ended(stack.name, events.follow(stack.id, before), {"DELETE_COMPLETE"})


def refused(stack: Stack, names: set[str]) -> Iterator[str]:
    """What would keep a stack from being deleted with the others of these names, and what to do about each."""
    if stack.is_busy and not stack.is_going:
        yield f"{stack.name} is {stack.status}: wait until that is over (make status)"
    if stack.is_protected:
        yield (
            f"{stack.name} is protected from termination:\n  aws cloudformation update-termination-protection "
            f"--no-enable-termination-protection --stack-name {stack.name}"
        )
    for export, users in importers(stack).items():
        others = sorted(users - names)
        if others:
            yield (
                f"{stack.name} exports {export} to {', '.join(others)}: take it out of there, or delete what takes it:"
                f"{''.join(map(deletion, others))}"
            )
    if stack.is_draft:
        return
    template = template_of(stack)
    for resource in resources(stack.id):
        definition = template["Resources"].get(resource.name, {})
        if (
            resource.id
            and policy(resource, definition) not in RETAINING
            and (way := protection(resource, definition, stack))
        ):
            yield f"{stack.name}: {resource.name} ({resource.type}, {resource.id}) is protected from deletion{way}"


def protection(resource: Resource, definition: dict, stack: Stack) -> str:
    """What to do about a resource that refuses to be deleted; empty if it does not."""
    if resource.type in ASKED:
        what, identifier, listed = ASKED[resource.type]
        rds = client("rds")
        try:
            [found] = getattr(rds, f"describe_{what.replace('-', '_')}s")(**{identifier: resource.id})[listed]
        except ClientError as error:
            if "NotFound" in error.response["Error"]["Code"]:
                return ""
            # Whoever calls may not look: the template tells how it was made.
        else:
            command = f"aws rds modify-{what} --{what}-identifier {resource.id} --no-deletion-protection"
            return f":\n  {command}" if found.get("DeletionProtection") else ""
    for name in PROTECTIONS:
        said = definition.get("Properties", {}).get(name)
        if isinstance(said, dict):
            said = stack.parameters.get(said.get("Ref", ""))
        if str(said).lower() in {"true", "active"}:
            return f" ({name} is {said}): deploy the stack without that first"
    return ""


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
    template = template_of(stack)
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


def template_of(stack: Stack) -> templates.Template:
    """The template that a stack was deployed with."""
    return templates.read(client("cloudformation").get_template(StackName=stack.id)["TemplateBody"])


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
