"""policies/powerful-fields.yaml: complete, and each row true on a real API server, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gitops.check.known_bad import BAD_PODS
from gitops.manifests.objects import Object
from tests import powerful_fields
from tests.frozen import platform
from tests.policy_server import (
    DIGEST,
    OPEN,
    SERVICE,
    WORKLOADS,
    PolicyServer,
    Refusal,
    alone,
    pod,
    policy_server,
    workload,
)
from tests.powerful_fields import Kind, Row

pytestmark = pytest.mark.bots

Change = Callable[[Object], object]

TABLE = powerful_fields.read()
ROWS = TABLE.rows()
IDS = [f"{kind}.{row.field}" for kind, row in ROWS]
ROLE = "arn:aws:iam::111122223333:role/mogle"
# As if the platform team had granted a role.
GRANTED = {"service-account.roles": f"{{'{SERVICE.namespace}/granted': '{ROLE}'}}"}


@pytest.fixture(scope="module")
def policies() -> Iterator[PolicyServer]:
    with policy_server(platform(), GRANTED) as server:
        yield server


def test_every_field_of_the_api_is_judged(policies: PolicyServer) -> None:
    schemas = {}
    for path in ("/openapi/v3/api/v1", "/openapi/v3/apis/networking.k8s.io/v1"):
        schemas.update(policies.server.cluster.get(path)["components"]["schemas"])
    walk = powerful_fields.Walk(schemas, TABLE)
    harmless = TABLE.harmless_fields()
    assert walk.fields - walk.judged.keys() - harmless == set(), "new: judge it in policies/powerful-fields.yaml"
    assert harmless - walk.fields == set(), "no field any more"
    assert harmless & walk.judged.keys() == set(), "judged twice"


def test_a_field_that_nobody_judged_is_named() -> None:
    schemas: dict[str, Object] = {name: {"properties": {"brandNew": {}}} for name in powerful_fields.KINDS.values()}
    walk = powerful_fields.Walk(schemas, powerful_fields.Table(powerful={}, harmless={}))
    assert walk.fields == {"Pod.brandNew", "Service.brandNew", "Ingress.brandNew", "ServiceAccount.brandNew"}


@pytest.mark.parametrize("kind", powerful_fields.KINDS)
def test_an_object_without_power_is_accepted(policies: PolicyServer, kind: Kind) -> None:
    assert policies.refusal(powerful_fields.good(kind)) is None


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=IDS)
def test_a_powerful_field_is_refused_by_its_policy(policies: PolicyServer, kind: Kind, row: Row) -> None:
    for item in powerful_fields.objects(kind, row, row.refused):
        refusal = ask(policies, item, alone(row.policy))
        assert refusal, "accepted"
        assert refusal.policy == row.policy, refusal.text
        # And by nothing else, in a namespace that is no service's.
        control = ask(policies, item, OPEN)
        assert control is None, f"without policies: {control}"


@pytest.mark.parametrize(
    ("kind", "row"),
    [(kind, row) for kind, row in ROWS if row.may_be_set],
    ids=[label for label, (_, row) in zip(IDS, ROWS, strict=True) if row.may_be_set],
)
def test_a_harmless_value_of_a_powerful_field_is_accepted(policies: PolicyServer, kind: Kind, row: Row) -> None:
    for item in powerful_fields.objects(kind, row, row.accepted):
        assert ask(policies, item, SERVICE.namespace) is None


def ask(policies: PolicyServer, item: Object, namespace: str) -> Refusal | None:
    """A container for debugging is added to a pod that runs; all else is there from the beginning."""
    if "ephemeralContainers" in item.get("spec", {}):
        return policies.debugged(item, namespace)
    return policies.refusal(item, namespace)


# -- every way to a pod


@pytest.mark.parametrize("kind", WORKLOADS)
@pytest.mark.parametrize("policy", BAD_PODS)
def test_a_policy_on_pods_holds_for_every_kind_that_makes_them(policies: PolicyServer, kind: str, policy: str) -> None:
    made = pod()
    assert policies.refusal(workload(kind, made), alone(policy)) is None
    BAD_PODS[policy](made["spec"])
    refusal = policies.refusal(workload(kind, made), alone(policy))
    assert refusal
    assert refusal.policy == policy


def test_every_policy_on_pods_is_tried(policies: PolicyServer) -> None:
    rules = policies.pod_policies()
    assert rules == BAD_PODS.keys()


# -- the names of images

GOOD_IMAGES = [
    f"ghcr.io/ft-platform/app:1.0@{DIGEST}",
    f"ghcr.io/ft-platform/team/my-app:v1.0.0-rc.1_x@{DIGEST}",
    f"docker.io/library/python:3.13-slim@{DIGEST}",
    f"111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/mogle:edge@{DIGEST}",
    f"ghcr.io/ft-platform/latest:1.0@{DIGEST}",
]
BAD_IMAGES = {
    f"ghcr.io/stranger/app:1.0@{DIGEST}": "image-registry",
    f"ghcr.io/ft-platform-x/app:1.0@{DIGEST}": "image-registry",
    f"ghcr.io/app:1.0@{DIGEST}": "image-registry",
    f"GHCR.io/ft-platform/app:1.0@{DIGEST}": "image-registry",
    f"ghcr.io:443/ft-platform/app:1.0@{DIGEST}": "image-registry",
    f"ghcr.io.evil.com/ft-platform/app:1.0@{DIGEST}": "image-registry",
    f"evil.com/ghcr.io/ft-platform/app:1.0@{DIGEST}": "image-registry",
    f"ghcr.io/ft-platform/../stranger/app:1.0@{DIGEST}": "image-registry",
    f"ghcr.io/ft-platform//app:1.0@{DIGEST}": "image-registry",
    f"python:3.13@{DIGEST}": "image-registry",
    f"library/python:3.13@{DIGEST}": "image-registry",
    f"docker.io/python:3.13@{DIGEST}": "image-registry",
    f"index.docker.io/library/python:3.13@{DIGEST}": "image-registry",
    f"docker.io/stranger/app:1.0@{DIGEST}": "image-registry",
    f"999988887777.dkr.ecr.ap-northeast-2.amazonaws.com/mogle:1.0@{DIGEST}": "image-registry",
    f"111122223333.dkr.ecr.us-east-1.amazonaws.com/mogle:1.0@{DIGEST}": "image-registry",
    f"https://ghcr.io/ft-platform/app:1.0@{DIGEST}": "image-registry",
    f"ghcr.io/ft-platform/app:latest@{DIGEST}": "image-latest",
    f"ghcr.io/ft-platform/app:LATEST@{DIGEST}": "image-latest",
    f"ghcr.io/ft-platform/app:Latest@{DIGEST}": "image-latest",
    f"ghcr.io/ft-platform/app:latest-alpine@{DIGEST}": "image-latest",
    f"registry.example.com:5000/app:latest@{DIGEST}": "image-latest",
    f"registry.example.com:5000/app@{DIGEST}": "image-latest",
    f"ghcr.io/ft-platform/app@{DIGEST}": "image-latest",
    "ghcr.io/ft-platform/app": "image-latest",
    "ghcr.io/ft-platform/app:1.0": "image-digest",
    "ghcr.io/ft-platform/app:1.0@sha256:abc": "image-digest",
    f"ghcr.io/ft-platform/app:1.0@SHA256:{'a' * 64}": "image-digest",
    f"ghcr.io/ft-platform/app:1.0@sha256:{'A' * 64}": "image-digest",
    f"ghcr.io/ft-platform/app:1.0@sha512:{'a' * 128}": "image-digest",
}
PLACES: dict[str, Callable[[Object, str], object]] = {
    "container": lambda pod, image: pod["containers"][0].update(image=image),
    "init container": lambda pod, image: pod["initContainers"][0].update(image=image),
    "volume": lambda pod, image: pod.update(volumes=[{"name": "x", "image": {"reference": image}}]),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("image", GOOD_IMAGES)
def test_an_image_of_ours_is_accepted_wherever_it_stands(policies: PolicyServer, place: str, image: str) -> None:
    made = pod()
    PLACES[place](made["spec"], image)
    assert policies.refusal(workload("Deployment", made)) is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("image", BAD_IMAGES)
def test_an_image_is_refused_however_it_is_spelt_and_wherever_it_stands(
    policies: PolicyServer, place: str, image: str
) -> None:
    made, policy = pod(), BAD_IMAGES[image]
    PLACES[place](made["spec"], image)
    refusal = policies.refusal(workload("Deployment", made), alone(policy))
    assert refusal
    assert refusal.policy == policy
    assert image in refusal.text


# -- who may


def test_a_role_is_its_owners_alone(policies: PolicyServer) -> None:
    account = powerful_fields.good("ServiceAccount")
    account["metadata"] = {"name": "granted", "annotations": {"eks.amazonaws.com/role-arn": ROLE}}
    assert policies.refusal(account) is None
    neighbour = {**account, "metadata": {**account["metadata"], "name": "workload"}}
    assert policies.refusal(neighbour).policy == "service-account"  # type: ignore[union-attr]
    account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] = ROLE.replace("mogle", "admin")
    assert policies.refusal(account).policy == "service-account"  # type: ignore[union-attr]
