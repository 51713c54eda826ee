"""`gitops service new` where something goes wrong on the way: one message, and nothing of it is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml

from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from gitops.repository import contents
from tests.service_world import Given, changed

IMAGE = f"ghcr.io/ft-platform/shop:1.2.3@sha256:{'a' * 64}"
NEW = ("service", "new", "shop", "--image", IMAGE)
SITE = (*NEW, "--domain", "shop.example.com")


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("https://shop.example.com", "domain: not a host name; expected one such as shop.example.com, in lower case"),
        ("*.example.com", "domain: wildcards are not allowed, they would take other services' hosts"),
        ("a_shop.example.com", "domain: underscores are not allowed in host names"),
        ("mogle.example.com", "domain 'mogle.example.com': belongs to mogle (prod; contact #mogle-dev)"),
        # Of this one staging's alone is taken.
        ("mogle.mogle.example.com", None),
        ("api.mogle.example.com", "domain 'api.mogle.example.com': belongs to mogle (prod; contact #mogle-dev)"),
    ],
)
def test_a_host_that_cannot_be_had_is_one_fault(here: Checkout, given: Given, host: str, message: str | None) -> None:
    done = given(*NEW, "--domain", host)
    assert done.code == (2 if message else 0)
    if message:
        assert done.err.startswith(f"gitops: {message}")
        assert done.err.count("\n") == 1
        assert changed(here) == []


def test_opt_ins_are_components_of_every_environment_and_staging_is_the_last(here: Checkout, given: Given) -> None:
    done = given(*SITE, "--component", "internal-client", "--component", "burst")
    assert done.code == 0, done.err
    listed = {
        name: yaml.safe_load((here.overlays / f"shop/{name}/kustomization.yaml").read_text())["components"]
        for name in ("prod", "staging")
    }
    components = ["../../../base/components/burst", "../../../base/components/internal-client"]
    assert listed == {"prod": components, "staging": [*components, "../../../base/components/staging"]}
    for name, most in (("prod", 30), ("staging", 4)):
        rendered = kustomize.build(here, here.overlays / "shop" / name)
        [scaler] = [item for item in rendered if item["kind"] == "HorizontalPodAutoscaler"]
        assert scaler["spec"]["maxReplicas"] == most
    refused = given("service", "new", "shop-bot", "--image", IMAGE, "--shape", "bot", "--component", "burst")
    assert (refused.code, "a bot is one pod, and never two at once" in refused.err) == (2, True)


@pytest.mark.parametrize("number", [1, 4, 7])
@pytest.mark.parametrize("fault", ["full", "interrupted"])
def test_all_of_a_new_service_is_written_or_nothing(
    here: Checkout, given: Given, fault: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = contents._replace, []

    def disturbed(file: Path, content: bytes | None) -> None:
        if here.root in file.parents:
            written.append(file)
            if len(written) == number and fault == "full":
                raise OSError(28, "No space left on device", str(file))
            if len(written) == number:
                os.kill(os.getpid(), signal.SIGINT)
        whole(file, content)

    monkeypatch.setattr(contents, "_replace", disturbed)
    done = given(*SITE)
    if fault == "full":
        assert (done.code, done.out) == (2, "")
        assert "cannot be written: No space left on device; nothing was" in done.err
        assert changed(here) == []
        assert not (here.overlays / "shop").exists()
    else:
        assert done.code == 130
        assert len(changed(here)) == 7
    assert list(here.overlays.glob(".*")) == []
