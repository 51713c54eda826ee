"""Templates that are made from overlays/: a service's repository and role, and the zones and certificates of its hosts.

They are written nowhere, so that none is out of date: a service is added by its folder alone, and `gitops cluster plan`
says what that makes on AWS.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gitops.cluster.definition import Definition
from gitops.ground.errors import InputError
from gitops.manifests.certificates import Certificate, covers
from gitops.repository.services import Service

StackTemplate = dict[str, Any]

# Per load balancer, beside the default one; and names per certificate. Both can be raised by AWS on request.
MOST_CERTIFICATES = 25
MOST_NAMES = 10
# Auto Mode replaces a node after 21 days at the latest, and a new node pulls what it runs: what nobody has pulled for
# this long runs nowhere and was not rolled back to either.
UNPULLED_DAYS = 90
_PUSH = (
    "BatchCheckLayerAvailability",
    "BatchGetImage",
    "CompleteLayerUpload",
    "GetDownloadUrlForLayer",
    "InitiateLayerUpload",
    "PutImage",
    "UploadLayerPart",
)
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


@dataclass(frozen=True)
class PlannedCertificate:
    """A certificate that is to be: its first name, and all of them."""

    domain: str
    names: tuple[str, ...]
    zone: str


def services_template(definition: Definition, services: Iterable[Service]) -> StackTemplate:
    """A repository for each image of ours, and the role of the service's own repository that may push it."""
    resources: dict[str, Any] = {}
    for path, users in _repositories(definition, services).items():
        name = logical(path)
        resources |= new(resources, f"{name}Repository", path, {**KEPT, **_repository(path)})
        resources |= new(resources, f"{name}PushRole", path, _push_role(definition, path, users))
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Images of the services, and who may push them",
        "Parameters": {"GitHubProvider": {"Type": "String"}, "PushBoundary": {"Type": "String"}},
        "Resources": resources,
    }


def zones_template(definition: Definition) -> StackTemplate:
    """A hosted zone for each domain. Their name servers are what the domain's registrar is told."""
    resources: dict[str, Any] = {}
    for domain in definition.domains:
        zone = {"Type": "AWS::Route53::HostedZone", **KEPT, "Properties": {"Name": domain}}
        resources |= new(resources, f"{logical(domain)}Zone", domain, zone)
    outputs: dict[str, Any] = {name: {"Value": {"Ref": name}} for name in resources}
    for name in resources:
        servers = {"Fn::GetAtt": [name, "NameServers"]}
        outputs[f"{name.removesuffix('Zone')}Servers"] = {"Value": {"Fn::Join": [",", servers]}}
    arns = [{"Fn::Sub": f"arn:aws:route53:::hostedzone/${{{name}}}"} for name in resources]
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The zones of a platform's domains",
        "Resources": resources,
        "Outputs": {**outputs, "ZoneArns": {"Value": {"Fn::Join": [",", arns]}}},
    }


def certificates_template(definition: Definition, services: Iterable[Service]) -> StackTemplate:
    """Every certificate of the load balancer, validated by records that ACM itself lays into the zones."""
    resources: dict[str, Any] = {}
    for planned in certificates(definition, services):
        zone = {"Ref": f"{logical(planned.zone)}Zone"}
        certificate = {
            "Type": "AWS::CertificateManager::Certificate",
            # Deleting one that the load balancer still holds fails, and it costs nothing.
            **KEPT,
            "Properties": {
                "DomainName": planned.names[0],
                "SubjectAlternativeNames": list(planned.names[1:]),
                "ValidationMethod": "DNS",
                "DomainValidationOptions": [{"DomainName": name, "HostedZoneId": zone} for name in planned.names],
            },
        }
        resources |= new(resources, f"{logical(planned.domain)}Certificate", planned.domain, certificate)
    zones = {f"{logical(domain)}Zone": {"Type": "AWS::Route53::HostedZone::Id"} for domain in definition.domains}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The certificates of a platform's load balancer",
        "Parameters": zones,
        "Resources": resources,
        "Outputs": {name: {"Value": {"Ref": name}} for name in resources},
    }


