"""What overlays keep at AWS: made for who asks, closed to all but its pods, and never lost by a change or by `down`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from gitops.cluster import definition, generated, stacks, state
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository import state as declared
from tests.cluster_world import AwsWorld, aws_world
from tests.fakes import cloudformation_template as templates
from tests.fakes.cloudformation_template import ACCOUNT
from tests.frozen import platform

WITH_STATE = Overlay("benefit", "prod")
HOST = "seoul-benefit-prod-1.c0example.ap-northeast-2.rds.amazonaws.com"


def resources(checkout: Checkout, part: str) -> dict[str, dict[str, Any]]:
    cluster = definition.read(checkout, "seoul")
    template = next(stack.template for stack in stacks.read(checkout, cluster) if stack.part == part)
    given = {name: name for name in template["Parameters"]} | stacks.given(cluster)
    return templates.resolved(template, given)


def properties(checkout: Checkout, part: str, name: str) -> dict[str, Any]:
    made: dict[str, Any] = resources(checkout, part)[name]["Properties"]
    return made


def declare(checkout: Checkout, component: str = "database", **values: str | None) -> None:
    """Change the overlay's own file; None takes a key away."""
    file = checkout.root / declared.file(WITH_STATE, component)
    document = yamlfile.read(checkout, file)
    changed = {**document["data"], **values}
    document["data"] = {key: value for key, value in changed.items() if value is not None}
    file.write_text(yaml.safe_dump(document))


def test_a_database_is_closed_encrypted_backed_up_and_protected() -> None:
    made = properties(platform(), "state", "BenefitProdDatabase1")
    assert made["PubliclyAccessible"] is False
    assert (made["StorageEncrypted"], made["KmsKeyId"]) == (True, "KeyArn")
    assert (made["ManageMasterUserPassword"], made["MasterUserSecret"]) == (True, {"KmsKeyId": "KeyArn"})
    assert "MasterUserPassword" not in made
    assert made["BackupRetentionPeriod"] == 35
    assert (made["DeletionProtection"], made["DeleteAutomatedBackups"]) == (True, False)
    assert {"Key": "backup", "Value": "daily"} in made["Tags"], "by this the plan of the foundation selects it"
    assert made["DBSubnetGroupName"] == "DatabaseSubnets"
    assert made["VPCSecurityGroups"] == ["BenefitProdDatabaseGroup.GroupId"]
    settings = properties(platform(), "state", "DatabaseSettings")
    assert settings["Parameters"] == {"rds.force_ssl": "1"}
    assert made["DBParameterGroupName"] == "DatabaseSettings"


def test_a_database_has_a_standby_where_people_wait_for_it(scratch: Checkout) -> None:
    assert properties(scratch, "state", "BenefitProdDatabase1")["MultiAZ"] is True
    production = scratch.root / WITH_STATE.path
    staging = scratch.root / Overlay(WITH_STATE.service, "staging").path
    (staging / "database.yaml").write_text((production / "database.yaml").read_text())
    file = staging / "kustomization.yaml"
    file.write_text(file.read_text().replace("components:\n", "components:\n  - ../../../base/components/database\n"))
    assert properties(scratch, "state", "BenefitStagingDatabase1")["MultiAZ"] is False


def test_only_the_clusters_own_security_group_reaches_a_database_and_the_database_nothing() -> None:
    group = properties(platform(), "state", "BenefitProdDatabaseGroup")
    assert "SecurityGroupIngress" not in group
    assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == ["127.0.0.1/32"]
    doors = [item for item in resources(platform(), "access").values() if "Ingress" in item["Type"]]
    assert [door["Properties"] for door in doors] == [
        {
            "GroupId": "BenefitProdDatabaseGroup",
            "IpProtocol": "tcp",
            "FromPort": 5432,
            "ToPort": 5432,
            "SourceSecurityGroupId": "ClusterGroup",
            "Description": "Pods of the cluster; network policies say which",
        }
    ]


