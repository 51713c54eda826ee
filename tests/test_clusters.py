"""Every cluster's folder counts: all overlays run in each, so each is asked what it says of them."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest

from gitops.ground.checkout import Checkout
from tests.conftest import commit_all, gitops
from tests.frozen import CLUSTER

# Before and behind the platform's own, by name.
NAMES = ("busan", "tokyo")


def add(checkout: Checkout, name: str) -> None:
    """Another cluster, made as the first."""
    shutil.copytree(checkout.root / CLUSTER, checkout.root / "clusters" / name)
    for file in ("cluster.yaml", "platform/repository.yaml"):
        edit(checkout, f"clusters/{name}/{file}", f"path: {CLUSTER}", f"path: clusters/{name}")


def edit(checkout: Checkout, path: str, pattern: str, new: str) -> None:
    file = checkout.root / path
    text, count = re.subn(pattern, new, file.read_text())
    assert count
    file.write_text(text)


def errors(checkout: Checkout) -> list[dict[str, Any]]:
    """What the gate has against the tree as a whole."""
    done = gitops(checkout, "check", "--offline", "--all", "--output", "json")
    return [finding for finding in json.loads(done.out) if finding["severity"] == "error"]


def rules(checkout: Checkout) -> set[str]:
    return {finding["rule"] for finding in errors(checkout)}


@pytest.mark.parametrize("name", NAMES)
def test_a_cluster_made_as_the_first_is_sound(scratch: Checkout, name: str) -> None:
    add(scratch, name)
    assert errors(scratch) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", ["cluster.yaml", "platform/repository.yaml"])
def test_a_cluster_that_would_bring_another_ones_folders_is_refused(scratch: Checkout, name: str, file: str) -> None:
    add(scratch, name)
    edit(scratch, f"clusters/{name}/{file}", f"path: clusters/{name}", f"path: {CLUSTER}")
    assert {(finding["rule"], finding["unit"].split("/")[1]) for finding in errors(scratch)} == {("source", name)}


@pytest.mark.parametrize("name", NAMES)
def test_a_host_is_covered_in_every_cluster(scratch: Checkout, name: str) -> None:
    add(scratch, name)
    edit(scratch, f"clusters/{name}/certificates.yaml", r'"\*\.mogle\.example\.com", ', "")
    assert rules(scratch) == {"lb-certificate"}
    assert all(finding["file"].startswith("overlays/mogle/") for finding in errors(scratch))


@pytest.mark.parametrize("name", NAMES)
def test_the_version_of_every_cluster_is_read(scratch: Checkout, name: str) -> None:
    add(scratch, name)
    edit(scratch, f"clusters/{name}/cluster.yaml", 'kubernetesVersion: ".*"', "kubernetesVersion: next")
    done = gitops(scratch, "check", "--offline", "--all")
    assert done.code == 2
    assert f"clusters/{name}/cluster.yaml: kubernetesVersion; expected one such as 1.36, found next" in done.err


@pytest.mark.parametrize("name", NAMES)
def test_a_new_services_name_is_nobodys_in_any_cluster(scratch: Checkout, name: str) -> None:
    add(scratch, name)
    text = (scratch.root / "apps/root.yaml").read_text()
    (scratch.root / f"clusters/{name}/more.yaml").write_text(text.replace("name: root", "name: shop-prod"))
    edit(scratch, f"clusters/{name}/kustomization.yaml", "  - cluster.yaml\n", "  - cluster.yaml\n  - more.yaml\n")
    commit_all(scratch)
    image = f"ghcr.io/ft-platform/shop:1.2.3@sha256:{'a' * 64}"
    words = ("--image", image, "--owner", "community", "--domain", "shop.example.com")
    done = gitops(scratch, "service", "new", "shop", *words)
    assert done.code == 2
    assert "overlays/shop/prod would be shop-prod, and so is Application shop-prod" in done.err


def test_an_application_has_its_price_from_the_cluster_that_says_one(scratch: Checkout) -> None:
    add(scratch, "tokyo")
    edit(scratch, f"{CLUSTER}/cluster.yaml", "  nodePricePerHour: .*\n", "")
    commit_all(scratch)
    base = scratch.root / "overlays/mogle/prod"
    (base / "hpa.yaml").write_text(HPA)
    edit(scratch, "overlays/mogle/prod/kustomization.yaml", "patches:\n", "patches:\n  - path: hpa.yaml\n")
    done = gitops(scratch, "preview", "--base", "HEAD", "--output", "json")
    assert done.code == 0, done.err
    [application] = json.loads(done.out)["applications"]
    assert application["after"]["most_cost"] > 0


HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: web
spec:
  maxReplicas: 9
"""
