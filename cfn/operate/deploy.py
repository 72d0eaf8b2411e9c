"""Deploying a stack: a change set, executed and followed to its end."""

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import events
import templates
from botocore.exceptions import ClientError
from change_sets import ChangeSet, deletion
from clients import client
from failure import Failure
from settings import Settings
from stacks import Stack

# The stream's parameters, by the outputs of the database's stack that they are taken from.
OUTPUTS = {
    "VpcId": "VpcId",
    "SubnetIds": "PrivateSubnetIds",
    "SecurityGroupIds": "StreamSecurityGroupId",
    "SourceSecretArn": "SecretArn",
    "SchemaName": "DatabaseName",
}

# The roles that DMS knows by name, each once in an account, by the stream's parameters that say whether to make them.
ROLES = {"CreateDmsVpcRole": "dms-vpc-role", "CreateDmsLogsRole": "dms-cloudwatch-logs-role"}

# The archive's parameters that are outputs of the stream's stack under the same names.
FOR_ARCHIVE = ("StreamArn", "StreamKeyArn", "AlarmTopicArn")

# The examples' parameters, by the parameters of the stream's stack that they are taken from.
FOR_ROW_WRITER = {"SubnetIds": "SubnetIds", "SecurityGroupIds": "SecurityGroupIds", "DatabaseName": "SchemaName"}

TEMPLATES = Path(__file__).parents[1]


@dataclass(frozen=True)
class Deployment:
    """A stack as it is to be."""

    stack: str
    template: str
    capability: str
    parameters: dict[str, str]
    bucket: str

    def change_set(self) -> ChangeSet | None:
        """The change set that brings the stack there; None if it is there."""
        return ChangeSet.create(self.stack, self.template, self.parameters, self.capability, self.bucket)

    def run(self) -> None:
        """Bring the stack there."""
        change_set = self.change_set()
        if change_set is None:
            print(f"{self.stack}: nothing to change")
            return
        before = events.newest(change_set.stack_id)
        change_set.execute()
        ended(self.stack, events.follow(change_set.stack_id, before), {"CREATE_COMPLETE", "UPDATE_COMPLETE"})
        stack = Stack.find(change_set.stack_id)
        for name, value in sorted(stack.outputs.items() if stack else ()):
            print(f"  {name:<24} {value}")


def ended(stack: str, operation: events.Operation, wanted: set[str]) -> None:
    """Tell how an operation ended. Failure, with what failed first, if not in a status that was wanted."""
    status = operation.end.status if operation.end else "nothing"
    summary = f"{stack}: {status} after {operation.seconds:.0f} s"
    if status not in wanted:
        raise Failure("\n  ".join([summary, *operation.failures, *advice(stack, status, operation)]))
    print(summary)


def advice(stack: str, status: str, operation: events.Operation) -> list[str]:
    """What to know and do after an operation that failed."""
    if status == "ROLLBACK_COMPLETE":
        return [f"nothing is left but its name, and that is in the way: {deletion(stack)}"]
    if status in {"UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"}:
        return [f"what to do: docs/troubleshooting.md, {status}"]
    if any(event.resource == "DmsPre" for event in operation.events):
        return ["a task that was paused for it is being resumed: make status"]
    return []


def database(settings: Settings) -> Deployment:
    """The database's stack."""
    template = templates.packaged(settings.packaged / "database.yaml")
    named = {"DatabaseName": settings.database_name, "SslCa": settings.ssl_ca}
    return Deployment(
        stack=settings.database_stack,
        template=template,
        capability="CAPABILITY_IAM",
        parameters={
            "Architecture": settings.architecture,
            **{name: value for name, value in named.items() if value},
            **known(settings, template),
        },
        bucket=settings.bucket,
    )


def stream(settings: Settings) -> Deployment:
    """The stream's stack. Failure if nobody says where its database is."""
    template = templates.packaged(settings.packaged / "stream.yaml")
    given = known(settings, template)
    return Deployment(
        stack=settings.stack,
        template=template,
        # The name is dms-vpc-role's.
        capability="CAPABILITY_NAMED_IAM",
        parameters={
            "Architecture": settings.architecture,
            # A fresh one: CloudFormation calls DmsPre only if one of its properties changes.
            "DeploymentId": f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}",
            **source(settings, template),
            **roles(settings, template),
            **given,
        },
        bucket=settings.bucket,
    )


