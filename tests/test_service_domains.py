"""A host that comes, moves and goes."""

from __future__ import annotations

import json

import pytest
import yaml

from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from tests.conftest import commit_all
from tests.service_world import MOGLE, Given, changed


def hosts(checkout: Checkout, overlay: str) -> list[str]:
    items = kustomize.build(checkout, checkout.root / overlay)
    [ingress] = [item for item in items if item["kind"] == "Ingress"]
    return [rule["host"] for rule in ingress["spec"]["rules"]]


@pytest.mark.parametrize("form", ["as made", "written out", "in braces"])
def test_a_host_comes_moves_and_goes_and_every_byte_is_back(here: Checkout, given: Given, form: str) -> None:
    file = here.root / "overlays/mogle/prod/ingress.yaml"
    if form != "as made":
        [document] = yaml.safe_load_all(file.read_text())
        document = json.loads(json.dumps(document))
        flow = form == "in braces"
        text = yaml.safe_dump(document, sort_keys=False, default_flow_style=flow, width=10_000)
        file.write_text(f"# by hand\r\n{text}".replace("\n", "\r\n").replace("\r\r", "\r"))
        commit_all(here)
    before = file.read_bytes()
    was = hosts(here, MOGLE[0])
    assert given("service", "domain", "add", "mogle", "shop.mogle.example.com").code == 0
    assert hosts(here, MOGLE[0]) == [*was, "shop.mogle.example.com"]
    assert "shop.staging.mogle.example.com" in hosts(here, MOGLE[1])
    commit_all(here)
    assert given("service", "domain", "move", "mogle", "shop.mogle.example.com", "desk.mogle.example.com").code == 0
    assert hosts(here, MOGLE[0]) == [*was, "desk.mogle.example.com"]
    commit_all(here)
    assert given("service", "domain", "remove", "mogle", "desk.mogle.example.com").code == 0
    assert file.read_bytes() == before


def test_the_first_host_goes_and_what_others_name_by_it_stays(here: Checkout, given: Given) -> None:
    was = hosts(here, MOGLE[0])
    done = given("service", "domain", "remove", "mogle", "mogle.example.com")
    assert done.code == 0, done.err
    assert hosts(here, MOGLE[0]) == was[1:]


def test_a_new_host_says_its_certificate_its_dns_and_42(given: Given) -> None:
    done = given("service", "domain", "add", "mogle", "shop.mogle.example.com", "--environment", "prod")
    assert (
        "note: shop.mogle.example.com: a certificate of seoul covers it. DNS: nothing to do, external-dns" in done.out
    )
    assert "note: 42 sends users back to addresses that it knows: add those of https://shop.mogle" in done.out


def test_a_host_that_is_there_is_nothing_to_change_and_comes_where_it_is_not(here: Checkout, given: Given) -> None:
    words = ("service", "domain", "add", "mogle", "www.mogle.example.com")
    assert "nothing to change" in given(*words, "--environment", "prod").out
    done = given(*words)
    assert done.code == 0, done.err
    assert changed(here) == [f"{MOGLE[1]}/ingress.yaml"]
    assert "www.staging.mogle.example.com" in hosts(here, MOGLE[1])


def test_a_host_that_goes_says_what_is_left_of_it(here: Checkout, given: Given) -> None:
    assert (
        given(
            "service", "set", "benefit", "MOGLE=https://admin.mogle.example.com/x", "M=admin.mogle.example.com.kr"
        ).code
        == 0
    )
    commit_all(here)
    done = given("service", "domain", "move", "mogle", "admin.mogle.example.com", "desk.mogle.example.com")
    assert done.code == 0, done.err
    assert "note: whoever keeps the zone: no name leads there any more: admin.mogle.example.com (external" in done.out
    named = [line for line in done.out.splitlines() if "this line still names admin.mogle.example.com" in line]
    assert [line.split(":")[1] for line in named] == [
        f" overlays/benefit/{name}/deployment.yaml" for name in ("prod", "staging")
    ]
