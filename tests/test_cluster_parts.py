"""The parts of `gitops cluster` that need no account: states, dates, files, and that its fake can say no."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

import pytest

from gitops.clients.aws import StackState
from gitops.clients.aws.session import AwsSession
from gitops.cluster import make, outputs, support
from gitops.cluster import world as worlds
from gitops.cluster.make import Phase
from gitops.ground.errors import ExternalError, InputError
from gitops.ground.progress import Progress
from tests.fakes.aws_account import AwsAccount, aws_account
from tests.fakes.aws_protocol import model, validated
from tests.frozen import platform

PHASES = {
    "REVIEW_IN_PROGRESS": Phase.ABSENT,
    "CREATE_IN_PROGRESS": Phase.MOVING,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Phase.MOVING,
    "DELETE_IN_PROGRESS": Phase.MOVING,
    "ROLLBACK_COMPLETE": Phase.EMPTY,
    "ROLLBACK_FAILED": Phase.STUCK,
    "UPDATE_ROLLBACK_FAILED": Phase.STUCK,
    "CREATE_FAILED": Phase.STUCK,
    "DELETE_FAILED": Phase.STUCK,
    "CREATE_COMPLETE": Phase.READY,
    "UPDATE_COMPLETE": Phase.READY,
    "UPDATE_ROLLBACK_COMPLETE": Phase.READY,
}


@pytest.mark.parametrize("status", PHASES)
def test_each_state_of_a_stack_has_one_thing_that_can_be_done(status: str) -> None:
    assert make.phase(StackState(status, "", datetime.now(UTC), {}, False)) is PHASES[status]
    assert make.phase(None) is Phase.ABSENT


def test_every_state_that_aws_knows_has_a_phase() -> None:
    shape: Any = model("cloudformation").shape_for("StackStatus")
    statuses = set(shape.enum)
    known = {status for status in statuses if not status.startswith(("IMPORT_", "DELETE_COMPLETE"))}
    for status in known:
        assert make.phase(StackState(status, "", datetime.now(UTC), {}, False))
    assert set(PHASES) <= statuses


@pytest.mark.parametrize(
    ("version", "today", "what"),
    [
        ("1.36", date(2027, 8, 2), None),
        ("1.36", date(2027, 8, 3), "out of standard support since 2027-08-02"),
        ("1.50", date(2026, 11, 26), "not in EKS's calendar as it was read on"),
    ],
)
def test_a_version_is_held_against_the_calendar(version: str, today: date, what: str | None) -> None:
    fault = support.fault(version, "clusters/seoul/cluster.yaml", today)
    assert (fault is None) == (what is None)
    assert what is None or what in str(fault)


PARAMETERS = """\
spec:
  # Why.
  certificateARNs:
    - arn:aws:acm:old-1
    - arn:aws:acm:old-2
  scheme: internal  # stays
