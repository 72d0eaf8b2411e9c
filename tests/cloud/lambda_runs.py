"""Functions as processes of this machine, seen from outside as Lambda runs them."""

import functools
import json
import os
import threading
import time
from datetime import datetime, timezone

from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import cloudwatch_logs, eventbridge, lambda_svc

# What a function's process takes over from the launcher's environment, and what Lambda puts there.
INHERITED = ("PATH", "LANG", "TZ", "TMPDIR", "RUST_LOG", "RUST_BACKTRACE")
FROM_LAMBDA = ("AWS_", "LAMBDA_", "_HANDLER")

_log_lock = threading.Lock()


def install() -> None:
    """Replace how ministack starts, logs and asynchronously calls functions."""
    # ministack hands functions the launcher's whole environment.
    lambda_svc._provided_worker_env = functools.partial(environment, lambda_svc._provided_worker_env)
    # ministack shows a run's output only when the run is over.
    lambda_runtime.ProvidedWorker._pump_output = with_live_log(lambda_runtime.ProvidedWorker._pump_output)
    # ministack kills a run when its function is updated or deleted; Lambda lets it finish.
    lambda_runtime.kill_workers = after_their_runs(lambda_runtime.kill_workers)
    # ministack creates a log group that is gone; a function without logs:CreateLogGroup does not.
    lambda_svc._emit_lambda_logs = into_existing_group(lambda_svc._emit_lambda_logs)
    # ministack calls a rule's function once; EventBridge calls it asynchronously, with retries.
    eventbridge._dispatch_to_lambda = call_rule_target
    # ministack's OnFailure record lacks fields that decoders of it require.
    lambda_svc._route_async_failure = functools.partial(send_failure, lambda_svc._route_async_failure)


def environment(original, config: dict, code_dir: str, port: int) -> dict:
    """The environment of a function's process."""
    own = (config.get("Environment") or {}).get("Variables") or {}
    env = {
        name: value for name, value in original(config, code_dir, port).items()
        if name in INHERITED or name in own or name.startswith(FROM_LAMBDA)
    }
    env["AWS_LAMBDA_LOG_GROUP_NAME"] = log_group(config)
    env["AWS_LAMBDA_INITIALIZATION_TYPE"] = "on-demand"
    env.setdefault("AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE", os.environ["SLUICE_DMS_ENDPOINT"])
    return env


def log_group(config: dict) -> str:
    """The log group a function writes to."""
    return (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"


def with_live_log(original):
    """A function's output goes, line by line, to the file named by SLUICE_LAMBDA_LOG too."""
    path = os.environ.get("SLUICE_LAMBDA_LOG")

    class Tee:
        def __init__(self, function: str, stream):
            self.function, self.stream = function, stream
            self.close = stream.close

        def readline(self) -> bytes:
            raw = self.stream.readline()
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if line:
                record = json.dumps({"time": time.time(), "function": self.function, "line": line})
                with _log_lock, open(path, "a", encoding="utf-8") as log:
                    log.write(record + "\n")
            return raw

    def pump(worker, stream, log_queue):
        original(worker, Tee(worker.func_name, stream) if path else stream, log_queue)

    return pump


def after_their_runs(original):
    """End processes in the background, each once its run is over or out of time."""
    def finish(worker) -> None:
        deadline = time.monotonic() + int(worker.config.get("Timeout", 3))
        while worker.in_use and worker._proc and worker._proc.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        original([worker])

    def kill(workers) -> None:
        for worker in workers:
            threading.Thread(target=finish, args=(worker,), daemon=True, name="end-function").start()

    return kill


def into_existing_group(original):
    """Drop the log of a run whose own log group was deleted under it."""
    def emit(record, *args, **kwargs):
        config = record.get("config") or record
        if not (config.get("LoggingConfig") or {}).get("LogGroup") or log_group(config) in cloudwatch_logs._log_groups:
            original(record, *args, **kwargs)
    return emit


def call(function_arn: str, event: dict) -> bool:
    """Call a function asynchronously, with Lambda's retries and OnFailure; False if there is none."""
    record, config, _ = lambda_svc._get_func_record_for_ref(function_arn)
    if not record or not config:
        return False
    lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, config), event)
    return True


def call_rule_target(arn: str, payload: str) -> None:
    """EventBridge's call of a Lambda target."""
    if not call(arn, json.loads(payload)):
        eventbridge.logger.warning("the target %s of a rule does not exist", arn)


def send_failure(original, target_arn: str, function: str, event: dict, result: dict) -> None:
    """Deliver the record of an asynchronous call that failed for good.

    Fields: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    if ":function:" not in target_arn:
        original(target_arn, function, event, result)
        return
    source = lambda_svc._functions.get(function) or {}
    settings = source.get("event_invoke_config") or (source.get("event_invoke_configs") or {}).get("$LATEST") or {}
    retries = settings.get("MaximumRetryAttempts")
    call(target_arn, {
        "version": "1.0",
        "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": new_uuid(),
            "functionArn": (source.get("config") or {}).get("FunctionArn", function) + ":$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 1 + (2 if retries is None else int(retries)),
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": result.get("body"),
    })
