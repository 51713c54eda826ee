"""CloudFormation: stacks and change sets. A change set is the plan, the stack is the state: there is no file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from gitops.clients.aws.errors import calling, code_of, message_of
from gitops.clients.aws.session import AwsSession

# For a stack that is not there, and for a change set without a change, AWS has no code of its own: these are its words.
_ABSENT = "does not exist"
_WITHOUT_CHANGES = ("didn't contain changes", "No updates are to be performed")
NO_CHANGES = "NO_CHANGES"
_BEGINNINGS = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}


@dataclass(frozen=True)
class StackState:
    """A stack as it is."""

    status: str
    reason: str
    changed: datetime
    outputs: Mapping[str, str]
    protected: bool


@dataclass(frozen=True)
class ResourceChange:
    """What a change set does to one resource. `verb`: Add, Modify, Remove. `replaces`: True, False, or Conditional."""

    name: str
    kind: str
    verb: str
    replaces: str


@dataclass(frozen=True)
class PreparedChanges:
    """A change set. `status` is AWS's, or NO_CHANGES where there is nothing to do."""

    status: str
    execution: str
    reason: str
    changes: tuple[ResourceChange, ...]


@dataclass(frozen=True)
class StackFailure:
    """A resource that could not be made, changed or deleted, and what AWS said."""

    name: str
    kind: str
    status: str
    reason: str


class Stacks:
    """Stacks of one account and region."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def state(self, name: str) -> StackState | None:
        """A stack, or None where there is none."""
        with calling("cloudformation:DescribeStacks"):
            try:
                [stack] = self._session.raw("cloudformation", "describe_stacks", StackName=name)["Stacks"]
            except ClientError as error:
                if code_of(error) == "ValidationError" and _ABSENT in message_of(error):
                    return None
                raise
        return StackState(
            status=stack["StackStatus"],
            reason=stack.get("StackStatusReason", ""),
            changed=stack.get("LastUpdatedTime") or stack["CreationTime"],
            outputs={item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])},
            protected=stack.get("EnableTerminationProtection", False),
        )

    def prepare(
        self, name: str, change_set: str, template: Mapping[str, Any], inputs: Mapping[str, str], *, new: bool
    ) -> None:
        """Ask for a change set. One of that name that is there already is left: it is of the same content."""
        with calling("cloudformation:CreateChangeSet"):
            try:
                self._session.raw(
                    "cloudformation",
                    "create_change_set",
                    StackName=name,
                    ChangeSetName=change_set,
                    ChangeSetType="CREATE" if new else "UPDATE",
                    TemplateBody=json.dumps(template),
                    Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in inputs.items()],
                    Capabilities=["CAPABILITY_NAMED_IAM"],
                    Tags=[{"Key": "gitops", "Value": name}],
                )
            except ClientError as error:
                if code_of(error) != "AlreadyExistsException":
                    raise

    def prepared(self, name: str, change_set: str) -> PreparedChanges:
        """A change set, with all of its changes."""
        arguments: dict[str, Any] = {"StackName": name, "ChangeSetName": change_set}
        answer = self._session.call("cloudformation", "describe_change_set", **arguments)
        changes = list(answer.get("Changes", []))
        while token := answer.get("NextToken"):
            answer = self._session.call("cloudformation", "describe_change_set", **arguments, NextToken=token)
            changes += answer.get("Changes", [])
        reason = answer.get("StatusReason", "")
        nothing = answer["Status"] == "FAILED" and any(words in reason for words in _WITHOUT_CHANGES)
        return PreparedChanges(
            status=NO_CHANGES if nothing else answer["Status"],
            execution=answer.get("ExecutionStatus", ""),
            reason=reason,
            changes=tuple(_change(item["ResourceChange"]) for item in changes if "ResourceChange" in item),
        )

    def drop(self, name: str, change_set: str) -> None:
        """Delete a change set that will not be executed."""
        self._session.call("cloudformation", "delete_change_set", StackName=name, ChangeSetName=change_set)

    def execute(self, name: str, change_set: str) -> None:
        """Begin what a change set says."""
        self._session.call(
            "cloudformation",
            "execute_change_set",
            StackName=name,
            ChangeSetName=change_set,
            ClientRequestToken=change_set,
        )

    def delete(self, name: str) -> None:
        """Begin to delete a stack."""
        self._session.call("cloudformation", "delete_stack", StackName=name)

    def protect(self, name: str) -> None:
        """Refuse that anyone deletes it, until that is taken back."""
        self._session.call(
            "cloudformation", "update_termination_protection", StackName=name, EnableTerminationProtection=True
        )

    def failures(self, name: str) -> list[StackFailure]:
        """What failed in what was done to a stack last, the first first; not what was only called off after that."""
        events = self._session.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=name)
        last = itertools.takewhile(lambda event: not _begins(event, name), events)
        failed = [
            StackFailure(item["LogicalResourceId"], item["ResourceType"], status, item.get("ResourceStatusReason", ""))
            for item in last
            if (status := item.get("ResourceStatus", "")).endswith("_FAILED") and item["LogicalResourceId"] != name
        ]
        return [item for item in reversed(failed) if "cancelled" not in item.reason]


def _begins(event: Mapping[str, Any], name: str) -> bool:
    return event["LogicalResourceId"] == name and event.get("ResourceStatus") in _BEGINNINGS


def _change(item: Mapping[str, Any]) -> ResourceChange:
    return ResourceChange(
        name=item["LogicalResourceId"],
        kind=item["ResourceType"],
        verb=item["Action"],
        replaces=item.get("Replacement", "False"),
    )
