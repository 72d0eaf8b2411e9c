"""Change sets and templates, where ministack's CloudFormation knows less than AWS's.

What it adds, all of it general:
- which change set a stack was made by and in which mode, and that its execution fails when the rollback begins
- after a failure without rollback nothing goes on with it
- tags as a scope of their own among a resource's changes
- a resource's properties after its change, where DescribeChangeSet is asked for values
- which properties replace a resource, for types of which ministack does not know it
- Fn::FindInMap in conditions
"""

import json
import re

from ministack.services.cloudformation import _ACTION_HANDLERS, changesets, engine, handlers, provisioners, stacks

from patches.patching import wrap
from patches.stack_operations import replaces, stack_record

# Types that ministack has no list of replacing properties for. Without one,
# every change reads "Conditional", and so does all that refers to the resource.
REPLACING = {
    "AWS::CloudWatch::Alarm": ("AlarmName",),
    "AWS::EC2::SecurityGroup": ("GroupDescription", "GroupName", "VpcId"),
    "AWS::Events::Rule": ("EventBusName", "Name"),
    "AWS::IAM::Policy": (),
    "AWS::Kinesis::Stream": ("Name",),
    "AWS::KinesisFirehose::DeliveryStream": ("DeliveryStreamName", "DeliveryStreamType"),
    "AWS::Lambda::Alias": ("FunctionName", "Name"),
    "AWS::Lambda::EventInvokeConfig": ("FunctionName", "Qualifier"),
    "AWS::Lambda::EventSourceMapping": ("EventSourceArn", "StartingPosition"),
    "AWS::Lambda::Permission": ("Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::SecretsManager::Secret": ("Name",),
}

# How CloudFormation writes a value that it can't know before the change.
UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"


def install() -> None:
    """Patch what DescribeStacks and DescribeChangeSet answer, and how conditions are evaluated."""
    replaces(REPLACING)
    # ministack doesn't keep which change set a stack was made by.
    _ACTION_HANDLERS["ExecuteChangeSet"] = refused(noted(_ACTION_HANDLERS["ExecuteChangeSet"]))
    _ACTION_HANDLERS["DescribeStacks"] = with_its_origin(handlers._describe_stacks)
    # ministack says EXECUTE_IN_PROGRESS until a rollback is over.
    wrap(stacks, "_add_event", failed_with_the_rollback)
    # ministack shows a changed Tags property as a property; CloudFormation has a scope of its own for tags.
    wrap(changesets, "_diff_resources", with_tag_scope)
    wrap(changesets, "_diff_resources", with_values)
    _ACTION_HANDLERS["DescribeChangeSet"] = telling_values(_ACTION_HANDLERS["DescribeChangeSet"])
    # ministack takes Fn::FindInMap in a condition for a text.
    wrap(engine, "_evaluate_conditions", with_mappings)


def refused(original):
    """ExecuteChangeSet, which goes on without rollback only where an operation without rollback has failed."""
    def execute(params):
        _, change_set = changesets._find_change_set(
            changesets._p(params, "ChangeSetName"), changesets._p(params, "StackName"))
        stack = stack_record(change_set["StackName"]) if change_set else {}
        rolls_back = changesets._p(params, "DisableRollback", "false").lower() != "true"
        status = stack.get("StackStatus")
        if rolls_back and status in ("CREATE_FAILED", "UPDATE_FAILED"):
            return handlers._error("ValidationError", (
                f"This stack is currently in a non-terminal [{status}] state. To update the stack from this state, "
                "please use the disable-rollback parameter with update-stack API. To rollback to the last known good "
                "state, use the rollback-stack API"))
        return original(params)
    return execute


def noted(original):
    """Note on the stack which change set it is made by."""
    def execute(params):
        _, change_set = changesets._find_change_set(
            changesets._p(params, "ChangeSetName"), changesets._p(params, "StackName"))
        stack = stack_record(change_set["StackName"]) if change_set else {}
        before = stack.get("ChangeSetId")
        if stack and change_set["ExecutionStatus"] == "AVAILABLE":
            # Before the operation begins: its first resource may ask.
            stack["ChangeSetId"] = change_set["ChangeSetId"]
        response = original(params)
        if stack and response[0] >= 400:
            stack["ChangeSetId"] = before
        return response
    return execute


def with_its_origin(original):
    """DescribeStacks, with ChangeSetId and DeploymentConfig."""
    def describe(params):
        from ministack.services.cloudformation import _stacks
        status, headers, body = original(params)
        text = body.decode() if isinstance(body, bytes) else body
        for stack in _stacks.values():
            tag = f"<StackId>{stack['StackId']}</StackId>"
            if stack.get("ChangeSetId"):
                text = text.replace(tag, f"{tag}<ChangeSetId>{stack['ChangeSetId']}</ChangeSetId>", 1)
            if stack.get("DeploymentConfig"):
                config = "".join(f"<{name}>{value}</{name}>" for name, value in stack["DeploymentConfig"].items())
                text = text.replace(tag, f"{tag}<DeploymentConfig>{config}</DeploymentConfig>", 1)
        return status, headers, text.encode() if isinstance(body, bytes) else text
    return describe


def failed_with_the_rollback(original):
    """_add_event, noting on the change set that its execution has failed."""
    def add_event(stack_id, stack_name, logical_id, rtype, status, reason="", physical_id="", detailed_status=""):
        if physical_id == stack_id and status in ("ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"):
            from ministack.services.cloudformation import _change_sets
            change_set = _change_sets.get(stack_record(stack_name).get("ChangeSetId")) or {}
            if change_set.get("ExecutionStatus") == "EXECUTE_IN_PROGRESS":
                change_set["ExecutionStatus"] = "EXECUTE_FAILED"
        original(stack_id, stack_name, logical_id, rtype, status, reason, physical_id, detailed_status)
    return add_event


def with_tag_scope(original):
    """The changes of a change set, a Tags property's under Attribute and Scope "Tags"."""
    def diff(*args, **kwargs):
        changes = original(*args, **kwargs)
        for change in (change["ResourceChange"] for change in changes):
            tags, _ = provisioners._STACK_TAG_PROPERTY.get(change["ResourceType"], ("Tags", "list"))
            for detail in change.get("Details", []):
                target = detail["Target"]
                if target["Attribute"] == "Properties" and target.get("Name") == tags:
                    detail["Target"] = {"Attribute": "Tags", "RequiresRecreation": "Never"}
            if "Details" in change:
                change["Scope"] = list(dict.fromkeys(d["Target"]["Attribute"] for d in change["Details"]))
        return changes
    return diff


def with_values(original):
    """The changes of a change set, each with the properties that its resource is going to have."""
    def diff(old_template, new_template, *args):
        changes = original(old_template, new_template, *args)
        for change in (change["ResourceChange"] for change in changes):
            after = new_template.get("Resources", {}).get(change["LogicalResourceId"])
            if after:
                properties = {"Properties": after.get("Properties", {})}
                change["AfterContext"] = json.dumps(properties, default=lambda _: UNKNOWN)
        return changes
    return diff


def telling_values(original):
    """DescribeChangeSet, with the values where they are asked for."""
    def describe(params):
        response = original(params)
        _, change_set = changesets._find_change_set(
            changesets._p(params, "ChangeSetName"), changesets._p(params, "StackName"))
        if response[0] >= 400 or changesets._p(params, "IncludePropertyValues") != "true":
            return response
        status, headers, body = response
        parts = re.split("(</ResourceChange>)", body.decode() if isinstance(body, bytes) else body)
        for number, change in enumerate(change_set.get("Changes", [])):
            context = change["ResourceChange"].get("AfterContext")
            if context:
                parts[2 * number] += f"<AfterContext>{changesets._esc(context)}</AfterContext>"
        return status, headers, "".join(parts).encode()
    return describe


def with_mappings(original):
    """The conditions of a template, with what Fn::FindInMap finds."""
    def evaluate(template: dict, params: dict) -> dict:
        found = {name: looked_up(definition, template.get("Mappings", {}), params)
                 for name, definition in template.get("Conditions", {}).items()}
        return original({**template, "Conditions": found}, params)
    return evaluate


def looked_up(node, mappings: dict, params: dict):
    """The same, with the values of mappings in place of the functions that find them."""
    if isinstance(node, list):
        return [looked_up(item, mappings, params) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::FindInMap" in node:
        return engine.find_in_map(node["Fn::FindInMap"], mappings, lambda argument: resolved(argument, params))
    return {name: looked_up(value, mappings, params) for name, value in node.items()}


def resolved(argument, params: dict):
    """An argument of Fn::FindInMap: a literal, or a parameter's value."""
    if isinstance(argument, dict) and argument.get("Ref") in params:
        return params[argument["Ref"]]["Value"]
    return argument