def test_databases_stand_in_subnets_of_their_own_without_a_way_out() -> None:
    vpc = resources(platform(), "vpc")
    subnets = [item["Properties"] for item in vpc.values() if item["Type"] == "AWS::EC2::Subnet"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 3
    assert [item["Type"] for item in vpc.values()].count("AWS::EC2::Route") == 0
    others = [item.get("Properties", {}) for item in resources(platform(), "network").values()]
    taken = {item["CidrBlock"] for item in others if "CidrBlock" in item}
    assert not taken & {subnet["CidrBlock"] for subnet in subnets}


def test_a_bucket_is_closed_encrypted_and_brings_back_what_was_deleted() -> None:
    made = properties(platform(), "state", "BenefitProdBucket")
    assert set(made["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(made["PublicAccessBlockConfiguration"]) == 4
    assert made["VersioningConfiguration"] == {"Status": "Enabled"}
    [rule] = made["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "KeyArn"}
    [statement] = properties(platform(), "state", "BenefitProdBucketPolicy")["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_a_role_is_of_the_pods_of_one_namespace_in_one_cluster_and_uses_the_key_for_its_own_things() -> None:
    role = properties(platform(), "access", "BenefitProdRole")
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnEquals": {"aws:SourceArn": "ClusterArn"},
    }
    identity = properties(platform(), "access", "BenefitProdIdentity")
    assert (identity["Namespace"], identity["ServiceAccount"]) == ("benefit-prod", "workload")
    statements = {item["Sid"]: item for item in role["Policies"][0]["PolicyDocument"]["Statement"]}
    assert statements["OpenTheOnePassword"]["Condition"]["StringEquals"] == {
        "kms:ViaService": "secretsmanager.ap-northeast-2.amazonaws.com",
        "kms:EncryptionContext:SecretARN": "BenefitProdDatabaseSecret",
    }
    assert statements["EncryptTheOneBucket"]["Condition"]["StringEquals"] == {
        "kms:ViaService": "s3.ap-northeast-2.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::BenefitProdBucket",
    }


def test_who_does_not_ask_has_nothing_and_the_vpc_is_then_made_anew_at_will(scratch: Checkout) -> None:
    file = scratch.root / WITH_STATE.kustomization
    text = file.read_text()
    for component in ("bucket", "database"):
        text = text.replace(f"  - ../../../base/components/{component}\n", "")
    file.write_text(text)
    made = {stack.part: stack for stack in stacks.read(scratch, definition.read(scratch, "seoul"))}
    assert not {"state", "access"} & set(made)
    assert not made["vpc"].keeps


@pytest.mark.parametrize(
    ("component", "values", "what"),
    [
        ("database", {"storage-gb": "5"}, "data.storage-gb"),
        ("database", {"storage-gb": None}, "data.storage-gb"),
        ("database", {"generation": "0"}, "data.generation"),
        ("database", {"generation": "two"}, "data.generation"),
        ("database", {"storage_gb": "20"}, "data.storage_gb"),
        ("database", {"password": "hunter2"}, "data.password"),
        ("database", {"restored-from": "1", "generation": "2"}, "restored-from and restored-to go together"),
        (
            "database",
            {"restored-from": "2", "generation": "2", "restored-to": "2026-11-26T03:00:00Z"},
            "restored-from must be below generation",
        ),
        (
            "database",
            {"restored-from": "1", "generation": "2", "restored-to": "2026-11-26T03:00:00"},
            "expected a zone",
        ),
        ("database", {"previous": "1"}, "previous must be below generation"),
        ("bucket", {"name": None}, "data.name"),
    ],
    ids=str,
)
def test_a_file_that_says_what_cannot_be_is_refused_with_its_key(
    scratch: Checkout, component: str, values: dict[str, str | None], what: str
) -> None:
    declare(scratch, component, **values)
    with pytest.raises(InputError) as caught:
        stacks.read(scratch, definition.read(scratch, "seoul"))
    assert what in str(caught.value)
    assert caught.value.fault.path == f"overlays/benefit/prod/{component}.yaml"


def test_who_asks_and_does_not_say_which_is_told_what_to_write(scratch: Checkout) -> None:
    (scratch.root / declared.file(WITH_STATE, "database")).unlink()
    with pytest.raises(InputError) as caught:
        stacks.read(scratch, definition.read(scratch, "seoul"))
    assert caught.value.fault.path == "overlays/benefit/prod/database.yaml"
    assert "docs/runbooks/data.md" in str(caught.value)


def test_a_name_that_aws_does_not_take_is_refused_before_anything_is_made(scratch: Checkout) -> None:
    refused = ("two--hyphens", "RDS does not take it"), ("a" * 50, "S3 does not take it")
    folder = scratch.overlays / "benefit"
    for service, what in refused:
        folder = folder.rename(scratch.overlays / service)
        with pytest.raises(InputError) as caught:
            stacks.read(scratch, definition.read(scratch, "seoul"))
        assert what in str(caught.value)
        assert caught.value.fault.path == f"overlays/{service}/prod"


# -- at AWS


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[AwsWorld]:
    with aws_world(tmp_path / "clone") as world:
        assert world.up().code == 0
        yield world


def databases(aws: AwsWorld) -> dict[str, str]:
    """Every database of the account, and the stack that has it; empty where one left it behind."""
    return {item.physical: item.stack for item in aws.account.of_type("AWS::RDS::DBInstance")}


def data(aws: AwsWorld, component: str) -> dict[str, str]:
    file = aws.checkout.root / declared.file(WITH_STATE, component)
    content: dict[str, str] = yamlfile.read(aws.checkout, file)["data"]
    return content


RESTORE = {
    "generation": "2",
    "restored-from": "1",
    "restored-to": "2026-11-26T03:00:00Z",
    "previous": "1",
}


@pytest.mark.bots
def test_what_aws_gave_is_written_into_the_overlay_and_its_comments_stay(aws: AwsWorld) -> None:
    declare(aws.checkout, host="pending", secret="pending")
    file = aws.checkout.root / declared.file(WITH_STATE, "database")
    file.write_text(f"# Why.\n{file.read_text()}")
    done = aws.up()
    assert done.code == 0
    assert "wrote overlays/benefit/prod/database.yaml" in done.out
    assert data(aws, "database")["host"] == HOST
    assert data(aws, "database")["secret"].startswith(f"arn:aws:secretsmanager:ap-northeast-2:{ACCOUNT}:secret:rds!db-")
    assert data(aws, "bucket")["name"] == f"seoul-benefit-prod-{ACCOUNT}"
    assert file.read_text().startswith("# Why.\n")
    again = aws.up()
    assert (again.code, again.out) == (0, "")


@pytest.mark.bots
def test_a_restored_database_is_a_new_one_beside_the_old_and_a_revert_goes_back(aws: AwsWorld) -> None:
    before = data(aws, "database")
    declare(aws.checkout, **RESTORE)
    planned = aws.run("plan", "seoul")
    rows = [line.split()[1:5] for line in planned.out.splitlines()[1:]]
    assert rows == [["Add", "BenefitProdDatabase2", "AWS::RDS::DBInstance", "False"]], planned.out
    assert aws.up().code == 0
    assert databases(aws) == {"seoul-benefit-prod-1": "seoul-state", "seoul-benefit-prod-2": "seoul-state"}
    assert data(aws, "database")["host"] == HOST.replace("prod-1", "prod-2")
    [made] = [item for item in aws.account.of_type("AWS::RDS::DBInstance") if item.physical.endswith("2")]
    assert made.properties["SourceDBInstanceIdentifier"] == "seoul-benefit-prod-1"
    assert made.properties["RestoreTime"] == "2026-11-26T03:00:00Z"
    # Back, by the very files of before; what was restored stays at AWS for a person to look at.
    back: dict[str, str | None] = {**before, **dict.fromkeys(("restored-from", "restored-to", "previous"))}
    declare(aws.checkout, "database", **back)
    assert aws.up().code == 0
    assert databases(aws) == {"seoul-benefit-prod-1": "seoul-state", "seoul-benefit-prod-2": ""}
    assert data(aws, "database")["host"] == HOST


@pytest.mark.bots
def test_the_old_one_is_let_go_by_taking_one_line_away_and_is_not_deleted(aws: AwsWorld) -> None:
    declare(aws.checkout, **RESTORE)
    assert aws.up().code == 0
    declare(aws.checkout, previous=None)
    planned = aws.run("plan", "seoul")
    assert [line.split()[1:3] for line in planned.out.splitlines()[1:]] == [["Remove", "BenefitProdDatabase1"]]
    assert aws.up().code == 0
    assert databases(aws) == {"seoul-benefit-prod-1": "", "seoul-benefit-prod-2": "seoul-state"}


@pytest.mark.bots
def test_a_change_that_would_make_a_database_anew_is_refused(aws: AwsWorld) -> None:
    stack = aws.account.stacks.stacks["seoul-state"]
    stack.template["Resources"]["BenefitProdDatabase1"]["Properties"]["DBName"] = "other"
    done = aws.up()
    assert done.code == 2
    assert "AWS would make BenefitProdDatabase1 anew" in done.err
    assert aws.half_made() == []


@pytest.mark.bots
def test_down_leaves_databases_buckets_and_where_they_stand_and_up_finds_them_again(aws: AwsWorld) -> None:
    before = databases(aws)
    buckets = {item.physical for item in aws.account.of_type("AWS::S3::Bucket")}
    done = aws.run("down", "seoul", "--yes", "seoul")
    assert done.code == 0, done.err
    assert "1 RDS::DBInstance" in done.out
    assert databases(aws) == before
    assert {item.physical for item in aws.account.of_type("AWS::S3::Bucket")} == buckets
    doors = itertools.chain(
        aws.account.of_type("AWS::EC2::SecurityGroupIngress"), aws.account.of_type("AWS::EKS::PodIdentityAssociation")
    )
    assert not list(doors)
    assert aws.up().code == 0
    assert databases(aws) == before


@pytest.mark.bots
def test_who_gives_its_database_up_does_not_take_it_away(aws: AwsWorld) -> None:
    file = aws.checkout.root / WITH_STATE.kustomization
    file.write_text(file.read_text().replace("  - ../../../base/components/database\n", ""))
    assert aws.up().code == 0
    assert databases(aws) == {"seoul-benefit-prod-1": ""}
    assert [item.stack for item in aws.account.of_type("AWS::EC2::SecurityGroup")] == [""]


def test_the_certificate_that_programs_trust_is_the_root_of_rds_in_every_region() -> None:
    """By its own words; that AWS publishes it is asked on the first day."""
    file = platform().root / "base/components/database/configmap.yaml"
    certificates = x509.load_pem_x509_certificates(yamlfile.read(platform(), file)["data"]["rds.pem"].encode())
    roots = {}
    for certificate in certificates:
        certificate.verify_directly_issued_by(certificate)
        assert certificate.not_valid_after_utc > datetime(2056, 1, 1, tzinfo=UTC)
        [subject] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        roots[str(subject.value)] = certificate
    region = definition.read(platform(), "seoul").region
    # `CACertificateIdentifier` of the template names it.
    assert list(roots) == [f"Amazon RDS {region} Root CA RSA2048 G1"]
    assert properties(platform(), "state", "BenefitProdDatabase1")["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"


def test_every_overlay_that_asks_is_found_by_its_component() -> None:
    known = services.services(platform())
    assert declared.asking(known, "database") == [WITH_STATE]
    assert declared.asking(known, "volume") == [Overlay("notice-bot", "prod")]
    assert generated.logical(WITH_STATE.namespace) == "BenefitProd"
    assert state.BACKUP_DAYS == 35
