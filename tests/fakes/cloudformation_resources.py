"""What stands in a simulated account: its names, its ids, and what Fn::GetAtt says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.cloudformation_template import ACCOUNT, REGION

# What two things of one account cannot both have, by the property that names them.
NAMES = {
    "AWS::Backup::BackupVault": ("BackupVaultName",),
    "AWS::Budgets::Budget": ("Budget", "BudgetName"),
    "AWS::ECR::Repository": ("RepositoryName",),
    "AWS::EKS::Cluster": ("Name",),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName",),
    "AWS::IAM::OIDCProvider": ("Url",),
    "AWS::IAM::Role": ("RoleName",),
    "AWS::KMS::Alias": ("AliasName",),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::RDS::DBInstance": ("DBInstanceIdentifier",),
    "AWS::S3::Bucket": ("BucketName",),
}
# What of a resource's name is its id.
PHYSICAL = {
    "AWS::ECR::Repository",
    "AWS::EKS::Cluster",
    "AWS::IAM::Role",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
}
ARNS = {"AWS::CertificateManager::Certificate", "AWS::IAM::ManagedPolicy", "AWS::IAM::OIDCProvider"}


@dataclass
class Resource:
    """Something of the account. `stack`: the one that it is of; empty once that stack left it behind."""

    kind: str
    physical: str
    properties: dict[str, Any]
    stack: str
    logical: str


def name_of(kind: str, properties: Mapping[str, Any]) -> str:
    value: Any = properties
    for key in NAMES.get(kind, ("",)):
        value = value.get(key, {})
    return value if isinstance(value, str) else ""


def protection(resource: Resource) -> str:
    protected = resource.properties.get("DeletionProtection")
    return "Cannot delete what has deletion protection enabled" if protected else ""


def attribute(resource: Resource, what: str) -> str:
    """What AWS alone knows of it."""
    if what == "Endpoint.Address":
        return f"{resource.physical}.c0example.{REGION}.rds.amazonaws.com"
    if what == "MasterUserSecret.SecretArn":
        return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-{resource.physical}-AbCdEf"
    if what == "Arn":
        return f"arn:aws:{resource.kind.split('::')[1].lower()}:{REGION}:{ACCOUNT}:{resource.physical}"
    return f"{resource.physical}.{what}"
