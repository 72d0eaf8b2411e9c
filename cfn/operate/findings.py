"""What CloudFormation finds when it validates a change set, before anything is deployed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from clients import client


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a resource of a change set."""

    fails: bool
    """Whether the change set fails for it. Otherwise it is a warning, and the deployment may fail."""
    resource: str
    type: str
    path: str
    """Where in the template it is."""
    reason: str

    @classmethod
    def of(cls, it: dict[str, Any]) -> "Finding":
        """One of DescribeEvents."""
        return cls(
            fails=it.get("ValidationFailureMode") != "WARN",
            resource=it.get("LogicalResourceId", ""),
            type=it.get("ResourceType", ""),
            path=it.get("ValidationPath", ""),
            reason=it.get("ValidationStatusReason", ""),
        )

    def __str__(self) -> str:
        """A line."""
        verdict = "fails" if self.fails else "warns"
        return f"{verdict}   {self.resource:<34} {self.type:<38} {self.reason} ({self.path})"


def of(change_set_id: str) -> Iterator[Finding]:
    """The findings of a change set. To be read before it is deleted: they go with it."""
    pages = client("cloudformation").get_paginator("describe_events").paginate(ChangeSetName=change_set_id)
    for it in pages.search("OperationEvents[]"):
        # The others tell how the change set was made. What could not be validated is no finding.
        # (assumption: validation-findings)
        if it and it.get("EventType") == "VALIDATION_ERROR" and it.get("ValidationStatus") != "SKIPPED":
            yield Finding.of(it)


def lines(change_set_id: str) -> list[str]:
    """The findings in words. One line says so if they can't be read: a deployment doesn't depend on them."""
    try:
        found = [str(finding) for finding in of(change_set_id)]
    except (BotoCoreError, ClientError) as error:
        return [f"what CloudFormation's validation found can't be read (cloudformation:DescribeEvents): {error}"]
    return ["CloudFormation's validation found:", *(f"  {line}" for line in found)] if found else []
