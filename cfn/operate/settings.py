"""What a command is told: the Makefile's variables, which come by the environment."""

import json
import os
import shlex
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from failure import Failure

TEMPLATES = Path(__file__).parents[1]

# Each kind of stack with the variable that names it, and the name by default. Each is made from cfn/<kind>.yaml.
STACKS = {
    "handlers": ("HANDLERS_STACK", "sluice"),
    "database": ("DATABASE_STACK", "sluice-database"),
    "db-init": ("DB_INIT_STACK", "sluice-db-init"),
    "stream": ("STACK", "sluice-stream"),
    "archive": ("ARCHIVE_STACK", "sluice-archive"),
    "examples": ("EXAMPLES_STACK", "sluice-examples"),
}


@dataclass(frozen=True)
class Settings:
    """The variables, read."""

    names: dict[str, str]
    """The stacks' names, by kind."""
    bucket: str
    packaged: Path
    """The folder with the templates that `make package` has written."""
    own_template: Path | None
    """The template of the stream's stack, where it is not Sluice's."""
    migrations: str
    """The folder with the files of db-init's migrations; empty for none."""
    parameters: dict[str, str]
    """Parameters of any template."""
    common: dict[str, str]
    """Parameters that each template gets that has one of the name."""
    role: str
    """The role that CloudFormation works as; empty for that of whoever calls."""
    tags: dict[str, str]
    """Tags of the stacks."""
    yes: bool
    express: bool
    """Whether stacks that may are deployed in express mode."""

    @classmethod
    def of_environment(cls) -> "Settings":
        """Read the environment. Failure if something in it makes no sense."""
        given = os.environ.get
        template = Path(given("TEMPLATE") or TEMPLATES / "stream.yaml").resolve()
        database, authority = given("DATABASE_NAME", ""), given("SSL_CA", "")
        common = {
            "Architecture": given("ARCH") or "x86_64",
            # A fresh one: CloudFormation calls DmsPre only if one of its properties changes.
            "DeploymentId": f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}",
            "DatabaseName": database,
            "SslCa": text("SSL_CA", authority) if authority else "",
        }
        return cls(
            names={kind: given(variable) or name for kind, (variable, name) in STACKS.items()},
            bucket=given("BUCKET", ""),
            packaged=Path(given("PACKAGED") or "target/cfn"),
            own_template=None if template == TEMPLATES.resolve() / "stream.yaml" else template,
            migrations=given("MIGRATIONS", ""),
            parameters={
                **of_file(given("PARAMETERS_FILE", "")),
                **of_words("PARAMETERS", given("PARAMETERS", "")),
            },
            common={name: value for name, value in common.items() if value},
            role=given("ROLE_ARN", ""),
            tags=of_words("TAGS", given("TAGS", "")),
            yes=given("YES", "") == "1",
            express=switch("EXPRESS", given("EXPRESS", "")),
        )

    @property
    def role_and_tags(self) -> dict[str, Any]:
        """The role and the tags, as the calls take them. What isn't given stays as it is."""
        tags = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        return {name: given for name, given in (("RoleARN", self.role), ("Tags", tags)) if given}

    @property
    def stack(self) -> str:
        """The name of the stream's stack."""
        return self.names["stream"]

    def source(self, kind: str) -> Path:
        """The file with the template of a kind of stack."""
        return self.own_template if kind == "stream" and self.own_template else TEMPLATES / f"{kind}.yaml"

    def template(self, kind: str) -> str:
        """The template of a kind of stack, as it was packaged; as it is, if it was not. Failure if there is none."""
        path = self.packaged / f"{kind}.yaml"
        return text("TEMPLATE", str(path if path.exists() else self.source(kind)))


def switch(variable: str, value: str) -> bool:
    """Whether a variable is on. Failure if it can't be told."""
    if value not in {"", "0", "1"}:
        raise Failure(f"{variable} is {value!r}: 1 or nothing")
    return value == "1"


def of_words(variable: str, words: str) -> dict[str, str]:
    """Name=Value words, quoted as for a shell."""
    try:
        pairs = [word.partition("=") for word in shlex.split(words)]
    except ValueError as error:
        raise Failure(f"{variable}: {error}") from None
    for name, equals, _ in pairs:
        if not (name and equals):
            raise Failure(f"{variable}: {name!r} is not of the form Name=Value")
    return {name: value for name, _, value in pairs}


def of_file(path: str) -> dict[str, str]:
    """A JSON object, name by name."""
    if not path:
        return {}
    try:
        found = json.loads(text("PARAMETERS_FILE", path))
    except json.JSONDecodeError as error:
        raise Failure(f"PARAMETERS_FILE: {path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Failure(f"PARAMETERS_FILE: {path} holds no JSON object")
    for name, value in found.items():
        if value is None:
            raise Failure(f"PARAMETERS_FILE: {name} is null in {path}: leave it out to keep its value")
    return {name: value_of(value) for name, value in found.items()}


def value_of(value: object) -> str:
    """A value as CloudFormation takes it: a list with commas, an object as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(map(value_of, value))
    return json.dumps(value, separators=(",", ":"))


def text(variable: str, path: str) -> str:
    """What a file holds that a variable names."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{variable}: {error}") from None
