"""The bases and components, rendered through overlays of the tests' own. Renew: pytest --update-golden."""

from __future__ import annotations

import pytest

from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from tests.frozen import ROOT

FIXTURES = sorted((ROOT / "tests/fixtures/overlays").iterdir())


@pytest.mark.parametrize("overlay", FIXTURES, ids=lambda path: path.name)
def test_base_and_components_render_as_recorded(overlay, checkout: Checkout, request: pytest.FixtureRequest) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    rendered = run([checkout.tool("kustomize"), "build", overlay], timeout=30).decode()
    golden = ROOT / f"tests/golden/{overlay.name}.yaml"
    if request.config.getoption("--update-golden"):
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_every_component_is_in_a_fixture() -> None:
    used = "".join((overlay / "kustomization.yaml").read_text() for overlay in FIXTURES)
    assert [c.name for c in (ROOT / "base/components").iterdir() if f"components/{c.name}" not in used] == []


def test_every_base_is_in_a_fixture() -> None:
    used = "".join((overlay / "kustomization.yaml").read_text() for overlay in FIXTURES)
    bases = {path.parent.name for path in (ROOT / "base").glob("*/kustomization.yaml")} - {"workload"}
    assert [name for name in bases if f"base/{name}\n" not in used] == []
