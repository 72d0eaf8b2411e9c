"""What a command is told: the Makefile's variables, which come by the environment."""

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from failure import Failure


@dataclass(frozen=True)
class Settings:
    """The variables, read."""

    stack: str
    database_stack: str
    archive_stack: str
    examples_stack: str
    database_name: str
    architecture: str
    bucket: str
    packaged: Path
    """The folder with the templates that `make package` has written."""
    parameters: dict[str, str]
    """Parameters of either template."""
    ssl_ca: str
    yes: bool

    @classmethod
    def of_environment(cls) -> "Settings":
        """Read the environment. Failure if something in it makes no sense."""
        given = os.environ.get
        authority = given("SSL_CA")
        return cls(
            stack=given("STACK") or "sluice-stream",
            database_stack=given("DATABASE_STACK") or "sluice-database",
            archive_stack=given("ARCHIVE_STACK") or "sluice-archive",
            examples_stack=given("EXAMPLES_STACK") or "sluice-examples",
            database_name=given("DATABASE_NAME", ""),
            architecture=given("ARCH") or "x86_64",
            bucket=given("BUCKET", ""),
            packaged=Path(given("PACKAGED") or "target/cfn"),
            parameters={
                **of_file(given("PARAMETERS_FILE", "")),
                **of_words(given("PARAMETERS", "")),
            },
            ssl_ca=text("SSL_CA", authority) if authority else "",
            yes=given("YES", "") == "1",
        )


def of_words(words: str) -> dict[str, str]:
    """Name=Value words, quoted as for a shell."""
    try:
        pairs = [word.partition("=") for word in shlex.split(words)]
    except ValueError as error:
        raise Failure(f"PARAMETERS: {error}") from None
    for name, equals, _ in pairs:
        if not (name and equals):
            raise Failure(f"PARAMETERS: {name!r} is not of the form Name=Value")
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
