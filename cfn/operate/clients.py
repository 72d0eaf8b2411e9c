"""Clients of AWS, or of whatever AWS_ENDPOINT_URL names."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# Following a stack is many small calls, and an account shares one limit: a call that is throttled waits and goes on.
CONFIG = Config(retries={"mode": "standard", "max_attempts": 10}, connect_timeout=10)


@cache
def client(service: str) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
    """The client of a service."""
    return boto3.client(service, config=CONFIG)
