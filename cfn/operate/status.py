"""How things are: the stacks, their tasks, what the handlers did last, and the alarms."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import events
from clients import client
from settings import Settings
from stacks import Resource, Stack, importers, resources

# How far back a latency is still of interest.
RECENT = timedelta(minutes=15)
LATENCIES = ("CDCLatencySource", "CDCLatencyTarget")

# As many tasks as DMS describes in a call.
PAGE = 100

# How the tags begin of a task that a deployment has paused. What follows, after a colon, is the request that did it.
MARK = "sluice:paused-by"

# What stands in every run's log, and what of a handler's line is there for machines.
ROUTINE = re.compile(r"(INIT_START|START|END|REPORT|EXTENSION)\b|.*CloudFormation has the answer")
SPANS = re.compile(r"\s*[A-Z]+ .*?\}: ")


def run(settings: Settings) -> None:
    """Print all there is to know."""
    for name in settings.names.values():
        stack = Stack.find(name)
        for line in of_stack(stack) if stack else [f"{name}: there is no such stack"]:
            print(line)


def of_stack(stack: Stack) -> Iterator[str]:
    """A stack and what is in it."""
    operation = events.last_operation(stack.id)
    if operation:
        yield f"{stack.name}: {stack.status} since {when(operation.since)}"
        began = when(operation.events[0].time)
        yield f"  last operation: {operation.name}: began {began}, {operation.seconds:.0f} s"
        yield from (f"  {failure}" for failure in operation.failures)
    else:
        why = "nothing was ever made under it" if stack.is_draft else "CloudFormation has no events of it any more"
        yield f"{stack.name}: {stack.status}: {why}"
    found = list(resources(stack.id))
    yield from tasks(found)
    yield from users(stack)
    yield from handlers(found)
    yield from alarms(of_type(found, "AWS::CloudWatch::Alarm"))


def of_type(found: list[Resource], prefix: str) -> list[Resource]:
    """The resources of a type, or of several that begin alike."""
    return [it for it in found if it.type.startswith(prefix) and it.id]


def when(time: datetime) -> str:
    """A time, as people here read it."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def described(found: list[Resource]) -> dict[str, dict[str, Any] | None]:
    """The tasks among resources as DMS describes them, by their names in the template; None where it knows none."""
    dms, known = client("dms"), {}
    found = of_type(found, "AWS::DMS::ReplicationTask")
    for at in range(0, len(found), PAGE):
        filters = [{"Name": "replication-task-arn", "Values": [it.id for it in found[at : at + PAGE]]}]
        pages = dms.get_paginator("describe_replication_tasks").paginate(Filters=filters, WithoutSettings=True)
        try:
            known |= {task["ReplicationTaskArn"]: task for task in pages.search("ReplicationTasks[]")}
        except dms.exceptions.ResourceNotFoundFault:
            # It knows none of them.
            continue
    return {it.name: known.get(it.id) for it in found}


def tasks(found: list[Resource]) -> Iterator[str]:
    """Each task: its status, why it stopped, its mark and its latency."""
    all_tasks = described(found)
    there = [task for task in all_tasks.values() if task]
    latency, marked = {}, {}
    for at in range(0, len(there), PAGE):
        latency |= latencies(there[at : at + PAGE])
        marked |= marks(there[at : at + PAGE])
    for name, task in all_tasks.items():
        if task is None:
            yield f"  task {name}: DMS does not know it"
            continue
        arn = task["ReplicationTaskArn"]
        parts = [task["Status"]]
        if task["Status"] != "running":
            parts += [task[key] for key in ("StopReason", "LastFailureMessage") if task.get(key)]
        if arn in marked:
            parts.append(f"paused by {' and '.join(sorted(marked[arn]))}, to be resumed")
        parts += [f"{name} {seconds:.0f} s" for name, seconds in latency.get(arn, {}).items()]
        if task["Status"] == "running" and arn not in latency:
            parts.append(f"no latency reported in {RECENT.seconds // 60} minutes")
        yield f"  task {task['ReplicationTaskIdentifier']} ({name}): {', '.join(parts)}"


