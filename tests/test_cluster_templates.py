"""The templates of a cluster: valid for the region, least rights, nothing of value that a stack could take along."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest
import yaml
from cfnlint.api import lint

from gitops.cluster import definition, generated, stacks
from gitops.cluster.definition import Definition
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.certificates import Certificate, covers
from gitops.repository import services
from gitops.repository.services import Service
from tests.fakes import cloudformation_template as templates
from tests.frozen import platform

# What holds what nobody can make again, or what others have written down.
PRECIOUS = {
    "AWS::Backup::BackupVault",
    "AWS::CertificateManager::Certificate",
    "AWS::ECR::Repository",
    "AWS::IAM::OIDCProvider",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    # What a database that stays goes on standing on.
    "AWS::EC2::SecurityGroup",
    "AWS::RDS::DBParameterGroup",
    "AWS::RDS::DBSubnetGroup",
    "AWS::Route53::HostedZone",
    "AWS::S3::Bucket",
}
# Statements with a `*` for an action, a resource or a principal, and why.
WILDCARDS = {
    ("foundation", "TheAccountDecides"): "a key's own policy: the account's IAM narrows it, and * is that key",
    ("foundation", "EncryptedConnectionsAlone"): "it denies",
    ("cluster", "FindZones"): "AWS has no narrower resource for route53:ListHostedZones",
    ("foundation", "LookAround"): "AWS has no narrower resource for lists; what is there is names and ranges",
    ("foundation", "RequestCertificates"): "AWS has no narrower resource for acm:RequestCertificate",
    ("foundation", "SignIn"): "AWS has no narrower resource for ecr:GetAuthorizationToken",
    ("state", "EncryptedConnectionsAlone"): "it denies",
    ("services", "SignIn"): "AWS has no narrower resource for ecr:GetAuthorizationToken",
}


def cluster() -> Definition:
    return definition.read(platform(), "seoul")


def parts() -> dict[str, stacks.Stack]:
    return {stack.part: stack for stack in stacks.read(platform(), cluster())}


def resources(part: str) -> dict[str, dict[str, Any]]:
    """The resources of a stack, their properties answered."""
    template = parts()[part].template
    given = {name: name for name in template.get("Parameters", {})} | stacks.given(cluster())
    return templates.resolved(template, given)


def of_type(part: str, kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in resources(part).values() if item["Type"] == kind]


def findings(template: dict[str, Any]) -> list[str]:
    matches = lint(json.dumps(template), regions=[templates.REGION])
    return [f"{match.rule.id} {match.message}" for match in matches]


PARTS = ["foundation", "zones", "certificates", "services", "vpc", "state", "network", "cluster", "access"]


def test_every_stack_is_looked_at() -> None:
    assert list(parts()) == PARTS


@pytest.mark.parametrize("part", PARTS)
def test_a_template_is_valid_and_small_enough_to_send(part: str) -> None:
    template = parts()[part].template
    assert findings(template) == []
    assert len(json.dumps(template)) < stacks.MOST_BYTES


def _misspelt(template: dict[str, Any]) -> None:
    template["Resources"]["Cluster"]["Properties"]["DeletionProtecton"] = True


def _unknown_type(template: dict[str, Any]) -> None:
    template["Resources"]["Cluster"]["Type"] = "AWS::EKS::Clutser"


def _malformed(template: dict[str, Any]) -> None:
    template["Resources"]["Cluster"]["Properties"]["UpgradePolicy"]["SupportType"] = "STANDART"


def _no_such_action(template: dict[str, Any]) -> None:
    policy = template["Resources"]["DnsRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    policy["Statement"][0]["Action"] = ["route53:ChangeResourceRecordSet"]


def _no_such_name(template: dict[str, Any]) -> None:
    template["Resources"]["Cluster"]["Properties"]["RoleArn"] = {"Fn::GetAtt": ["ClusterRoll", "Arn"]}


@pytest.mark.parametrize("mistake", [_misspelt, _unknown_type, _malformed, _no_such_action, _no_such_name])
def test_a_mistake_in_a_template_is_seen(mistake: Callable[[dict[str, Any]], None]) -> None:
    template = parts()["cluster"].template
    mistake(template)
    assert findings(template)


def test_what_is_precious_stays_whatever_happens_to_its_stack() -> None:
    for part, stack in parts().items():
        for name, item in stack.resources.items():
            policies = (item.get("DeletionPolicy"), item.get("UpdateReplacePolicy"))
            # RetainExceptOnCreate: a creation that failed leaves nothing of it.
            expected = ("RetainExceptOnCreate", "Retain") if item["Type"] in PRECIOUS else (None, None)
            assert policies == expected, f"{part} {name}"
        kinds = {item["Type"] for item in stack.resources.values()}
        # A database cannot move to another VPC, so where there is one it stays too.
        assert stack.keeps == bool(kinds & PRECIOUS) or part == "vpc", part
    assert parts()["vpc"].keeps


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy of the stacks, with its stack."""
    for part in parts():
        for item in resources(part).values():
            for policy in _policies(item.get("Properties", {})):
                yield from ((part, statement) for statement in policy["Statement"])


