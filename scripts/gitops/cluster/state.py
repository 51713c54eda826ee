"""Templates of what overlays keep: databases and buckets, which outlive the cluster, and who of it may use them.

Two stacks, as they live differently: `state` holds the data; `access` names pods of the cluster, and goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitops.cluster.definition import Definition
from gitops.cluster.generated import KEPT, StackTemplate, logical, new
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import counted
from gitops.manifests.overlay import Overlay
from gitops.repository import state
from gitops.repository.services import Service
from gitops.repository.state import DeclaredDatabase

# The smallest there is; docs/adr/0014 has what it costs beside Aurora.
INSTANCE_CLASS = "db.t4g.micro"
# A minor version that AWS has outgrown cannot be begun with; the ones that run are taken further by AWS itself.
ENGINE_VERSION = "17.11"
# The longest that RDS keeps what it needs to go back to any second.
BACKUP_DAYS = 35
PORT = 5432
# The most that a disk grows to by itself, as a multiple of what it began with: a full disk stops a database.
GROWTH = 5
# RDS's limit for the name of an instance, and S3's for a bucket.
_LONGEST_NAME = 63
_SERVICE_ACCOUNT = "workload"
# Night in Seoul (UTC + 9): the backup, then what AWS has to mend.
_BACKUP_WINDOW, _MAINTENANCE_WINDOW = "18:00-18:30", "sun:19:00-sun:19:30"


def state_template(definition: Definition, checkout: Checkout, services: Iterable[Service]) -> StackTemplate:
    """The database and the bucket of each overlay that asks for one. Raises InputError."""
    known = list(services)
    databases = state.databases(checkout, known)
    resources: dict[str, Any] = _shared() if databases else {}
    outputs: dict[str, Any] = {}
    for overlay, database in databases.items():
        name = logical(overlay.namespace)
        resources |= new(resources, f"{name}DatabaseGroup", overlay.namespace, _group(overlay))
        for generation in _generations(database):
            made = _instance(definition, overlay, database, generation)
            resources |= new(resources, _instance_id(overlay, generation), overlay.namespace, made)
        current = _instance_id(overlay, database.generation)
        outputs[f"{name}DatabaseHost"] = {"Value": {"Fn::GetAtt": [current, "Endpoint.Address"]}}
        outputs[f"{name}DatabaseSecret"] = {"Value": {"Fn::GetAtt": [current, "MasterUserSecret.SecretArn"]}}
        outputs[f"{name}DatabaseGroup"] = {"Value": {"Fn::GetAtt": [f"{name}DatabaseGroup", "GroupId"]}}
    for overlay in state.buckets(checkout, known):
        name = logical(overlay.namespace)
        resources |= new(resources, f"{name}Bucket", overlay.namespace, _bucket(definition, overlay))
        resources |= new(resources, f"{name}BucketPolicy", overlay.namespace, _bucket_policy(f"{name}Bucket"))
        outputs[f"{name}Bucket"] = {"Value": {"Ref": f"{name}Bucket"}}
    parameters = {"KeyArn": {"Type": "String"}}
    if databases:
        parameters |= {
            "VpcId": {"Type": "AWS::EC2::VPC::Id"},
            "DataSubnets": {"Type": "List<AWS::EC2::Subnet::Id>"},
        }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "What services keep: databases and buckets",
        "Parameters": parameters,
        "Resources": resources,
        "Outputs": outputs,
    }


def access_template(checkout: Checkout, services: Iterable[Service]) -> StackTemplate:
    """Which pods may use which database and bucket: a role for each overlay, and a door in each database's group."""
    known = list(services)
    databases, buckets = state.databases(checkout, known), state.buckets(checkout, known)
    resources: dict[str, Any] = {}
    parameters = {name: {"Type": "String"} for name in ("ClusterName", "ClusterArn", "KeyArn")}
    for overlay in sorted({*databases, *buckets}):
        name = logical(overlay.namespace)
        rights: list[dict[str, Any]] = []
        if overlay in databases:
            parameters |= {f"{name}DatabaseSecret": {"Type": "String"}, f"{name}DatabaseGroup": {"Type": "String"}}
            parameters["ClusterGroup"] = {"Type": "AWS::EC2::SecurityGroup::Id"}
            resources |= new(resources, f"{name}DatabaseDoor", overlay.namespace, _door(name))
            rights += _secret_rights(f"{name}DatabaseSecret")
        if overlay in buckets:
            parameters[f"{name}Bucket"] = {"Type": "String"}
            rights += _bucket_rights(f"{name}Bucket")
        resources |= new(resources, f"{name}Role", overlay.namespace, _role(overlay, rights))
        resources |= new(resources, f"{name}Identity", overlay.namespace, _identity(overlay, f"{name}Role"))
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Which pods may use what services keep",
        "Parameters": parameters,
        "Resources": resources,
    }


