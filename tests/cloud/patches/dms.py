"""AWS::DMS::*, through DMS's own API, as CloudFormation does it.

CloudFormation never starts or stops a task. It modifies one in place if it can,
and DMS refuses that while the task runs: then the resource's update has failed.
Which properties replace a resource: the "Update requires" of each property in
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/AWS_DMS.html
"""

import os
import re
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from ministack.core.responses import get_region
from ministack.services.cloudformation import provisioners

from patches.express import is_express
from patches.stack_operations import CreateFailed, fails_half_way, replaces, takes_time

REPLACING = {
    "AWS::DMS::Endpoint": ("KmsKeyId", "ResourceIdentifier"),
    "AWS::DMS::ReplicationInstance": (
        "KmsKeyId", "PubliclyAccessible", "ReplicationSubnetGroupIdentifier", "ResourceIdentifier"),
    "AWS::DMS::ReplicationSubnetGroup": ("ReplicationSubnetGroupIdentifier",),
    "AWS::DMS::ReplicationTask": (
        "MigrationType", "ReplicationInstanceArn", "ResourceIdentifier", "SourceEndpointArn", "TargetEndpointArn"),
}

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 900
# In express mode, how long a call is repeated that DMS refuses since what it needs is not ready yet.
REPEATS_SECONDS = 60
# How long a description may trail a modification: longer than the stand-in's does.
LAG_SECONDS = 3

# Whether the update of a task compares the template's tags with those that it has, and not with the old template's. The
# registry's schema of the type lets its handler do either; which of the two AWS's does is not documented.
RECONCILES_TAGS = os.environ.get("SLUICE_RECONCILES_TAGS") == "1"

# Regions' clients: making one takes a noticeable fraction of a second.
_clients: dict = {}
# Modifications that DMS refused: ARN -> the (old, new) properties CloudFormation asked for.
_refused: dict = {}


def install() -> None:
    """Register the service and the types: ministack has none of DMS's."""
    replaces(REPLACING)
    takes_time("AWS::DMS::")
    fails_half_way("AWS::DMS::")
    for kind in (Kind("ReplicationTask", filter_name="replication-task-arn", ready="ready"),
                 Kind("Endpoint", filter_name="endpoint-arn", ready="active"),
                 Kind("ReplicationInstance", filter_name="replication-instance-arn", ready="available"),
                 Kind("ReplicationSubnetGroup", filter_name="replication-subnet-group-id", ready="Complete")):
        provisioners._STACK_TAG_PROPERTY[kind.type] = ("Tags", "list")
        provisioners._RESOURCE_HANDLERS[kind.type] = {
            "create": kind.create, "update": kind.update, "delete": kind.delete,
        }


def client():
    """DMS, as the stack's region sees it."""
    region = get_region()
    if region not in _clients:
        _clients[region] = boto3.client(
            "dms", region_name=region, endpoint_url=os.environ["SLUICE_DMS_ENDPOINT"],
            config=Config(retries={"mode": "standard", "total_max_attempts": 8}))
    return _clients[region]


def call(operation: str, **parameters) -> dict:
    """One call of DMS, its refusal worded as in a stack's events."""
    try:
        return client()._make_api_call(operation, parameters)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        raise DmsError(code, f"{message} (Service: AWSDatabaseMigrationService; Status Code: 400; "
                             f"Error Code: {code})") from None


def call_when_ready(operation: str, **parameters) -> dict:
    """One call; in express mode, again while DMS refuses it for the state of something that nobody has waited for."""
    until = time.monotonic() + REPEATS_SECONDS
    while True:
        try:
            return call(operation, **parameters)
        except DmsError as error:
            if not is_express() or error.code != "InvalidResourceStateFault" or time.monotonic() > until:
                raise
        time.sleep(POLL_SECONDS)


