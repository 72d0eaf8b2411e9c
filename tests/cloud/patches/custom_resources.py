"""Custom resources as CloudFormation drives them.

ministack calls the function and waits for it to return before it looks for the
answer. CloudFormation calls it asynchronously, so Lambda's retries and OnFailure
apply, and only the answer to the ResponseURL counts. General.
"""

from datetime import datetime, timezone

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services.cloudformation import custom_resource

from patches import calls
from patches.patching import wrap
from patches.stack_operations import CreateFailed

# CloudFormation's own wording, which users search for.
SILENCE = ("CloudFormation did not receive a response from your custom resource. "
           "Please check your logs for requestId [{}].")
REFUSAL = "Received response status [FAILED] from custom resource. Message returned: {} (RequestId: {})"


def install() -> None:
    """Replace ministack's requests to custom resources."""
    # Calls synchronously, and leaves out what CloudFormation sends.
    wrap(custom_resource, "invoke_custom_resource", lambda _: request)
    # CloudFormation's are presigned S3 URLs; handlers read the time of the request from them.
    wrap(custom_resource, "_response_url", presigned)


def presigned(original):
    """A ResponseURL with the query of a presigned one, valid for two hours."""
    def url(token: str) -> str:
        now = datetime.now(timezone.utc)
        return (f"{original(token)}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={now:%Y%m%dT%H%M%SZ}"
                f"&X-Amz-SignedHeaders=host&X-Amz-Expires=7200"
                f"&X-Amz-Credential=LOCAL%2F{now:%Y%m%d}%2F{get_region()}%2Fs3%2Faws4_request"
                f"&X-Amz-Signature={new_uuid().replace('-', '') * 2}")
    return url


def request(request_type, logical_id, props, stack_name, stack_id, resource_type,
            physical_id=None, old_props=None) -> tuple:
    """Send one request and wait for its answer: (physical id, attributes), or an exception."""
    try:
        return ask(request_type, logical_id, props, stack_id, resource_type, physical_id, old_props)
    except Refused as refused:
        if request_type != "Create":
            raise
        # CloudFormation deletes what failed to be created, by the id in the answer.
        raise CreateFailed(refused.physical_id or f"{stack_name}-{logical_id}-{new_uuid()[:8]}",
                           str(refused)) from None


class Refused(Exception):
    """The answer was FAILED, unusable or did not come; `physical_id` is the one it named, if any."""

    def __init__(self, message: str, physical_id: str | None = None):
        super().__init__(message)
        self.physical_id = physical_id


def ask(request_type, logical_id, props, stack_id, resource_type, physical_id, old_props) -> tuple:
    """Call the function and wait for the PUT to the ResponseURL."""
    wire = custom_resource._normalise_resource_properties
    token, request_id = new_uuid(), new_uuid()
    service_token = props.get("ServiceToken", "")
    event = {
        "RequestType": request_type,
        "ServiceToken": service_token,
        "ResponseURL": custom_resource._response_url(token),
        "StackId": stack_id,
        "RequestId": request_id,
        "LogicalResourceId": logical_id,
        "ResourceType": resource_type,
        "ResourceProperties": wire(props),
    }
    if physical_id is not None:
        event["PhysicalResourceId"] = physical_id
    if old_props is not None:
        event["OldResourceProperties"] = wire(old_props)

    answered = custom_resource.register_token(token)
    if not calls.call(service_token, event):
        raise ValueError(f"Invalid ServiceToken: there is no function {service_token} "
                         f"in account {get_account_id()}, region {get_region()}")
    answered.wait(timeout=int(props.get("ServiceTimeout", 3600)))
    with custom_resource._lock:
        answer = custom_resource._pending.pop(token)["result"]
    if answer is None:
        raise Refused(SILENCE.format(request_id))
    return accepted(answer, event)


def accepted(answer: dict, event: dict) -> tuple:
    """The outcome of an answer, checked as CloudFormation checks it."""
    answered_id = answer.get("PhysicalResourceId")
    for field in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(field) != event[field]:
            raise Refused(f"Invalid response object: Value of property {field} does not match the request")
    if answer.get("Status") == "FAILED":
        reason = answer.get("Reason")
        if not reason:
            raise Refused("Invalid response object: Reason is required when Status is FAILED", answered_id)
        raise Refused(REFUSAL.format(reason, event["RequestId"]), answered_id)
    if answer.get("Status") != "SUCCESS":
        raise Refused("Invalid response object: Status must be SUCCESS or FAILED", answered_id)
    if not isinstance(answered_id, str) or not answered_id:
        raise Refused("Invalid PhysicalResourceId")
    return answered_id, answer.get("Data") or {}
