"""CloudFormation's course of a stack operation, where ministack's differs.

What it adds, all of it general:
- an update's events and statuses of the resources that change, and of no others
- the clean-up after an update as a status of its own, with the events of what it deletes
- rollbacks that delete what was half created, and put replaced resources back in the update's order
- the words that a failed operation ends with
- resources that don't wait for each other in any order, another one for each template (SLUICE_ORDER_SEED)
- stack status changes as events of EventBridge
  https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/eventbridge-events.html
"""

import json
import os
import random
from graphlib import TopologicalSorter

from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners, stacks

from patches.patching import wrap

CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"

ORDER_SEED = os.environ.get("SLUICE_ORDER_SEED", "1")


def install() -> None:
    """Patch the engine's steps."""
    # ministack goes by the alphabet, and shows nobody that something is not waited for.
    wrap(stacks, "_topological_sort", in_any_order)
    # ministack reports every resource of the stack as updated, the unchanged and the new ones too.
    events = wrap(stacks, "_add_event", QuietEvents)
    wrap(stacks, "_update_resource", lambda original: announced(original, events))
    # ministack cleans up within UPDATE_IN_PROGRESS, and says nothing of what it deletes.
    wrap(stacks, "_resolve_stack_outputs", then_cleanup)
    wrap(stacks, "_delete_resource", reported)
    # ministack forgets a resource whose creation failed: nobody would delete it.
    wrap(stacks, "_provision_resource", remembered)
    wrap(stacks, "_roll_back_operation", prepared)
    # ministack lists a replacement until the rollback is over, so handlers would see the wrong resource.
    wrap(stacks, "_add_event", returning)
    # ministack names but the resource's own reason when a failed operation is not to be rolled back.
    wrap(stacks, "_add_event", left_failed)
    # ministack publishes no events of CloudFormation. Last, so that it hears what the others have settled.
    wrap(stacks, "_add_event", published)


def in_any_order(original):
    """_topological_sort, choosing by chance among the resources whose turn it may be. Another template, another chance."""
    def sort(resources, conditions):
        # It also finds circles.
        names = original(resources, conditions)
        chance = random.Random(f"{ORDER_SEED} {json.dumps(resources, sort_keys=True, default=str)}")  # noqa: S311
        active = set(names)
        sorter = TopologicalSorter({name: stacks._extract_deps(resources[name], active) - {name} for name in names})
        sorter.prepare()
        order, ready = [], []
        while sorter.is_active():
            ready = sorted([*ready, *sorter.get_ready()])
            order.append(ready.pop(chance.randrange(len(ready))))
            sorter.done(order[-1])
        return order
    return sort


def takes_time(prefix: str) -> None:
    """Let the work on resources of these types run beside the event loop, which it would hold up."""
    wrap(stacks, "_runs_on_worker_thread", lambda original: lambda rtype: rtype.startswith(prefix) or original(rtype))


def fails_half_way(prefix: str) -> None:
    """Let the rollback of a failed update of these types send the old properties: something may have changed."""
    wrap(stacks, "_sends_back_failed_update",
         lambda original: lambda rtype: rtype.startswith(prefix) or original(rtype))


class CreateFailed(ValueError):
    """A creation that failed and left something behind, which a rollback has to delete."""

    def __init__(self, physical_id: str, message: str):
        super().__init__(message)
        self.physical_id = physical_id