def _policies(properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (
        properties[key] for key in ("AssumeRolePolicyDocument", "PolicyDocument", "KeyPolicy") if key in properties
    )
    yield from (policy["PolicyDocument"] for policy in properties.get("Policies", []))


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return _words(list(value.values()))
    return list(itertools.chain.from_iterable(map(_words, value))) if isinstance(value, list) else [str(value)]


def test_no_right_is_wider_than_it_has_a_reason_to_be() -> None:
    wide = set()
    for part, statement in statements():
        words = _words([statement.get(key, []) for key in ("Resource", "Principal", "NotResource", "NotAction")])
        actions = _words(statement.get("Action", []))
        if "*" in words or any("*" in action for action in actions) or {"NotAction", "NotResource"} & set(statement):
            wide.add((part, statement.get("Sid")))
    assert wide == set(WILDCARDS)


def test_pods_of_another_account_or_cluster_take_no_role() -> None:
    roles = [item for item in resources("cluster").values() if item["Type"] == "AWS::IAM::Role"]
    trusts = [role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0] for role in roles]
    pods = [trust for trust in trusts if trust["Principal"]["Service"] == "pods.eks.amazonaws.com"]
    assert len(pods) == len(of_type("cluster", "AWS::EKS::PodIdentityAssociation"))
    for trust in pods:
        assert trust["Condition"]["ArnEquals"] == {"aws:SourceArn": "Cluster.Arn"}
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": templates.ACCOUNT}


def test_the_cluster_is_private_encrypted_protected_and_on_standard_support() -> None:
    [made] = of_type("cluster", "AWS::EKS::Cluster")
    assert made["AccessConfig"] == {"AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": False}
    assert made["EncryptionConfig"] == [{"Provider": {"KeyArn": "KeyArn"}, "Resources": ["secrets"]}]
    assert {"Type": "audit"} in made["Logging"]["ClusterLogging"]["EnabledTypes"]
    assert made["DeletionProtection"] is True
    assert made["UpgradePolicy"] == {"SupportType": "STANDARD"}
    assert made["ZonalShiftConfig"] == {"Enabled": True}
    assert made["ComputeConfig"]["Enabled"]
    assert made["StorageConfig"]["BlockStorage"]["Enabled"]
    assert made["KubernetesNetworkConfig"]["ElasticLoadBalancing"]["Enabled"]
    assert made["ResourcesVpcConfig"]["SubnetIds"] == ["PrivateSubnets"]
    assert made["ResourcesVpcConfig"]["EndpointPrivateAccess"]


