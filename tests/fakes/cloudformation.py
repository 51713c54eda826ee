"""CloudFormation with its state machine: change sets, roll-backs, what it retains, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.fakes import cloudformation_template as templates
from tests.fakes.aws_protocol import Refusal
from tests.fakes.cloudformation_resources import ARNS, PHYSICAL, Resource, attribute, name_of, protection
from tests.fakes.cloudformation_template import ACCOUNT, REGION

_NOTHING = "The submitted information didn't contain changes. Submit different information to create a change set."
_EPOCH = datetime(2026, 11, 26, tzinfo=UTC)


@dataclass
class ChangeSet:
    template: dict[str, Any]
    parameters: dict[str, str]
    status: str
    reason: str = ""
    execution: str = "AVAILABLE"
    changes: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class FakeStack:
    """A stack. `steps`: what the next looks at it do, one each."""

    name: str
    status: str
    created: datetime
    changed: datetime | None = None
    template: dict[str, Any] = field(default_factory=lambda: {"Resources": {}})
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    protected: bool = False
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Callable[[], None]] = field(default_factory=list)


class CloudFormation:
    """All stacks of an account and region, and all that stands in it by them.

    `failing`: why a resource cannot be made, by its logical id; `undeletable`: why one cannot be deleted.
    `blockers`: by type, what says why a resource cannot go now. `slow`: looks that a change takes beside its own.
    """

    def __init__(self) -> None:
        self.stacks: dict[str, FakeStack] = {}
        self.resources: dict[str, Resource] = {}
        self.failing: dict[str, str] = {}
        self.undeletable: dict[str, str] = {}
        self.blockers: dict[str, Callable[[Resource], str]] = {
            "AWS::EKS::Cluster": protection,
            "AWS::RDS::DBInstance": protection,
            "AWS::EC2::Subnet": self._held,
            "AWS::EC2::SecurityGroup": self._held,
        }
        self.made: list[str] = []
        self._count = 0

    def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        answer: Callable[..., dict[str, Any]] = getattr(self, f"_{operation}")
        return answer(**parameters)

    def of(self, stack: str) -> dict[str, Resource]:
        """A stack's resources by logical id."""
        return {item.logical: item for item in self.resources.values() if item.stack == stack}

    def name_servers(self, zone: Resource) -> list[str]:
        """The name servers that a hosted zone was given."""
        return [f"ns-{number}.{zone.physical}.example.net" for number in range(4)]

    # -- calls

    def _DescribeStacks(self, StackName: str) -> dict[str, Any]:
        stack = self._stack(StackName)
        if stack.steps:
            stack.steps.pop(0)()
        if stack.name not in self.stacks:
            raise _absent(StackName)
        shown: dict[str, Any] = {
            "StackName": stack.name,
            "CreationTime": stack.created,
            "StackStatus": stack.status,
            "EnableTerminationProtection": stack.protected,
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in stack.outputs.items()],
        }
        return {"Stacks": [shown | ({"LastUpdatedTime": stack.changed} if stack.changed else {})]}

    def _CreateChangeSet(
        self,
        StackName: str,
        ChangeSetName: str,
        ChangeSetType: str,
        TemplateBody: str,
        Parameters: list[dict[str, str]],
        **_: Any,
    ) -> dict[str, Any]:
        given = {item["ParameterKey"]: item["ParameterValue"] for item in Parameters}
        template = json.loads(TemplateBody)
        known = PROVIDER_SCHEMA_MANAGER.get_resource_types(REGION)
        if strange := sorted({item["Type"] for item in template["Resources"].values()} - set(known)):
            raise Refusal("ValidationError", f"Template format error: Unrecognized resource types: {strange}")
        unknown = set(given) - set(template.get("Parameters", {}))
        if unknown or set(template.get("Parameters", {})) - set(given):
            raise Refusal("ValidationError", f"Parameters: {sorted(unknown)} do not exist in the template")
        if ChangeSetType == "CREATE":
            existing = self.stacks.get(StackName)
            if existing and existing.status != "REVIEW_IN_PROGRESS":
                raise Refusal("ValidationError", f"Stack [{StackName}] already exists and cannot be created again")
            stack = self.stacks.setdefault(StackName, FakeStack(StackName, "REVIEW_IN_PROGRESS", self._now()))
        else:
            stack = self._stack(StackName)
            if stack.status.endswith("_IN_PROGRESS") or stack.status in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"):
                raise Refusal(
                    "ValidationError", f"Stack:{StackName} is in {stack.status} state and can not be updated."
                )
        if ChangeSetName in stack.change_sets:
            raise Refusal("AlreadyExistsException", f"ChangeSet {ChangeSetName} already exists")
        changes = self._compare(stack, template, given)
        status, reason = ("CREATE_COMPLETE", "") if changes else ("FAILED", _NOTHING)
        execution = "AVAILABLE" if changes else "UNAVAILABLE"
        stack.change_sets[ChangeSetName] = ChangeSet(template, given, status, reason, execution, changes)
        return {"Id": _arn("changeSet", ChangeSetName), "StackId": _arn("stack", StackName)}

    def _DescribeChangeSet(self, StackName: str, ChangeSetName: str, **_: Any) -> dict[str, Any]:
        change_set = self._change_set(StackName, ChangeSetName)
        return {
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "ExecutionStatus": change_set.execution,
            "Changes": [{"Type": "Resource", "ResourceChange": item} for item in change_set.changes],
        }

    def _DeleteChangeSet(self, StackName: str, ChangeSetName: str) -> dict[str, Any]:
        self._stack(StackName).change_sets.pop(ChangeSetName, None)
        return {}

    def _ExecuteChangeSet(self, StackName: str, ChangeSetName: str, **_: Any) -> dict[str, Any]:
        change_set = self._change_set(StackName, ChangeSetName)
        if change_set.execution != "AVAILABLE":
            raise Refusal("InvalidChangeSetStatus", f"ChangeSet [{ChangeSetName}] cannot be executed")
        stack = self.stacks[StackName]
        new = stack.status == "REVIEW_IN_PROGRESS"
        stack.change_sets = {}  # AWS deletes every one, as none is of the stack as it will be
        verb = "CREATE" if new else "UPDATE"
        stack.changed = None if new else self._now()
        self._begin(stack, f"{verb}_IN_PROGRESS")
        stack.steps = [lambda: None, lambda: self._apply(stack, change_set, verb)]
        return {}

    def _DeleteStack(self, StackName: str, **_: Any) -> dict[str, Any]:
        stack = self.stacks.get(StackName)
        if stack is None:
            return {}
        if stack.protected:
            raise Refusal(
                "ValidationError", f"Stack [{StackName}] cannot be deleted while TerminationProtection is enabled"
            )
        if stack.status == "REVIEW_IN_PROGRESS":
            del self.stacks[StackName]
        elif stack.status != "DELETE_IN_PROGRESS":
            self._begin(stack, "DELETE_IN_PROGRESS")
            stack.steps = [lambda: None, lambda: self._remove(stack)]
        return {}

    def _UpdateTerminationProtection(self, StackName: str, EnableTerminationProtection: bool) -> dict[str, Any]:
        self._stack(StackName).protected = EnableTerminationProtection
        return {"StackId": _arn("stack", StackName)}

    def _DescribeStackEvents(self, StackName: str, **_: Any) -> dict[str, Any]:
        return {"StackEvents": list(reversed(self._stack(StackName).events))}

    # -- what a change does

    def _compare(self, stack: FakeStack, template: dict[str, Any], given: Mapping[str, str]) -> list[dict[str, Any]]:
        old = templates.resolved(stack.template, stack.parameters) if stack.template["Resources"] else {}
        new = templates.resolved(template, given)
        changes = [_change("Add", name, new[name]) for name in new if name not in old]
        changes += [_change("Remove", name, old[name]) for name in old if name not in new]
        for name in new:
            if name in old and old[name] != new[name]:
                changes.append(_change("Modify", name, new[name], replaces=_replaces(old[name], new[name])))
        return changes

    def _apply(self, stack: FakeStack, change_set: ChangeSet, verb: str) -> None:
        made: list[Resource] = []
        declared = change_set.template["Resources"]
        given = templates.parameters(change_set.template, change_set.parameters)
        try:
            for name in declared:
                self._make(stack, declared, given, name, made)
        except _Failure as failure:
            self._take_back(stack, made, verb, failure)
            return
        for item in [item for name, item in self.of(stack.name).items() if name not in declared]:
            self._let_go(item, stack.template["Resources"][item.logical])
        stack.template, stack.parameters = change_set.template, change_set.parameters
        names = {**templates.PSEUDO, **given, **{key: item.physical for key, item in self.of(stack.name).items()}}
        outputs = change_set.template.get("Outputs", {})
        answers = templates.resolve(outputs, names, lambda name, what: self._attribute(stack.name, name, what))
        stack.outputs = {name: str(item["Value"]) for name, item in answers.items()}
        self._end(stack, f"{verb}_COMPLETE")

    def _make(
        self, stack: FakeStack, declared: dict[str, Any], given: dict[str, Any], name: str, made: list[Resource]
    ) -> None:
        """Make or change one resource, after those that it names."""
        known = self.of(stack.name)

        def physical(other_name: str) -> str:
            if other_name not in self.of(stack.name):
                self._make(stack, declared, given, other_name, made)
            return self.of(stack.name)[other_name].physical

        def attribute(other_name: str, what: str) -> Any:
            physical(other_name)
            return self._attribute(stack.name, other_name, what)

        names = _Names({**templates.PSEUDO, **given}, physical)
        properties = templates.resolve(declared[name].get("Properties", {}), names, attribute)
        if name in known:
            known[name].properties = properties
            return
        kind = declared[name]["Type"]
        own_name = name_of(kind, properties)
        taken = [name_of(item.kind, item.properties) for item in self.resources.values() if item.kind == kind]
        if reason := self.failing.get(name):
            raise _Failure(name, kind, reason)
        if own_name and own_name in taken:
            raise _Failure(name, kind, f"{own_name} already exists")
        resource = Resource(kind, self._physical(kind, own_name), properties, stack.name, name)
        self.resources[resource.physical] = resource
        self.made.append(f"{stack.name} {name}")
        made.append(resource)

    def _take_back(self, stack: FakeStack, made: list[Resource], verb: str, failure: _Failure) -> None:
        self._event(stack, failure.logical, failure.kind, f"{verb}_FAILED", failure.reason)
        prefix = "" if verb == "CREATE" else "UPDATE_"
        stack.status = f"{prefix}ROLLBACK_IN_PROGRESS"

        def roll_back() -> None:
            for item in made:
                if reason := self.undeletable.get(item.logical):
                    self._event(stack, item.logical, item.kind, "DELETE_FAILED", reason)
                    stack.status = f"{prefix}ROLLBACK_FAILED"
                    return
                # RetainExceptOnCreate: what this very operation made is not kept.
                del self.resources[item.physical]
            self._end(stack, f"{prefix}ROLLBACK_COMPLETE")

        stack.steps = [roll_back]

    def _remove(self, stack: FakeStack) -> None:
        for item in list(self.of(stack.name).values()):
            kept = "DeletionPolicy" in stack.template["Resources"][item.logical]
            blocker = None if kept else self.blockers.get(item.kind)
            if reason := self.undeletable.get(item.logical) or (blocker(item) if blocker else ""):
                self._event(stack, item.logical, item.kind, "DELETE_FAILED", reason)
                stack.status = "DELETE_FAILED"
                return
        for item in list(self.of(stack.name).values()):
            self._let_go(item, stack.template["Resources"][item.logical])
        del self.stacks[stack.name]

    def _let_go(self, item: Resource, declared: dict[str, Any]) -> None:
        if declared.get("DeletionPolicy", "Delete") == "Delete":
            del self.resources[item.physical]
        else:
            item.stack = ""

    # -- small things

    def _held(self, resource: Resource) -> str:
        """Why something of EC2 cannot go: what another stack has, or left behind, stands in it."""
        others = (item.properties for item in self.resources.values() if item.stack != resource.stack)
        held = any(resource.physical in json.dumps(properties) for properties in others)
        return f"resource {resource.physical} has a dependent object" if held else ""

    def _physical(self, kind: str, name: str) -> str:
        self._count += 1
        if name and kind in PHYSICAL:
            return name
        noun = kind.rpartition(":")[2].lower()
        service = f"arn:aws:{'iam' if 'IAM' in kind else 'acm'}:{REGION}:{ACCOUNT}:"
        return f"{service}{noun}/{self._count:08x}" if kind in ARNS else f"{noun}-{self._count:08x}"

    def _attribute(self, stack: str, name: str, what: str) -> Any:
        resource = self.of(stack)[name]
        if what == "NameServers":
            return self.name_servers(resource)
        return attribute(resource, what)

    def _stack(self, name: str) -> FakeStack:
        if name not in self.stacks:
            raise _absent(name)
        return self.stacks[name]

    def _change_set(self, stack: str, name: str) -> ChangeSet:
        change_sets = self._stack(stack).change_sets
        if name not in change_sets:
            raise Refusal("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
        return change_sets[name]

    def _begin(self, stack: FakeStack, status: str) -> None:
        stack.status = status
        self._event(stack, stack.name, "AWS::CloudFormation::Stack", status, "User Initiated")

    def _end(self, stack: FakeStack, status: str) -> None:
        stack.status = status
        self._event(stack, stack.name, "AWS::CloudFormation::Stack", status)

    def _event(self, stack: FakeStack, logical: str, kind: str, status: str, reason: str = "") -> None:
        event = {"LogicalResourceId": logical, "ResourceType": kind, "ResourceStatus": status}
        event |= {"StackId": _arn("stack", stack.name), "EventId": str(len(stack.events)), "StackName": stack.name}
        stack.events.append({**event, "ResourceStatusReason": reason, "Timestamp": self._now()})

    def _now(self) -> datetime:
        self._count += 1
        return _EPOCH + timedelta(seconds=self._count)


class _Failure(Exception):
    """A resource that cannot be made."""

    def __init__(self, logical: str, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.logical, self.kind, self.reason = logical, kind, reason


class _Names(dict[str, Any]):
    """What Ref gives: what is known, or the physical id of a resource that is made for it."""

    def __init__(self, known: dict[str, Any], physical: Callable[[str], str]) -> None:
        super().__init__(known)
        self._made = physical

    def __missing__(self, name: str) -> str:
        return self._made(name)


def _change(verb: str, name: str, item: dict[str, Any], *, replaces: bool = False) -> dict[str, Any]:
    return {"Action": verb, "LogicalResourceId": name, "ResourceType": item["Type"], "Replacement": str(replaces)}


def _replaces(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a property changed that AWS's own schema lets be set at creation alone."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, new["Type"]).schema
    paths = [path.split("/")[2:] for path in schema.get("createOnlyProperties", [])]
    return any(_at(old["Properties"], path) != _at(new["Properties"], path) for path in paths)


def _at(properties: Any, path: list[str]) -> Any:
    for key in path:
        properties = properties.get(key) if isinstance(properties, dict) else None
    return properties


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:{kind}/{name}/1"


def _absent(name: str) -> Refusal:
    return Refusal("ValidationError", f"Stack with id {name} does not exist")
