"""Stacks as they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from clients import client


@dataclass(frozen=True)
class Stack:
    """A stack that is there."""

    name: str
    id: str
    status: str
    reason: str
    changed: datetime
    parameters: dict[str, str]
    outputs: dict[str, str]
    exports: tuple[str, ...]
    change_set: str
    """The id of the change set that was executed last; empty if there was none."""
    is_protected: bool
    """Whether it refuses to be deleted."""
    is_express: bool
    """Whether it was deployed last in express mode."""

    @classmethod
    def find(cls, name: str) -> "Stack | None":
        """The stack of this name or id, None if there is none."""
        try:
            found = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            # CloudFormation has no code of its own for it.
            if error.response["Error"]["Message"].endswith("does not exist"):
                return None
            raise
        if found["StackStatus"] == "DELETE_COMPLETE":
            return None
        return cls(
            name=found["StackName"],
            id=found["StackId"],
            status=found["StackStatus"],
            reason=found.get("StackStatusReason", ""),
            changed=found.get("LastUpdatedTime", found["CreationTime"]),
            parameters={it["ParameterKey"]: it["ParameterValue"] for it in found.get("Parameters", [])},
            outputs={it["OutputKey"]: it["OutputValue"] for it in found.get("Outputs", [])},
            exports=tuple(it["ExportName"] for it in found.get("Outputs", []) if "ExportName" in it),
            change_set=found.get("ChangeSetId", ""),
            is_protected=found.get("EnableTerminationProtection", False),
            is_express=found.get("DeploymentConfig", {}).get("Mode") == "EXPRESS",
        )

    @property
    def is_draft(self) -> bool:
        """Whether it is but a name for a change set that was never executed."""
        return self.status == "REVIEW_IN_PROGRESS"

    @property
    def is_busy(self) -> bool:
        """Whether an operation is under way that has to end before another one can begin."""
        return self.status.endswith("_IN_PROGRESS") and not self.is_draft

    @property
    def is_going(self) -> bool:
        """Whether it is being deleted."""
        return self.status == "DELETE_IN_PROGRESS"

    @property
    def is_stuck(self) -> bool:
        """Whether an operation without rollback failed: until another one succeeds, each has to be without rollback."""
        return self.status in {"CREATE_FAILED", "UPDATE_FAILED"}


@dataclass(frozen=True)
class Resource:
    """A resource of a stack."""

    name: str
    id: str
    type: str
    status: str
    reason: str
    changed: datetime


def resources(stack: str) -> Iterator[Resource]:
    """The resources that a stack holds, by name or id."""
    pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    for it in pages.search("StackResourceSummaries[]"):
        if it["ResourceStatus"] != "DELETE_COMPLETE":
            yield resource(it)


def resource(it: dict[str, Any]) -> Resource:
    """One of ListStackResources."""
    return Resource(
        name=it["LogicalResourceId"],
        id=it.get("PhysicalResourceId", ""),
        type=it["ResourceType"],
        status=it["ResourceStatus"],
        reason=it.get("ResourceStatusReason", ""),
        changed=it["LastUpdatedTimestamp"],
    )


def importers(stack: Stack) -> dict[str, set[str]]:
    """The names of the stacks that import something from this one, by export."""
    pages = client("cloudformation").get_paginator("list_imports")
    found = {}
    for name in stack.exports:
        try:
            found[name] = set(pages.paginate(ExportName=name).search("Imports[]"))
        except ClientError as error:
            # That nobody imports it is an error to CloudFormation.
            if "not imported" not in error.response["Error"]["Message"]:
                raise
    return found
