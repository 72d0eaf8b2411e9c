"""Custom resources around a DMS task, as people put them together from the web. Nobody should use them.

They are here for `make compare` to compare Sluice with. They imitate what published handlers have in common:

- before: stops the task if the change set has a change of DMS's; after: starts it on Create, resumes it on Update
- a look every ten seconds, and no more than 24 of them
- a task that never ran is started with `start-replication`, also one that replaces another
- an error is printed, and the answer is SUCCESS
- nothing on Delete, and nobody who looks after the task when an update has failed

In three things they are better than most: they choose the way to start by the task's status, they test the connections
of both endpoints before that, and they try again what DMS refuses.
"""

import json
import os
import time
import urllib.request

import boto3

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "10"))

cloudformation = boto3.client("cloudformation")
dms = boto3.client("dms")


def before(event, _context):
    """Custom::Pre."""
    try:
        task = task_of(event["StackId"]) if event["RequestType"] == "Update" else None
        if task and status_of(task) == "running" and changes_dms(event["StackId"]):
            dms.stop_replication_task(ReplicationTaskArn=task)
            wait_for("stopped", status_of, task)
    except Exception as error:
        print("Failed:", error)
    succeed(event, "pre")


def after(event, _context):
    """Custom::Post."""
    try:
        task = event["ResourceProperties"]["Task"]
        if event["RequestType"] != "Delete":
            status = status_of(task)
            if status == "ready":
                start(task, "start-replication")
            elif event["RequestType"] == "Update" and status in ("stopped", "failed"):
                start(task, "resume-processing")
    except Exception as error:
        print("Failed:", error)
    succeed(event, "post")


def start(task, how):
    test_connections(describe(task))
    for tries_left in reversed(range(24)):
        try:
            dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType=how)
            break
        except dms.exceptions.InvalidResourceStateFault:
            if not tries_left:
                raise
            time.sleep(POLL_SECONDS)
    wait_for("running", status_of, task)


def test_connections(task):
    instance = task["ReplicationInstanceArn"]
    for endpoint in (task["SourceEndpointArn"], task["TargetEndpointArn"]):
        if connection(endpoint, instance) not in ("successful", "testing"):
            dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)
    for endpoint in (task["SourceEndpointArn"], task["TargetEndpointArn"]):
        wait_for("successful", connection, endpoint, instance)


def connection(endpoint, instance):
    filters = [
        {"Name": "endpoint-arn", "Values": [endpoint]},
        {"Name": "replication-instance-arn", "Values": [instance]},
    ]
    try:
        return dms.describe_connections(Filters=filters)["Connections"][0]["Status"]
    except dms.exceptions.ResourceNotFoundFault:
        return None


def wait_for(wanted, look, *at):
    for _ in range(24):
        status = look(*at)
        if status == wanted:
            return
        if status == "failed":
            break
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{status}, not {wanted}")


def status_of(task):
    return describe(task)["Status"]


def describe(task):
    filters = [{"Name": "replication-task-arn", "Values": [task]}]
    return dms.describe_replication_tasks(Filters=filters, WithoutSettings=True)["ReplicationTasks"][0]


def task_of(stack):
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    tasks = [it for it in resources if it["ResourceType"] == "AWS::DMS::ReplicationTask"]
    return tasks[0]["PhysicalResourceId"] if tasks else None


def changes_dms(stack):
    change_set = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("ChangeSetId")
    if change_set is None:
        return True
    pages = cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
    changes = [change["ResourceChange"] for page in pages for change in page["Changes"]]
    return any(it["ResourceType"].startswith("AWS::DMS::") for it in changes)


def succeed(event, physical_id):
    answer = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": "SUCCESS", "PhysicalResourceId": physical_id}
    request = urllib.request.Request(event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT")
    request.add_header("Content-Type", "")
    urllib.request.urlopen(request)
