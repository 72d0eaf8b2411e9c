"""Clients of AWS, or of whatever AWS_ENDPOINT_URL names."""

from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.utils import JSONFileCache

# Following a stack is many small calls, and an account shares one limit: a call that is throttled waits and goes on.
CONFIG = Config(retries={"mode": "standard", "max_attempts": 10}, connect_timeout=10)

# Where the AWS CLI keeps the credentials of the roles that profiles assume.
ROLES_CACHE = "~/.aws/cli/cache"


@cache
def session() -> boto3.Session:
    """The session that all clients share.

    It shares assumed roles with the AWS CLI, and with the programs that `make` starts before and after this one: a
    profile with MFA asks for its code once, and not in each of them.
    """
    found = botocore.session.get_session()
    roles = found.get_component("credential_provider").get_provider("assume-role")
    roles.cache = JSONFileCache(str(Path(ROLES_CACHE).expanduser()))
    return boto3.Session(botocore_session=found)


@cache
def client(service: str, config: Config = CONFIG) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
    """The client of a service."""
    return session().client(service, config=config)
