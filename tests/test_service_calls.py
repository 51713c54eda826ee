"""A variable that names another service's address, and what comes with it."""

from __future__ import annotations

import shlex

import pytest

from gitops.ground.checkout import Checkout
from tests.conftest import commit_all
from tests.service_world import MOGLE, Given, changed, variables
from tests.world import run_here

ADDRESS = "http://web.umbrella-{}.svc.cluster.local"
COMPONENT = "  - ../../../base/components/internal-client\n"


def test_an_address_of_another_service_brings_what_lets_it_be_called(here: Checkout) -> None:
    for environment, overlay in zip(("prod", "staging"), MOGLE, strict=True):
        words = ("service", "set", "mogle", f"UMBRELLA={ADDRESS.format(environment)}", "--environment", environment)
        done = run_here(here.root, words, None, {})
        assert done.code == 0, done.err
        assert f"note: mogle/{environment} may call other services of {environment} from now on: base/comp" in done.out
        assert (here.root / overlay / "kustomization.yaml").read_text().count(COMPONENT) == 1
        commit_all(here)


@pytest.mark.parametrize(
    "value", ["web.umbrella-prod:80", "http://web.umbrella-prod/menu?a=b", "a,web.umbrella-prod.svc"]
)
def test_an_address_in_any_form_brings_it_once(here: Checkout, given: Given, value: str) -> None:
    for name in ("ONE", "TWO"):
        assert given("service", "set", "mogle", f"{name}={value}", "--environment", "prod").code == 0
        commit_all(here)
    assert (here.root / MOGLE[0] / "kustomization.yaml").read_text().count(COMPONENT) == 1


def test_an_address_of_another_environment_says_the_command_of_each(here: Checkout, given: Given) -> None:
    done = given("service", "set", "mogle", f"UMBRELLA={ADDRESS.format('prod')}")
    assert (done.code, done.out, changed(here)) == (2, "", [])
    typed = [line.strip() for line in done.err.splitlines() if line.startswith("    gitops ")]
    assert len(typed) == 2
    for line in typed:
        assert given(*shlex.split(line)[1:]).code == 0
        commit_all(here)
    for overlay, environment in zip(MOGLE, ("prod", "staging"), strict=True):
        assert variables(here, overlay)["UMBRELLA"] == ADDRESS.format(environment)


def test_what_is_called_no_more_is_said(here: Checkout, given: Given) -> None:
    assert "umbrella/prod may still call other services" in given("service", "unset", "umbrella", "MOGLE_URL").out


def test_a_public_address_brings_nothing(here: Checkout, given: Given) -> None:
    assert (
        given("service", "set", "mogle", "A=https://web.umbrella-prod.example.com", "B=http://web.no-prod.svc").code
        == 0
    )
    assert not any("kustomization" in path for path in changed(here))