def test_each_of_three_zones_has_its_own_way_out_and_no_address_twice() -> None:
    subnets = of_type("network", "AWS::EC2::Subnet")
    ranges = [IPv4Network(subnet["CidrBlock"]) for subnet in subnets]
    assert all(block.subnet_of(cluster().vpc_range) for block in ranges)
    assert len(set(ranges)) == 6
    assert not any(subnet.get("MapPublicIpOnLaunch") for subnet in subnets)
    assert [subnet["AvailabilityZone"] for subnet in subnets].count("ap-northeast-2a") == 2
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 3
    routes = {route["RouteTableId"]: route.get("NatGatewayId") for route in of_type("network", "AWS::EC2::Route")}
    for zone in "ABC":
        assert routes[f"PrivateRoutes{zone}"] == f"Nat{zone}"
        assert resources("network")[f"Nat{zone}"]["Properties"]["SubnetId"] == f"PublicSubnet{zone}"
    [endpoint] = of_type("network", "AWS::EC2::VPCEndpoint")
    assert endpoint["VpcEndpointType"] == "Gateway", "those of the other type cost by the hour"
    assert sorted(endpoint["RouteTableIds"]) == [f"PrivateRoutes{zone}" for zone in "ABC"]


def known_services() -> list[Service]:
    return services.services(platform())


