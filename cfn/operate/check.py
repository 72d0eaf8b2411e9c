"""Checking a template that has Sluice in it: what would leave a stream unpaused, dead or paused for nothing.

It reads the template alone, and needs no account and no network. docs/own-template.md says what it looks for.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import templates
import yaml
from failure import Failure
from references import Reference, Resource, attribute, depends, references
from settings import text

PRE, POST = "Custom::DmsPre", "Custom::DmsPost"
TASKS = {"AWS::DMS::ReplicationTask", "AWS::DMS::ReplicationConfig"}

# Seconds that a handler has to answer in; after less, CloudFormation gives up before the last words can be heard.
LEAST_TIMEOUT = 1800

# Types whose `Arn` is whatever their handler or their template says; of all others it stays as long as they do.
ARN_MAY_CHANGE = ("Custom::", "AWS::CloudFormation::")


@dataclass(frozen=True)
class Finding:
    """What is wrong with a template, where, and what to do."""

    text: str
    is_error: bool = True

    def __str__(self) -> str:
        """One line."""
        return f"{'error' if self.is_error else 'warning'}: {self.text}"


class Sluice:
    """A template's resources, sorted by what they are to Sluice."""

    def __init__(self, template: dict[str, Any]) -> None:
        """Sort what a template holds, in long forms."""
        self.template = template
        self.resources: dict[str, Resource] = {
            name: it
            for name, it in template["Resources"].items()
            if isinstance(it, dict) and isinstance(it.get("Type"), str)
        }
        self.pre, self.post, self.dms = map(self.of, (PRE, POST, "AWS::DMS::*"))

    def of(self, pattern: str) -> list[str]:
        """The names of the resources of a type, or of some."""
        return [name for name, it in self.resources.items() if fnmatchcase(it["Type"], pattern)]

    def called(self, name: str) -> str:
        """A resource, for people."""
        return f"{name} ({self.resources[name]['Type']})"

    def properties(self, name: str) -> dict[str, Any]:
        """A resource's properties."""
        found = self.resources[name].get("Properties")
        return found if isinstance(found, dict) else {}

    def conditions(self, *names: str) -> set[str]:
        """The conditions that hold where all of these resources are."""
        return {it for it in (self.resources[name].get("Condition") for name in names) if it}

    @property
    def is_synthesized(self) -> bool:
        """Whether CDK has written it, anew for each deployment."""
        of_cdk = (
            it["Type"] == "AWS::CDK::Metadata" or "aws:cdk:path" in (it.get("Metadata") or {})
            for it in self.resources.values()
        )
        return "BootstrapVersion" in (self.template.get("Parameters") or {}) or any(of_cdk)


def findings(source: str) -> list[Finding]:
    """What is wrong with a template, errors first. Failure if it is none."""
    sluice = Sluice(read(source))
    looks = (presence, before, after, revision, deployment_id, timeouts, conditions, attributes, unseen)
    found = [finding for look in looks for finding in look(sluice)]
    return sorted(found, key=lambda it: not it.is_error)


def read(source: str) -> dict[str, Any]:
    """A template in YAML or JSON. Failure if it is none."""
    try:
        template = json.loads(source)
    except json.JSONDecodeError:
        try:
            template = templates.read(source)
        except yaml.YAMLError as error:
            raise Failure(f"this is neither YAML nor JSON: {' '.join(str(error).split())}") from None
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise Failure("this is no template: it has no Resources")
    return template


def presence(sluice: Sluice) -> Iterator[Finding]:
    """One of each, if there is anything of DMS; and nothing of them without."""
    for kind, names, doing in ((PRE, sluice.pre, "stops"), (POST, sluice.post, "starts")):
        if len(names) > 1:
            yield Finding(f"{', '.join(names)} are all {kind}: keep one, and let everything refer to that")
        if sluice.dms and not names:
            yield Finding(
                f"nothing {doing} the tasks when {', '.join(sluice.dms)} may change: add a {kind} "
                "(docs/own-template.md)"
            )
    if (sluice.pre or sluice.post) and not sluice.dms:
        yield Finding(
            f"{(sluice.pre + sluice.post)[0]} looks after nothing: there is no AWS::DMS::* resource in this template, "
            "and tasks of other stacks are not looked after, nested ones included",
            is_error=False,
        )


def before(sluice: Sluice) -> Iterator[Finding]:
    """Whether DmsPre comes before all of DMS's resources."""
    for pre in sluice.pre[:1]:
        for name in sluice.dms:
            if depends(sluice.resources, pre, name):
                yield Finding(
                    f"{pre} comes after {sluice.called(name)}, whose tasks it should have stopped: let {pre} neither "
                    f"refer to {name} nor depend on it"
                )
            elif not depends(sluice.resources, name, pre, sluice.conditions(name)):
                yield Finding(f"{sluice.called(name)} may change before its tasks have stopped: add DependsOn: {pre}")


def after(sluice: Sluice) -> Iterator[Finding]:
    """Whether DmsPost comes after all tasks, and after whatever they use."""
    for post in sluice.post[:1]:
        for name in sluice.dms:
            if depends(sluice.resources, name, post):
                yield Finding(
                    f"{sluice.called(name)} may change after {post} has started the tasks: let it depend on "
                    f"{sluice.pre[0] if sluice.pre else 'DmsPre'} instead"
                )
            elif sluice.resources[name]["Type"] in TASKS:
                given = sluice.conditions(name, post)
                if not depends(sluice.resources, post, name, given):
                    yield Finding(
                        f"{sluice.called(name)} may be left stopped, since {post} does not wait for it: add {name} to "
                        f"the DependsOn of {post}"
                    )