class DmsError(ValueError):
    """A call that DMS refused."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class Kind:
    """One type of DMS resource. Its operations are named after it."""

    def __init__(self, name: str, filter_name: str, ready: str):
        self.name, self.filter_name, self.ready = name, filter_name, ready
        self.type = f"AWS::DMS::{name}"
        self.is_group = name == "ReplicationSubnetGroup"
        self.identifier = f"{name}Identifier"
        self.key = self.identifier if self.is_group else f"{name}Arn"
        self.status = "SubnetGroupStatus" if self.is_group else \
            "ReplicationInstanceStatus" if name == "ReplicationInstance" else "Status"

    def create(self, logical_id: str, props: dict, stack_name: str) -> tuple:
        """Create, and wait until it can be used, except in express mode."""
        operation = f"Create{self.name}"
        parameters = call_parameters(client(), operation, self.type, props)
        parameters.setdefault(self.identifier, generated_identifier(stack_name, logical_id))
        parameters["Tags"] = tag_list(props)
        created = call_when_ready(operation, **parameters)[self.name]
        physical_id = created[self.key]
        if is_express():
            return physical_id, self.attributes(created)
        try:
            return physical_id, self.attributes(self.wait(physical_id, {"creating", "testing"}, {self.ready}))
        except ValueError as error:
            raise CreateFailed(physical_id, str(error)) from None

    def update(self, physical_id: str, old: dict, new: dict, stack_name: str) -> tuple:
        """Modify in place what differs, and wait until it is done, except in express mode."""
        changed = {name: value for name, value in new.items() if name != "Tags" and old.get(name) != value}
        putting_back = _refused.pop(physical_id, None) == (new, old)
        if changed:
            parameters = call_parameters(client(), f"Modify{self.name}", self.type, changed)
            parameters[self.key] = physical_id
            if self.name == "ReplicationInstance":
                parameters["ApplyImmediately"] = True
            try:
                modified = call_when_ready(f"Modify{self.name}", **parameters)[self.name]
            except DmsError:
                # A rollback puts back what was refused: if that is refused too, nothing had changed.
                if not putting_back:
                    _refused[physical_id] = (old, new)
                    raise
            else:
                if not is_express():
                    self.wait(physical_id, {"modifying", "upgrading"}, None, announced=modified.get(self.status))
        self.retag(physical_id, provisioners._tag_map(old.get("Tags")), provisioners._tag_map(new.get("Tags")))
        return physical_id, self.attributes(self.describe(physical_id) or {})

    def delete(self, physical_id: str, props: dict) -> None:
        """Delete, and wait until it is gone, except in express mode."""
        try:
            call_when_ready(f"Delete{self.name}", **{self.key: physical_id})
        except DmsError as error:
            if error.code != "ResourceNotFoundFault":
                raise
        if not is_express():
            self.wait(physical_id, {"deleting"}, set(), gone=True)

    def describe(self, physical_id: str) -> dict | None:
        """What DMS says of it, None if there is none."""
        try:
            page = call(f"Describe{self.name}s",
                        Filters=[{"Name": self.filter_name, "Values": [physical_id]}],
                        **({"WithoutSettings": True} if self.name == "ReplicationTask" else {}))
        except DmsError as error:
            if error.code == "ResourceNotFoundFault":
                return None
            raise
        return next(iter(page[f"{self.name}s"]), None)

    def wait(self, physical_id: str, pending: set, wanted: set | None, gone: bool = False, announced="") -> dict:
        """Poll while the status is one of `pending`; then it must be one of `wanted` (None: any).

        If the call itself has `announced` a pending status, a description without it may be an old one.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        doubtful_until = time.monotonic() + LAG_SECONDS if announced in pending else 0.0
        while True:
            seen = self.describe(physical_id)
            # Subnet groups and, in some answers, endpoints carry no status: they are ready at once.
            status = seen and seen.get(self.status, self.ready)
            if seen is None and gone:
                return {}
            if seen is None:
                raise ValueError(f"{physical_id} disappeared")
            if status in pending:
                doubtful_until = 0.0
            elif not gone and time.monotonic() > doubtful_until:
                break
            if time.monotonic() > deadline:
                raise ValueError(f"{physical_id} did not stabilize: it is {status}")
            time.sleep(POLL_SECONDS)
        if wanted is not None and status not in wanted:
            reason = seen.get("LastFailureMessage") or seen.get("StopReason") or "no reason given"
            raise ValueError(f"{physical_id} is {status}: {reason}")
        return seen

    def retag(self, physical_id: str, old: dict, new: dict) -> None:
        """Apply the difference of the template's tags. Tags that others put on stay, unless tags are reconciled."""
        arn = physical_id
        if self.is_group:
            arn = f"arn:aws:dms:{get_region()}:{provisioners.get_account_id()}:subgrp:{physical_id}"
        if self.name == "ReplicationTask" and RECONCILES_TAGS:
            old = {tag["Key"]: tag["Value"] for tag in call("ListTagsForResource", ResourceArn=arn)["TagList"]}
        old, new = own_tags(old), own_tags(new)
        if old.keys() - new.keys():
            call("RemoveTagsFromResource", ResourceArn=arn, TagKeys=sorted(old.keys() - new.keys()))
        changed = [{"Key": key, "Value": value} for key, value in new.items() if old.get(key) != value]
        if changed:
            call("AddTagsToResource", ResourceArn=arn, Tags=changed)

    def attributes(self, seen: dict) -> dict:
        """The Fn::GetAtt attributes."""
        names = {"ReplicationInstance": ("ReplicationInstancePrivateIpAddresses",
                                         "ReplicationInstancePublicIpAddresses"),
                 "Endpoint": ("ExternalId",)}.get(self.name, ())
        return {name: seen[name] for name in names if name in seen}


