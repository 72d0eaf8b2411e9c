"""Templates, read as far as the commands need it."""

import hashlib
from typing import Any

import yaml
from clients import client
from failure import Failure

# What CloudFormation takes in a call; what is larger it fetches from S3.
LARGEST_BODY = 51_200

Template = dict[str, Any]


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, which become the long forms: `!Ref A` is `{"Ref": "A"}`."""


def long_form(loader: Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    """A short tag's long form."""
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", long_form)


def read(source: str | Template) -> Template:
    """A template, as text or as boto3 gives it."""
    return yaml.load(source, Loader) if isinstance(source, str) else source  # noqa: S506  it is a SafeLoader


def parameters(source: str | Template) -> dict[str, dict[str, Any]]:
    """A template's parameters."""
    return read(source).get("Parameters", {})


def outputs(source: str | Template) -> dict[str, dict[str, Any]]:
    """A template's outputs."""
    return read(source).get("Outputs", {})


def source(text: str, bucket: str) -> dict[str, str]:
    """A template as the calls take it: its text, or the place in the bucket where a large one is put."""
    body = text.encode()
    if len(body) <= LARGEST_BODY:
        return {"TemplateBody": text}
    if not bucket:
        raise Failure(f"the template has {len(body)} bytes: name the bucket to put it in (BUCKET=…)")
    s3, key = client("s3"), f"{hashlib.sha256(body).hexdigest()}.template"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return {"TemplateURL": f"{s3.meta.endpoint_url}/{bucket}/{key}"}
