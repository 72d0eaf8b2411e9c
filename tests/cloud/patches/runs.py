"""Functions as processes of this machine, seen from outside as Lambda runs them.

General, but for the file that the driver follows: SLUICE_LAMBDA_LOG.
"""

import json
import os
import threading
import time

from ministack.core import lambda_runtime
from ministack.services import cloudwatch_logs, lambda_svc

from patches.patching import wrap

# What a function's process takes over from the launcher's environment, and what Lambda puts there.
INHERITED = ("PATH", "LANG", "TZ", "TMPDIR", "RUST_LOG", "RUST_BACKTRACE")
FROM_LAMBDA = ("AWS_", "LAMBDA_", "_HANDLER")

_log_lock = threading.Lock()


def install() -> None:
    """Replace how ministack starts, ends and logs functions."""
    # ministack hands functions the launcher's whole environment.
    wrap(lambda_svc, "_provided_worker_env", lambda original: lambda *args: environment(original, *args))
    # ministack shows a run's output only when the run is over.
    wrap(lambda_runtime.ProvidedWorker, "_pump_output", with_live_log)
    # ministack kills a run when its function is updated or deleted; Lambda lets it finish.
    wrap(lambda_runtime, "kill_workers", after_their_runs)
    # ministack creates a log group that is gone; a function without logs:CreateLogGroup does not.
    wrap(lambda_svc, "_emit_lambda_logs", into_existing_group)


def environment(original, config: dict, code_dir: str, port: int) -> dict:
    """The environment of a function's process."""
    own = (config.get("Environment") or {}).get("Variables") or {}
    env = {
        name: value for name, value in original(config, code_dir, port).items()
        if name in INHERITED or name in own or name.startswith(FROM_LAMBDA)
    }
    env["AWS_LAMBDA_LOG_GROUP_NAME"] = log_group(config)
    env["AWS_LAMBDA_INITIALIZATION_TYPE"] = "on-demand"
    return env


def log_group(config: dict) -> str:
    """The log group a function writes to."""
    return (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"


def with_live_log(original):
    """A function's output goes, line by line, to the file named by SLUICE_LAMBDA_LOG too."""
    path = os.environ.get("SLUICE_LAMBDA_LOG")

    class Tee:
        def __init__(self, worker, stream):
            self.function, self.pid, self.stream = worker.func_name, worker._proc.pid, stream
            self.close = stream.close

        def readline(self) -> bytes:
            raw = self.stream.readline()
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if line:
                record = json.dumps({"time": time.time(), "function": self.function, "pid": self.pid, "line": line})
                with _log_lock, open(path, "a", encoding="utf-8") as log:
                    log.write(record + "\n")
            return raw

    def pump(worker, stream, log_queue):
        original(worker, Tee(worker, stream) if path else stream, log_queue)

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
