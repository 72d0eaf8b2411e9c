"""A stack's events, as they come."""

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from clients import client
from failure import Failure

POLL_SECONDS = 2
# After this long without an event, say that all is well, and again.
SILENCE_SECONDS = 30

# CloudFormation's frame around what a custom resource's function answered.
ANSWER = re.compile(
    r"Received response status \[FAILED\] from custom resource\. Message returned: (.*?)"
    r"(?: \(RequestId: [0-9a-f-]+\))?",
    re.DOTALL,
)

CANCELLED = re.compile(r"Resource \w+ cancelled")

# What somebody asked for, by the event of the stack that an operation begins with.
BEGINNINGS = {
    "CREATE_IN_PROGRESS": "creation",
    "UPDATE_IN_PROGRESS": "update",
    "DELETE_IN_PROGRESS": "deletion",
    "IMPORT_IN_PROGRESS": "import",
}
# A rollback is part of the operation that it undoes, unless that has ended.
ROLLBACKS = {"ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "IMPORT_ROLLBACK_IN_PROGRESS"}
# How CloudFormation explains a rollback that somebody asked for.
BY_HAND = "User Initiated"


@dataclass(frozen=True)
class Event:
    """Something that happened to a stack or a resource of it."""

    id: str
    time: datetime
    resource: str
    type: str
    status: str
    reason: str
    is_of_stack: bool

    @classmethod
    def of(cls, it: dict[str, Any]) -> "Event":
        """One of DescribeStackEvents."""
        reason = it.get("ResourceStatusReason", "")
        answer = ANSWER.fullmatch(reason)
        return cls(
            id=it["EventId"],
            time=it["Timestamp"],
            resource=it["LogicalResourceId"],
            type=it["ResourceType"],
            status=it["ResourceStatus"],
            reason=answer[1] if answer else reason,
            is_of_stack=it.get("PhysicalResourceId") == it["StackId"],
        )

    @property
    def is_under_way(self) -> bool:
        """Whether another event follows for the same resource."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def is_beginning(self) -> bool:
        """Whether an operation of the stack begins with it, whatever came before."""
        return self.is_of_stack and self.status in BEGINNINGS

    @property
    def is_end(self) -> bool:
        """Whether an operation of the stack ends with it."""
        return self.is_of_stack and not self.is_under_way

    @property
    def is_rollback(self) -> bool:
        """Whether an operation of the stack begins to be undone with it."""
        return self.is_of_stack and self.status in ROLLBACKS

    @property
    def is_failure(self) -> bool:
        """Whether something went wrong, and by itself: what is cancelled for another's sake did not."""
        return "FAILED" in self.status and not CANCELLED.match(self.reason)

    def __str__(self) -> str:
        """A line for whoever watches."""
        worth_a_reason = "FAILED" in self.status or "ROLLBACK" in self.status
        reason = f"  {self.reason}" if self.reason and worth_a_reason else ""
        return f"{self.time.astimezone():%H:%M:%S}  {self.resource:<34} {self.status}{reason}"


def since(stack_id: str, known: set[str]) -> list[Event]:
    """The events after those that are known, the oldest first."""
    pages = client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack_id)
    # The newest come first.
    newest = takewhile(lambda event: event.id not in known, map(Event.of, pages.search("StackEvents[]")))
    return list(newest)[::-1]


def newest(stack_id: str) -> str:
    """The id of the newest event: where to begin to follow. Empty if there is none: they are kept for 90 days."""
    found = client("cloudformation").describe_stack_events(StackName=stack_id)["StackEvents"]
    return found[0]["EventId"] if found else ""


