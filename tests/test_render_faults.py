"""What a finding says of a folder that does not render: kustomize's decisive words, their line, and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.check.scope import unrendered
from gitops.ground.checkout import Checkout
from gitops.ground.printable import counted, elided
from gitops.manifests.graph import Graph
from gitops.manifests.render import build
from tests.frozen import platform

UNIT = "overlays/shop/prod"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop\ndata:\n  a: b\n"
OTHER = MAP.replace("shop", "other")
PATCH = "resources:\n- a.yaml\npatches:\n- path: p.yaml\n"

# What stands there, the line that a person must edit, a word of what it says, and a word of the fix.
FAULTS: dict[str, tuple[dict[str, str], str, str, str]] = {
    "a file that is not there": (
        {"kustomization.yaml": "resources:\n- b.yaml\n"},
        "kustomization.yaml:2",
        "b.yaml",
        "there",
    ),
    "a base that is not there": (
        {"kustomization.yaml": "resources:\n- ../../../base/x\n"},
        "kustomization.yaml:2",
        "base/x",
        "there",
    ),
    "a component that is not there": (
        {"kustomization.yaml": "components:\n- ../c\n"},
        "kustomization.yaml:2",
        "c",
        "there",
    ),
    "one object twice": (
        {"kustomization.yaml": "resources:\n- a.yaml\n- b.yaml\n", "a.yaml": MAP, "b.yaml": MAP},
        "b.yaml:4",
        "shop",
        "another name",
    ),
    "a patch of nothing": (
        {"kustomization.yaml": PATCH, "a.yaml": MAP, "p.yaml": OTHER},
        "p.yaml:4",
        "other",
        "by its kind",
    ),
    "a patch of JSON to nowhere": (
        {
            "kustomization.yaml": f"{PATCH}  target:\n    kind: ConfigMap\n",
            "a.yaml": MAP,
            "p.yaml": "- op: replace\n  path: /spec/x\n  value: y\n",
        },
        "p.yaml:2",
        "spec",
        "path",
    ),
    "an object without a name": (
        {"kustomization.yaml": "resources:\n- a.yaml\n", "a.yaml": MAP.replace("  name", "  nam")},
        "a.yaml:1",
        "metadata.name",
        "metadata.name",
    ),
    "an object without a kind": (
        {"kustomization.yaml": "resources:\n- a.yaml\n", "a.yaml": MAP.replace("kind", "kin")},
        "a.yaml:1",
        "kind",
        "kind",
    ),
    "text where a list is asked": (
        {"kustomization.yaml": "resources:\n- a.yaml\nimages: x\n", "a.yaml": MAP},
        "kustomization.yaml:3",
        "images",
        "list",
    ),
    "no YAML": (
        {"kustomization.yaml": "resources:\n- a.yaml\n", "a.yaml": f"{MAP} x: y\n"},
        "a.yaml:7",
        "not valid YAML",
        "indent",
    ),
    "a key twice": (
        {"kustomization.yaml": "resources:\n- a.yaml\n", "a.yaml": f"{MAP}data: {{}}\n"},
        "a.yaml:7",
        "data",
        "one of the two",
    ),
    "a replacement from nowhere": (
        {
            "kustomization.yaml": "resources:\n- a.yaml\nreplacements:\n- source: {kind: ConfigMap, name: nothere}\n"
            "  targets:\n  - select: {kind: ConfigMap}\n    fieldPaths: [data.a]\n",
            "a.yaml": MAP,
        },
        "kustomization.yaml:4",
        "nothere",
        "is there",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_does_not_render_is_said_with_its_line_and_what_to_write(tmp_path: Path, what: str) -> None:
    files, place, word, fix = FAULTS[what]
    for name, text in files.items():
        (tmp_path / UNIT).mkdir(parents=True, exist_ok=True)
        (tmp_path / UNIT / name).write_text(text)
    graph = Graph(Checkout(tmp_path))
    rendered = build(platform(), tmp_path, UNIT)
    assert rendered.error
    finding = unrendered(graph, UNIT, rendered.error)
    assert str(finding.place) == f"{UNIT}/{place}"
    assert word in finding.problem
    assert fix in finding.fix
    for noise in ("accumulation err", "kustomize build", str(tmp_path)):
        assert noise not in f"{finding.problem} {finding.fix}"
    # Whoever renders it says the same.
    said = str(rendered.error)
    assert said.startswith(f"{UNIT}/{place}: ")
    assert said.endswith(f"{finding.problem}; {finding.fix}")


def test_of_a_long_text_the_end_is_kept() -> None:
    text = f"spec.securityContext: Invalid value: {{{'x' * 5_000}}}: cannot set `allowPrivilegeEscalation` to false"
    shown = elided(text)
    assert len(shown) < 320
    assert shown.startswith("spec.securityContext: Invalid value")
    assert shown.endswith("cannot set `allowPrivilegeEscalation` to false")
    assert elided("as\n  it is") == "as it is"


def test_one_is_counted_as_one() -> None:
    assert [counted(number, "error") for number in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]
    assert counted(2, "finding is", "findings are") == "2 findings are"