def written(
    checkout: Checkout, services: Iterable[Service], outputs: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """What AWS gave for an overlay's own file: the file's path, the key below `data`, the value."""
    known = list(services)
    for overlay in state.databases(checkout, known):
        source, name = state.file(overlay, state.DATABASE), logical(overlay.namespace)
        yield source, "host", outputs[f"{name}DatabaseHost"]
        yield source, "secret", outputs[f"{name}DatabaseSecret"]
    for overlay in state.buckets(checkout, known):
        yield state.file(overlay, state.BUCKET), "name", outputs[f"{logical(overlay.namespace)}Bucket"]


# -- databases


def _generations(database: DeclaredDatabase) -> list[int]:
    return sorted({database.generation, *filter(None, [database.previous])})


def _instance_id(overlay: Overlay, generation: int) -> str:
    return f"{logical(overlay.namespace)}Database{generation}"


def _instance_name(definition: Definition, overlay: Overlay, generation: int) -> str:
    name = f"{definition.name}-{overlay.namespace}-{generation}"
    if len(name) > _LONGEST_NAME or "--" in name:
        raise InputError(
            f"{name}: RDS does not take it for the name of a database",
            path=overlay.path,
            expected=f"at most {_LONGEST_NAME} characters, no two hyphens together",
            found=counted(len(name), "character"),
            fix="give the service a shorter name",
        )
    return name


def _shared() -> dict[str, Any]:
    """What all databases stand in: the subnets for data, and what each has set."""
    subnets = {"DBSubnetGroupDescription": "Subnets for data alone", "SubnetIds": {"Ref": "DataSubnets"}}
    settings = {
        "Family": f"postgres{ENGINE_VERSION.partition('.')[0]}",
        "Description": "Encrypted connections alone",
        "Parameters": {"rds.force_ssl": "1"},
    }
    return {
        "DatabaseSubnets": {"Type": "AWS::RDS::DBSubnetGroup", **KEPT, "Properties": subnets},
        "DatabaseSettings": {"Type": "AWS::RDS::DBParameterGroup", **KEPT, "Properties": settings},
    }


def _group(overlay: Overlay) -> dict[str, Any]:
    """A security group that lets nobody in: the stack `access` opens it to the cluster. A database calls nobody."""
    nowhere = {"CidrIp": "127.0.0.1/32", "IpProtocol": "-1", "Description": "Nowhere"}
    properties = {
        "GroupDescription": f"The database of {overlay.namespace}",
        "VpcId": {"Ref": "VpcId"},
        "SecurityGroupEgress": [nowhere],
    }
    return {"Type": "AWS::EC2::SecurityGroup", **KEPT, "Properties": properties}


def _instance(definition: Definition, overlay: Overlay, database: DeclaredDatabase, generation: int) -> dict[str, Any]:
    properties = {
        "DBInstanceIdentifier": _instance_name(definition, overlay, generation),
        "DBInstanceClass": INSTANCE_CLASS,
        "DBSubnetGroupName": {"Ref": "DatabaseSubnets"},
        "DBParameterGroupName": {"Ref": "DatabaseSettings"},
        "VPCSecurityGroups": [{"Fn::GetAtt": [f"{logical(overlay.namespace)}DatabaseGroup", "GroupId"]}],
        "PubliclyAccessible": False,
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "StorageType": "gp3",
        "MaxAllocatedStorage": database.storage_gb * GROWTH,
        # A standby in another zone, in the place where people wait.
        "MultiAZ": overlay.environment == "prod",
        # RDS makes the password, keeps it in Secrets Manager and changes it every week: nobody ever types one.
        "ManageMasterUserPassword": True,
        "MasterUserSecret": {"KmsKeyId": {"Ref": "KeyArn"}},
        "BackupRetentionPeriod": BACKUP_DAYS,
        "PreferredBackupWindow": _BACKUP_WINDOW,
        "PreferredMaintenanceWindow": _MAINTENANCE_WINDOW,
        "AutoMinorVersionUpgrade": True,
        "CopyTagsToSnapshot": True,
        # Who deletes it by hand all the same can still go back.
        "DeleteAutomatedBackups": False,
        "DeletionProtection": True,
        "Tags": [
            {"Key": "service", "Value": overlay.service},
            {"Key": "environment", "Value": overlay.environment},
            # The plan of the foundation keeps copies in a vault that the database's own rights do not reach.
            {"Key": "backup", "Value": "daily"},
        ],
    }
    return {
        "Type": "AWS::RDS::DBInstance",
        **KEPT,
        "Properties": {**properties, **_origin(definition, overlay, database, generation)},
    }


def _origin(definition: Definition, overlay: Overlay, database: DeclaredDatabase, generation: int) -> dict[str, Any]:
    """How it begins: empty, or as another one was at a moment. Never changed later: AWS would make it anew."""
    if generation == database.generation and database.restored_from and database.restored_to:
        return {
            "SourceDBInstanceIdentifier": _instance_name(definition, overlay, database.restored_from),
            "RestoreTime": database.restored_to.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    return {
        "Engine": "postgres",
        "EngineVersion": ENGINE_VERSION,
        "AllocatedStorage": str(database.storage_gb),
        "StorageEncrypted": True,
        "KmsKeyId": {"Ref": "KeyArn"},
        "DBName": "app",
        "MasterUsername": "app",
    }


def _door(name: str) -> dict[str, Any]:
    """Nodes and pods of an Auto Mode cluster are in the cluster's own security group, and nothing else is."""
    properties = {
        "GroupId": {"Ref": f"{name}DatabaseGroup"},
        "IpProtocol": "tcp",
        "FromPort": PORT,
        "ToPort": PORT,
        "SourceSecurityGroupId": {"Ref": "ClusterGroup"},
        "Description": "Pods of the cluster; network policies say which",
    }
    return {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": properties}


# -- buckets


def _bucket(definition: Definition, overlay: Overlay) -> dict[str, Any]:
    name = f"{definition.name}-{overlay.namespace}-{definition.account}"
    if len(name) > _LONGEST_NAME:
        raise InputError(
            f"{name}: S3 does not take it for the name of a bucket",
            path=overlay.path,
            expected=f"at most {_LONGEST_NAME} characters",
            found=str(len(name)),
            fix="give the service a shorter name",
        )
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "KeyArn"}}
    lifecycle = {
        "Id": "OldVersions",
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": BACKUP_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    properties = {
        "BucketName": name,
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": encryption}
            ]
        },
        "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        # What was overwritten or deleted comes back for as long as a database's past does.
        "VersioningConfiguration": {"Status": "Enabled"},
        "LifecycleConfiguration": {"Rules": [lifecycle]},
    }
    return {"Type": "AWS::S3::Bucket", **KEPT, "Properties": properties}


