"""The one load balancer: the order of its rules, its quotas, and who answers for an address."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.ground.checkout import Checkout
from gitops.lb import check, model, names
from gitops.manifests import yamlfile
from gitops.manifests.findings import Unit, in_order
from gitops.manifests.graph import Graph
from gitops.manifests.places import Places
from gitops.manifests.reach import Reach
from tests.conftest import gitops
from tests.frozen import platform

CHECKOUT = platform()
BOTH = '[{"HTTP": 80}, {"HTTPS": 443}]'
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
    # Its Services are elsewhere.
    return Unit(folder, (item,), Places(CHECKOUT, folder, Reach()), partial=True)


def rules(*units: Unit) -> list[tuple[str, str, str]]:
    return [(rule.namespace, rule.host, rule.path) for rule in model.merge(units, CERTIFICATES).rules]


def broken_rules(*units: Unit) -> list[str]:
    return [finding.rule for finding in check.check(model.merge(units, CERTIFICATES))]


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


SHADOWED = [("a.example.com", [path("/api")])]
hosts = st.sampled_from(["a.example.com", "b.example.com", "*.example.com"])
paths = st.lists(
    st.builds(path, st.sampled_from(["/", "/a", "/a/b", "/ab"]), st.sampled_from(["Prefix", "Exact"])),
    min_size=1,
    max_size=3,
)
groups = st.lists(st.lists(st.tuples(hosts, paths), min_size=1, max_size=3), min_size=1, max_size=3)


def served(*, replicas: int, annotations: dict[str, str] | None = None) -> Unit:
    """An overlay of a site with a Service and its pods, which `replicas` may be of."""
    site = unit("a", ("a.example.com", [path()]), annotations={f"{model.PREFIX}healthcheck-path": "/readyz"})
    probe = {"httpGet": {"path": "/readyz", "port": "http"}}
    container = {"name": "app", "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe}
    pods = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    given = {model.PREFIX + key: value for key, value in (annotations or {}).items()}
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    items: list[dict[str, Any]] = [
        {"kind": "Service", "metadata": {"name": "web", "annotations": given}, "spec": {"ports": ports}},
        {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": pods}},
        {
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": replicas},
        },
    ]
    items[0]["spec"]["selector"] = {"app": "web"}
    return Unit(site.name, (*site.objects, *items), site.places)


@pytest.mark.parametrize(("replicas", "told"), [(800, []), (801, ["lb-forecast"]), (1001, ["lb-quota"])])
def test_targets_are_counted_by_the_most_pods_there_may_be(replicas: int, told: list[str]) -> None:
    assert broken_rules(served(replicas=replicas)) == told


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("healthcheck-path", "/readyz", []),
        ("healthcheck-path", "/readyz?deep=1", []),
        ("healthcheck-path", "/", ["lb-health"]),
        ("healthcheck-port", "8080", []),
        ("healthcheck-port", "9090", ["lb-health"]),
        ("healthcheck-port", "http", ["lb-health"]),
        ("healthcheck-port", "0", ["lb-annotation"]),
        ("backend-protocol", "HTTP", []),
        ("backend-protocol", "HTTPS", ["lb-health"]),
        ("backend-protocol-version", "GRPC", ["lb-health"]),
        ("success-codes", "200-499", []),
        ("success-codes", "299-200", ["lb-annotation"]),
        ("listen-ports", BOTH, ["lb-annotation"]),
        ("helthcheck-path", "/readyz", ["lb-annotation"]),
    ],
)
def test_a_services_annotations_win_and_are_held_to_its_pods(key: str, value: str, told: list[str]) -> None:
    assert broken_rules(served(replicas=3, annotations={key: value})) == told


def test_no_advice_is_what_a_policy_refuses() -> None:
    """What a service may write is one list, here and in the policy."""
    [item] = yamlfile.parse_all((CHECKOUT.root / "policies/ingress-class.yaml").read_bytes(), "policies")
    [own] = [variable for variable in item["spec"]["variables"] if variable["name"] == "own"]
    allowed = set(re.findall(r"alb\.ingress\.kubernetes\.io/([a-z-]+)", own["expression"]))
    assert allowed == names.OWN
    hidden = check.check(model.merge([unit("a", ("a.example.com", [path()])), unit("b", *SHADOWED)], CERTIFICATES))
    misspelt = unit("a", ("a.example.com", [path()]), annotations={f"{model.PREFIX}nothing": "x"})
    fixes = [finding.fix for finding in (*hidden, *check.check(model.merge([misspelt], CERTIFICATES)))]
    assert len(fixes) == 2
    assert "group.order" not in "".join(fixes)
    assert "backend-protocol" not in "".join(fixes)


def test_a_policys_word_on_what_freezes_the_group_is_not_a_second_finding() -> None:
    site = unit("a", ("a.example.com", [path()]), annotations={f"{model.PREFIX}nothing": "x"})
    [harmful] = check.check(model.merge([site], CERTIFICATES))
    refused = replace(harmful, rule="policy", policy="ingress-class", problem="belongs to the class")
    assert in_order([refused, harmful]) == [harmful]
    assert in_order([refused]) == [refused]


@given(groups)
def test_a_rule_is_called_hidden_only_if_no_request_meets_it(group: Any) -> None:
    units = [unit(f"s{n}", *entries) for n, entries in enumerate(group)]
    balancer = model.merge(units, None)
    asked = itertools.product(
        ("a.example.com", "b.example.com", "c.example.com"),
        ("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/abc", "/c"),
    )
    met = {id(balancer.route(host, p)[0]) for host, p in asked}
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
    assert balancer.used == {"rules": 90, "certificates": 0, "target groups": 9, "targets": 0}
    assert balancer.remaining_services() == 1
    crowded = [model.Certificate(arn=str(n), names=["*.example.com"]) for n in range(27)]
    assert "lb-quota" in [f.rule for f in check.check(model.merge(many(1), crowded))]
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
        ("actions.web", '{"type":"fixed-response"}', True),
        ("conditions.web", "{", True),
        ("conditions.web", '[{"field":"source-ip","sourceIPConfig":{"values":["203.0.113.0/24"]}}]', False),
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
            "spec": {"ingressClassName": "platform"},
        }
        for number, given in enumerate(annotations)
    ]
    if params:
        items.append({"apiVersion": "eks.amazonaws.com/v1", "kind": "IngressClassParams", "metadata": {"name": "p"}})
    return Unit(folder, tuple(items), Places(CHECKOUT, folder, Reach()))


@pytest.mark.parametrize(
    ("annotations", "problems"),
    [
        ({model.REDIRECT: "443", model.LISTEN: BOTH}, []),
        ({model.REDIRECT: "443", model.LISTEN: '[{"HTTPS": 443, "HTTP": 80}]'}, []),
        ({model.LISTEN: BOTH}, ["nothing listens on port 80"]),
        ({model.REDIRECT: "8443", model.LISTEN: BOTH}, ["sends to port 8443, on which nothing listens"]),
        ({model.REDIRECT: "80", model.LISTEN: BOTH}, ["sends to port 80, which is HTTP"]),
        ({model.REDIRECT: "https", model.LISTEN: BOTH}, [f"{model.REDIRECT}: 'https'"]),
        ({model.REDIRECT: "8443", model.LISTEN: '[{"HTTP": 80}, {"HTTPS": 8443}]'}, ["sends to port 8443", "alb"]),
        ({model.REDIRECT: "443"}, [f"{model.LISTEN} does not listen"]),
        ({model.REDIRECT: "443", model.LISTEN: '[{"HTTP": 8080}, {"HTTPS": 443}]'}, [f"{model.LISTEN} does not"]),
        ({model.REDIRECT: "443", model.LISTEN: '[{"HTTPS": 80}, {"HTTP": 443}]'}, ["sends to port 443, which is HTTP"]),
        ({model.REDIRECT: "443", model.LISTEN: "80, 443"}, [f"{model.LISTEN} cannot be read"]),
        ({model.REDIRECT: "443", model.LISTEN: "[80]"}, [f"{model.LISTEN} cannot be read"]),
    ],
)
def test_port_80_sends_everybody_to_https_or_it_is_said(annotations: dict[str, str], problems: list[str]) -> None:
    has = cluster(annotations)
    balancer = model.merge([has], CERTIFICATES)
    told = [finding.problem for finding in (*balancer.faults, *check.check_listeners(balancer, [has]))]
    assert len(told) == len(problems)
    assert all(map(str.startswith, told, problems))


def test_a_cluster_without_that_load_balancer_needs_no_redirect() -> None:
    assert list(check.check_listeners(model.merge([], None), [cluster(params=False)])) == []


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
    done = gitops(CHECKOUT, "lb", "route", "shop.example.com", "--output", "json")
    assert (done.code, json.loads(done.out)["priority"], json.loads(done.out)["to"]) == (1, None, ["404"])
    for words, code, message in (
        (["shop.example.com"], 1, "no rule matches; the load balancer answers 404\n"),
        (["api.mogel.example.com"], 1, "the load balancer answers 404; did you mean api.mogle.example.com?\n"),
        (["https://mogle.example.com/x"], 2, "expected a host name alone, such as mogle.example.com"),
        (["mogle.example.com", "x"], 2, "path; expected one that begins with /, found 'x'"),
        (["mogle.example.com", "--cluster", "mars"], 2, "cluster 'mars': does not exist; there are: lab, seoul"),
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
    assert done.code == 1
    assert "overlays/mogle/prod/ingress.yaml:2: not valid YAML" in done.err
    assert "mogle-staging/web:http" in done.out
    done = gitops(scratch, "lb", "route", "staging.mogle.example.com")
    assert (done.code, "in namespace mogle-staging" in done.out) == (1, True)
    assert "overlays/mogle/prod/ingress.yaml:2: not in this answer: not valid YAML" in done.err