@dataclass
class Operation:
    """What a stack goes through from the beginning of an operation to its end."""

    events: list[Event] = field(default_factory=list)
    after: str = ""
    """The status that it began in, where it is a rollback by itself."""

    @property
    def end(self) -> Event | None:
        """The event that ended it, None while it goes on."""
        return next((event for event in self.events if event.is_end), None)

    @property
    def name(self) -> str:
        """What it was."""
        if self.after:
            return "rollback, continued" if self.after == "UPDATE_ROLLBACK_FAILED" else f"rollback after {self.after}"
        what = BEGINNINGS[self.events[0].status]
        if self.rollback is None:
            return what
        return f"{what}, cancelled" if self.is_cancelled else f"{what}, rolled back"

    @property
    def rollback(self) -> int | None:
        """Where in its events it began to be undone."""
        return next((at for at, event in enumerate(self.events) if at and event.is_rollback), None)

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody had it undone."""
        return self.rollback is not None and self.events[self.rollback].reason == BY_HAND

    @property
    def since(self) -> datetime:
        """When it came to the status that the stack has."""
        return next(event.time for event in reversed(self.events) if event.is_of_stack)

    @property
    def seconds(self) -> float:
        """How long it has taken, by the events."""
        return (self.events[-1].time - self.events[0].time).total_seconds() if self.events else 0.0

    @property
    def failures(self) -> list[str]:
        """What went wrong first, and in the rollback, if that failed too."""
        at = len(self.events) if self.rollback is None else self.rollback
        first = first_failure(self.events[1:at])
        if not (first or self.is_cancelled):
            first = first_failure(self.events[at : at + 1])
        second = first_failure(self.events[at + 1 :]) if self.end and self.end.is_failure else None
        found = [(first, "first failure"), (second, "and in the rollback")]
        return [f"{title}: {event.resource}: {event.reason}" for event, title in found if event]

    @property
    def under_way(self) -> list[str]:
        """The resources that are being worked on."""
        last = {event.resource: event for event in self.events if not event.is_of_stack}
        return [name for name, event in last.items() if event.is_under_way]


def first_failure(events: list[Event]) -> Event | None:
    """The first resource that failed, or else what is said of the stack as a whole."""
    failures = [event for event in events if event.is_failure and not event.is_of_stack]
    whole = [event for event in events if event.is_of_stack and (event.is_failure or event.is_rollback)]
    return next(iter(failures + whole), None)


def last_operation(stack_id: str) -> Operation | None:
    """The newest operation of a stack, as far as it has come. None if its beginning is no longer known."""
    pages = client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack_id)
    # The newest come first.
    found: list[Event] = []
    rollback = None
    for event in map(Event.of, pages.search("StackEvents[]")):
        if rollback is not None and event.is_end:
            # Nothing was under way when it began: it was asked for by itself.
            return Operation(found[: rollback + 1][::-1], event.status)
        found.append(event)
        if event.is_beginning:
            return Operation(found[::-1])
        if event.is_of_stack:
            rollback = len(found) - 1 if event.is_rollback else None
    return None


def follow(stack_id: str, after: str | None) -> Operation:
    """Print the events of the operation that begins after this one, to its end. Failure if they can't be read.

    Without an event it is the operation that is under way.
    """
    try:
        return followed(stack_id, after)
    except (BotoCoreError, ClientError) as error:
        # Credentials that expire meanwhile, for one.
        raise Failure(f"{error}\nWhat CloudFormation has begun goes on: `make status` shows how far it is.") from None


def followed(stack_id: str, after: str | None) -> Operation:
    """An operation, shown while it lasts."""
    operation = (last_operation(stack_id) if after is None else None) or Operation()
    known = {after, *(event.id for event in operation.events)}
    began = heard = time.monotonic()
    while not operation.end:
        for event in since(stack_id, known):
            known.add(event.id)
            if not (operation.events or event.is_beginning):
                # Of what came before.
                continue
            print(event)
            operation.events.append(event)
            heard = time.monotonic()
        now = time.monotonic()
        if not operation.end and now - heard >= SILENCE_SECONDS:
            waits_for = ", ".join(operation.under_way) or "CloudFormation"
            print(f"{datetime.now().astimezone():%H:%M:%S}  … {now - began:.0f} s so far, waiting for {waits_for}")
            heard = now
        if not operation.end:
            time.sleep(POLL_SECONDS)
    return operation
