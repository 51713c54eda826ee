"""The live tree: rules that every legal state of it keeps, and nothing of what happens to stand in it today.

No service, domain, image or generation is named or counted here, so that no bump, rotation, new service, handover or
removal can make this red. What the gate holds (`gitops check`) is not said a second time; what the bases promise is
tested on the frozen platform (tests/frozen.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitops.check import declared
from gitops.cluster import definition, identity, stacks
from gitops.exceptions.files import ExceptionFile
from gitops.ground.checkout import Checkout
from gitops.images import wide
from gitops.manifests import kustomize, yamlfile
from gitops.manifests.render import in_parallel
from gitops.oauth import model as oauth
from gitops.repository import freeze, services
from gitops.repository.revision import Change
from gitops.secrets import certificate
from tests import lifecycle, rules
from tests.frozen import ROOT, working_copy

pytestmark = pytest.mark.live

CHECKOUT = Checkout(ROOT)
# All that is written by people and bots day by day; the rest of the repository is the product.
FOLDERS = ("overlays", "clusters", "apps", "policies/exceptions")


def overlays() -> list[Path]:
    return sorted(path.parent for path in CHECKOUT.overlays.glob("[!.]*/*/kustomization.yaml"))


def clusters() -> list[Path]:
    return sorted(path.parent for path in (ROOT / "clusters").glob("*/cluster.yaml"))


def cluster_data(cluster: Path) -> dict[str, Any]:
    data: dict[str, Any] = yamlfile.read(CHECKOUT, cluster / "cluster.yaml")["data"]
    return data


def yaml_files() -> list[Path]:
    files = itertools.chain.from_iterable(sorted((ROOT / folder).rglob("*.y*ml")) for folder in FOLDERS)
    return [*files, CHECKOUT.teams_file, ROOT / freeze.FILE, ROOT / wide.FILE]


def test_argo_cd_gives_rights_to_no_group_but_the_teams() -> None:
    """By their groups at GitHub, the platform's as its administrators. A team that is not listed yet reads."""
    [item] = yamlfile.parse_all((ROOT / "apps/argocd/argocd-rbac-cm.yaml").read_bytes(), "argocd-rbac-cm.yaml")
    lines = (line.split(", ") for line in item["data"]["policy.csv"].splitlines() if line.startswith("g, "))
    roles = {group: role for _, group, role in lines}
    groups = {name: team.github.removeprefix("@").replace("/", ":") for name, team in services.teams(CHECKOUT).items()}
    allowed = {group: "role:admin" if name == "platform" else "role:team" for name, group in groups.items()}
    assert roles.items() <= allowed.items()
    assert roles[groups["platform"]] == "role:admin"


@contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Says which folder it was."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"in {CHECKOUT.relative(folder)}")
        raise


def test_owners_policies_holds_and_freezes_are_what_the_gate_takes() -> None:
    change = Change(None, CHECKOUT, "nothing", "the working copy", frozenset(), None)
    assert list(declared.check(change)) == []


def test_all_that_decides_who_may_merge_and_what_runs_is_the_platforms() -> None:
    """The last line that fits a path counts, as on GitHub."""
    entries = [line.split() for line in CHECKOUT.codeowners_file.read_text().splitlines() if not line.startswith("#")]
    platform = services.teams(CHECKOUT)["platform"].github
    paths = [path for path in working_copy() if not path.startswith("overlays/")]
    assert ".github/workflows/settings.yaml" in paths
    for path in paths:
        fitting = [owners for pattern, *owners in entries if pattern == "*" or f"/{path}".startswith(pattern)]
        assert fitting[-1] == [platform], path


def test_every_exception_can_be_read() -> None:
    for file in sorted((ROOT / "policies/exceptions").glob("*.*.*.*.yaml")):
        yamlfile.read_model(CHECKOUT, file, ExceptionFile)


def test_every_application_of_42_names_a_generation_that_is_there() -> None:
    _, broken = oauth.applications(CHECKOUT, [])
    assert broken == []


def test_every_schema_line_names_the_version_that_the_cluster_runs() -> None:
    version = lifecycle.kubernetes_version()
    for cluster in clusters():
        assert cluster_data(cluster)["kubernetesVersion"] == version.rpartition(".")[0], cluster
    wrong = {file: named for file, named in lifecycle.schema_versions().items() if named != {version}}
    assert wrong == {}, "run: .venv/bin/python -m tests.lifecycle"


def test_every_yaml_file_begins_with_its_schema() -> None:
    without = [file for file in yaml_files() if not file.read_text().startswith("# yaml-language-server: $schema=")]
    assert without == []


def test_every_overlay_is_hardened_and_available() -> None:
    renders = in_parallel(lambda overlay: kustomize.build(CHECKOUT, overlay), overlays())
    for overlay, objects in zip(overlays(), renders, strict=True):
        with noted(overlay):
            for template in rules.pod_templates(objects):
                rules.assert_hardened(template)
            rules.assert_available(CHECKOUT, overlay)


def test_every_cluster_tells_argocd_what_it_must() -> None:
    assert clusters()
    for cluster in clusters():
        objects = kustomize.build(CHECKOUT, cluster)
        with noted(cluster):
            rules.assert_argocd_objects(objects, cluster_data(cluster)["repoURL"])


def test_every_cluster_of_aws_can_be_planned() -> None:
    """Its definition is whole, and every image and host of the overlays finds its place in a stack."""
    for cluster in clusters():
        if "account" in cluster_data(cluster):
            assert stacks.read(CHECKOUT, definition.read(CHECKOUT, cluster.name))


def test_every_cluster_is_told_its_own_name() -> None:
    """By it the backup of the sealing keys finds the key and the bucket that are its own."""
    for cluster in clusters():
        maps = [item for item in kustomize.build(CHECKOUT, cluster / "objects") if item["kind"] == "ConfigMap"]
        told = [item["data"]["name"] for item in maps if item["metadata"]["name"] == "cluster"]
        assert told == [cluster.name], cluster


def test_every_account_registry_and_organisation_is_one_of_a_cluster() -> None:
    assert [str(fault) for fault in identity.faults(CHECKOUT)] == []


def test_every_certificate_is_the_one_that_its_cluster_pins() -> None:
    """Its last day is told by the workflows, not by a pull request that has nothing to do with it."""
    for cluster in clusters():
        pinned = certificate.FIELD in cluster_data(cluster)
        assert pinned == (cluster / certificate.FILE).exists(), cluster
        if pinned:
            certificate.pinned(CHECKOUT, cluster.name, datetime.min.replace(tzinfo=UTC))
