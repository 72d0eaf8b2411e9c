"""Change sets: made, read, and taken back."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import findings
import templates
from botocore.exceptions import ClientError, WaiterError
from clients import client
from failure import Failure
from parameters import Parameters
from settings import Settings
from stacks import Stack

# How CloudFormation says that there is nothing to do. (assumption: no-changes-words)
UNCHANGED = ("The submitted information didn't contain changes", "No updates are to be performed")

# What CloudFormation refuses to update.
ONLY_TO_DELETE = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}

# How CloudFormation says that there is no such change set, or not even the stack.
NOT_THERE = {"ChangeSetNotFound", "ChangeSetNotFoundException", "ValidationError"}

# How often to ask, and for how long: a quarter of an hour.
PACE = {"Delay": 2, "MaxAttempts": 450}

ACTIONS = {"Add": "add", "Modify": "modify", "Remove": "remove", "Import": "import"}
REPLACEMENTS = {"True": "replaced", "Conditional": "perhaps replaced", "False": "in place"}


@dataclass(frozen=True)
class Change:
    """What becomes of a resource."""

    action: str
    name: str
    type: str
    how: str
    """Whether it is replaced; empty unless it is modified."""
    what: tuple[str, ...]
    """The properties, or other parts of it, that change."""

    @classmethod
    def of(cls, it: dict[str, Any]) -> "Change":
        """One of DescribeChangeSet."""
        targets = [detail["Target"] for detail in it.get("Details", [])]
        return cls(
            action=ACTIONS.get(it["Action"], it["Action"]),
            name=it["LogicalResourceId"],
            type=it["ResourceType"],
            how=REPLACEMENTS.get(it.get("Replacement", ""), "") if it["Action"] == "Modify" else "",
            what=tuple(sorted({target.get("Name") or target["Attribute"] for target in targets})),
        )


@dataclass(frozen=True)
class ChangeSet:
    """A change that can be carried out, or taken back."""

    id: str
    stack_id: str
    stack: Stack | None
    """The stack as it was; None if there was none, and an empty one was made for this."""
    is_express: bool
    """Whether it is carried out in express mode. Then nothing is rolled back."""

    @classmethod
    def create(
        cls, name: str, template: str, told: Parameters, settings: Settings, *, express: bool
    ) -> "ChangeSet | None":
        """Make one that brings a stack to a template and parameters. None if nothing changes.

        A parameter that isn't given keeps its value, and so do a role and tags. What CloudFormation's validation finds
        is shown. Failure if the change set fails for it.
        """
        stack = Stack.find(name)
        creates = stack is None or stack.is_draft
        if stack and not creates:
            check(stack, express=express)
        print(f"{name}: making a change set{' in express mode' if express else ''}")
        cloudformation = client("cloudformation")
        # Until CloudFormation says how it calls them: a call that is interrupted may have gone through.
        change_set = cls(f"sluice-{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}", name, stack, express)
        try:
            made = cloudformation.create_change_set(
                StackName=name,
                ChangeSetName=change_set.id,
                ChangeSetType="CREATE" if creates else "UPDATE",
                Description=told.description,
                # The name is dms-vpc-role's.
                Capabilities=["CAPABILITY_NAMED_IAM"],
                Parameters=list(arguments(template, told.values, stack)),
                # Whoever says nothing of a rollback has none in that mode, and by the call's reference has one.
                **({"DeploymentConfig": {"Mode": "EXPRESS", "DisableRollback": True}} if express else {}),
                **settings.role_and_tags,
                **templates.source(template, settings.bucket),
            )
            change_set = cls(made["Id"], made["StackId"], stack, express)
            cloudformation.get_waiter("change_set_create_complete").wait(ChangeSetName=change_set.id, WaiterConfig=PACE)
            for line in findings.lines(change_set.id):
                print(f"  {line}")
        except WaiterError as error:
            reason = error.last_response.get("StatusReason", str(error))
            unchanged = reason.startswith(UNCHANGED)
            found = [] if unchanged else findings.lines(change_set.id)
            change_set.discard()
            if unchanged:
                return None
            raise Failure("\n  ".join([f"{name}: the change set failed: {reason}", *found])) from None
        except BaseException:
            change_set.discard()
            raise
        return change_set

    def changes(self) -> Iterator[Change]:
        """What it changes."""
        pages = client("cloudformation").get_paginator("describe_change_set").paginate(ChangeSetName=self.id)
        for it in pages.search("Changes[].ResourceChange"):
            yield Change.of(it)

    def execute(self, *, rolls_back: bool) -> None:
        """Begin to carry it out. Whether what fails is undone, or left as it is."""
        # An express one was told when it was made.
        told = {} if self.is_express else {"DisableRollback": not rolls_back}
        client("cloudformation").execute_change_set(ChangeSetName=self.id, **told)

    def discard(self) -> None:
        """Take it back, and the empty stack with it that it may have made. What is carried out already goes on."""
        cloudformation, this = client("cloudformation"), {"ChangeSetName": self.id, "StackName": self.stack_id}
        try:
            with suppress(WaiterError):
                # While it is being made it can't be deleted.
                cloudformation.get_waiter("change_set_create_complete").wait(**this, WaiterConfig=PACE)
            if cloudformation.describe_change_set(**this)["ExecutionStatus"].startswith("EXECUTE"):
                return
            cloudformation.delete_change_set(**this)
        except ClientError as error:
            # The call that was to make it may not have gone through.
            if error.response["Error"]["Code"] not in NOT_THERE:
                print(f"{self.id} of {self.stack_id} is left behind: {error}", file=sys.stderr)
        if self.stack is None and (made := Stack.find(self.stack_id)) and made.is_draft:
            cloudformation.delete_stack(StackName=made.id)
            cloudformation.get_waiter("stack_delete_complete").wait(StackName=made.id, WaiterConfig=PACE)


def arguments(template: str, given: dict[str, str], stack: Stack | None) -> Iterator[dict[str, Any]]:
    """The template's parameters as CloudFormation takes them: as given, or as they are."""
    for name in templates.parameters(template):
        if name in given:
            yield {"ParameterKey": name, "ParameterValue": given[name]}
        elif stack and name in stack.parameters:
            yield {"ParameterKey": name, "UsePreviousValue": True}


def check(stack: Stack, *, express: bool) -> None:
    """Refuse what CloudFormation would, and say what to do."""
    if stack.is_stuck and stack.is_express and not express:
        raise Failure(
            f"{stack.name} is {stack.status} after a deployment in express mode: until one succeeds, CloudFormation "
            "takes no other: EXPRESS=1"
        )
    if stack.is_busy:
        raise Failure(f"{stack.name} is {stack.status}: wait until that is over (make status)")
    if stack.status in ONLY_TO_DELETE:
        raise Failure(f"{stack.name} is {stack.status}, and can only be deleted: {deletion(stack.name)}")
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise Failure(
            f"{stack.name} is {stack.status}: its rollback has to be finished first (docs/troubleshooting.md, "
            f"{stack.status}):\n  aws cloudformation continue-update-rollback --stack-name {stack.name}"
        )


def deletion(stack: str) -> str:
    """The command that deletes a stack, on a line of its own."""
    return f"\n  aws cloudformation delete-stack --stack-name {stack}"
