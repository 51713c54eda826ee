"""`gitops cluster` against a simulated account: from nothing to whole, every refusal, and back to nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitops.cluster import generated
from gitops.manifests import yamlfile
from tests.cluster_world import AwsWorld, aws_world
from tests.fakes.aws_account import CallFault, Kill

pytestmark = pytest.mark.bots

# What an undisturbed `up` asks of AWS.
CALLS = 100
# And a `down` of the whole cluster.
DOWN_CALLS = 32
# The stacks that a `down` leaves, in the order of their making.
KEPT = ["seoul-foundation", "seoul-zones", "seoul-certificates", "seoul-services", "seoul-vpc", "seoul-state"]
WRITES = {"CreateChangeSet", "ExecuteChangeSet", "DeleteStack", "UpdateTerminationProtection", "UpdateClusterConfig"}


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[AwsWorld]:
    with aws_world(tmp_path / "clone") as world:
        yield world


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ...]]:
    """What stands in an account after one undisturbed run."""
    with aws_world(tmp_path_factory.mktemp("whole") / "clone") as world:
        assert world.up().code == 0
        assert len(world.account.calls) == CALLS, "the points at which `up` is killed are all of its calls"
        return world.state()


def test_from_an_empty_account_to_whole_and_what_aws_gave_is_in_files(aws: AwsWorld) -> None:
    first = aws.run("up", "seoul", "--yes")
    assert first.code == 2
    assert "example.org is not delegated to its zone" in first.err
    assert "enter these name servers where the domain is registered" in first.err
    done = aws.up()
    assert (done.code, aws.half_made()) == (0, [])
    assert "wrote clusters/seoul/outputs.yaml" in done.out
    folder = aws.checkout.root / "clusters/seoul"
    outputs = yamlfile.read(aws.checkout, folder / "outputs.yaml")["data"]
    assert outputs["NodeRoleName"] == "seoul-node"
    arns = [item["arn"] for item in yamlfile.read(aws.checkout, folder / "certificates.yaml")["certificates"]]
    parameters = yamlfile.read(aws.checkout, folder / "objects/ingressclassparams.yaml")
    assert parameters["spec"]["certificateARNs"] == arns
    assert [name for name in outputs if name.endswith("Certificate")]
    assert "111122223333" not in (folder / "objects/ingressclassparams.yaml").read_text()
    protected = {name for name, stack in aws.account.stacks.stacks.items() if stack.protected}
    assert protected == set(KEPT)
    assert aws.run("status", "seoul").code == 0
    assert aws.run("doctor", "seoul").code == 0


def test_a_second_run_changes_nothing(aws: AwsWorld) -> None:
    assert aws.up().code == 0
    before, made = aws.state(), list(aws.account.stacks.made)
    aws.account.calls.clear()
    done = aws.up()
    assert (done.code, done.out, done.err.strip()) == (0, "", "nothing new to commit")
    assert (aws.state(), aws.account.stacks.made, aws.half_made()) == (before, made, [])
    assert WRITES & set(aws.account.calls) == {"CreateChangeSet"}, "the question what would change"


def test_a_plan_leaves_nothing_at_aws(aws: AwsWorld) -> None:
    planned = aws.run("plan", "seoul", "--output", "json")
    assert planned.code == 0
    assert aws.state() == []
    assert {row["status"] for row in json.loads(planned.out)} == {"-"}
    assert not WRITES & set(aws.account.calls)
    assert aws.up().code == 0
    before = aws.state()
    aws.define(monthlyBudget="900")
    changed = aws.run("plan", "seoul")
    assert (changed.code, aws.state(), aws.half_made()) == (0, before, [])
    assert [line.split()[1:3] for line in changed.out.splitlines()[1:]] == [["Modify", "Budget"]]


def test_a_new_service_is_a_repository_a_role_and_a_certificate(aws: AwsWorld) -> None:
    assert aws.up().code == 0
    image = f"{aws.account.number}.dkr.ecr.ap-northeast-2.amazonaws.com/shop"
    source = aws.checkout.overlays / "umbrella"
    for file in source.rglob("*.yaml"):
        target = aws.checkout.overlays / "shop" / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text().replace(f"{image.removesuffix('shop')}umbrella", image)
        target.write_text(text.replace("umbrella", "shop"))
    planned = aws.run("plan", "seoul")
    rows = {tuple(line.split()[1:3]) for line in planned.out.splitlines()[1:]}
    assert rows == {("Add", "ShopRepository"), ("Add", "ShopPushRole"), ("Add", "ShopExampleComCertificate")}


def test_what_is_not_agreed_to_is_not_done_and_leaves_nothing(aws: AwsWorld) -> None:
    refused = aws.run("up", "seoul")
    assert (refused.code, aws.state(), aws.half_made()) == (1, [], [])
    assert "stack seoul-foundation: not agreed to" in refused.err
    assert "AWS::KMS::Key" in refused.out, "it was shown"


def expired(aws: AwsWorld) -> None:
    aws.account.faults = [CallFault("GetCallerIdentity", "ExpiredToken", "The security token is expired", times=9)]


def another_account(aws: AwsWorld) -> None:
    aws.account.number = "333333333333"


def overlapping(aws: AwsWorld) -> None:
    aws.account.vpcs["vpc-1"] = "10.42.128.0/20"


def cluster_of_that_name(aws: AwsWorld) -> None:
    aws.account.clusters["seoul"] = "1.36"


def out_of_support(aws: AwsWorld) -> None:
    aws.define(kubernetesVersion="1.32")


def unknown_version(aws: AwsWorld) -> None:
    aws.define(kubernetesVersion="1.99")


def range_of_documentation(aws: AwsWorld) -> None:
    aws.define(apiRanges="203.0.113.0/24")


REFUSALS: dict[Callable[[AwsWorld], None], str] = {
    expired: "AWS refuses these credentials; found ExpiredToken; sign in again: aws sso login",
    another_account: "these credentials are of another account; expected 210987654321, found 333333333333",
    overlapping: "data.vpcRange overlaps vpc-1 of this account",
    cluster_of_that_name: "there is a cluster seoul in this account already",
    out_of_support: "data.kubernetesVersion 1.32: out of standard support since 2026-03-23",
    unknown_version: "data.kubernetesVersion 1.99: not in EKS's calendar",
    range_of_documentation: "data.apiRanges: a range of documentation",
}


@pytest.mark.parametrize("trouble", REFUSALS, ids=lambda trouble: trouble.__name__)
def test_what_must_be_true_first_is_refused_in_one_line(aws: AwsWorld, trouble: Callable[[AwsWorld], None]) -> None:
    trouble(aws)
    done = aws.up()
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1), done.err
    assert REFUSALS[trouble] in done.err
    assert aws.state() == []
    told = aws.run("doctor", "seoul")
    assert told.code == 1
    assert REFUSALS[trouble] in told.err


def test_another_region_in_the_environment_is_refused(aws: AwsWorld) -> None:
    done = aws.up(AWS_DEFAULT_REGION="eu-west-3")
    assert done.code == 2
    assert "expected ap-northeast-2, found eu-west-3; unset AWS_REGION" in done.err


def test_without_credentials_it_says_how_to_sign_in(aws: AwsWorld, tmp_path: Path) -> None:
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    ran = aws.run_with({**aws.environment(), **nothing}, "up", "seoul", "--yes")
    assert (ran.code, "AWS: no credentials" in ran.err, "aws sso login" in ran.err) == (2, True, True)


OPERATIONS = [
    "GetCallerIdentity",
    "DescribeVpcs",
    "DescribeCluster",
    "DescribeStacks",
    "CreateChangeSet",
    "DescribeChangeSet",
    "ExecuteChangeSet",
    "UpdateTerminationProtection",
]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        *((operation, "AccessDenied") for operation in OPERATIONS),
        ("ExecuteChangeSet", "Throttling"),
        ("CreateChangeSet", "LimitExceededException"),
    ],
)
def test_a_call_that_is_refused_is_named_with_the_next_step(
    aws: AwsWorld, whole: list[tuple[str, ...]], operation: str, code: str
) -> None:
    aws.account.faults = [CallFault(operation, code, "said AWS", times=99)]
    done = aws.up()
    step = {"AccessDenied": "with the action", "Throttling": "run it again", "LimitExceededException": "Service Quotas"}
    assert (done.code, operation in done.err, step[code] in done.err) == (4, True, True), done.err
    aws.account.faults = []
    assert aws.up().code == 0
    assert aws.state() == whole


FAILURES = {
    "denied": ("Key", "User is not authorized to perform: kms:CreateKey", "with that action"),
    "quota": ("Vpc", "The maximum number of VPCs has been reached (quota)", "Service Quotas"),
    "region": ("Cluster", "EKS Auto Mode is not supported in this region", "choose another region"),
    "throttled": ("NatB", "Rate exceeded", "wait a minute"),
    "cause unknown": ("MetricsServer", "Internal error", "the stack is as before"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_resource_that_cannot_be_made_is_named_and_the_next_run_goes_on(
    aws: AwsWorld, whole: list[tuple[str, ...]], case: str
) -> None:
    resource, reason, step = FAILURES[case]
    aws.account.stacks.failing = {resource: reason}
    done = aws.up()
    assert done.code == 4
    last = done.err.splitlines()[-1]
    assert all(words in last for words in (resource, reason, step, "ROLLBACK_COMPLETE")), last
    aws.account.stacks.failing = {}
    assert aws.up().code == 0
    assert (aws.state(), aws.half_made()) == (whole, [])


def test_a_name_that_is_taken_is_said(aws: AwsWorld) -> None:
    assert aws.up().code == 0
    for name in ("foundation", "services", "certificates", "zones"):  # someone deletes a stack, and what it keeps stays
        stack = aws.account.stacks.stacks[f"seoul-{name}"]
        stack.protected = False
        aws.account.stacks.call("DeleteStack", {"StackName": stack.name})
    for _ in range(3):
        aws.run("status", "seoul")
    done = aws.up()
    assert done.code == 4
    assert "already exists; the name is taken" in done.err
    assert aws.run("status", "seoul").code == 1


def test_a_stack_that_cannot_be_rolled_back_is_left_to_a_person(aws: AwsWorld) -> None:
    aws.account.stacks.failing = {"NatC": "Rate exceeded"}
    aws.account.stacks.undeletable = {"InternetAttachment": "has dependencies"}
    for _ in range(2):
        done = aws.up()
        assert done.code == 4
        assert "stack seoul-network is ROLLBACK_FAILED" in done.err
        assert "aws cloudformation delete-stack --stack-name seoul-network; then run it again" in done.err


def test_an_update_that_fails_leaves_the_stack_as_it_was(aws: AwsWorld, whole: list[tuple[str, ...]]) -> None:
    assert aws.up().code == 0
    file = aws.checkout.root / "clusters/seoul/aws/network.yaml"
    before = file.read_text()
    file.write_text(before.replace("Resources:\n", "Resources:\n  Spare:\n    Type: AWS::EC2::InternetGateway\n", 1))
    aws.account.stacks.failing = {"Spare": "quota"}
    done = aws.up()
    assert (done.code, "UPDATE_ROLLBACK_COMPLETE" in done.err) == (4, True)
    file.write_text(before)
    assert aws.up().code == 0
    rolled_back = ("seoul-network", "UPDATE_ROLLBACK_COMPLETE", "False")
    assert [row for row in aws.state() if row not in whole] == [rolled_back]


@pytest.mark.parametrize(
    ("values", "replaced"),
    [({"vpcRange": "10.44.0.0/16"}, "Vpc, DataSubnetA"), ({"serviceRange": "172.21.0.0/16"}, "make Cluster anew")],
    ids=str,
)
def test_what_others_stand_on_is_not_made_anew(
    aws: AwsWorld, whole: list[tuple[str, ...]], values: dict[str, str], replaced: str
) -> None:
    assert aws.up().code == 0
    aws.define(**values)
    assert " True" in aws.run("plan", "seoul").out
    done = aws.up()
    assert (done.code, replaced in done.err) == (2, True), done.err
    assert (aws.state(), aws.half_made()) == (whole, [])


@pytest.mark.parametrize(("running", "wish", "code"), [("1.34", "1.36", 2), ("1.36", "1.35", 2), ("1.35", "1.36", 0)])
def test_a_version_is_one_step_up_and_never_back(aws: AwsWorld, running: str, wish: str, code: int) -> None:
    aws.define(kubernetesVersion=running)
    assert aws.up().code == 0
    aws.define(kubernetesVersion=wish)
    done = aws.up()
    assert (done.code, "one minor version up at a time" in done.err) == (code, code == 2), done.err


def test_a_type_that_the_region_has_not_is_said_and_nothing_is_begun(aws: AwsWorld) -> None:
    file = aws.checkout.root / "clusters/seoul/aws/foundation.yaml"
    file.write_text(file.read_text().replace("AWS::Budgets::Budget", "AWS::Budgets::Alarm"))
    done = aws.up()
    assert (done.code, "Unrecognized resource types: ['AWS::Budgets::Alarm']" in done.err) == (4, True), done.err
    assert (aws.state(), aws.half_made()) == ([], [])


def test_down_takes_the_cluster_with_all_that_its_controllers_made_and_keeps_data(
    aws: AwsWorld, whole: list[tuple[str, ...]]
) -> None:
    assert aws.up().code == 0
    aws.account.leave_behind()
    aws.account.calls.clear()
    done = aws.run("down", "seoul", "--yes", "seoul")
    assert done.code == 0, done.err
    assert len(aws.account.calls) == DOWN_CALLS, "the points at which `down` is killed are all of its calls"
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == KEPT
    assert (aws.account.load_balancers, aws.account.target_groups, aws.account.groups) == ({}, {}, {})
    gone = {"seoul-network", "seoul-cluster", "seoul-access"}
    assert aws.state() == [row for row in whole if row[0] not in gone]
    assert aws.run("down", "seoul", "--yes", "seoul").code == 0, "a second time"
    assert aws.up().code == 0
    assert aws.state() == whole


def test_down_waits_for_the_interfaces_of_a_load_balancer_that_is_gone(aws: AwsWorld) -> None:
    assert aws.up().code == 0
    aws.account.leave_behind()
    aws.account.interfaces = 3
    assert aws.run("down", "seoul", "--yes", "seoul").code == 0
    assert (aws.account.groups, aws.account.calls.count("DeleteSecurityGroup")) == ({}, 4)


def test_down_asks_for_the_name_and_for_the_right_account(aws: AwsWorld) -> None:
    assert aws.up().code == 0
    before = aws.state()
    other_name = aws.run("down", "seoul", "--yes", "busan")
    assert (other_name.code, "nothing was deleted" in other_name.err) == (1, True)
    aws.account.number = "333333333333"
    assert aws.run("down", "seoul", "--yes", "seoul").code == 2
    assert aws.state() == before


def test_down_that_cannot_delete_says_what_holds_it(aws: AwsWorld) -> None:
    assert aws.up().code == 0
    aws.account.stacks.undeletable = {"PrivateSubnetA": "has a network interface of someone else"}
    done = aws.run("down", "seoul", "--yes", "seoul")
    assert (done.code, "PrivateSubnetA" in done.err, "someone else" in done.err) == (4, True, True)
    aws.account.stacks.undeletable = {}
    assert aws.run("down", "seoul", "--yes", "seoul").code == 0


# Of the matrix, what `make test` runs: around a change set, an execution, a wait, the last call.
SAMPLE = {(2, False), (6, True), (9, True), (11, False), (40, True), (60, False), (68, True)}
POINTS = list(itertools.product(range(1, CALLS + 1), (False, True)))


@pytest.mark.parametrize(
    ("number", "after"),
    [pytest.param(*point, marks=() if point in SAMPLE else pytest.mark.matrix) for point in POINTS],
)
def test_up_killed_anywhere_and_run_again_ends_alike(
    aws: AwsWorld, whole: list[tuple[str, ...]], number: int, after: bool
) -> None:
    assert aws.killed(Kill(number, after), "up", "seoul", "--yes") == -9
    done = aws.up()
    assert done.code == 0, done.err
    assert (aws.state(), aws.half_made()) == (whole, [])
    made = aws.account.stacks.made
    assert sorted(made) == sorted(set(made)), "nothing twice"
    outputs = yamlfile.read(aws.checkout, aws.checkout.root / "clusters/seoul/outputs.yaml")["data"]
    assert f"{generated.logical('example.com')}Certificate" in outputs


DOWN_SAMPLE = {(4, True), (17, False)}
DOWN_POINTS = list(itertools.product(range(1, DOWN_CALLS + 1), (False, True)))


@pytest.mark.parametrize(
    ("number", "after"),
    [pytest.param(*point, marks=() if point in DOWN_SAMPLE else pytest.mark.matrix) for point in DOWN_POINTS],
)
def test_down_killed_anywhere_and_run_again_ends_alike(
    aws: AwsWorld, whole: list[tuple[str, ...]], number: int, after: bool
) -> None:
    assert aws.up().code == 0
    aws.account.leave_behind()
    assert aws.killed(Kill(number, after), "down", "seoul", "--yes", "seoul") == -9
    done = aws.run("down", "seoul", "--yes", "seoul")
    assert done.code == 0, done.err
    assert aws.state() == [row for row in whole if row[0] not in ("seoul-network", "seoul-cluster", "seoul-access")]
    assert (aws.account.load_balancers, aws.account.target_groups, aws.account.groups) == ({}, {}, {})
