"""Planning: what a deployment would change, and which tasks it would pause. Nothing is executed."""

import json

from botocore.exceptions import ClientError
from change_sets import Change, ChangeSet
from clients import client
from deploy import Deployment
from failure import Failure
from stacks import Stack

# The function of DmsPre, by its name in cfn/stream.yaml.
FUNCTION = "DmsPreFunction"


def run(deployment: Deployment) -> None:
    """Tell what a deployment would do, and take its change set back."""
    stack = Stack.find(deployment.stack)
    change_set = deployment.change_set()
    if change_set is None:
        print(f"{deployment.stack}: nothing to change")
        return
    try:
        changes = list(change_set.changes())
        verb = "updated" if stack and not stack.is_draft else "created"
        print(f"{deployment.stack} would be {verb}:")
        for change in changes:
            print(f"  {words(change)}")
        if any(change.type.startswith(("AWS::DMS::", "Custom::DmsPre")) for change in changes):
            for line in tasks(change_set, is_new=verb == "created", changes=changes):
                print(f"  {line}")
    finally:
        change_set.discard()


def words(change: Change) -> str:
    """A change as a line."""
    if change.type.startswith("Custom::") and change.how:
        # Whether its id changes is for its function to say; ours never do that.
        return f"{change.action:<7} {change.name:<34} {change.type:<38} its function is called"
    what = f": {', '.join(change.what)}" if change.what and change.how else ""
    return f"{change.action:<7} {change.name:<34} {change.type:<38} {change.how}{what}".rstrip()


def tasks(change_set: ChangeSet, *, is_new: bool, changes: list[Change]) -> list[str]:
    """What would become of each task, in the words of the DmsPre that is deployed."""
    if is_new:
        return ["Tasks: there are none to pause, since the stack isn't there yet. New ones would be started."]
    if not any(change.type == "Custom::DmsPre" for change in changes):
        return ["Tasks: DmsPre would not be called, since nothing of it changes. Is DeploymentId the last one's?"]
    try:
        found = client("cloudformation").describe_stack_resource(
            StackName=change_set.stack_id, LogicalResourceId=FUNCTION
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return [f"Tasks: the stack has no {FUNCTION} yet that could be asked."]
        raise
    renewed = any(change.name == FUNCTION and "Code" in change.what for change in changes)
    request = {"plan": {"StackId": change_set.stack_id, "ChangeSetId": change_set.id}}
    answer = client("lambda").invoke(
        FunctionName=found["StackResourceDetail"]["PhysicalResourceId"], Payload=json.dumps(request)
    )
    said = json.load(answer["Payload"])
    if "FunctionError" in answer:
        why = said.get("errorMessage", said) if isinstance(said, dict) else said
        if "takes custom-resource requests only" in str(why):
            return ["Tasks: the deployed DmsPre is too old to be asked. The next deployment brings one that can be."]
        raise Failure(f"asking DmsPre which tasks would pause: {why}")
    whose = "the DmsPre that is deployed" if renewed else "DmsPre"
    end = " (this deployment brings another one, which has the say)" if renewed else ""
    return [f"Tasks, as {whose} would decide now{end}:", *(f"  {line}" for line in said["Tasks"] or ["there are none"])]
