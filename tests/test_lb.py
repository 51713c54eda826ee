"""The one load balancer: the order of its rules, its quotas, and who answers for an address."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.check import schema
from gitops.ground.checkout import Checkout
from gitops.lb import check, model
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.places import Places
from gitops.manifests.reach import Reach
from tests.conftest import gitops
from tests.frozen import platform

CHECKOUT = platform()
CERTIFICATES = [model.Certificate(arn="a", names=["example.com", "*.example.com"])]


def path(text: str = "/", kind: str = "Prefix", service: str = "web") -> dict[str, Any]:
    return {"path": text, "pathType": kind, "backend": {"service": {"name": service, "port": {"name": "http"}}}}


def unit(name: str, *rules: tuple[str, list[dict[str, Any]]], annotations: dict[str, str] | None = None) -> Unit:
    entries = [
        {"host": host, "http": {"paths": paths}} if host else {"http": {"paths": paths}} for host, paths in rules
    ]
    item = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "annotations": annotations or {}},
        "spec": {"ingressClassName": "platform", "rules": entries},
    }
    folder = f"overlays/{name}/prod"
    return Unit(folder, (item,), Places(CHECKOUT, folder, Reach()))


def rules(*units: Unit) -> list[tuple[str, str, str]]:
    return [(rule.namespace, rule.host, rule.path) for rule in model.merge(units, CERTIFICATES).rules]


def broken_rules(*units: Unit) -> list[str]:
    return [finding.rule for finding in check.check(model.merge(units, CERTIFICATES), units)]


def test_ingresses_stand_by_order_then_by_name_and_paths_by_exactness_then_length() -> None:
    a = unit(
        "a",
        (
            "a.example.com",
            [path("/"), path("/long/path"), path("/x", "Exact"), path("/y*", "ImplementationSpecific"), path("/z")],
        ),
    )
    b = unit("b", ("b.example.com", [path()]), annotations={model.ORDER: "-5"})
    c = unit("c", ("c.example.com", [path()]), annotations={model.ORDER: "7"})
    assert rules(c, a, b) == [
        ("b-prod", "b.example.com", "/"),
        ("a-prod", "a.example.com", "/x"),
        ("a-prod", "a.example.com", "/long/path"),
        ("a-prod", "a.example.com", "/z"),
        ("a-prod", "a.example.com", "/"),
        ("a-prod", "a.example.com", "/y*"),
        ("c-prod", "c.example.com", "/"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([("a.example.com", [path()])], [("a.example.com", [path()])], ["lb-duplicate"]),
        ([("a.example.com", [path()])], [("a.example.com", [path("/api")])], ["lb-shadowed"]),
        ([("a.example.com", [path("/api")])], [("a.example.com", [path()])], ["lb-host-shared"]),
        ([("a.example.com", [path("/api")])], [("a.example.com", [path("/api/v2", "Exact")])], ["lb-shadowed"]),
        ([("a.example.com", [path("/api", "Exact")])], [("a.example.com", [path("/api")])], ["lb-host-shared"]),
        ([("*.example.com", [path()])], [("b.example.com", [path()])], ["lb-shadowed"]),
        ([("a.example.com", [path()])], [("*.example.com", [path()])], ["lb-host-shared"]),
        ([("", [path()])], [("b.example.com", [path("/x")])], ["lb-host", "lb-shadowed"]),
        ([("a.example.com", [path("/a")])], [("b.example.com", [path("/a")])], []),
        ([("a.example.com", [path("/api")])], [("a.example.com", [path("/apis")])], ["lb-host-shared"]),
    ],
)
def test_what_no_request_can_meet_is_found(first: Any, second: Any, expected: list[str]) -> None:
    assert broken_rules(unit("a", *first), unit("b", *second)) == expected


def test_two_paths_of_a_host_are_one_services_to_give() -> None:
    prod = unit("a", ("a.example.com", [path("/api"), path("/apis")]), ("*.example.com", [path("/x")]))
    assert broken_rules(prod) == []


hosts = st.sampled_from(["a.example.com", "b.example.com", "*.example.com"])
paths = st.lists(
    st.builds(path, st.sampled_from(["/", "/a", "/a/b", "/ab"]), st.sampled_from(["Prefix", "Exact"])),
    min_size=1,
    max_size=3,
)
groups = st.lists(st.lists(st.tuples(hosts, paths), min_size=1, max_size=3), min_size=1, max_size=3)


@given(groups)
def test_a_rule_is_called_hidden_only_if_no_request_meets_it(group: Any) -> None:
    units = [unit(f"s{n}", *entries) for n, entries in enumerate(group)]
    balancer = model.merge(units, None)
    asked = itertools.product(
        ("a.example.com", "b.example.com", "c.example.com"),
        ("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/abc", "/c"),
    )
    met = {id(balancer.route(host, p)) for host, p in asked}
    for n, rule in enumerate(balancer.rules):
        if any(earlier.shadows(rule) for earlier in balancer.rules[:n]):
            assert id(rule) not in met


def test_quotas_are_forecast_before_they_are_full() -> None:
    def ten_hosts(n: int) -> Unit:
        return unit(f"s{n}", *((f"h{n}-{m}.example.com", [path()]) for m in range(10)))

    def many(count: int) -> list[Unit]:
        return [ten_hosts(n) for n in range(count)]

    assert broken_rules(*many(8)) == []
    assert broken_rules(*many(9)) == ["lb-forecast"]
    assert broken_rules(*many(11)) == ["lb-quota"]
    balancer = model.merge(many(9), CERTIFICATES)
    assert balancer.used == {"rules": 90, "certificates": 0, "target groups": 9}
    assert balancer.remaining_services() == 1
    crowded = [model.Certificate(arn=str(n), names=["*.example.com"]) for n in range(27)]
    assert "lb-quota" in [f.rule for f in check.check(model.merge(many(1), crowded), many(1))]
    services = unit("x", ("x.example.com", [path(f"/{n}", "Exact", f"s{n}") for n in range(101)]))
    assert broken_rules(services) == ["lb-quota", "lb-quota"]


def test_a_rule_takes_five_values() -> None:
    conditions = json.dumps([{"field": "http-header", "httpHeaderConfig": {"values": ["a", "b", "c"]}}])
    key = f"{model.PREFIX}conditions.web"
    assert broken_rules(unit("a", ("a.example.com", [path()]), annotations={key: conditions})) == []
    assert broken_rules(unit("a", ("a.example.com", [path("/x")]), annotations={key: conditions})) == ["lb-quota"]


@pytest.mark.parametrize(
    ("key", "value", "bad"),
    [
        ("healthcheck-interval-seconds", "15", False),
        ("healthcheck-interval-seconds", "1", True),
        ("healthcheck-interval-seconds", "soon", True),
        ("success-codes", "200-299,301", False),
        ("success-codes", "ok", True),
        ("actions.web", '{"type":"fixed-response"}', False),
        ("actions.web", "{", True),
        ("scheme", "internal", True),
        ("group.order", "10", False),
        ("group.order", "first", True),
        ("nothing", "x", True),
        ("target-group-attributes", "deregistration_delay.timeout_seconds=20", False),
    ],
)
def test_annotations_that_freeze_the_group_are_found(key: str, value: str, bad: bool) -> None:
    assert (
        broken_rules(unit("a", ("a.example.com", [path()]), annotations={model.PREFIX + key: value}))
        == ["lb-annotation"] * bad
    )


def cluster(*annotations: dict[str, str], params: bool = True) -> Unit:
    """A cluster's folder with an Ingress of the platform's own for each of these annotations."""
    folder = "clusters/seoul"
    items: list[dict[str, Any]] = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": f"i{number}", "annotations": given},
            "spec": {"ingressClassName": "platform", "defaultBackend": {}},
        }
        for number, given in enumerate(annotations)
    ]
    if params:
        items.append({"apiVersion": "eks.amazonaws.com/v1", "kind": "IngressClassParams", "metadata": {"name": "p"}})
    return Unit(folder, tuple(items), Places(CHECKOUT, folder, Reach()))


BOTH = '[{"HTTP": 80}, {"HTTPS": 443}]'


@pytest.mark.parametrize(
    ("annotations", "problems"),
    [
        ({model.REDIRECT: "443", model.LISTEN: BOTH}, []),
        ({model.REDIRECT: "443", model.LISTEN: '[{"HTTPS": 443, "HTTP": 80}]'}, []),
        ({model.LISTEN: BOTH}, ["nothing listens on port 80"]),
        ({model.REDIRECT: "8443", model.LISTEN: BOTH}, ["sends to port 8443"]),
        ({model.REDIRECT: "443"}, [f"{model.LISTEN} does not listen"]),
        ({model.REDIRECT: "443", model.LISTEN: '[{"HTTP": 8080}, {"HTTPS": 443}]'}, [f"{model.LISTEN} does not"]),
        ({model.REDIRECT: "443", model.LISTEN: '[{"HTTPS": 80}, {"HTTP": 443}]'}, [f"{model.LISTEN} does not"]),
        ({model.REDIRECT: "443", model.LISTEN: "80, 443"}, [f"{model.LISTEN} does not"]),
        ({model.REDIRECT: "443", model.LISTEN: "[80]"}, [f"{model.LISTEN} does not"]),
    ],
)
def test_port_80_sends_everybody_to_https_or_it_is_said(annotations: dict[str, str], problems: list[str]) -> None:
    has = cluster(annotations)
    told = [finding.problem for finding in check.check_listeners(model.read_redirect([has]), [has])]
    assert len(told) == len(problems)
    assert all(map(str.startswith, told, problems))


def test_a_cluster_without_that_load_balancer_needs_no_redirect() -> None:
    assert list(check.check_listeners(None, [cluster(params=False)])) == []


def test_a_wildcard_covers_one_label() -> None:
    balancer = model.merge([], CERTIFICATES)
    assert [balancer.covers(host) for host in ("example.com", "a.example.com", "a.b.example.com", "example.org")] == [
        True,
        True,
        False,
        False,
    ]
    assert broken_rules(unit("a", ("a.b.example.com", [path()]))) == ["lb-certificate"]


def test_an_ingress_of_another_class_is_not_its_own() -> None:
    foreign = unit("a", ("a.example.com", [path()]))
    foreign.objects[0]["spec"]["ingressClassName"] = "nginx"
    assert rules(foreign) == []


# Each field of the published definition that a cluster's own class does not use, in the spelling of Auto Mode.
FIELDS: dict[str, Any] = {
    "inboundCIDRs": ["203.0.113.0/24"],
    "ipAddressType": "dualstack-without-public-ipv4",
    "ipamConfiguration": {"ipv4IPAMPoolId": "ipam-pool-1"},
    "listeners": [{"port": 443, "protocol": "HTTPS", "attributes": [{"key": "a", "value": "b"}]}],
    "loadBalancerAttributes": [{"key": "idle_timeout.timeout_seconds", "value": "60"}],
    "loadBalancerName": "platform",
    "minimumLoadBalancerCapacity": {"capacityUnits": 100},
    "namespaceSelector": {"matchLabels": {"environment": "prod"}},
    "PrefixListsIDs": ["pl-1"],
    "prefixListsIDs": ["pl-1"],
    "sslRedirectPort": "443",
    "subnets": {"ids": ["subnet-0a"], "matchTags": [{"key": "a", "values": ["b"]}]},
    "tags": [{"key": "team", "value": "platform"}],
    "wafv2AclArn": "arn:aws:wafv2:ap-northeast-2:111122223333:regional/webacl/a/b",
    "wafv2AclName": "platform",
}


def class_faults(**spec: Any) -> list[str]:
    item = {"apiVersion": "eks.amazonaws.com/v1", "kind": "IngressClassParams", "metadata": {"name": "p"}, "spec": spec}
    has = Unit("clusters/seoul", (item,), Places(CHECKOUT, "clusters/seoul", Reach()))
    [(_, findings)] = schema.check(has, schema.Schemas(CHECKOUT))
    return [finding.problem for finding in findings]


@pytest.mark.parametrize("field", FIELDS)
def test_the_class_has_every_field_of_the_published_definition(field: str) -> None:
    assert class_faults(**{field: FIELDS[field]}) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"certificateArn": ["arn"]},
        {"subnets": {"tags": {"a": ["b"]}}},
        {"subnets": {"ids": []}},
        {"minimumLoadBalancerCapacity": {}},
        {"sslRedirectPort": 443},
    ],
)
def test_the_class_has_no_field_of_another_spelling_or_type(spec: dict[str, Any]) -> None:
    assert len(class_faults(**spec)) == 1


@pytest.mark.bots
def test_the_routing_table_is_drawn() -> None:
    done = gitops(CHECKOUT, "lb", "show")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    overlays = [name for name in Graph(CHECKOUT).units if "base/web" in Graph(CHECKOUT).reach(name).folders]
    assert lines[0].split() == ["rule", "host", "path", "type", "service", "certificate"]
    assert "mogle-prod/web:http" in done.out
    assert "NO" not in done.out
    used = len(overlays) + 1  # Argo CD's own
    assert f"target groups: {used} of 100 used, {100 - used} left" in lines
    assert lines[-1].startswith("forecast: at ")
    as_json = json.loads(gitops(CHECKOUT, "lb", "show", "--output", "json").out)
    assert as_json["quotas"]["target groups"] == {"used": used, "quota": 100}
    assert [rule["priority"] for rule in as_json["rules"]] == list(range(1, len(as_json["rules"]) + 1))
    assert gitops(CHECKOUT, "lb", "show", "--cluster", "lab").code == 0


@pytest.mark.bots
def test_who_answers_is_said_with_the_line_that_says_so() -> None:
    done = gitops(CHECKOUT, "lb", "route", "API.mogle.example.com", "/v1/users")
    assert done.code == 0, done.err
    assert "https://API.mogle.example.com/v1/users -> Service web, port http, in namespace mogle-prod" in done.out
    assert "overlays/mogle/prod/ingress.yaml:" in done.out
    answer = json.loads(gitops(CHECKOUT, "lb", "route", "api.mogle.example.com", "--output", "json").out)
    assert (answer["namespace"], answer["service"], answer["certificate"]) == ("mogle-prod", "web", True)
    for words, code, message in (
        (["shop.example.com"], 1, "no rule matches; the load balancer answers 404"),
        (["https://mogle.example.com/x"], 2, "expected a host name alone, such as mogle.example.com"),
        (["mogle.example.com", "x"], 2, "path; expected one that begins with /, found 'x'"),
        (["mogle.example.com", "--cluster", "mars"], 2, "no such cluster; expected one of lab, seoul"),
    ):
        done = gitops(CHECKOUT, "lb", "route", *words)
        assert (done.code, done.out) == (code, "")
        assert message in done.err


@pytest.mark.bots
def test_a_faulty_table_is_drawn_and_fails(scratch: Checkout) -> None:
    file = scratch.root / "overlays/mogle/prod/ingress.yaml"
    file.write_text(file.read_text().replace("www.mogle.example.com", "benefit.example.org"))
    done = gitops(scratch, "lb", "show")
    assert done.code == 1
    assert "overlays/mogle/prod/ingress.yaml:18: lb-duplicate" in done.err
    (scratch.root / "overlays/mogle/prod/ingress.yaml").write_text("a: [")
    done = gitops(scratch, "lb", "show")
    assert done.code == 2
    assert "overlays/mogle/prod: does not render" in done.err
