"""What is too much for the cluster, for Python or for the machine is a finding of the gate or one message."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gitops.check import leaks
from gitops.ground import jsontext
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, Limits
from gitops.manifests import graph, yamlfile
from gitops.manifests.graph import Graph
from gitops.repository import revision
from gitops.service import registries
from tests.attacks.gate_world import findings, write
from tests.conftest import commit_all

pytestmark = pytest.mark.bots

UNIT = "overlays/mogle/prod"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
SEALED = """\
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  name: a
  annotations:
    note: x
    more: %s
spec:
  encryptedData: {}
  template: {metadata: {name: a}}
"""
DEEP = "[" * 100_000


def _listed(checkout: Checkout, text: str) -> None:
    file = checkout.root / UNIT / "kustomization.yaml"
    file.write_text(file.read_text().replace("  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - large.yaml\n"))
    write(checkout, {f"{UNIT}/large.yaml": text})


LARGE = {
    "a ConfigMap of 1 MiB and one byte": (f"{MAP}data:\n  a: b\n  c: {'x' * (2**20)}\n", 6, "1,048,577 bytes"),
    "1.6 MB of a SealedSecret": (SEALED % ("x" * 1_600_000), 7, "etcd takes 1,572,864"),
}


@pytest.mark.parametrize("what", LARGE)
def test_an_object_that_no_cluster_stores_is_named_with_its_size(scratch: Checkout, what: str) -> None:
    text, line, problem = LARGE[what]
    _listed(scratch, text)
    [finding] = [finding for finding in findings(scratch) if finding.rule == "object-size"]
    assert (finding.place.file, finding.place.line) == (f"{UNIT}/large.yaml", line)
    assert problem in finding.problem


def test_what_just_fits_is_stored(scratch: Checkout) -> None:
    _listed(scratch, f"{MAP}data:\n  a: {'x' * (2**20)}\n")
    assert findings(scratch) == []


@pytest.mark.parametrize("key", ["conditions.web", "actions.web"])
def test_an_annotation_that_is_nested_too_deeply_is_a_finding(scratch: Checkout, key: str) -> None:
    file = scratch.root / UNIT / "ingress.yaml"
    annotation = f"  annotations:\n    alb.ingress.kubernetes.io/{key}: '{DEEP}'\n"
    file.write_text(file.read_text().replace("  name: web\n", f"  name: web\n{annotation}", 1))
    assert "lb-annotation" in {finding.rule for finding in findings(scratch)}


def test_json_that_python_cannot_read_is_a_value_error() -> None:
    for text in (DEEP, '{"a":' * 100_000, "1" * 10_000, "{"):
        with pytest.raises(ValueError, match=r"."):
            jsontext.parse(text)
    assert jsontext.parse("[1]") == [1]


@pytest.mark.parametrize("expression", [DEEP, "[" * 200_000, "{a: b}", "[1, 2]", "[a", "&a [*a]"])
def test_a_list_of_registries_is_read_as_all_yaml_is(scratch: Checkout, expression: str) -> None:
    assert yamlfile.strings(expression, registries.FILE) is None


def test_a_list_of_names_is_one_in_cel_and_in_yaml() -> None:
    assert yamlfile.strings("['a', 'b']", "x") == ["a", "b"]


def test_a_large_file_is_not_read_to_know_what_an_overlay_reads(
    scratch: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(scratch, {f"{UNIT}/large.yaml": "x" * (yamlfile.MOST_BYTES + 1)})
    head = commit_all(scratch)
    read: list[int] = []
    whole = graph.is_self_contained

    def watched(files: dict[str, bytes]) -> bool:
        read.extend(map(len, files.values()))
        return whole(files)

    monkeypatch.setattr(revision, "is_self_contained", watched)
    monkeypatch.setattr(graph, "is_self_contained", watched)
    with revision.open_repository(scratch) as repo:
        overview = revision._overview(repo, head)
    assert UNIT in overview.units
    assert UNIT not in overview.self_contained
    assert not Graph(scratch)._is_self_contained(UNIT)
    assert max(read) <= yamlfile.MOST_BYTES


def _too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "_LIMITS", Limits(memory=100 * 2**20, output=64 * 2**20))


def _as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of the platform."""


@pytest.mark.parametrize("given", [_too_little, _as_it_is])
def test_gitleaks_is_held_to_what_it_may_take(
    scratch: Checkout, given: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch)
    with revision.whole(scratch, None) as change:
        if given is _too_little:
            with pytest.raises(CommandError, match="gitleaks exited with"):
                list(leaks.check(scratch, change))
        else:
            assert list(leaks.check(scratch, change)) == []
