"""Where the commands work: in whose account, in which region, with which bucket."""

import os

from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError
from clients import client
from failure import Failure

# Whoever has forgotten something hears of it at once, and not after ten tries.
CONFIG = Config(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=5)


def name() -> str:
    """The account and the region, in words. Failure if they can't be told: then nothing else can be done either."""
    try:
        sts = client("sts", CONFIG)
        if not sts.meta.region_name:
            # It is set, to nothing.
            raise NoRegionError
        account = sts.get_caller_identity()["Account"]
    except NoRegionError:
        raise Failure("No region: set AWS_REGION, or a region in the profile") from None
    except NoCredentialsError:
        raise Failure(
            "No credentials: log in (aws configure, aws sso login), name a profile (AWS_PROFILE), or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    except ClientError as error:
        raise Failure(f"AWS does not take these credentials: {error.response['Error']['Message']}") from None
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return f"account {account}, {sts.meta.region_name}{f', at {endpoint}' if endpoint else ''}"


def check_bucket(bucket: str) -> None:
    """Failure if the functions can't be uploaded there for Lambda to take."""
    if not bucket:
        raise Failure("Name the bucket for the functions: BUCKET=my-artifacts")
    s3 = client("s3", CONFIG)
    try:
        found = s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        # S3 says no more than the number.
        number = error.response["Error"]["Code"]
        if number == "403":
            # Who may not look at it may still be allowed to write to it: the upload tells.
            return
        why = f" is not there: aws s3 mb s3://{bucket}" if number == "404" else f": {error}"
        raise Failure(f"Bucket {bucket}{why}") from None
    region = found.get("BucketRegion") or s3.meta.region_name
    if region != s3.meta.region_name:
        raise Failure(
            f"Bucket {bucket} is in {region}: Lambda takes functions from its own region only, {s3.meta.region_name}"
        )
