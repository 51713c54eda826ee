"""Texts that end a parser, a process or a machine: each is a refusal or a finding, in little memory and time."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, Limits, run
from gitops.ground.errors import InputError
from gitops.manifests import places, yamlfile, yamltext
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import LIMITS
from gitops.manifests.render import build
from tests.frozen import platform

UNIT = "overlays/a/prod"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
LEVELS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 30))]
)
MERGES = "\n".join(["a0: &a0 {x: y}", *(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}]}}" for n in range(1, 30))])
TEXTS: dict[str, str | bytes] = {
    "50,000 brackets": "a: " + "[" * 50_000,
    "a million brackets": "[" * 1_000_000,
    "braces and brackets": "[{a: " * 50_000,
    "deep JSON": '{"a": [' * 50_000 + "]}" * 50_000,
    "50,000 dashes": "- " * 50_000 + "a",
    "50,000 question marks": "? " * 50_000 + "a",
    "deep by indentation": "".join(f"{' ' * n}a:\n" for n in range(1_500)),
    "aliases of aliases": LEVELS,
    "merges of merges": MERGES,
    "an alias inside of itself": "a: &a [" + "*a, " * 8 + "]",
    "a number of 10,000 digits": f"a: {'1' * 10_000}",
    "a number in base 60": f"a: 1{':00' * 200_000}",
    "a fraction of 100,000 digits": f"a: 0.{'1' * 100_000}",
    "a million values": "a: [" + "x," * 1_000_000 + "]",
    "a million lines": "- a\n" * 1_000_000,
    "60 MB": f"{MAP}data: {{x: {'y' * 60_000_000}}}",
    "a NUL": "a: \0",
    "UTF-16": "a: [b]".encode("utf-16"),
    "no UTF-8": b"a: \xff\xfe",
    "tabs": "a:\n\t- b\n\t\t- c",
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("door", [yamlfile.parse_all, yamlfile.compose_all, yamltext.compose])
def test_a_text_is_refused_before_it_takes_anything(door: object, what: str) -> None:
    assert callable(door)
    text = TEXTS[what]
    if door is yamltext.compose and isinstance(text, bytes):
        pytest.skip("takes text alone")
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    # A tree of nodes has numbers as they stand.
    if not (what.startswith(("a number", "a fraction")) and door is not yamlfile.parse_all):
        with pytest.raises(InputError) as caught:
            door(text, "a.yaml")
        assert caught.value.fault.path == "a.yaml"
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


def test_a_stranger_cannot_end_the_process() -> None:
    """In one of its own, as libyaml would take this one with it."""
    code = "from gitops.manifests import yamlfile\nyamlfile.compose_all('[' * 200_000, 'a.yaml')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "nested too deeply" in done.stderr


def test_what_is_large_and_means_something_is_read() -> None:
    long = f"{MAP}data:\n" + "".join(f"  key-{n}: '[{{*&value {n}'\n" for n in range(10_000))
    assert len(yamlfile.parse_all(long, "a.yaml")[0]["data"]) == 10_000
    assert yamlfile.parse_all("a: &a [b]\n" + "".join(f"c{n}: *a\n" for n in range(1_000)), "a.yaml")


def written(root: Path, files: dict[str, str | bytes]) -> Checkout:
    for name, text in files.items():
        file = root / UNIT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    return Checkout(root)


DOUBLED = (
    "- source: {kind: ConfigMap, name: a, fieldPath: data.x}\n  targets:\n  - select: {kind: ConfigMap, name: a}\n"
    "    fieldPaths: [data.x]\n    options: {delimiter: ':', index: 99}\n"
)
TREES: dict[str, dict[str, str | bytes]] = {
    "aliases in a file of another name": {"kustomization.yaml": "resources: [a.txt]\n", "a.txt": LEVELS},
    "brackets in a patch": {
        "kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p}]\n",
        "a.yaml": MAP,
        "p": "[" * 50_000,
    },
    "60 MB": {"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": TEXTS["60 MB"]},
    "60 MB of data": {
        "kustomization.yaml": "configMapGenerator: [{name: a, files: [b]}]\n",
        "b": b"\0" * 60_000_000,
    },
    "10,000 objects": {"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": f"---\n{MAP}" * 10_000},
    "10,000 objects in 20 files": {
        "kustomization.yaml": f"resources: [{', '.join(f'a{n}.yaml' for n in range(20))}]\n",
        **{f"a{n}.yaml": f"---\n{MAP}" * 500 for n in range(20)},
    },
    "10,000 generated objects": {
        "kustomization.yaml": "configMapGenerator:\n" + "".join(f"- {{name: a{n}}}\n" for n in range(10_000)),
    },
    "a text that doubles 40 times": {
        "kustomization.yaml": f"resources: [a.yaml]\nreplacements:\n{DOUBLED * 40}",
        "a.yaml": f"{MAP}data: {{x: {'y' * 1_000}}}\n",
    },
    "output of 6 MB": {
        "kustomization.yaml": f"resources: [a.yaml]\ncommonAnnotations: {{a: {'y' * 200_000}}}\n",
        "a.yaml": "".join(f"---\n{MAP}".replace("name: a", f"name: a{n}") for n in range(30)),
    },
}


@pytest.mark.parametrize("what", TREES)
def test_a_tree_is_refused_in_little_memory(tmp_path: Path, what: str) -> None:
    checkout = written(tmp_path, TREES[what])
    began = time.monotonic()
    rendered = build(platform(), checkout.root, UNIT, Graph(checkout).reach(UNIT))
    assert isinstance(rendered.error, InputError)
    assert rendered.error.fault.path
    assert rendered.error.fault.path.startswith(UNIT)
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < LIMITS.memory // 1024 // 2


def test_a_program_is_held_to_its_limits() -> None:
    limits = Limits(memory=500 * 2**20, output=1_000)
    for code in ("bytes(2**30)", "print('x' * 2_000, flush=True)"):
        # The limits are there a moment after the program: this one waits for its end of the input.
        argv = [sys.executable, "-c", f"import sys; sys.stdin.read(); {code}"]
        with pytest.raises(CommandError):
            run(argv, timeout=60, stdin=b"", limits=limits)
    assert run([sys.executable, "-c", "print('x')"], timeout=60, limits=limits) == b"x\n"


def test_a_patchs_target_is_matched_in_linear_time() -> None:
    began = time.process_time()
    for pattern in ("(a+)+$", "(" * 1_000, "(?P<a>", ".*" * 100 + "b", "^a|.*|c$"):
        assert places.matches(pattern, "a" * 200) in (True, False)
    assert places.matches("web|api-.*", "api-1")
    assert not places.matches("web|api-.*", "apis")
    assert time.process_time() - began < 1
