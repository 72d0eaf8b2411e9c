"""CloudFormation's validation of change sets, before their deployment.

What it adds, all of it general:
- a change set fails for a property that its type doesn't have (by the registry's schemas, which come with cfn-lint), and
  for what ministack finds only once it deploys: a value that is none of a property's, and a bucket's name that is taken
- it only warns of a bucket that it would delete and that isn't empty
- DescribeEvents of a change set, which has the findings
  https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

import functools
import importlib.util
import json
import re
from pathlib import Path

from ministack.core.responses import get_region, new_uuid
from ministack.services import s3
from ministack.services.cloudformation import _ACTION_HANDLERS, changesets, engine, handlers, stacks

from patches.stack_operations import stack_record

SCHEMAS = Path(importlib.util.find_spec("cfnlint").submodule_search_locations[0], "data", "schemas")

# By the validation's name in the events, the one in the change set's reason.
HOOKS = {"NAME_CONFLICT_VALIDATION": "ResourceExistenceCheck", "PROPERTY_VALIDATION": "PropertyValidation"}


def install() -> None:
    """Patch the change set's making, and the events."""
    _ACTION_HANDLERS["CreateChangeSet"] = validated(_ACTION_HANDLERS["CreateChangeSet"])
    _ACTION_HANDLERS["DescribeEvents"] = of_change_sets(_ACTION_HANDLERS["DescribeEvents"])


def validated(original):
    """CreateChangeSet, with the change set's validation."""
    def create(params):
        from ministack.services.cloudformation import _change_sets
        response = original(params)
        made = re.search("<Id>(.*?)</Id>", text(response[2]))
        change_set = _change_sets[made[1]] if made else {}
        if change_set.get("Status") == "CREATE_COMPLETE" and not change_set["_disable_validation"]:
            validate(change_set)
        return response
    return create


def validate(change_set: dict) -> None:
    """Write down what is found, and let the change set fail if it must."""
    found = [(*it, "FAIL") for it in errors(change_set)] + [(*it, "WARN") for it in warnings(change_set)]
    operation = new_uuid()

    def event(kind, **fields):
        return stacks._operation_event(change_set["StackId"], operation, kind, "CREATE_CHANGESET", **fields)

    hooks = sorted({f"AWS::EarlyValidation::{HOOKS[name]}" for _, _, name, _, _, mode in found if mode == "FAIL"})
    status = "FAILED" if hooks else "SUCCEEDED"
    change_set["_events"] = [event("STACK_EVENT", OperationStatus=status), *(
        event("VALIDATION_ERROR", OperationStatus=status, LogicalResourceId=logical_id, ResourceType=rtype,
              ValidationFailureMode=mode, ValidationName=name, ValidationStatus="FAILED",
              ValidationStatusReason=reason, ValidationPath=path)
        for logical_id, rtype, name, path, reason, mode in found)]
    if hooks:
        change_set.update(
            Status="FAILED", ExecutionStatus="UNAVAILABLE",
            StatusReason=f"The following hook(s)/validation failed: [{', '.join(hooks)}]. To troubleshoot Early "
                         "Validation errors, use the DescribeEvents API for detailed failure information.")


def errors(change_set: dict) -> list:
    """What can't be deployed, in the form of ministack's _validation_errors."""
    template, params = change_set["_template"], change_set["_resolved_params"]
    resources, conditions = template["Resources"], engine._evaluate_conditions(template, params)
    present = [name for name, it in resources.items() if conditions.get(it.get("Condition"), True)]
    owned = stack_record(change_set["StackName"]).get("_resources", {}).values()
    buckets = frozenset(it["PhysicalResourceId"] for it in owned if it["ResourceType"] == "AWS::S3::Bucket")
    found = stacks._validation_errors(
        resources, present, params, conditions, template.get("Mappings", {}), change_set["StackName"],
        change_set["StackId"], buckets)
    for name in present:
        rtype = resources[name]["Type"]
        given, known = resources[name].get("Properties") or {}, properties(rtype, get_region())
        found += [
            (name, rtype, "PROPERTY_VALIDATION", f"/Resources/{name}/Properties/{it}", f"Unsupported property [{it}]")
            for it in given if known and it not in known and not it.startswith("Fn::")]
    return found


def warnings(change_set: dict) -> list:
    """What may fail in the deployment's clean-up, in the same form."""
    removed = (it["ResourceChange"] for it in change_set["Changes"] if it["ResourceChange"]["Action"] == "Remove")
    return [
        (it["LogicalResourceId"], it["ResourceType"], "BUCKET_EMPTINESS_VALIDATION",
         f"/Resources/{it['LogicalResourceId']}", f"The bucket '{it['PhysicalResourceId']}' is not empty")
        for it in removed
        if it["ResourceType"] == "AWS::S3::Bucket" and it.get("PolicyAction", "Delete") == "Delete"
        and (s3._buckets.get(it["PhysicalResourceId"]) or {}).get("objects")]


@functools.cache
def properties(rtype: str, region: str) -> frozenset:
    """The properties of a type; none of one that has no schema."""
    types = json.loads((SCHEMAS / "providers" / f"{region}.json").read_text())
    if rtype not in types:
        return frozenset()
    return frozenset(json.loads((SCHEMAS / "resources" / f"{types[rtype]}.json").read_text())["properties"])


def of_change_sets(original):
    """DescribeEvents, of change sets too."""
    def describe(params):
        from ministack.services.cloudformation import _change_sets
        name = changesets._p(params, "ChangeSetName")
        if not name:
            return original(params)
        if name not in _change_sets:
            return handlers._error("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
        events, next_token, error = handlers._page(_change_sets[name].get("_events", []), params, "DescribeEvents")
        if error:
            return error
        members = "".join(
            "<member>" + "".join(f"<{key}>{handlers._esc(value)}</{key}>" for key, value in event.items()) + "</member>"
            for event in events)
        return handlers._xml(200, "DescribeEventsResponse",
                             f"<DescribeEventsResult><OperationEvents>{members}</OperationEvents>{next_token}"
                             "</DescribeEventsResult>")
    return describe


def text(body: bytes | str) -> str:
    """An answer's body."""
    return body.decode() if isinstance(body, bytes) else body