def revision(sluice: Sluice) -> Iterator[Finding]:
    """Whether DmsPost hears of DmsPre."""
    pre = sluice.pre[0] if sluice.pre else "DmsPre"
    for post in sluice.post:
        if attribute(sluice.properties(post).get("After")) != (pre, "Revision"):
            yield Finding(
                f"{post} is not called whenever {pre} was, and does not hear which tasks it paused: give it "
                f"After: !GetAtt {pre}.Revision"
            )


def deployment_id(sluice: Sluice) -> Iterator[Finding]:
    """Whether DmsPre is called at every deployment."""
    fix = "give it DeploymentId: !Ref DeploymentId, a parameter without a Default, and a fresh value at each deployment"
    parameters = sluice.template.get("Parameters") or {}
    for pre in sluice.pre:
        given = sluice.properties(pre).get("DeploymentId")
        named = [it.name for it in references(given) if not it.name.startswith("AWS::")]
        is_fresh = "Fn::ImportValue" in str(given) or (sluice.is_synthesized and isinstance(given, str))
        if given is None:
            yield Finding(f"{pre} has no DeploymentId, and is not called at an update: {fix}")
        elif not named and not is_fresh:
            yield Finding(f"{pre} has the same DeploymentId at each deployment, and is not called at an update: {fix}")
        elif named and all(has_default(parameters.get(name)) for name in named):
            yield Finding(
                f"{pre} is not called, without a word, at a deployment that leaves out the parameter {named[0]}: take "
                "away its Default"
            )


def has_default(parameter: dict[str, Any] | None) -> bool:
    """Whether a parameter may be left out. The Default of one that Systems Manager holds is merely its name there."""
    return bool(parameter) and "Default" in parameter and not str(parameter.get("Type")).startswith("AWS::SSM::")


def timeouts(sluice: Sluice) -> Iterator[Finding]:
    """Whether both have time, and say how much."""
    for name in sluice.pre + sluice.post:
        timeout = sluice.properties(name).get("ServiceTimeout")
        if timeout is None:
            yield Finding(f"{name} does not say how long it may take: give it ServiceTimeout: 3600")
        elif str(timeout).isdecimal() and int(timeout) < LEAST_TIMEOUT:
            yield Finding(
                f"{name} is given up after {timeout} s, before its last words can be heard: give it a ServiceTimeout "
                f"of {LEAST_TIMEOUT} to 3600"
            )


def conditions(sluice: Sluice) -> Iterator[Finding]:
    """Whether both are there wherever the tasks are."""
    for name in sluice.pre + sluice.post:
        condition = sluice.resources[name].get("Condition")
        without = [it for it in sluice.dms if condition and sluice.resources[it].get("Condition") != condition]
        if without:
            yield Finding(
                f"{name} is not there where {condition} is false, but {', '.join(without)} may be: take away its "
                "Condition, or give them the same",
                is_error=False,
            )


def attributes(sluice: Sluice) -> Iterator[Finding]:
    """Whether something of DMS takes what may be new though nothing of DMS is."""
    for name in sluice.dms:
        # A change of tags pauses nothing.
        properties = {key: value for key, value in sluice.properties(name).items() if key != "Tags"}
        taken = dict.fromkeys((it.name, it.attribute) for it in references(properties) if may_change(sluice, it))
        for other, what in taken:
            yield Finding(
                f"{sluice.called(name)} takes {other}.{what}: each change of {other} counts as one of {name} and "
                f"pauses its tasks; name {other} by Ref or Sub, or take a parameter",
                is_error=False,
            )


def may_change(sluice: Sluice, taken: Reference) -> bool:
    """Whether an attribute may change though its resource is not replaced."""
    if not taken.attribute or taken.name not in sluice.resources:
        return False
    return taken.attribute != "Arn" or sluice.resources[taken.name]["Type"].startswith(ARN_MAY_CHANGE)


def unseen(sluice: Sluice) -> Iterator[Finding]:
    """What only CloudFormation makes resources of."""
    for name in sluice.template["Resources"]:
        if name.startswith("Fn::"):
            yield Finding(
                f"{name} was not looked into: deploy, and check what CloudFormation makes of it (aws cloudformation "
                "get-template --template-stage Processed)",
                is_error=False,
            )


def run(path: str) -> None:
    """Check a file, and print what was found. Failure if there is an error."""
    errors, summary = tell(path)
    if errors:
        raise Failure(summary)
    print(summary)


def tell(path: str) -> tuple[int, str]:
    """Print what is found in a file. How many errors there are, and a summary. Failure if it is no template."""
    try:
        found = findings(text("TEMPLATE", path))
    except Failure as failure:
        raise Failure(f"{path}: {failure}") from None
    for finding in found:
        print(finding)
    errors = sum(it.is_error for it in found)
    summary = f"{path}: {counted(errors, 'error')}, {counted(len(found) - errors, 'warning')}"
    return errors, summary if found else f"{path}: no findings"


def counted(count: int, what: str) -> str:
    """So many of something."""
    return f"{count} {what}{'' if count == 1 else 's'}"
