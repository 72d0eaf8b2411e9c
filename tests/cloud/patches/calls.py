"""Calls of functions, as Lambda makes them: asynchronous ones, and those with batches of a Kinesis stream.

What it adds, all of it general:
- retries, the event's age and the OnFailure record of asynchronous calls, by the settings of the qualifier that was
  called, an alias's or $LATEST's; EventBridge's calls are such, too
  https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
- what a function answers to a batch, retries, bisection and the OnFailure queue of event-source mappings
  https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
  https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

import contextvars
import json
import threading
import time
from datetime import datetime, timezone

import boto3
from ministack.core.responses import new_uuid
from ministack.services import eventbridge, lambda_svc

from patches.patching import wrap

# Lambda waits for a minute and for two; here everything is in a hurry.
FIRST_PAUSE, LONGEST_PAUSE = 1, 30
BATCH_PAUSE = 0.5

# Every try of one event has the same id, the one in the OnFailure record.
_request_id: contextvars.ContextVar = contextvars.ContextVar("request_id")


def install() -> None:
    """Replace how ministack calls functions."""
    # ministack goes by the settings of $LATEST alone, drops what is throttled, and leaves fields out of the record.
    wrap(lambda_svc, "invoke_async_with_retry", lambda _: begin)
    wrap(lambda_svc, "_execute_function_dispatch", under_one_id)
    # ministack calls a rule's function once; EventBridge calls it asynchronously.
    wrap(eventbridge, "_dispatch_to_lambda", lambda _: call_rule_target)
    # ministack takes any answer to a batch for success, and a failure for something to try for ever.
    wrap(lambda_svc, "_execute_function", with_batches)


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
        "timestamp": iso(time.time()),
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


def with_batches(original):
    """A call with a batch of Kinesis records goes by the settings of its mapping."""
    def execute(function: dict, event: dict) -> dict:
        mapping = mapping_of(function, event)
        return deliver_batch(original, mapping, function, event["Records"]) if mapping else original(function, event)
    return execute


def mapping_of(function: dict, event: object) -> dict | None:
    """The mapping that a batch comes by; None if the event is something else."""
    records = event.get("Records") if isinstance(event, dict) else None
    if not (isinstance(records, list) and records and "kinesis" in records[0]):
        return None
    name = (function.get("config") or function).get("FunctionName")
    source = records[0].get("eventSourceARN")
    found = (it for _, _, it in lambda_svc._iter_all_esms()
             if it.get("EventSourceArn") == source and it["FunctionName"] == name)
    return next(found, None)


def deliver_batch(execute, mapping: dict, function: dict, records: list) -> dict:
    """Call until every record is handled or given up. An error only if the mapping goes meanwhile."""
    batches, tries = [records], 0
    while True:
        batch = batches.pop(0)
        result = execute(function, {"Records": batch})
        done = handled(mapping, batch, result)
        rest = batch[done:]
        if done:
            tries = 0
        if not rest:
            if not batches:
                return result
            continue
        # To divide a batch is no retry.
        if result.get("error") and truthy(mapping.get("BisectBatchOnFunctionError")) and len(rest) > 1:
            half = len(rest) // 2
            batches[:0] = [rest[:half], rest[half:]]
            continue
        tries += 1
        reason = exhausted(mapping, rest, tries)
        if reason:
            give_up(mapping, rest, reason, tries)
            tries = 0
            if not batches:
                return {"body": None}
            continue
        if mapping["UUID"] not in lambda_svc._esms or not mapping.get("Enabled", True):
            return {"error": True, "body": {"errorMessage": "the event-source mapping is gone"}}
        time.sleep(BATCH_PAUSE)
        batches.insert(0, rest)


def handled(mapping: dict, batch: list, result: dict) -> int:
    """How many records from the first on are done, by what the function answered."""
    if result.get("error"):
        return 0
    body = result.get("body")
    if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []) or not isinstance(body, dict):
        return len(batch)
    failed = {it.get("itemIdentifier") for it in body.get("batchItemFailures") or []}
    numbers = [it["kinesis"]["sequenceNumber"] for it in batch]
    if failed - set(numbers):
        # Lambda takes an identifier that it doesn't know for a failure of everything.
        return 0
    return min(map(numbers.index, failed), default=len(batch))


def exhausted(mapping: dict, rest: list, tries: int) -> str | None:
    """Why the rest is not tried again, if it isn't. -1, the default of both limits, means for ever."""
    retries, age = (int(mapping.get(name, -1)) for name in ("MaximumRetryAttempts", "MaximumRecordAgeInSeconds"))
    if 0 <= retries < tries:
        return "RetryAttemptsExhausted"
    if 0 <= age < time.time() - arrival(rest[0]):
        return "RecordAgeExceeded"
    return None


def give_up(mapping: dict, rest: list, reason: str, tries: int) -> None:
    """Tell the OnFailure queue which records are passed over. It hears of their places, not of their content."""
    queue = ((mapping.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if not queue:
        return
    first, last = rest[0], rest[-1]
    message = {
        "requestContext": {
            "requestId": new_uuid(),
            "functionArn": mapping["FunctionArn"],
            "condition": reason,
            "approximateInvokeCount": tries,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": iso(time.time()),
        "KinesisBatchInfo": {
            "shardId": first["eventID"].partition(":")[0],
            "startSequenceNumber": first["kinesis"]["sequenceNumber"],
            "endSequenceNumber": last["kinesis"]["sequenceNumber"],
            "approximateArrivalOfFirstRecord": iso(arrival(first)),
            "approximateArrivalOfLastRecord": iso(arrival(last)),
            "batchSize": len(rest),
            "streamArn": mapping["EventSourceArn"],
        },
    }
    *_, region, _, name = queue.split(":")
    sqs = boto3.client("sqs", region_name=region)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message))


def arrival(record: dict) -> float:
    """When a record came to the stream, in seconds since 1970."""
    return float(record["kinesis"]["approximateArrivalTimestamp"])


def iso(seconds: float) -> str:
    """A time as Lambda writes it."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def truthy(value: object) -> bool:
    """A template's boolean, which may be a word."""
    return str(value).lower() == "true"