def users(stack: Stack) -> Iterator[str]:
    """The stacks that import what this one exports, such as the handlers."""
    found = set().union(*importers(stack).values())
    if found:
        yield f"  used by: {', '.join(sorted(found))}"


def marks(tasks: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Who paused the tasks that are marked, by their ARNs."""
    if not tasks:
        return {}
    arns = [task["ReplicationTaskArn"] for task in tasks]
    found: dict[str, list[str]] = {}
    for tag in client("dms").list_tags_for_resource(ResourceArnList=arns)["TagList"]:
        if tag["Key"].startswith(MARK):
            # A key that names no request has the name as its value.
            request = tag["Key"].removeprefix(MARK).removeprefix(":") or tag["Value"]
            found.setdefault(tag["ResourceArn"], []).append(request)
    return found


@dataclass(frozen=True)
class Metric:
    """A latency of a task."""

    arn: str
    name: str
    instance: str

    def query(self, number: int) -> dict[str, Any]:
        """It, as GetMetricData takes it."""
        dimensions = {
            "ReplicationInstanceIdentifier": self.instance,
            # Not the task's name: what DMS has made up for its ARN.
            "ReplicationTaskIdentifier": self.arn.rpartition(":")[2],
        }
        metric = {
            "Namespace": "AWS/DMS",
            "MetricName": self.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        }
        return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}


def latencies(tasks: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The newest latencies by task, where there are any."""
    if not tasks:
        return {}
    pages = client("dms").get_paginator("describe_replication_instances").paginate()
    instances = {
        it["ReplicationInstanceArn"]: it["ReplicationInstanceIdentifier"]
        for it in pages.search("ReplicationInstances[]")
    }
    metrics = [
        Metric(task["ReplicationTaskArn"], name, instances.get(task["ReplicationInstanceArn"], ""))
        for task in tasks
        for name in LATENCIES
    ]
    now = datetime.now(timezone.utc)
    pages = (
        client("cloudwatch")
        .get_paginator("get_metric_data")
        .paginate(
            MetricDataQueries=[metric.query(number) for number, metric in enumerate(metrics)],
            StartTime=now - RECENT,
            EndTime=now,
            ScanBy="TimestampDescending",
        )
    )
    found: dict[str, dict[str, float]] = {}
    for result in pages.search("MetricDataResults[]"):
        metric = metrics[int(result["Id"][1:])]
        if result["Values"]:
            found.setdefault(metric.arn, {}).setdefault(metric.name, result["Values"][0])
    return found


def handlers(found: list[Resource]) -> Iterator[str]:
    """What CloudFormation heard last of each custom resource, and what each function's log ends with."""
    for it in of_type(found, "Custom::"):
        reason = f": {it.reason}" if it.reason and "FAILED" in it.status else ""
        yield f"  {it.name}: {it.status} since {when(it.changed)}{reason}"
    for group in of_type(found, "AWS::Logs::LogGroup"):
        line = last_line(group.id)
        if line:
            yield f"  log of {group.name.removesuffix('LogGroup')}: {line}"


def last_line(group: str) -> str:
    """The newest line of a log that a handler wrote, with its time; empty if there is none."""
    logs = client("logs")
    newest = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
    for stream in newest["logStreams"]:
        said = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], limit=50)["events"]
        for event in reversed(said):
            line = event["message"].strip()
            if line and not ROUTINE.match(line):
                time = datetime.fromtimestamp(event["timestamp"] / 1000, timezone.utc)
                return f"{when(time)} {SPANS.sub('', line, count=1)}"
    return ""


def alarms(found: list[Resource]) -> Iterator[str]:
    """The alarms that ring."""
    if not found:
        return
    names = [it.id for it in found]
    pages = client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNames=names, StateValue="ALARM")
    ringing = list(pages.search("MetricAlarms[]"))
    for alarm in ringing:
        yield f"  ALARM {alarm['AlarmName']}: {alarm['StateReason']}"
    if not ringing:
        yield f"  alarms: none of {len(names)} rings"
