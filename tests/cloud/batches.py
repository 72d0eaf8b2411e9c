"""Batches of a Kinesis stream, as Lambda's event-source mappings deliver them.

ministack reads the stream and filters, but takes any answer for success and a failure
for something to try for ever.
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

import json
import time
from datetime import datetime, timezone

import boto3
from ministack.core.responses import new_uuid
from ministack.services import lambda_svc

# Lambda waits longer from try to try; here everything is in a hurry.
PAUSE = 0.5


def install() -> None:
    """Replace what becomes of a batch that ministack has read."""
    lambda_svc._execute_function = with_batches(lambda_svc._execute_function)


def with_batches(original):
    """A call with a batch of Kinesis records goes by the settings of its mapping."""
    def execute(function: dict, event: dict) -> dict:
        mapping = mapping_of(function, event)
        return deliver(original, mapping, function, event["Records"]) if mapping else original(function, event)
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


def deliver(execute, mapping: dict, function: dict, records: list) -> dict:
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
        time.sleep(PAUSE)
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
