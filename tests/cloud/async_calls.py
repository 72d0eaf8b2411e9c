"""Asynchronous calls of functions, as Lambda makes them: retries, the event's age, and the OnFailure record.

Each call goes by the settings of the qualifier that was called, an alias's or $LATEST's.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import contextvars
import json
import threading
import time
from datetime import datetime, timezone

from ministack.core.responses import new_uuid
from ministack.services import eventbridge, lambda_svc

# Lambda waits for a minute and for two; here everything is in a hurry.
FIRST_PAUSE, LONGEST_PAUSE = 1, 30

# Every try of one event has the same id, the one in the OnFailure record.
_request_id: contextvars.ContextVar = contextvars.ContextVar("request_id")


def install() -> None:
    """Replace how ministack calls functions asynchronously."""
    # ministack goes by the settings of $LATEST alone, drops what is throttled, and leaves fields out of the record.
    lambda_svc.invoke_async_with_retry = begin
    lambda_svc._execute_function_dispatch = under_one_id(lambda_svc._execute_function_dispatch)
    # ministack calls a rule's function once; EventBridge calls it asynchronously.
    eventbridge._dispatch_to_lambda = call_rule_target


def call(arn: str, event: dict) -> bool:
    """Call a function, or an alias of one; False if there is none."""
    record, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not record or not config:
        return False
    begin(lambda_svc._execution_record_for_config(record, {**config, "FunctionArn": arn}), event)
    return True


def call_rule_target(arn: str, payload: str) -> None:
    """EventBridge's call of a Lambda target."""
    if not call(arn, json.loads(payload)):
        eventbridge.logger.warning("the target %s of a rule does not exist", arn)


def begin(record: dict, event: dict) -> None:
    """Take an event in; all else happens in the background. The record's FunctionArn is the one that was called."""
    run = contextvars.copy_context().run
    name = f"call-{record['config']['FunctionName']}"
    threading.Thread(target=run, args=(deliver, record, event), daemon=True, name=name).start()


def deliver(record: dict, event: dict) -> None:
    """Call until it goes well, the tries are used up or the event is too old."""
    name, qualifier = lambda_svc._lambda_function_name_and_qualifier_from_arn(record["config"]["FunctionArn"])
    qualifier = qualifier or "$LATEST"
    settings = (lambda_svc._functions.get(name, {}).get("event_invoke_configs") or {}).get(qualifier) or {}
    retries = int(settings.get("MaximumRetryAttempts", 2))
    oldest = time.monotonic() + int(settings.get("MaximumEventAgeInSeconds", 21600))
    _request_id.set(new_uuid())
    tries, pause = 0, FIRST_PAUSE
    while True:
        result = lambda_svc._execute_function(record, event)
        if not result.get("error"):
            return
        # What is throttled was not tried; it goes back into the queue.
        tries += not result.get("throttle")
        if tries > retries:
            condition = "RetriesExhausted"
            break
        if time.monotonic() + pause > oldest:
            condition = "EventAgeExceeded"
            break
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    target = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if target and not call(target, failure(f"{unqualified(record)}:{qualifier}", event, condition, tries, result)):
        lambda_svc.logger.warning("the OnFailure destination %s is not a function that exists", target)


def unqualified(record: dict) -> str:
    """The function's ARN, whichever way it was called."""
    return ":".join(record["config"]["FunctionArn"].split(":")[:7])


def failure(function_arn: str, event: dict, condition: str, tries: int, result: dict) -> dict:
    """The record of an event that was given up.

    Fields: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    record = {
        "version": "1.0",
        "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": _request_id.get(),
            "functionArn": function_arn,
            "condition": condition,
            "approximateInvokeCount": tries,
        },
        "requestPayload": event,
    }
    # Where nothing ran, nothing responded.
    if tries:
        record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
        record["responsePayload"] = result.get("body")
    return record


def under_one_id(original):
    """A run of an asynchronous call, under the call's id."""
    def dispatch(func, config, event, request_id, started):
        return original(func, config, event, _request_id.get(request_id), started)
    return dispatch
