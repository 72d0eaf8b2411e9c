"""CloudFormation's course of a stack operation, where ministack's differs."""

from ministack.services.cloudformation import changesets, handlers, provisioners, stacks

import conditions

CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"

# Types whose work takes time. Anything else runs on the event loop, and would hold up every request.
SLOW_TYPES = ("AWS::DMS::", "AWS::RDS::DBCluster")


def wrap_add_event(wrapper):
    """Put `wrapper(original)` in the place of _add_event, which three modules hold by name."""
    replacement = wrapper(stacks._add_event)
    for module in (stacks, changesets, handlers):
        module._add_event = replacement
    return replacement


def install() -> None:
    """Patch the engine's steps."""
    conditions.install()
    slow = stacks._runs_on_worker_thread
    # ministack knows only its own slow types.
    stacks._runs_on_worker_thread = lambda rtype: rtype.startswith(SLOW_TYPES) or slow(rtype)
    # ministack reports every resource of the stack as updated, the unchanged and the new ones too.
    events = wrap_add_event(QuietEvents)
    stacks._update_resource = announced(stacks._update_resource, events)
    # ministack cleans up within UPDATE_IN_PROGRESS, and says nothing of what it deletes.
    stacks._resolve_stack_outputs = then_cleanup(stacks._resolve_stack_outputs)
    stacks._delete_resource = reported(stacks._delete_resource)


class QuietEvents:
    """_add_event, holding a resource's UPDATE_IN_PROGRESS back until the resource is known to change."""

    def __init__(self, original):
        self.original = original
        # By (stack, logical id): the held events with the status before, and the resources that the running update adds.
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