class QuietEvents:
    """_add_event, holding a resource's UPDATE_IN_PROGRESS back until the resource is known to change."""

    def __init__(self, original):
        self.original = original
        # By (stack, logical id): the held events with the status before, and what the running update adds.
        self.held: dict = {}
        self.added: set = set()

    def __call__(self, stack_id, stack_name, logical_id, rtype, status, reason="", physical_id="", detailed_status=""):
        key = (stack_name, logical_id)
        known = stack_record(stack_name).get("_resources", {}).get(logical_id)
        if physical_id == stack_id or not status.startswith("UPDATE_"):
            pass
        elif key in self.added or known is None:
            # An update creates what is new in the template; ministack calls that an update.
            status = "CREATE" + status.removeprefix("UPDATE")
            (self.added.add if status == "CREATE_IN_PROGRESS" else self.added.discard)(key)
            if status == "CREATE_COMPLETE":
                known["ResourceStatus"] = status
        elif status == "UPDATE_IN_PROGRESS" and not reason:
            physical_id = physical_id or known.get("PhysicalResourceId", "")
            event = (stack_id, stack_name, logical_id, rtype, status, reason, physical_id)
            self.held[key] = event, known["ResourceStatus"]
            return
        elif status == "UPDATE_IN_PROGRESS":
            self.held.pop(key, None)
        elif status == "UPDATE_COMPLETE" and key in self.held:
            _, known["ResourceStatus"] = self.held.pop(key)
            return
        else:
            self.release(stack_name, logical_id)
            if status == "UPDATE_FAILED":
                known.update(ResourceStatus=status, ResourceStatusReason=reason)
        self.original(stack_id, stack_name, logical_id, rtype, status, reason, physical_id, detailed_status)

    def release(self, stack_name: str, logical_id: str) -> None:
        """Write the held event: the resource does change."""
        event, _ = self.held.pop((stack_name, logical_id), (None, None))
        if event:
            self.original(*event)


def announced(original, events: QuietEvents):
    """Let the held event go when the resource does change."""
    def update(rtype, physical_id, old_props, new_props, stack_name, logical_id=None, old_attrs=None):
        if old_props != new_props:
            events.release(stack_name, logical_id)
        return original(rtype, physical_id, old_props, new_props, stack_name, logical_id, old_attrs)
    return update


def stack_record(stack_name: str) -> dict:
    """ministack's record of a stack, or nothing."""
    from ministack.services.cloudformation import _stacks
    return _stacks.get(stack_name) or {}


def then_cleanup(original):
    """After the last resource of an update: say that the cleanup begins."""
    def resolve(outputs, conditions, resources, params, mappings, stack_name, stack_id):
        resolved = original(outputs, conditions, resources, params, mappings, stack_name, stack_id)
        stack = stack_record(stack_name)
        if stack.get("StackStatus") == "UPDATE_IN_PROGRESS":
            stack["StackStatus"] = CLEANUP
            stacks._add_event(stack_id, stack_name, stack_name, "AWS::CloudFormation::Stack", CLEANUP,
                              physical_id=stack_id)
        return resolved
    return resolve


def reported(original):
    """Events for what the cleanup of an update deletes; elsewhere ministack writes them itself."""
    def delete(rtype, physical_id, props, stack_name=None, logical_id=None):
        stack = stack_record(stack_name)
        if stack.get("StackStatus") != CLEANUP:
            return original(rtype, physical_id, props, stack_name, logical_id)
        subject = (stack["StackId"], stack_name, logical_id, rtype)
        stacks._add_event(*subject, "DELETE_IN_PROGRESS", physical_id=physical_id)
        original(rtype, physical_id, props, stack_name, logical_id)
        stacks._add_event(*subject, "DELETE_COMPLETE", physical_id=physical_id)
        return None
    return delete


def replaces(types: dict) -> None:
    """Tell ministack which properties replace a resource of these types; it has no list for them."""
    for rtype, properties in types.items():
        provisioners._REPLACING_PROPERTIES[rtype] = properties


def remembered(original):
    """Keep a half-created resource in the stack's record."""
    def provision(rtype, logical_id, props, stack_name):
        try:
            return original(rtype, logical_id, props, stack_name)
        except CreateFailed as failure:
            stack_record(stack_name).setdefault("_resources", {})[logical_id] = {
                "PhysicalResourceId": failure.physical_id, "ResourceType": rtype,
                "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": str(failure),
                "LogicalResourceId": logical_id, "Properties": props, "Attributes": {},
                "Timestamp": stacks.now_iso(),
            }
            raise
    return provision


