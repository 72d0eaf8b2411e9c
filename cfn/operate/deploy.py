"""Deploying a stack: a change set, executed and followed to its end."""

import time
from collections.abc import Iterator

import events
import parameters
import status
from change_sets import ChangeSet, deletion
from check import PRE
from failure import Failure
from parameters import DATABASE, DB_INIT, owns, takes_from
from settings import Settings
from stacks import Stack, resources

# A rollback undoes no migration, and would call DbInit on the database that has the new ones.
WITHOUT_ROLLBACK = {"db-init"}

# What may be deployed in express mode. The functions and the database of the other stacks are used by the next one at
# once, so they have to be ready. What the stream's stack offers is ready when its tasks run.
EXPRESS = {"stream", "archive", "examples"}

# For how long a task may take to run that healing resumes after a deployment.
PATIENCE_S = 300


def change_set(settings: Settings, kind: str) -> ChangeSet | None:
    """The change set that brings a stack there; None if it is there."""
    told = parameters.of(settings, kind)
    express = settings.express and kind in EXPRESS
    return ChangeSet.create(settings.names[kind], settings.template(kind), told, settings, express=express)


def run(settings: Settings, kind: str) -> None:
    """Bring a stack there."""
    name = settings.names[kind]
    change = change_set(settings, kind)
    if change is None:
        print(f"{name}: nothing to change")
        return
    try:
        rolls_back = can_roll_back(change, kind, name)
        tasks = states(change.stack_id)
        before = events.newest(change.stack_id)
        change.execute(rolls_back=rolls_back)
    except BaseException:
        change.discard()
        raise
    ended(name, events.follow(change.stack_id, before), {"CREATE_COMPLETE", "UPDATE_COMPLETE"})
    stack = Stack.find(change.stack_id)
    for output, value in sorted(stack.outputs.items() if stack else ()):
        # Of a certificate, that there is one.
        line, *more = value.splitlines() or [""]
        print(f"  {output:<24} {line}{' …' if more else ''}")
    tell_tasks(change.stack_id, tasks)


def can_roll_back(change: ChangeSet, kind: str, name: str) -> bool:
    """Whether CloudFormation is to undo the change if it fails. Failure if CloudFormation would refuse it either way.

    Without rollback it replaces nothing. After an operation without rollback that failed, it does nothing else.
    """
    replaced = ", ".join(it.name for it in change.changes() if it.how == "replaced")
    stuck = change.stack and change.stack.is_stuck
    if stuck and replaced:
        raise Failure(
            f"{name} is {change.stack.status}: CloudFormation goes on without rollback only, and then it replaces "
            f"nothing. This would replace {replaced}. {way_back(change.stack)}"
        )
    if change.is_express and replaced:
        raise Failure(
            f"{name}: EXPRESS=1 is without rollback, and without rollback CloudFormation replaces nothing. This would "
            f"replace {replaced}: deploy it without EXPRESS"
        )
    if stuck:
        print(f"{name} is {change.stack.status}: it goes on from there, without rollback")
    elif kind in WITHOUT_ROLLBACK and replaced:
        print(f"{name}: with rollback this time, since {replaced} would not be replaced without")
        return True
    return not (stuck or change.is_express or kind in WITHOUT_ROLLBACK)


def way_back(stack: Stack) -> str:
    """How a stack that is stuck comes to a state from which everything can be deployed."""
    if stack.status == "CREATE_FAILED":
        return f"Delete the stack, then deploy again:{deletion(stack.name)}"
    if stack.is_express:
        return "Express mode knows no way back: deploy the last template and parameters that worked, then this."
    return f"Roll it back, then deploy again:\n  aws cloudformation rollback-stack --stack-name {stack.name}"


def needed(settings: Settings) -> Iterator[str]:
    """The kinds of stacks that `make deploy` deploys, in order.

    Of a database of one's own, and of a template of one's own, Sluice's database is no part.
    """
    yield "handlers"
    if not settings.own_template and takes_from(settings, "stream", DB_INIT):
        if not owns(settings, "db-init", "Host") and takes_from(settings, "db-init", DATABASE):
            yield "database"
        yield "db-init"
    yield "stream"


def states(stack_id: str) -> dict[str, str]:
    """The status of each of a stack's tasks, by their names in the template."""
    described = status.described(list(resources(stack_id)))
    return {name: task["Status"] if task else "unknown to DMS" for name, task in described.items()}


def tell_tasks(stack_id: str, before: dict[str, str]) -> None:
    """Tell how a stack's tasks are after a deployment. Failure if one doesn't run that ran before."""
    until = time.monotonic() + PATIENCE_S
    while True:
        now = states(stack_id)
        rests = [name for name, state in now.items() if before.get(name) == "running" and state != "running"]
        if not rests or time.monotonic() > until:
            break
        time.sleep(events.POLL_SECONDS)
    for name, state in sorted(now.items()):
        print(f"  task {name:<19} {state}")
    if rests:
        raise Failure(f"{', '.join(sorted(rests))} ran before this deployment, and does not run now: make status")


def ended(stack: str, operation: events.Operation, wanted: set[str]) -> None:
    """Tell how an operation ended. Failure, with what failed first, if not in a status that was wanted."""
    state = operation.end.status if operation.end else "nothing"
    summary = f"{stack}: {state} after {operation.seconds:.0f} s"
    if state not in wanted:
        cancelled = ["somebody cancelled it"] if operation.is_cancelled else []
        raise Failure("\n  ".join([summary, *cancelled, *operation.failures, *advice(stack, state, operation)]))
    print(summary)


def advice(stack: str, state: str, operation: events.Operation) -> list[str]:
    """What to know and do after an operation that failed."""
    if state == "ROLLBACK_COMPLETE":
        return [f"nothing is left but its name, and that is in the way: {deletion(stack)}"]
    if state in {"UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"}:
        return [f"what to do: docs/troubleshooting.md, {state}"]
    paused = state != "CREATE_FAILED" and any(event.type == PRE for event in operation.events)
    stays = ["what was done stays; correct what is wrong, and deploy again"]
    return [
        *(stays if state in {"CREATE_FAILED", "UPDATE_FAILED"} else []),
        *(["a task that was paused for it is being resumed: make status"] if paused else []),
    ]
