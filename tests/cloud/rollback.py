"""Rollbacks as CloudFormation does them: what it deletes, puts back, and shows meanwhile."""

from ministack.services.cloudformation import provisioners, stacks

from stack_engine import stack_record, wrap_add_event


class CreateFailed(ValueError):
    """A creation that failed and left something behind, which a rollback has to delete."""

    def __init__(self, physical_id: str, message: str):
        super().__init__(message)
        self.physical_id = physical_id


def install() -> None:
    """Patch what ministack forgets."""
    sends_back = stacks._sends_back_failed_update
    # ministack takes a failed update of its own types for one that changed nothing.
    stacks._sends_back_failed_update = lambda rtype: rtype.startswith("AWS::DMS::") or sends_back(rtype)
    # ministack forgets a resource whose creation failed: nobody would delete it.
    stacks._provision_resource = provisioners._provision_resource = remembered(stacks._provision_resource)
    stacks._roll_back_operation = prepared(stacks._roll_back_operation)
    # ministack lists a replacement until the rollback is over, so handlers would see the wrong task.
    wrap_add_event(returning)
    # ministack names but the resource's own reason when a failed operation is not to be rolled back.
    wrap_add_event(left_failed)


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