def prepared(original):
    """A rollback that knows the half-created resource, what was replaced, and what to say."""
    async def roll_back(stack_name, stack_id, stack, operation, reason_override=""):
        failed = operation.get("failed_logical_id")
        resources = stack.get("_resources", {})
        if (resources.get(failed) or {}).get("ResourceStatus") == "CREATE_FAILED":
            operation["created"].append(failed)
        if failed and not operation.get("is_update"):
            reason = f"The following resource(s) failed to create: [{failed}]. Rollback requested by user."
            reason_override = reason_override or reason
        previous = (operation.get("previous_stack") or {}).get("_resources", {})
        stack["_returning"] = [
            (logical_id, previous.get(logical_id)) for logical_id in operation["created"]
        ]
        await original(stack_name, stack_id, stack, operation, reason_override)
        stack.pop("_returning", None)
    return roll_back


def returning(original):
    """_add_event, letting the replaced resources return to the stack in their turn.

    ministack puts nothing of a replaced resource back but its record, at the very end.
    CloudFormation does so in the order of the update: after a custom resource that comes
    before it, before one that comes after it.
    """
    def add_event(stack_id, stack_name, logical_id, rtype, status, reason="", physical_id="", detailed_status=""):
        stack = stack_record(stack_name)
        if "_returning" in stack and status == "UPDATE_ROLLBACK_IN_PROGRESS":
            # The engine holds the other dict, and deletes by it.
            stack["_resources"] = dict(stack["_resources"])
        elif "_returning" in stack and (
                status == "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
                or status == "UPDATE_IN_PROGRESS" and physical_id != stack_id):
            give_back(stack, logical_id)
        original(stack_id, stack_name, logical_id, rtype, status, reason, physical_id, detailed_status)

    def give_back(stack, before):
        waiting, resources = stack["_returning"], stack["_resources"]
        while waiting:
            logical_id, record = waiting.pop(0)
            if logical_id == before:
                break
            current = resources.get(logical_id) or {}
            if record and record["PhysicalResourceId"] != current.get("PhysicalResourceId"):
                resources[logical_id] = record
                original(stack["StackId"], stack["StackName"], logical_id, record["ResourceType"],
                         "UPDATE_COMPLETE", "", record["PhysicalResourceId"])

    return add_event


def left_failed(original):
    """_add_event, with CloudFormation's words for a stack that stays as it failed."""
    def add_event(stack_id, stack_name, logical_id, rtype, status, reason="", physical_id="", detailed_status=""):
        operation = stack_record(stack_name).get("_failed_operation") or {}
        failed = operation.get("failed_logical_id")
        if physical_id == stack_id and status.endswith("_FAILED") and failed:
            verb = "create" if operation["failed_update"] is None else "update"
            reason = f"The following resource(s) failed to {verb}: [{failed}]. "
            stack_record(stack_name)["StackStatusReason"] = reason
        original(stack_id, stack_name, logical_id, rtype, status, reason, physical_id, detailed_status)
    return add_event


def published(original):
    """_add_event, publishing what is said of a stack itself."""
    def add_event(stack_id, stack_name, logical_id, rtype, status, reason="", physical_id="", detailed_status=""):
        original(stack_id, stack_name, logical_id, rtype, status, reason, physical_id, detailed_status)
        # A nested stack is a resource of that type too, but of another stack.
        if physical_id == stack_id:
            publish(stack_id, status, reason)
    return add_event


def publish(stack_id: str, status: str, reason: str) -> None:
    """Hand one event to the rules of the default bus."""
    eventbridge._put_events({"Entries": [{
        "Source": "aws.cloudformation",
        "DetailType": "CloudFormation Stack Status Change",
        "Resources": [stack_id],
        "Detail": json.dumps({
            "stack-id": stack_id,
            "status-details": {"status": status, "status-reason": reason},
            "client-request-token": stacks.CLIENT_REQUEST_TOKEN.get(),
        }),
    }]}, allow_aws_source=True)
