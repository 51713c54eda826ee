"""The names of an overlay, and the rules that they keep."""

from __future__ import annotations

import pytest

from gitops.ground.errors import InputError
from gitops.manifests.overlay import ENVIRONMENTS, LONGEST_SERVICE, Overlay, check_service


def test_every_name_comes_from_the_two() -> None:
    overlay = Overlay("mogle", "prod")
    assert str(overlay) == "mogle/prod"
    assert overlay.path == "overlays/mogle/prod"
    assert overlay.kustomization == "overlays/mogle/prod/kustomization.yaml"
    assert overlay.namespace == overlay.application == "mogle-prod"
    assert overlay.branch("bump") == "bump/mogle/prod"


@pytest.mark.parametrize(
    ("path", "overlay"),
    [
        ("overlays/mogle/prod", Overlay("mogle", "prod")),
        ("overlays/mogle/prod/ingress.yaml", Overlay("mogle", "prod")),
        ("overlays/x/y-prod", Overlay("x", "y-prod")),  # named, so that it can be refused by name
        ("overlays/mogle", None),
        ("overlays//prod", None),
        ("clusters/lab", None),
        ("base/overlays/mogle/prod", None),
    ],
)
def test_an_overlay_is_found_by_its_path(path: str, overlay: Overlay | None) -> None:
    assert Overlay.of_path(path) == overlay


def test_overlays_stand_in_the_order_of_their_names() -> None:
    overlays = [Overlay("b", "prod"), Overlay("a", "staging"), Overlay("a", "prod")]
    assert [str(overlay) for overlay in sorted(overlays)] == ["a/prod", "a/staging", "b/prod"]


@pytest.mark.parametrize("service", ["Mogle", "mogle_", "-mogle", "mogle-", "", "mo/gle", "möglich", "a" * 56, "x\n"])
def test_a_service_with_an_illegal_name_is_refused(service: str) -> None:
    with pytest.raises(InputError, match="service name"):
        Overlay(service, "prod").check_names()


@pytest.mark.parametrize("environment", ["x-prod", "bot-prod", "dev", "Prod", "", "prod\n"])
def test_an_environment_that_is_not_declared_is_refused(environment: str) -> None:
    with pytest.raises(InputError, match=r"there are: canary, prod, staging|did you mean"):
        Overlay("mogle", environment).check_names()


def test_the_longest_name_fits_a_namespace_in_every_environment() -> None:
    check_service("a" * LONGEST_SERVICE)
    assert max(len(Overlay("a" * LONGEST_SERVICE, name).namespace) for name in ENVIRONMENTS) == 63


def test_no_two_legal_overlays_share_a_namespace() -> None:
    """The last hyphen parts service from environment, as long as no environment has one."""
    assert not any("-" in environment for environment in ENVIRONMENTS)