def generated_identifier(stack_name: str, logical_id: str) -> str:
    """An identifier by DMS's rules: lower case, no two hyphens in a row, none at the end."""
    name = provisioners._physical_name(stack_name, logical_id, lowercase=True, max_len=60)
    return re.sub(r"-+", "-", name).strip("-")


def own_tags(tags: dict) -> dict:
    """Tags without the aws: ones, which no caller may set."""
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


def tag_list(props: dict) -> list:
    """The tags to create a resource with."""
    return [{"Key": key, "Value": value} for key, value in own_tags(provisioners._tag_map(props.get("Tags"))).items()]


def call_parameters(client, operation: str, rtype: str, props: dict) -> dict:
    """The properties that `operation` takes, by its own names and types.

    A template may say "3306" for a number and "true" for a truth value, and writes
    some names differently (MySqlSettings for MySQLSettings). A property that no
    operation of the type takes is a mistake in the template.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    known = all_names(client, rtype)
    unknown = [name for name in props if name.lower() not in known]
    if unknown:
        raise ValueError(f"Encountered unsupported property {unknown[0]} in {rtype}")
    return convert(shape, {name: value for name, value in props.items() if name != "Tags"})


def all_names(client, rtype: str) -> set:
    """What the type's Create and Modify take, in lower case."""
    name = rtype.rsplit("::", 1)[-1]
    return {
        member.lower() for verb in ("Create", "Modify")
        for member in client.meta.service_model.operation_model(verb + name).input_shape.members
    }


def convert(shape, value):
    """`value` in the type that `shape` asks for; members that it lacks are left out."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = {name.lower(): name for name in shape.members}
        return {
            members[name.lower()]: convert(shape.members[members[name.lower()]], item)
            for name, item in value.items() if name.lower() in members and item is not None
        }
    if kind == "list" and isinstance(value, list):
        return [convert(shape.member, item) for item in value]
    if kind == "boolean":
        return str(value).lower() == "true"
    if kind in ("integer", "long"):
        return int(value)
    if kind == "timestamp":
        return float(value)
    if kind == "string" and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value
