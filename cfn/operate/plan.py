"""Planning: what a deployment would change, and which tasks it would pause. Nothing is executed."""

import json
from collections.abc import Iterator
from typing import Any

import deploy
import templates
from botocore.exceptions import ClientError
from change_sets import Change, ChangeSet
from check import PRE
from clients import client
from failure import Failure
from references import SUBSTITUTED
from settings import Settings
from stacks import Stack


def run(settings: Settings, kind: str) -> None:
    """Tell what a deployment would do, and take its change set back."""
    name = settings.names[kind]
    stack = Stack.find(name)
    change_set = deploy.change_set(settings, kind)
    if change_set is None:
        print(f"{name}: nothing to change")
        return
    try:
        changes = list(change_set.changes())
        verb = "updated" if stack and not stack.is_draft else "created"
        print(f"{name} would be {verb}{' in express mode' if change_set.is_express else ''}:")
        for change in changes:
            print(f"  {words(change)}")
        if any(change.type.startswith(("AWS::DMS::", PRE)) for change in changes):
            for line in tasks(change_set, stack if verb == "updated" else None, changes):
                print(f"  {line}")
        deploy.can_roll_back(change_set, kind, name)
    finally:
        change_set.discard()


def words(change: Change) -> str:
    """A change as a line."""
    if change.type.startswith("Custom::") and change.how:
        # Whether its id changes is for its function to say; ours never do that.
        return f"{change.action:<7} {change.name:<34} {change.type:<38} its function is called"
    what = f": {', '.join(change.what)}" if change.what and change.how else ""
    return f"{change.action:<7} {change.name:<34} {change.type:<38} {change.how}{what}".rstrip()


def tasks(change_set: ChangeSet, stack: Stack | None, changes: list[Change]) -> Iterator[str]:
    """What would become of each task, in the words of the DmsPre that is deployed. Failure if it would refuse."""
    if stack is None:
        yield "Tasks: there are none to pause, since the stack isn't there yet. New ones would be started."
        return
    if not any(change.type == PRE for change in changes):
        yield "Tasks: DmsPre would not be called, since nothing of it changes. Is DeploymentId the last one's?"
        return
    function = function_of(stack)
    if function is None:
        yield "Tasks: the stack has no DmsPre yet that could be asked, or none whose function can be told."
        return
    request = {"plan": {"StackId": change_set.stack_id, "ChangeSetId": change_set.id}}
    answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(request))
    said = json.load(answer["Payload"])
    if "FunctionError" in answer:
        why = said.get("errorMessage", said) if isinstance(said, dict) else said
        raise Failure(f"asking DmsPre which tasks would pause: {why}")
    yield "Tasks, as DmsPre would decide now:"
    yield from (f"  {line}" for line in said["Tasks"] or ["there are none"])
    # The handlers that are deployed may be older, and say nothing of it.
    refused = said.get("Refused")
    if refused:
        raise Failure("\n  ".join(["DmsPre would refuse this deployment:", *refused]))


def function_of(stack: Stack) -> str | None:
    """The function that is called for the stack's Custom::DmsPre; None if there is none, or none that can be told."""
    template = client("cloudformation").get_template(StackName=stack.id, TemplateStage="Processed")["TemplateBody"]
    found = [it for it in templates.read(template)["Resources"].values() if it["Type"] == PRE]
    return value(found[0]["Properties"]["ServiceToken"], stack) if found else None


def value(of: str | dict[str, Any], stack: Stack) -> str | None:
    """What a value of a stack's template comes to, as far as service tokens are made."""
    if isinstance(of, str):
        return of
    [(function, argument)] = of.items()
    match function, argument:
        case "Fn::ImportValue", _:
            name = value(argument, stack)
            pages = client("cloudformation").get_paginator("list_exports").paginate()
            return next((it["Value"] for it in pages.search("Exports[]") if it["Name"] == name), None)
        case "Fn::Sub", str() | [str(), dict()]:
            text, given = (argument, {}) if isinstance(argument, str) else argument
            names = {name: value(given.get(name, {"Ref": name}), stack) for name in SUBSTITUTED.findall(text)}
            return None if None in names.values() else SUBSTITUTED.sub(lambda it: names[it[1]], text)
        case "Fn::Join", [str(between), list(parts)]:
            found = [value(part, stack) for part in parts]
            return None if None in found else between.join(found)
        case "Ref" | "Fn::GetAtt", str() | [str(), *_]:
            return named(argument.partition(".")[0] if isinstance(argument, str) else argument[0], stack)
    return None


def named(name: str, stack: Stack) -> str | None:
    """What a parameter, a pseudo parameter or a resource of a stack comes to: a function's id is as good as its ARN."""
    _, partition, _, region, account, _ = stack.id.split(":", 5)
    pseudo = {"Partition": partition, "Region": region, "AccountId": account, "StackName": stack.name}
    known = stack.parameters | {f"AWS::{it}": said for it, said in pseudo.items()}
    if name in known:
        return known[name]
    try:
        found = client("cloudformation").describe_stack_resource(StackName=stack.id, LogicalResourceId=name)
    except ClientError:
        return None
    return found["StackResourceDetail"]["PhysicalResourceId"]