def archive(settings: Settings) -> Deployment:
    """The archive's stack. Failure if nobody says which stream it is of."""
    template = templates.packaged(settings.packaged / "archive.yaml")
    stream = Stack.find(settings.stack)
    taken = {name: stream.outputs[name] for name in FOR_ARCHIVE if name in stream.outputs} if stream else {}
    given = known(settings, template)
    if not (taken or "StreamArn" in given or Stack.find(settings.archive_stack)):
        raise Failure(
            f"{settings.archive_stack} needs a stream: deploy {settings.stack} first (make deploy-stream), or name one "
            "(StreamArn in PARAMETERS)"
        )
    return Deployment(
        stack=settings.archive_stack,
        template=template,
        capability="CAPABILITY_IAM",
        parameters=given if "StreamArn" in given else {**taken, **given},
        bucket=settings.bucket,
    )


def examples(settings: Settings) -> Deployment:
    """The examples' stack. Failure if there is no stream to consume."""
    template = templates.packaged(settings.packaged / "examples.yaml")
    stream, database = Stack.find(settings.stack), Stack.find(settings.database_stack)
    if not (stream and "StreamArn" in stream.outputs):
        raise Failure(f"{settings.examples_stack} needs a stream: deploy {settings.stack} first (make deploy-stream)")
    taken = {name: stream.outputs[name] for name in ("StreamArn", "StreamKeyArn") if name in stream.outputs}
    taken |= {name: stream.parameters[theirs] for name, theirs in FOR_ROW_WRITER.items()}
    # In a database that the stream doesn't read, nobody would see the rows.
    if database and database.outputs.get("VpcId") == stream.parameters["VpcId"]:
        taken["SecretArn"] = database.outputs["MasterSecretArn"]
    if settings.ssl_ca:
        taken["SslCa"] = settings.ssl_ca
    return Deployment(
        stack=settings.examples_stack,
        template=template,
        capability="CAPABILITY_IAM",
        parameters={"Architecture": settings.architecture, **taken, **known(settings, template)},
        bucket=settings.bucket,
    )


def source(settings: Settings, template: str) -> dict[str, str]:
    """Where the stream's database is, if it is the database's stack that says so."""
    anchor = database_parameter(settings, template)
    if not anchor:
        return {}
    stream, database = Stack.find(settings.stack), Stack.find(settings.database_stack)
    is_new = stream is None or not stream.parameters
    if database and set(OUTPUTS.values()) <= database.outputs.keys():
        # A stream beside a database of one's own stays there, whatever other stacks there are.
        if is_new or stream.parameters.get(anchor) == database.outputs[OUTPUTS[anchor]]:
            return {name: database.outputs[output] for name, output in OUTPUTS.items()}
    elif is_new:
        raise Failure(
            f"{settings.stack} needs a database: deploy {settings.database_stack} first (make deploy), or "
            f"name your own ({', '.join(OUTPUTS)} in PARAMETERS)"
        )
    return {}


def database_parameter(settings: Settings, template: str) -> str | None:
    """The parameter by which a stream's template is tied to the database's stack.

    None if PARAMETERS give it, which then is a database of one's own, or if the template has none.
    """
    has = parameters(template)
    anchor = next((name for name in OUTPUTS if name in has), None)
    return None if anchor in settings.parameters else anchor


def roles(settings: Settings, template: str) -> dict[str, str]:
    """Which roles a new stack need not make, since the account has them."""
    stream = Stack.find(settings.stack)
    if stream and stream.parameters:
        return {}
    found = {}
    for parameter, role in ROLES.items():
        if parameter in settings.parameters or parameter not in parameters(template):
            continue
        try:
            client("iam").get_role(RoleName=role)
        except ClientError:
            # It is not there, or nobody may look.
            continue
        print(f"{settings.stack}: the account has {role} already: {parameter}=false")
        found[parameter] = "false"
    return found


def known(settings: Settings, template: str) -> dict[str, str]:
    """The parameters that this template has. Failure if one belongs to none."""
    names = set(parameters(template))
    others = settings.parameters.keys() - names
    # The stream's may be one of your own.
    for path in (*TEMPLATES.glob("*.yaml"), *settings.packaged.glob("*.yaml")):
        others -= set(parameters(path.read_text(encoding="utf-8")))
    if others:
        raise Failure(f"no template has a parameter {', '.join(sorted(others))}")
    return {name: value for name, value in settings.parameters.items() if name in names}


def parameters(template: str) -> list[str]:
    """The names of a template's parameters."""
    return list(templates.read(template).get("Parameters", {}))