def _bucket_policy(bucket: str) -> dict[str, Any]:
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    statement = {
        "Sid": "EncryptedConnectionsAlone",
        "Effect": "Deny",
        "Principal": "*",  # it denies, and to everyone
        "Action": "s3:*",
        "Resource": [arn, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": bucket}, "PolicyDocument": document}}


# -- roles


def _role(overlay: Overlay, rights: list[dict[str, Any]]) -> dict[str, Any]:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnEquals": {"aws:SourceArn": {"Ref": "ClusterArn"}},
        },
    }
    properties = {
        "Description": f"What the pods of {overlay.namespace} keep",
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": "state", "PolicyDocument": {"Version": "2012-10-17", "Statement": rights}}],
    }
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _identity(overlay: Overlay, role: str) -> dict[str, Any]:
    properties = {
        "ClusterName": {"Ref": "ClusterName"},
        "Namespace": overlay.namespace,
        "ServiceAccount": _SERVICE_ACCOUNT,
        "RoleArn": {"Fn::GetAtt": [role, "Arn"]},
    }
    return {"Type": "AWS::EKS::PodIdentityAssociation", "Properties": properties}


def _secret_rights(secret: str) -> list[dict[str, Any]]:
    via = {"Fn::Sub": "secretsmanager.${AWS::Region}.amazonaws.com"}
    return [
        {
            "Sid": "ReadTheOnePassword",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": {"Ref": secret},
        },
        _key_rights("OpenTheOnePassword", ["kms:Decrypt"], via, "SecretARN", {"Ref": secret}),
    ]


def _bucket_rights(bucket: str) -> list[dict[str, Any]]:
    arn = {"Fn::Sub": f"arn:aws:s3:::${{{bucket}}}"}
    objects = ("AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject")
    via = {"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"}
    return [
        {"Sid": "ListTheOneBucket", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn},
        {
            "Sid": "UseTheOneBucket",
            "Effect": "Allow",
            "Action": [f"s3:{action}" for action in objects],
            "Resource": {"Fn::Sub": f"arn:aws:s3:::${{{bucket}}}/*"},
        },
        _key_rights("EncryptTheOneBucket", ["kms:Decrypt", "kms:GenerateDataKey"], via, "aws:s3:arn", arn),
    ]


def _key_rights(sid: str, actions: list[str], via: Any, context: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    """The platform's one key, for one thing alone: the service that asks says for which, and signs it."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": {"Ref": "KeyArn"},
        "Condition": {"StringEquals": {"kms:ViaService": via, f"kms:EncryptionContext:{context}": value}},
    }
