"""What the gate takes of a kustomization is what the pinned kustomize takes, and nothing more."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.manifests.fields import FIELDS, Names
from gitops.manifests.graph import Graph
from tests.frozen import platform

KUSTOMIZE = platform().tool("kustomize")
UNIT = "overlays/a/prod"


def test_the_fields_are_those_of_the_pinned_kustomize(tmp_path: Path) -> None:
    """Every name that its program knows from any structure of its own is tried as a field of a kustomization."""
    names = re.findall(rb'json:"([A-Za-z0-9]+)(?:,omitempty)?" yaml:"', KUSTOMIZE.read_bytes())
    assert len(names) > 100
    file = tmp_path / "kustomization.yaml"
    left = {name.decode() for name in names} | FIELDS.keys()
    unknown = set[str]()
    # Go names the first field that it does not know, in the order of the text that it is given: sorted.
    while True:
        file.write_text("".join(f"{name}: null\n" for name in sorted(left - unknown)))
        done = subprocess.run([KUSTOMIZE, "build", tmp_path], capture_output=True, text=True, timeout=60)
        match = re.search(r'unknown field "(\w+)"', done.stderr)
        if match is None:
            break
        unknown.add(match[1])
    assert left - unknown == FIELDS.keys()


def rules(root: Path, files: dict[str, str]) -> list[tuple[str, str, int]]:
    for name, text in files.items():
        file = root / UNIT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    refusals = Graph(Checkout(root)).reach(UNIT).refusals
    return [(refusal.rule, refusal.place.file.removeprefix(f"{UNIT}/"), refusal.place.line) for refusal in refusals]


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("resources: [a.yaml]\nsomethingNew: [x]\n", "render", 2),
        ("resources: [a.yaml]\nPatches: [x]\n", "render", 2),
        ("resources: [a.yaml]\ncomponents: {a: b}\n", "render", 2),
        ("patches:\n- path: a.yaml\n  somethingNew: b.yaml\n", "render", 3),
        ("patches: [a.yaml]\n", "render", 1),
        ("configMapGenerator:\n- name: a\n  fileS: [b]\n", "render", 3),
        ("replacements:\n- path: a.yaml\n  Path: b\n", "render", 3),
        ("openapi: {version: v1.2.3, url: x}\n", "render", 1),
        ("resources:\n- 1\n", "render", 1),
        ("resources:\n- a.yaml\n- \n", "render", 1),
        ("resources: [a.yaml]\n? [a]\n: b\n", "render", 2),
        ("resources: [a.yaml]\n...\nresources: [b]\n", "render", 3),
        ("helmCharts: [{name: a}]\n", "remote-base", 1),
        ("helmGlobals: {chartHome: ../../../base}\n", "remote-base", 1),
        ("helmChartInflationGenerator: [{chartName: a}]\n", "remote-base", 1),
        ("resources:\n- a.yaml\n- s3::https://b/c\n", "remote-base", 3),
        ("resources:\n- a.yaml\n- dev.azure.com/o/_git/r?ref=v1\n", "remote-base", 3),
        ("resources:\n- a.yaml\n- /etc\n", "outside", 3),
        ("generators:\n- |\n  apiVersion: builtin\n  kind: HelmChartInflationGenerator\n", "render", 4),
        ("transformers:\n- |\n  apiVersion: example.com/v1\n  kind: PatchTransformer\n", "render", 4),
        (
            "transformers:\n- |\n  apiVersion: builtin\n  kind: LabelTransformer\n"
            "  metadata: {annotations: {config.kubernetes.io/function: 'exec: {path: a}'}}\n",
            "render",
            4,
        ),
        ("transformers:\n- |\n  https://host/org/repo: a\n  apiVersion: builtin\n", "remote-base", 1),
        (f"resources: [{'a' * 300}]\n", "remote-base", 1),
        (f"resources: [{'a/' * 3000}]\n", "remote-base", 1),
    ],
)
def test_what_is_not_surely_local_is_refused(tmp_path: Path, text: str, rule: str, line: int) -> None:
    first, *more = rules(tmp_path, {"kustomization.yaml": text, "a.yaml": "kind: ConfigMap\n"})
    assert first == (rule, "kustomization.yaml", line)
    assert {name for name, _, _ in more} <= {rule}


def test_a_pointer_of_git_lfs_is_refused(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    files = {"kustomization.yaml": "configMapGenerator: [{name: a, files: [b.bin]}]\n", "b.bin": pointer}
    assert rules(tmp_path, files) == [("render", "b.bin", 1)]


def test_chains_and_knots_of_kustomizations_end(tmp_path: Path) -> None:
    chain = {f"{'a/' * n}kustomization.yaml": "resources: [a]\n" for n in range(400)}
    assert [rule for rule, _, _ in rules(tmp_path / "chain", chain)] == ["render"]
    # Each of 18 names the next one twice: 2^18 in all.
    knot = {f"{'a/' * n}kustomization.yaml": "components: [a, ./a]\n" for n in range(18)}
    assert [rule for rule, _, _ in rules(tmp_path / "knot", knot)] == ["render"]
    circle = {
        "kustomization.yaml": "components: [a]\n",
        "a/kustomization.yaml": "components: [../b]\n",
        "b/kustomization.yaml": "components: [../a]\n",
    }
    assert rules(tmp_path / "circle", circle) == []  # kustomize says it


def test_every_kind_of_name_has_a_field() -> None:
    assert {*FIELDS.values()} == {*Names}