def certificates(definition: Definition, services: Iterable[Service]) -> list[PlannedCertificate]:
    """The least that covers every host: one a domain, and one for each service whose hosts are deeper than that.

    Raises InputError where a host is in no zone of ours, or where there would be more than the load balancer takes.
    """
    plan = [PlannedCertificate(domain, _own_names(domain), domain) for domain in definition.domains]
    known = [Certificate(arn="", names=list(certificate.names)) for certificate in plan]
    for service in services:
        hosts = sorted(set(itertools.chain.from_iterable(overlay.domains for overlay in service.overlays)), key=_depth)
        if all(covers(known, host) for host in hosts):
            continue
        names = [hosts[0], *sorted({f"*.{host.partition('.')[2]}" for host in hosts[1:]}, key=_depth)]
        names = [name for name in names if name.count(".") > 1 or name in hosts]
        if len(names) > MOST_NAMES:
            raise InputError(
                f"{service.name}: one certificate cannot have all of its names",
                path=f"overlays/{service.name}",
                expected=f"at most {MOST_NAMES}",
                found=str(len(names)),
            )
        plan.append(PlannedCertificate(hosts[0], tuple(names), _zone(definition, service.name, hosts)))
    if len(plan) > MOST_CERTIFICATES + 1:
        raise InputError(
            "more certificates than the one load balancer takes",
            expected=f"the default and {MOST_CERTIFICATES}",
            found=str(len(plan)),
            fix="give services hosts one label below a domain, which the domain's own certificate covers",
        )
    return plan


def _own_names(domain: str) -> tuple[str, ...]:
    return (domain, f"*.{domain}", f"*.staging.{domain}")


def _depth(host: str) -> tuple[int, str]:
    return host.count("."), host


def _zone(definition: Definition, service: str, hosts: Iterable[str]) -> str:
    """The one domain of ours that every host is in."""
    zones = {_domain(definition, host) for host in hosts}
    if len(zones) != 1 or None in zones:
        raise InputError(
            f"{service}: its hosts are not all in one domain of the cluster",
            path=f"overlays/{service}",
            expected=" or ".join(definition.domains),
            found=", ".join(hosts),
            fix="add the domain to data.domains of cluster.yaml",
        )
    [zone] = zones
    return str(zone)


def _domain(definition: Definition, host: str) -> str | None:
    """The deepest domain of ours that a host is in."""
    around = [domain for domain in definition.domains if host == domain or host.endswith(f".{domain}")]
    return max(around, key=len, default=None)


def _repositories(definition: Definition, services: Iterable[Service]) -> Mapping[str, list[str]]:
    """The services of each repository of ours, by its path in the registry."""
    users: dict[str, list[str]] = {}
    for service in services:
        images = itertools.chain.from_iterable(overlay.images for overlay in service.overlays)
        ours = {image.name for image in images if image.name.startswith(f"{definition.registry}/")}
        for name in sorted(ours):
            users.setdefault(name.removeprefix(f"{definition.registry}/"), []).append(service.name)
    return users


def _repository(path: str) -> dict[str, Any]:
    return {
        "Type": "AWS::ECR::Repository",
        "Properties": {
            "RepositoryName": path,
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": {"ScanOnPush": True},
            "EncryptionConfiguration": {"EncryptionType": "AES256"},
            "LifecyclePolicy": {"LifecyclePolicyText": json.dumps({"rules": [_EXPIRY]})},
        },
    }


_EXPIRY = {
    "rulePriority": 1,
    "description": f"Not pulled for {UNPULLED_DAYS} days: it runs nowhere",
    "selection": {
        "tagStatus": "any",
        "countType": "sinceImagePulled",
        "countUnit": "days",
        "countNumber": UNPULLED_DAYS,
    },
    "action": {"type": "expire"},
}


def _push_role(definition: Definition, path: str, users: list[str]) -> dict[str, Any]:
    issuer = "token.actions.githubusercontent.com"
    subjects = [f"repo:{definition.organisation}/{user}:environment:image" for user in users]
    trust = {
        "Sid": "JobsOfTheEnvironmentImage",
        "Effect": "Allow",
        "Principal": {"Federated": {"Ref": "GitHubProvider"}},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subjects}},
    }
    rights = [
        {
            "Sid": "PushTheOneImage",
            "Effect": "Allow",
            "Action": [f"ecr:{action}" for action in _PUSH],
            "Resource": {"Fn::Sub": f"arn:aws:ecr:${{AWS::Region}}:${{AWS::AccountId}}:repository/{path}"},
        },
        # A token of the whole registry: AWS has no narrower resource for this action.
        {"Sid": "SignIn", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    ]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": f"gitops-push-{path.replace('/', '-')}",
            "MaxSessionDuration": 3600,
            # Without it the workflow that makes these roles could make one that can do everything.
            "PermissionsBoundary": {"Ref": "PushBoundary"},
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {"PolicyName": "push-image", "PolicyDocument": {"Version": "2012-10-17", "Statement": rights}}
            ],
        },
    }


def logical(name: str) -> str:
    """A name as CloudFormation's logical ids may be: letters and digits."""
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))


def new(resources: Mapping[str, Any], key: str, name: str, resource: dict[str, Any]) -> dict[str, Any]:
    """One more resource. Raises InputError where its logical id is taken."""
    if key in resources:
        raise InputError(f"{name}: CloudFormation cannot tell it from another name (both are {key})", fix="rename one")
    return {key: resource}
