"""What each role of the stacks may do, by moto's evaluation of its policies: its own calls, and their neighbours.

moto leaves conditions out of account, so a statement whose condition does not hold is taken out before it is asked.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from moto.iam.access_control import IAMPolicy, PermissionResult

from gitops.cluster import definition, stacks
from tests.fakes import cloudformation_template as templates
from tests.fakes.cloudformation_template import ACCOUNT, REGION
from tests.frozen import platform

REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository"
ZONE = "arn:aws:route53:::hostedzone/ZOURS"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/ours"
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/seoul-{{}}/1"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/platform-administrator"
PUSH = f"arn:aws:iam::{ACCOUNT}:role/gitops-push-mogle"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/gitops-push-boundary"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1"
RECORDS = "route53:ChangeResourceRecordSets"
# What AWS says around a call that is as it should be.
AROUND = {
    "acm:ValidationMethod": ["DNS"],
    "iam:PermissionsBoundary": ["PushBoundary"],  # what Ref gives here
    f"{RECORDS}RecordTypes": ["CNAME"],
    f"{RECORDS}NormalizedRecordNames": ["_0123.mogle.example.com"],
    "kms:EncryptionContext:cluster": ["seoul"],
    "s3:prefix": ["renewed-seals/"],
    "kms:ViaService": [f"s3.{REGION}.amazonaws.com"],
    "kms:EncryptionContext:aws:s3:arn": ["arn:aws:s3:::seoul-benefit-prod"],
    "kms:EncryptionContext:SecretARN": [f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-benefit"],
}
GIVEN = {"ZoneArns": ZONE, "KeyArn": KEY, "BackupsBucket": "seoul-backups"}
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-benefit"
GIVEN |= {"BenefitProdDatabaseSecret": SECRET, "BenefitProdBucket": "seoul-benefit-prod"}
OBJECTS = "arn:aws:s3:::seoul-benefit-prod"
RENEWED = "arn:aws:s3:::seoul-backups/renewed-seals/0123/4567.json"
# Where the stack that makes the bucket and the key names them itself.
OWN_BACKUPS = f"arn:aws:s3:::seoul-backups-{ACCOUNT}"
BACKUP = "arn:aws:s3:::seoul-backups/sealing-keys/2026-11-26"

OPERATORS = {
    ("", "StringEquals"), ("", "ArnEquals"), ("ForAllValues", "StringEquals"), ("ForAllValues", "StringLike"),
}  # fmt: skip
# By role, what it does and must be let do.
ALLOWED: list[tuple[str, str, str, str]] = [
    # clients/ecr.py: one listing, manifests, and the configuration of an image.
    ("foundation", "ImagesRole", "ecr:DescribeImages", f"{REPOSITORY}/mogle"),
    ("foundation", "ImagesRole", "ecr:BatchGetImage", f"{REPOSITORY}/mogle"),
    ("foundation", "ImagesRole", "ecr:GetDownloadUrlForLayer", f"{REPOSITORY}/mogle"),
    # build.yaml: sign in, then push layers and the manifest.
    ("services", "MoglePushRole", "ecr:GetAuthorizationToken", "*"),
    ("services", "MoglePushRole", "ecr:InitiateLayerUpload", f"{REPOSITORY}/mogle"),
    ("services", "MoglePushRole", "ecr:UploadLayerPart", f"{REPOSITORY}/mogle"),
    ("services", "MoglePushRole", "ecr:CompleteLayerUpload", f"{REPOSITORY}/mogle"),
    ("services", "MoglePushRole", "ecr:PutImage", f"{REPOSITORY}/mogle"),
    # external-dns
    ("cluster", "DnsRole", "route53:ChangeResourceRecordSets", ZONE),
    ("cluster", "DnsRole", "route53:ListResourceRecordSets", ZONE),
    ("cluster", "DnsRole", "route53:ListHostedZones", "*"),
    # the backup of sealing keys, into a bucket that encrypts by our key
    ("cluster", "BackupRole", "s3:PutObject", BACKUP),
    ("cluster", "BackupRole", "s3:PutObject", RENEWED),
    ("cluster", "BackupRole", "kms:Encrypt", KEY),
    ("cluster", "BackupRole", "kms:GenerateDataKey", KEY),
    # `gitops secrets renew`
    ("foundation", "SealsRole", "s3:ListBucket", OWN_BACKUPS),
    ("foundation", "SealsRole", "s3:GetObject", f"{OWN_BACKUPS}/renewed-seals/0123/4567.json"),
    ("foundation", "SealsRole", "kms:Decrypt", "Key.Arn"),
    # `gitops cluster plan`
    ("foundation", "PlanRole", "cloudformation:DescribeStacks", STACK.format("network")),
    ("foundation", "PlanRole", "cloudformation:CreateChangeSet", STACK.format("cluster")),
    ("foundation", "PlanRole", "cloudformation:DescribeChangeSet", STACK.format("cluster")),
    ("foundation", "PlanRole", "cloudformation:DeleteChangeSet", STACK.format("cluster")),
    ("foundation", "PlanRole", "ec2:DescribeVpcs", "*"),
    ("foundation", "PlanRole", "ec2:DescribeSubnets", "*"),
    ("foundation", "PlanRole", "route53:GetHostedZone", ZONE),
    ("foundation", "PlanRole", "eks:DescribeCluster", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/seoul"),
    # `gitops cluster apply`; what its stacks make is asked of AWS's own schemas below
    ("foundation", "ApplyRole", "cloudformation:DescribeStacks", STACK.format("foundation")),
    ("foundation", "ApplyRole", "cloudformation:CreateChangeSet", STACK.format("services")),
    ("foundation", "ApplyRole", "cloudformation:ExecuteChangeSet", STACK.format("services")),
    ("foundation", "ApplyRole", "cloudformation:ExecuteChangeSet", STACK.format("certificates")),
    ("foundation", "ApplyRole", "cloudformation:DescribeStackEvents", STACK.format("services")),
    ("foundation", "ApplyRole", "route53:ChangeResourceRecordSets", ZONE),
    # pods with a database and a bucket
    ("access", "BenefitProdRole", "secretsmanager:GetSecretValue", SECRET),
    ("access", "BenefitProdRole", "kms:Decrypt", KEY),
    ("access", "BenefitProdRole", "kms:GenerateDataKey", KEY),
    ("access", "BenefitProdRole", "s3:ListBucket", OBJECTS),
    *(
        ("access", "BenefitProdRole", f"s3:{action}", f"{OBJECTS}/photos/1.jpg")
        for action in ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload")
    ),
]
# What lies beside it, and must not be let.
DENIED: list[tuple[str, str, str, str]] = [
    ("foundation", "ImagesRole", "ecr:PutImage", f"{REPOSITORY}/mogle"),
    ("foundation", "ImagesRole", "ecr:BatchDeleteImage", f"{REPOSITORY}/mogle"),
    ("foundation", "ImagesRole", "ecr:DescribeImages", f"arn:aws:ecr:{REGION}:444455556666:repository/mogle"),
    ("foundation", "ImagesRole", "s3:GetObject", BACKUP),
    ("services", "MoglePushRole", "ecr:PutImage", f"{REPOSITORY}/umbrella"),
    ("services", "MoglePushRole", "ecr:PutImage", f"{REPOSITORY}/mogle-evil"),
    ("services", "MoglePushRole", "ecr:BatchDeleteImage", f"{REPOSITORY}/mogle"),
    ("services", "MoglePushRole", "ecr:PutLifecyclePolicy", f"{REPOSITORY}/mogle"),
    ("cluster", "DnsRole", "route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/ZTHEIRS"),
    ("cluster", "DnsRole", "route53:DeleteHostedZone", ZONE),
    ("foundation", "SealsRole", "s3:GetObject", f"{OWN_BACKUPS}/sealing-keys/0123.json"),
    ("foundation", "SealsRole", "s3:PutObject", f"{OWN_BACKUPS}/renewed-seals/0123/4567.json"),
    ("foundation", "SealsRole", "kms:Encrypt", "Key.Arn"),
    ("cluster", "BackupRole", "s3:GetObject", RENEWED),
    ("cluster", "BackupRole", "s3:GetObject", BACKUP),
    ("cluster", "BackupRole", "s3:DeleteObject", BACKUP),
    ("cluster", "BackupRole", "s3:PutObject", "arn:aws:s3:::seoul-backups/elsewhere"),
    ("cluster", "BackupRole", "s3:PutObject", "arn:aws:s3:::seoul-logs/sealing-keys/x"),
    ("cluster", "BackupRole", "kms:ScheduleKeyDeletion", KEY),
    ("cluster", "BackupRole", "kms:Decrypt", KEY),
    ("cluster", "BackupRole", "kms:CreateGrant", KEY),
    ("cluster", "BackupRole", "kms:Encrypt", f"{KEY}-of-another"),
    # A change set that was prepared is never executed by whom a pull request is shown to.
    ("foundation", "PlanRole", "cloudformation:ExecuteChangeSet", STACK.format("services")),
    ("foundation", "PlanRole", "cloudformation:DeleteStack", STACK.format("network")),
    ("foundation", "PlanRole", "cloudformation:CreateStack", STACK.format("new")),
    ("foundation", "PlanRole", "cloudformation:CreateChangeSet", STACK.format("x").replace("seoul", "other")),
    ("foundation", "PlanRole", "iam:PassRole", ADMINISTRATOR),
    ("foundation", "PlanRole", "s3:GetObject", BACKUP),
    ("foundation", "PlanRole", "kms:Decrypt", KEY),
    ("foundation", "PlanRole", "ssm:GetParameters", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/x"),
    ("foundation", "PlanRole", "secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:x"),
    # Nothing of the network, the cluster or the roles of others; nothing that holds data goes.
    ("foundation", "ApplyRole", "cloudformation:ExecuteChangeSet", STACK.format("foundation")),
    ("foundation", "ApplyRole", "cloudformation:ExecuteChangeSet", STACK.format("cluster")),
    ("foundation", "ApplyRole", "cloudformation:DeleteStack", STACK.format("services")),
    ("foundation", "ApplyRole", "ecr:DeleteRepository", f"{REPOSITORY}/mogle"),
    ("foundation", "ApplyRole", "ecr:PutImage", f"{REPOSITORY}/mogle"),
    ("foundation", "ApplyRole", "ecr:BatchDeleteImage", f"{REPOSITORY}/mogle"),
    ("foundation", "ApplyRole", "iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/evil"),
    ("foundation", "ApplyRole", "iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/gitops-apply"),
    ("foundation", "ApplyRole", "iam:UpdateAssumeRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/gitops-images"),
    ("foundation", "ApplyRole", "iam:DeleteRolePermissionsBoundary", PUSH),
    ("foundation", "ApplyRole", "iam:AttachRolePolicy", PUSH),
    ("foundation", "ApplyRole", "iam:CreatePolicyVersion", BOUNDARY),
    ("foundation", "ApplyRole", "iam:PassRole", ADMINISTRATOR),
    ("foundation", "ApplyRole", "acm:DeleteCertificate", CERTIFICATE),
    ("foundation", "ApplyRole", "acm:ExportCertificate", CERTIFICATE),
    ("foundation", "ApplyRole", "route53:DeleteHostedZone", ZONE),
    ("foundation", "ApplyRole", "kms:Decrypt", KEY),
    ("access", "BenefitProdRole", "secretsmanager:GetSecretValue", SECRET.replace("benefit", "mogle")),
    ("access", "BenefitProdRole", "secretsmanager:PutSecretValue", SECRET),
    ("access", "BenefitProdRole", "secretsmanager:ListSecrets", "*"),
    ("access", "BenefitProdRole", "kms:ScheduleKeyDeletion", KEY),
    ("access", "BenefitProdRole", "kms:Decrypt", KEY.replace("ours", "theirs")),
    ("access", "BenefitProdRole", "rds:DeleteDBInstance", "*"),
    ("access", "BenefitProdRole", "s3:GetObject", "arn:aws:s3:::seoul-benefit-staging/photos/1.jpg"),
    ("access", "BenefitProdRole", "s3:GetObject", f"{OBJECTS}-evil/photos/1.jpg"),
    ("access", "BenefitProdRole", "s3:DeleteObjectVersion", f"{OBJECTS}/photos/1.jpg"),
    ("access", "BenefitProdRole", "s3:PutBucketPolicy", OBJECTS),
    ("access", "BenefitProdRole", "s3:DeleteBucket", OBJECTS),
]
# By an action, with what around it it must not be let although its resource is right.
UNLIKE: list[tuple[str, str, str, str, dict[str, Any]]] = [
    ("foundation", "ApplyRole", "acm:RequestCertificate", "*", {"acm:ValidationMethod": ["EMAIL"]}),
    ("foundation", "ApplyRole", "iam:CreateRole", PUSH, {"iam:PermissionsBoundary": []}),
    ("foundation", "ApplyRole", "iam:CreateRole", PUSH, {"iam:PermissionsBoundary": [ADMINISTRATOR]}),
    ("foundation", "ApplyRole", "iam:PutRolePolicy", PUSH, {"iam:PermissionsBoundary": []}),
    ("foundation", "ApplyRole", "iam:PutRolePermissionsBoundary", PUSH, {"iam:PermissionsBoundary": [ADMINISTRATOR]}),
    ("foundation", "ApplyRole", "route53:ChangeResourceRecordSets", ZONE, {f"{RECORDS}RecordTypes": ["A"]}),
    ("foundation", "ApplyRole", "route53:ChangeResourceRecordSets", ZONE, {f"{RECORDS}RecordTypes": ["CNAME", "NS"]}),
    (
        "foundation",
        "ApplyRole",
        "route53:ChangeResourceRecordSets",
        ZONE,
        {f"{RECORDS}NormalizedRecordNames": ["_x.mogle.example.com", "mogle.example.com"]},
    ),
    ("cluster", "BackupRole", "kms:Encrypt", KEY, {"kms:EncryptionContext:cluster": ["paris"]}),
    ("cluster", "BackupRole", "kms:GenerateDataKey", KEY, {"kms:ViaService": []}),
    ("access", "BenefitProdRole", "kms:Decrypt", KEY, {"kms:ViaService": []}),
    (
        "access",
        "BenefitProdRole",
        "kms:Decrypt",
        KEY,
        {"kms:EncryptionContext:aws:s3:arn": ["arn:aws:s3:::seoul-mogle-prod"]},
    ),
    # A password of another's, although the service that asks is the right one.
    (
        "access",
        "BenefitProdRole",
        "kms:Decrypt",
        KEY,
        {
            "kms:ViaService": [f"secretsmanager.{REGION}.amazonaws.com"],
            "kms:EncryptionContext:SecretARN": [SECRET.replace("benefit", "mogle")],
        },
    ),
]


def stacks_of(part: str) -> dict[str, Any]:
    checkout = platform()
    cluster = definition.read(checkout, "seoul")
    return dict(next(stack.resources for stack in stacks.read(checkout, cluster) if stack.part == part))


def role(part: str, name: str) -> dict[str, Any]:
    return _resource(part, name)


@cache
def _resource(part: str, name: str) -> dict[str, Any]:
    checkout = platform()
    cluster = definition.read(checkout, "seoul")
    template = next(stack.template for stack in stacks.read(checkout, cluster) if stack.part == part)
    given = {parameter: parameter for parameter in template.get("Parameters", {})}
    properties: dict[str, Any] = templates.resolved(template, given | stacks.given(cluster) | GIVEN)[name]["Properties"]
    return properties


def permitted(part: str, name: str, action: str, resource: str, around: dict[str, Any] | None = None) -> bool:
    """`around`: what differs of what AWS knows of the call."""
    policies = [item["PolicyDocument"] for item in role(part, name)["Policies"]]
    results = [
        IAMPolicy(json.dumps(_in_force(policy, AROUND | (around or {})))).is_action_permitted(action, resource)
        for policy in policies
    ]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def _in_force(policy: dict[str, Any], around: dict[str, Any]) -> dict[str, Any]:
    statements = [item for item in policy["Statement"] if _holds(item.get("Condition", {}), around)]
    return {**policy, "Statement": [{**item, "Condition": {}} for item in statements]}


def _holds(conditions: dict[str, Any], around: dict[str, Any]) -> bool:
    """Every key of every operator (IAM User Guide, "Multivalued context keys"): a key that is not there fits none but
    those with ForAllValues.
    """
    for operator, keys in conditions.items():
        every, _, kind = operator.rpartition(":")
        assert (every, kind) in OPERATORS, operator
        for key, expected in keys.items():
            patterns = expected if isinstance(expected, list) else [expected]
            fitting = set(itertools.chain.from_iterable(fnmatch.filter(around[key], pattern) for pattern in patterns))
            if not (fitting >= set(around[key]) if every else fitting):
                return False
    return True


@pytest.mark.parametrize(("part", "name", "action", "resource"), ALLOWED)
def test_a_role_may_do_what_its_holder_does(part: str, name: str, action: str, resource: str) -> None:
    assert permitted(part, name, action, resource)


@pytest.mark.parametrize(("part", "name", "action", "resource"), DENIED)
def test_a_role_may_do_nothing_beside_that(part: str, name: str, action: str, resource: str) -> None:
    assert not permitted(part, name, action, resource)


@pytest.mark.parametrize(("part", "name", "action", "resource", "around"), UNLIKE)
def test_a_role_may_do_what_its_conditions_say_and_nothing_like_it(
    part: str, name: str, action: str, resource: str, around: dict[str, Any]
) -> None:
    assert permitted(part, name, action, resource)
    assert not permitted(part, name, action, resource, around)


# By the type of what it is for. What of AWS's own list a template of ours never needs stands with its reason.
MADE = {
    "AWS::ECR::Repository": f"{REPOSITORY}/mogle",
    "AWS::IAM::Role": PUSH,
    "AWS::CertificateManager::Certificate": CERTIFICATE,
}
NOT_NEEDED = {
    "acm-pca": "no private authority",
    "acm:DeleteCertificate": "they are retained",
    "ecr:DeleteLifecyclePolicy": "every repository has one",
    "ecr:DeleteRepository": "they are retained",
    "ecr:DeleteRepositoryPolicy": "none has one",
    "ecr:SetRepositoryPolicy": "none has one",
    "iam:AttachRolePolicy": "a push role has its own policy alone",
    "iam:DetachRolePolicy": "a push role has its own policy alone",
    "iam:DeleteRolePermissionsBoundary": "every push role has the boundary",
    "kms": "ECR encrypts by its own key",
}


@pytest.mark.parametrize("kind", MADE)
def test_the_workflow_may_make_what_follows_from_the_overlays(kind: str) -> None:
    """The calls are those that AWS's own schema of the type says that its handlers make."""
    parts = {stack.part: stack.resources for stack in stacks.read(platform(), definition.read(platform(), "seoul"))}
    assert kind in {item["Type"] for item in [*parts["services"].values(), *parts["certificates"].values()]}
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema["handlers"]
    verbs = ("create", "read", "update", "delete")
    actions = set(itertools.chain.from_iterable(handlers[verb]["permissions"] for verb in verbs))
    needed = {action for action in actions if not {action, action.partition(":")[0]} & set(NOT_NEEDED)}
    refused = {action for action in needed if not permitted("foundation", "ApplyRole", action, _named(kind, action))}
    assert refused == set()
    given = {action for action in actions - needed if permitted("foundation", "ApplyRole", action, MADE[kind])}
    assert given == set(), "what is not needed is not given"