def test_each_image_of_ours_has_a_repository_in_which_no_tag_moves_and_nothing_that_runs_expires() -> None:
    repositories = of_type("services", "AWS::ECR::Repository")
    images = set()
    for service in known_services():
        for overlay in service.overlays:
            images |= {image.name for image in overlay.images if image.name.startswith(cluster().registry)}
    assert {f"{cluster().registry}/{made['RepositoryName']}" for made in repositories} == images
    for made in repositories:
        assert made["ImageTagMutability"] == "IMMUTABLE"
        assert made["ImageScanningConfiguration"] == {"ScanOnPush": True}
        [rule] = json.loads(made["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        # By age since the push, or by number, something that still runs would go one day.
        assert rule["selection"]["countType"] == "sinceImagePulled"
        # A node lives 21 days at most and pulls when it starts; a rollback goes back 30 days.
        assert rule["selection"]["countNumber"] >= 21 + 30


def test_a_service_pushes_its_own_image_alone() -> None:
    roles = of_type("services", "AWS::IAM::Role")
    assert len(roles) == len(of_type("services", "AWS::ECR::Repository"))
    for role in roles:
        service = role["RoleName"].removeprefix("gitops-push-")
        [push, sign_in] = role["Policies"][0]["PolicyDocument"]["Statement"]
        assert push["Resource"].endswith(f":repository/{service}")
        assert sign_in["Action"] == "ecr:GetAuthorizationToken"


def test_every_host_is_covered_by_a_certificate_and_validated_in_its_zone() -> None:
    made = of_type("certificates", "AWS::CertificateManager::Certificate")
    planned = [Certificate(arn="", names=[item["DomainName"], *item["SubjectAlternativeNames"]]) for item in made]
    for service in known_services():
        for overlay in service.overlays:
            assert [host for host in overlay.domains if not covers(planned, host)] == []
    for item in made:
        names = [item["DomainName"], *item["SubjectAlternativeNames"]]
        assert [option["DomainName"] for option in item["DomainValidationOptions"]] == names
        for option in item["DomainValidationOptions"]:
            zone = next(domain for domain in cluster().domains if option["DomainName"].endswith(domain))
            assert option["HostedZoneId"] == f"{generated.logical(zone)}Zone"


def changed(checkout: Checkout, **values: str) -> Checkout:
    """Another definition of the cluster seoul, in a clone."""
    file = checkout.root / "clusters/seoul/cluster.yaml"
    document = yamlfile.read(checkout, file)
    document["data"] |= values
    file.write_text(yaml.safe_dump(document))
    return checkout


def with_hosts(service: Service, *hosts: str) -> Service:
    [overlay, *_] = service.overlays
    summary = services.OverlaySummary(overlay.overlay, (), hosts)
    return Service(service.name, service.folder, service.owner, (summary,))


def test_hosts_that_a_domains_own_certificate_covers_need_no_other() -> None:
    service = with_hosts(known_services()[0], "shop.example.com", "shop.staging.example.com")
    assert [plan.domain for plan in generated.certificates(cluster(), [service])] == list(cluster().domains)


def test_more_certificates_than_the_load_balancer_takes_are_refused() -> None:
    service = known_services()[0]
    many = [with_hosts(service, f"s{number}.example.com", f"www.s{number}.example.com") for number in range(25)]
    assert len(generated.certificates(cluster(), many[:24])) == 26
    with pytest.raises(InputError) as caught:
        generated.certificates(cluster(), many)
    assert (caught.value.fault.expected, caught.value.fault.found) == ("the default and 25", "27")


@pytest.mark.parametrize("hosts", [("a.other.net", "b.a.other.net"), ("x.y.example.com", "x.y.example.org")])
def test_a_host_outside_of_the_clusters_domains_is_refused(hosts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="not all in one domain"):
        generated.certificates(cluster(), [with_hosts(known_services()[0], *hosts)])


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"vpcRange": "10.42.0.0/20"}, "data.vpcRange"),
        ({"vpcRange": "11.42.0.0/16"}, "data.vpcRange"),
        ({"serviceRange": "10.42.128.0/20"}, "data.vpcRange overlaps data.serviceRange"),
        ({"otherRanges": "10.0.0.0/8"}, "data.vpcRange overlaps data.otherRanges"),
        ({"otherRanges": "10.50.0.0/16, 10.50.1.0/24"}, "data.otherRanges overlaps data.otherRanges"),
        ({"account": "42"}, "data.account"),
        ({"region": "seoul"}, "data.region"),
        ({"kubernetesVersion": "1.36.3"}, "data.kubernetesVersion"),
        ({"domains": ""}, "data.domains"),
        ({"domains": "Example.com"}, "data.domains"),
        ({"adminRole": "arn:aws:iam::444455556666:role/x"}, "data.adminRole: of another account"),
        ({"budgetContact": "nobody"}, "data.budgetContact"),
        ({"repoURL": "https://gitlab.com/a/b.git"}, "data.repoURL"),
    ],
    ids=str,
)
def test_a_definition_that_cannot_be_is_refused_with_its_key(
    scratch: Checkout, values: dict[str, str], what: str
) -> None:
    with pytest.raises(InputError) as caught:
        definition.read(changed(scratch, **values), "seoul")
    assert what in str(caught.value)
    assert caught.value.fault.path == "clusters/seoul/cluster.yaml"


def test_all_faults_of_a_definition_at_once(scratch: Checkout) -> None:
    with pytest.raises(InputError) as caught:
        definition.read(changed(scratch, account="42", region="x", domains=""), "seoul")
    assert len(caught.value.faults) == 3


def test_what_the_repository_gives_as_an_example_is_no_account_and_no_range(scratch: Checkout) -> None:
    with pytest.raises(InputError) as caught:
        definition.check_written(scratch, definition.read(scratch, "seoul"))
    assert [fault.found for fault in caught.value.faults] == ["111122223333", "203.0.113.0/24"]


def test_a_cluster_that_is_not_of_aws_is_told_apart(scratch: Checkout) -> None:
    with pytest.raises(InputError, match="not one of AWS"):
        definition.read(scratch, "lab")


def test_a_parameter_that_nothing_gives_is_refused(scratch: Checkout) -> None:
    file = scratch.root / "clusters/seoul/aws/network.yaml"
    file.write_text(file.read_text().replace("Parameters:\n", "Parameters:\n  Colour:\n    Type: String\n"))
    with pytest.raises(InputError, match="parameter Colour: nothing gives it"):
        stacks.read(scratch, definition.read(scratch, "seoul"))
