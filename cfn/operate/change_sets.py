"""Change sets: made, read, and taken back."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import findings
import templates
from botocore.exceptions import WaiterError
from clients import client
from failure import Failure
from settings import Settings
from stacks import Stack

# How CloudFormation says that there is nothing to do.
UNCHANGED = ("The submitted information didn't contain changes", "No updates are to be performed")

# What CloudFormation refuses to update.
ONLY_TO_DELETE = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}

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
    made_its_stack: bool
    """Whether the stack is there for it alone, and empty."""
    is_express: bool
    """Whether it is carried out in express mode. Then nothing is rolled back."""

    @classmethod
    def create(
        cls, name: str, template: str, parameters: dict[str, str], settings: Settings, *, express: bool
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
        made = cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"sluice-{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}",
            ChangeSetType="CREATE" if creates else "UPDATE",
            # The name is dms-vpc-role's.
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=list(arguments(template, parameters, stack)),
            # Whoever says nothing of a rollback has none in that mode, and by the call's reference has one.
            **({"DeploymentConfig": {"Mode": "EXPRESS", "DisableRollback": True}} if express else {}),
            **settings.role_and_tags,
            **templates.source(template, settings.bucket),
        )
        change_set = cls(made["Id"], made["StackId"], stack is None, express)
        waiter = cloudformation.get_waiter("change_set_create_complete")
        try:
            waiter.wait(ChangeSetName=change_set.id, WaiterConfig={"Delay": 2, "MaxAttempts": 450})
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
        for line in findings.lines(change_set.id):
            print(f"  {line}")
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
        """Take it back, and the empty stack with it that it may have made."""
        cloudformation = client("cloudformation")
        cloudformation.delete_change_set(ChangeSetName=self.id)
        if self.made_its_stack:
            cloudformation.delete_stack(StackName=self.stack_id)
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=self.stack_id, WaiterConfig={"Delay": 2, "MaxAttempts": 90})


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