def _named(kind: str, action: str) -> str:
    return ZONE if action.startswith("route53:") else MADE[kind]


def test_every_action_is_given_on_what_aws_knows_for_it() -> None:
    """By cfn-lint's copy of AWS's service authorization reference, of which its own rules look at less: an action that
    knows no resource is never allowed on one, and one that knows some is not given on everything.
    """
    known = json.loads((resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json").read_text())
    wrong, looked = [], 0
    for part in [stack.part for stack in stacks.read(platform(), definition.read(platform(), "seoul"))]:
        for name, statement in _statements(part):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            for service, _, action in (action.partition(":") for action in actions):
                has_resources = bool(known[service]["Actions"][action.lower()].get("Resources"))
                looked += 1
                if has_resources == (statement["Resource"] == "*"):
                    wrong.append((part, name, f"{service}:{action}"))
    assert wrong == []
    assert looked > 50


def _statements(part: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of the policies of a stack's roles, and of its policies that stand by themselves."""
    for name, item in stacks_of(part).items():
        if not item["Type"].startswith("AWS::IAM::"):
            continue
        properties = _resource(part, name)
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if item["Type"] == "AWS::IAM::ManagedPolicy":
            documents.append(properties["PolicyDocument"])
        for document in documents:
            yield from ((name, statement) for statement in document["Statement"])


def test_whatever_is_written_into_a_push_role_it_can_do_no_more_than_push() -> None:
    boundary = IAMPolicy(json.dumps(_resource("foundation", "PushBoundary")["PolicyDocument"]))
    own = IAMPolicy(json.dumps(role("services", "MoglePushRole")["Policies"][0]["PolicyDocument"]))
    for part, name, action, resource in ALLOWED:
        within = boundary.is_action_permitted(action, resource) == PermissionResult.PERMITTED
        if name == "MoglePushRole":
            assert within, action
            assert own.is_action_permitted(action, resource) == PermissionResult.PERMITTED
        elif not action.startswith("ecr:"):
            assert not within, (part, action)
    for action in ("iam:CreateUser", "s3:GetObject", "sts:AssumeRole", "ecr:DeleteRepository", "ecr:BatchDeleteImage"):
        assert boundary.is_action_permitted(action, "*") != PermissionResult.PERMITTED
    for name, item in stacks_of("services").items():
        if item["Type"] == "AWS::IAM::Role":
            assert item["Properties"]["PermissionsBoundary"] == {"Ref": "PushBoundary"}, name


def test_no_role_with_rights_of_its_own_is_left_out() -> None:
    checkout = platform()
    tried = {(part, name) for part, name, _, _ in ALLOWED}
    assert tried == {(part, name) for part, name, _, _ in DENIED}
    for stack in stacks.read(checkout, definition.read(checkout, "seoul")):
        for name, item in stack.resources.items():
            alike = stack.part == "services" and name.endswith("PushRole")
            own_rights = "Policies" in item.get("Properties", {})
            assert (stack.part, name) in tried or alike or not own_rights, name
