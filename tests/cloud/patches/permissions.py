"""Who may do what: IAM as AWS enforces it, for DMS too, and a record of every call that a role made.

The functions have the credentials of their roles, and ministack holds their calls
against the roles' policies. DMS's stand-in knows no callers, so the functions reach
it through here.
"""

import asyncio
import json
import os
import re
import threading
import urllib.error
import urllib.request

from ministack import app
from ministack.core import iam_actions, iam_evaluator, router

from patches.patching import wrap

TARGET = "AmazonDMSv20160101."
# What a call is about, by the names of its parameters. TestConnection is about both of its two.
RESOURCES = ("ReplicationTaskArn", "ResourceArn", "ResourceArnList", "EndpointArn", "ReplicationInstanceArn")

_log_lock = threading.Lock()


def install() -> None:
    """Add DMS to the services, and look at every decision."""
    router.SERVICE_PATTERNS["dms"] = {"target_prefixes": [TARGET]}
    app.SERVICE_HANDLERS["dms"] = forward
    wrap(iam_actions, "extract_iam_action", dms_action)
    wrap(iam_actions, "extract_resource_arn", resources)
    wrap(iam_evaluator, "enforce", recorded)


async def forward(method, path, headers, body, query_params):
    """DMS's answer, as it is."""
    def ask():
        request = urllib.request.Request(os.environ["SLUICE_DMS_ENDPOINT"], data=body, method="POST", headers={
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": headers["x-amz-target"]})
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, dict(refusal.headers), refusal.read()

    return await asyncio.to_thread(ask)


def dms_action(original):
    """extract_iam_action, for DMS too."""
    def extract(service, method, path, headers, *args):
        if service == "dms":
            return "dms:" + headers["x-amz-target"].removeprefix(TARGET)
        return original(service, method, path, headers, *args)
    return extract


def resources(original):
    """extract_resource_arn, for DMS too: all that a call is about, parted by spaces."""
    def extract(service, method, path, headers, body, parameters, *args):
        if service == "dms":
            given = json.loads(body or b"{}")
            named = (given.get(name, []) for name in RESOURCES)
            return " ".join(arn for it in named for arn in (it if isinstance(it, list) else [it])) or "*"
        # ministack looks for the name of a stack; a change set may be asked for by its ARN alone.
        change_set = parameters.get("ChangeSetName", [""])[0] if service == "cloudformation" else ""
        if change_set.startswith("arn:") and "StackName" not in parameters:
            return change_set
        return original(service, method, path, headers, body, parameters, *args)
    return extract


def recorded(original):
    """enforce, resource by resource, writing down what roles asked for to the file named by SLUICE_CALL_LOG."""
    path = os.environ.get("SLUICE_CALL_LOG")

    def enforce(access_key, action, service, region, resource_arn="*", service_context=None):
        caller = iam_evaluator.resolve_caller_identity(access_key) or {}
        role = re.search(r":assumed-role/([^/]+)/", caller.get("userArn", ""))
        for resource in resource_arn.split(" ") if service == "dms" else [resource_arn]:
            denied = original(access_key, action, service, region, resource, service_context)
            if path and role:
                record = json.dumps({"role": role[1], "action": action, "resource": resource, "allowed": not denied})
                with _log_lock, open(path, "a", encoding="utf-8") as log:
                    log.write(record + "\n")
            if denied:
                return denied
        return None
    return enforce
