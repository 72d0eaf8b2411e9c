"""Express mode: CloudFormation doesn't wait until resources are ready, and deployments without a rollback.

What it adds, all of it general:
- DeploymentConfig of stack operations and change sets. In express mode a resource is done when the call that makes,
  changes or deletes it has succeeded: a type that waits for more asks `is_express`. (The database's server is waited for
  in either mode.) Rollback is off in that mode unless DisableRollback is false
- what is refused after a failure in that mode: another mode, and RollbackStack
- replacements refused where nothing is rolled back, in either mode, of types whose replacing properties are known
  https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-express-mode.html
  https://github.com/aws/aws-cdk-cli/issues/1739 and 1931: the refusals
"""

import contextvars

from ministack.services.cloudformation import _ACTION_HANDLERS, changesets, handlers, provisioners, stacks

from patches.patching import wrap

DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}

# What goes for the operation at work, and for all that it starts.
_is_express: contextvars.ContextVar = contextvars.ContextVar("is_express", default=False)
_rolls_back: contextvars.ContextVar = contextvars.ContextVar("rolls_back", default=True)


def install() -> None:
    """Patch the calls that begin an operation. After change_sets, whose wrappers have to be inside."""
    for action in ("CreateStack", "DeleteStack", "ExecuteChangeSet"):
        _ACTION_HANDLERS[action] = in_its_mode(_ACTION_HANDLERS[action])
    _ACTION_HANDLERS["UpdateStack"] = in_the_same_mode(in_its_mode(_ACTION_HANDLERS["UpdateStack"]))
    # ministack knows no DeploymentConfig.
    _ACTION_HANDLERS["CreateChangeSet"] = in_the_same_mode(configured(_ACTION_HANDLERS["CreateChangeSet"]))
    _ACTION_HANDLERS["RollbackStack"] = not_after_express(_ACTION_HANDLERS["RollbackStack"])
    # ministack replaces resources also where it couldn't undo that.
    wrap(stacks, "_update_resource", in_place)
    wrap(stacks, "_add_event", with_the_mode)


def is_express() -> bool:
    """Whether the operation at work waits for nothing but calls."""
    return _is_express.get()


def config_of(params: dict) -> dict | None:
    """The DeploymentConfig that comes with a call."""
    if not any(name.startswith("DeploymentConfig.") for name in params):
        return None
    mode = changesets._p(params, "DeploymentConfig.Mode", "STANDARD")
    unsaid = "true" if mode == "EXPRESS" else "false"
    return {"Mode": mode, "DisableRollback": changesets._p(params, "DeploymentConfig.DisableRollback", unsaid)}


def stack_of(params: dict) -> dict:
    """The stack that a call names, or nothing."""
    return handlers._resolve_stack(changesets._p(params, "StackName")) or {}


def has_failed_in_express(stack: dict) -> bool:
    """Whether a stack was left as it failed, in express mode."""
    mode = (stack.get("DeploymentConfig") or {}).get("Mode")
    return mode == "EXPRESS" and stack.get("StackStatus") in ("CREATE_FAILED", "UPDATE_FAILED")


def in_the_same_mode(original):
    """A call that follows on a failure: only with the DeploymentConfig of the operation that failed."""
    def call(params):
        stack = stack_of(params)
        if has_failed_in_express(stack) and config_of(params) != stack["DeploymentConfig"]:
            return handlers._error(
                "ValidationError",
                f"This stack is in a {stack['StackStatus']} state from a previous operation that used EXPRESS deployment "
                "mode with disable-rollback. Follow-up operations must use the same DeploymentConfig (mode=EXPRESS) "
                "until the stack reaches a *_COMPLETE state")
        return original(params)
    return call


def in_its_mode(original):
    """A call that begins an operation, by the DeploymentConfig that came with it or with the change set."""
    def operate(params):
        _, change_set = changesets._find_change_set(
            changesets._p(params, "ChangeSetName"), changesets._p(params, "StackName"))
        config = change_set.get("DeploymentConfig") if change_set else config_of(params)
        if config and "DisableRollback" in params:
            # Which of the two wins is not documented: here neither does.
            return handlers._error("ValidationError", "DisableRollback and DeploymentConfig exclude each other here")
        if config:
            params = {**params, "DisableRollback": [config["DisableRollback"]]}
        tokens = [
            (_is_express, _is_express.set(bool(config) and config["Mode"] == "EXPRESS")),
            (_rolls_back, _rolls_back.set(changesets._p(params, "DisableRollback", "false").lower() != "true")),
        ]
        try:
            response = original(params)
        finally:
            for variable, token in tokens:
                variable.reset(token)
        stack = stack_of({"StackName": [change_set["StackName"]]} if change_set else params)
        if response[0] < 400:
            stack["DeploymentConfig"] = config
        return response
    return operate


def configured(original):
    """CreateChangeSet, keeping the DeploymentConfig for the execution."""
    def create(params):
        response = original(params)
        _, change_set = changesets._find_change_set(
            changesets._p(params, "ChangeSetName"), stack_of(params).get("StackName", ""))
        if response[0] < 400:
            change_set["DeploymentConfig"] = config_of(params)
        return response
    return create


def not_after_express(original):
    """RollbackStack, which there is none of in express mode."""
    def roll_back(params):
        if has_failed_in_express(stack_of(params)):
            return handlers._error(
                "ValidationError",
                "RollbackStack is not supported for stacks that were last updated using EXPRESS deployment mode and "
                "are in a failed state")
        return original(params)
    return roll_back


def in_place(original):
    """_update_resource, refusing to replace what no rollback would bring back."""
    def update(rtype, physical_id, old_props, new_props, *args, **kwargs):
        if not _rolls_back.get() and provisioners._replacing_change(rtype, old_props, new_props):
            raise ValueError("Replacement type updates not supported on stack with disable-rollback.")
        return original(rtype, physical_id, old_props, new_props, *args, **kwargs)
    return update


def with_the_mode(original):
    """_add_event, saying of a resource that nobody has waited until it was ready. Custom resources are waited for."""
    def add_event(stack_id, stack_name, logical_id, rtype, status, reason="", physical_id="", detailed_status=""):
        is_waited_for = physical_id == stack_id or rtype.startswith("Custom::")
        if is_express() and status in DONE and not is_waited_for:
            reason = reason or ("Resource operation completed using Express Mode. It may continue becoming available "
                                "in the background.")
        original(stack_id, stack_name, logical_id, rtype, status, reason, physical_id, detailed_status)
    return add_event
