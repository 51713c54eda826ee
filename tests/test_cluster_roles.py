"""What each role of the stacks may do, by moto's evaluation of its policies: its own calls, and their neighbours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from gitops.cluster import definition, stacks
from tests.fakes import cloudformation_template as templates
from tests.fakes.cloudformation_template import ACCOUNT, REGION
from tests.frozen import platform

REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository"
ZONE = "arn:aws:route53:::hostedzone/ZOURS"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/ours"
GIVEN = {"ZoneArns": ZONE, "KeyArn": KEY, "BackupsBucket": "seoul-backups"}
BACKUP = "arn:aws:s3:::seoul-backups/sealing-keys/2026-11-26"

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
    ("cluster", "BackupRole", "kms:GenerateDataKey", KEY),
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
    ("cluster", "BackupRole", "s3:GetObject", BACKUP),
    ("cluster", "BackupRole", "s3:DeleteObject", BACKUP),
    ("cluster", "BackupRole", "s3:PutObject", "arn:aws:s3:::seoul-backups/elsewhere"),
    ("cluster", "BackupRole", "s3:PutObject", "arn:aws:s3:::seoul-logs/sealing-keys/x"),
    ("cluster", "BackupRole", "kms:ScheduleKeyDeletion", KEY),
]


def role(part: str, name: str) -> dict[str, Any]:
    checkout = platform()
    cluster = definition.read(checkout, "seoul")
    template = next(stack.template for stack in stacks.read(checkout, cluster) if stack.part == part)
    given = {parameter: parameter for parameter in template.get("Parameters", {})}
    properties: dict[str, Any] = templates.resolved(template, given | stacks.given(cluster) | GIVEN)[name]["Properties"]
    return properties


def permitted(part: str, name: str, action: str, resource: str) -> bool:
    policies = [IAMPolicy(json.dumps(item["PolicyDocument"])) for item in role(part, name)["Policies"]]
    results = [policy.is_action_permitted(action, resource) for policy in policies]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


@pytest.mark.parametrize(("part", "name", "action", "resource"), ALLOWED)
def test_a_role_may_do_what_its_holder_does(part: str, name: str, action: str, resource: str) -> None:
    assert permitted(part, name, action, resource)


@pytest.mark.parametrize(("part", "name", "action", "resource"), DENIED)
def test_a_role_may_do_nothing_beside_that(part: str, name: str, action: str, resource: str) -> None:
    assert not permitted(part, name, action, resource)


def test_no_role_with_rights_of_its_own_is_left_out() -> None:
    checkout = platform()
    tried = {(part, name) for part, name, _, _ in ALLOWED}
    assert tried == {(part, name) for part, name, _, _ in DENIED}
    for stack in stacks.read(checkout, definition.read(checkout, "seoul")):
        for name, item in stack.resources.items():
            alike = stack.part == "services" and name.endswith("PushRole")
            own_rights = "Policies" in item.get("Properties", {})
            assert (stack.part, name) in tried or alike or not own_rights, name