"""


def test_only_the_list_of_certificates_is_changed() -> None:
    changed = outputs.with_arns(PARAMETERS, ["arn:aws:acm:new"], "x.yaml")
    old = "    - arn:aws:acm:old-1\n    - arn:aws:acm:old-2\n"
    assert changed == PARAMETERS.replace(old, "    - arn:aws:acm:new\n")


def test_a_file_without_that_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"x\.yaml: expected one list"):
        outputs.with_arns("spec: {}\n", ["arn"], "x.yaml")


def in_environment(account: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)


def test_a_certificate_that_stays_pending_ends_at_the_deadline_with_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with aws_account() as account:
        in_environment(account, monkeypatch)
        world = worlds.look(platform(), "seoul")
        stack = replace(world.stack("certificates"), minutes=0)
        zones = {name: f"Z{number}" for number, name in enumerate(stack.template["Parameters"])}
        world.cloudformation.prepare(stack.name, "one", stack.template, zones, new=True)
        world.cloudformation.execute(stack.name, "one")
        account.stacks.stacks[stack.name].steps = [lambda: None] * 1000
        with pytest.raises(ExternalError) as caught:
            make.wait(world, stack, Progress(stream=StringIO(), quiet=True))
        assert "not done after 0 minutes" in str(caught.value)
        assert "a certificate is pending until its record is seen" in str(caught.value)
        assert "run it again, and it waits on" in str(caught.value)


@pytest.mark.parametrize(
    ("today", "what"),
    [
        (date(2027, 6, 1), None),
        (date(2027, 7, 1), "its support ends in 33 days"),
        (date(2027, 8, 4), "out of support since 2027-08-03"),
    ],
)
def test_argo_cd_is_held_against_its_support_too(
    today: date, what: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = support.calendar()
    version = support.argo_cd_version(platform())
    calendar.argo_cd[version] = date(2027, 8, 3)
    monkeypatch.setattr(support, "calendar", lambda: calendar)
    fault = support.argo_cd_fault(platform(), today)
    assert (fault is None) if what is None else (fault is not None and what in str(fault))
    del calendar.argo_cd[version]
    unknown = support.argo_cd_fault(platform(), today)
    assert unknown is not None
    assert "not in the calendar" in str(unknown)


def test_the_version_of_argo_cd_that_runs_is_in_the_calendar_and_supported() -> None:
    assert support.argo_cd_version(platform()) in support.calendar().argo_cd


BROKEN: list[tuple[str, str, str, dict[str, Any]]] = [
    ("cloudformation", "DescribeStacks", "output_shape", {"Stacks": [{"StackName": "x"}]}),
    ("cloudformation", "DescribeStacks", "output_shape", {"Stack": []}),
    ("cloudformation", "CreateChangeSet", "input_shape", {"StackName": "x"}),
    ("eks", "DescribeCluster", "output_shape", {"cluster": {"name": 1}}),
    ("ec2", "DescribeVpcs", "output_shape", {"Vpcs": [{"VpcIdentifier": "x"}]}),
]


@pytest.mark.parametrize(("service", "operation", "side", "value"), BROKEN)
def test_the_fake_holds_itself_and_us_to_awss_own_models(
    service: str, operation: str, side: str, value: dict[str, Any]
) -> None:
    shape = getattr(model(service).operation_model(operation), side)
    with pytest.raises(AssertionError):
        validated(shape, value, operation)


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("describe_stacks", {"StackName": "x"}, "ValidationError"),
        ("execute_change_set", {"StackName": "x", "ChangeSetName": "y"}, "ValidationError"),
        ("describe_change_set", {"StackName": "x", "ChangeSetName": "y"}, "ValidationError"),
    ],
)
def test_the_fake_refuses_what_is_not_there(
    operation: str, arguments: dict[str, str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws_account() as account:
        in_environment(account, monkeypatch)
        session = AwsSession("ap-northeast-2")
        with pytest.raises(Exception, match=code):
            session.raw("cloudformation", operation, **arguments)


def test_the_fake_refuses_to_delete_what_is_protected_and_to_make_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with aws_account() as account:
        in_environment(account, monkeypatch)
        stacks = worlds.look(platform(), "seoul").cloudformation
        template = {"Resources": {"Gateway": {"Type": "AWS::EC2::InternetGateway"}}}
        stacks.prepare("x", "one", template, {}, new=True)
        stacks.execute("x", "one")
        states = [stacks.state("x") for _ in range(3)]
        assert [state and state.status for state in states][-1] == "CREATE_COMPLETE"
        with pytest.raises(ExternalError, match="already exists and cannot be created again"):
            _raised(stacks.prepare, "x", "two", template, {}, new=True)
        stacks.prepare("x", "three", template, {}, new=False)
        assert stacks.prepared("x", "three").status == "NO_CHANGES"
        stacks.protect("x")
        with pytest.raises(ExternalError, match="TerminationProtection"):
            _raised(stacks.delete, "x")


def _raised(call: Any, *words: Any, **options: Any) -> None:
    """Call, and raise what was refused with all of its text."""
    try:
        call(*words, **options)
    except ExternalError as error:
        raise ExternalError(str(error)) from None
