"""Overlays as people write them: a verb and the one that takes it back leave every byte as it was, in each shape."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gitops.ground.checkout import Checkout
from tests.conftest import commit_all
from tests.service_world import MOGLE, Given, changed

OLD, NEW = f"9.9.8@sha256:{'8' * 64}", f"9.9.9@sha256:{'9' * 64}"
FILE = "/run/secrets/api/token"
# What is there first; a verb; what takes it back.
PAIRS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "as a variable": (
        ("service", "set", "mogle", "A=1"),
        ("secrets", "seal", "mogle", "api", "--key", "API_TOKEN", "--as-env"),
        ("secrets", "remove", "mogle", "api"),
    ),
    "as a file": (
        ("service", "set", "mogle", "A=1"),
        ("secrets", "seal", "mogle", "api", "--key", "token", "--as-file", FILE),
        ("secrets", "remove", "mogle", "api"),
    ),
    "an image": (
        ("images", "set", "mogle", OLD),
        ("images", "set", "mogle", NEW),
        ("images", "set", "mogle", OLD),
    ),
    "another team": (
        ("service", "handover", "mogle", "--to", "benefit"),
        ("service", "handover", "mogle", "--to", "community"),
        ("service", "handover", "mogle", "--to", "benefit"),
    ),
}


def in_lines(text: str) -> str:
    return yaml.safe_dump(_plain(text), sort_keys=False, width=10_000)


def in_braces(text: str) -> str:
    return yaml.safe_dump(_plain(text), sort_keys=False, default_flow_style=True, width=10_000)


def _plain(text: str) -> object:
    # Without the anchors that are made for what is one object in memory.
    return json.loads(json.dumps(yaml.safe_load(text)))


SHAPES: dict[str, Callable[[str], str]] = {
    "as made": str,
    "with a comment on every line": lambda text: re.sub(r"(?m)(?<=[\w\"/])$", "  # why", text),
    "with the line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "without an end of its last line": lambda text: text.rstrip("\n"),
    "written out by a program": in_lines,
    "in braces": in_braces,
    "with a document's beginning and end": lambda text: f"---\n{text}...\n",
}
# Behind a last line without an end a seal's line ends it.
SEALS = ("as a variable", "as a file")
ENDED = "without an end of its last line"
# A pair in each shape, and each pair in one; all of them in `make matrix`.
SAMPLE = {("as a variable", shape) for shape in SHAPES} | {(pair, "in braces") for pair in PAIRS}
CASES = [
    pytest.param(*case, marks=() if case in SAMPLE else pytest.mark.matrix) for case in itertools.product(PAIRS, SHAPES)
]


def files(checkout: Checkout) -> list[Path]:
    """What a person may have written anew: all but seals."""
    folders = [checkout.overlays / "mogle", *(checkout.root / overlay for overlay in MOGLE)]
    listed = list(itertools.chain.from_iterable(sorted(folder.glob("*.yaml")) for folder in folders))
    return [file for file in listed if not file.name.startswith("sealedsecret-") and file.name != "images.yaml"]


@pytest.mark.parametrize(("pair", "shape"), CASES)
def test_what_a_verb_did_is_taken_back_to_the_byte(here: Checkout, given: Given, pair: str, shape: str) -> None:
    first, do, undo = PAIRS[pair]
    assert given(*first).code == 0
    for file in files(here):
        with file.open(newline="") as stream:
            text = stream.read()
        file.write_text(SHAPES[shape](text), newline="")
    commit_all(here)
    before = subprocess.check_output(["git", "rev-parse", "HEAD^{tree}"], cwd=here.root)
    done = given(*do)
    assert done.code == 0, done.err
    kept = [line for line in _removed(here) if "# why" not in line]
    assert changed(here)
    commit_all(here)
    back = given(*undo)
    assert back.code == 0, back.err
    commit_all(here)
    left = subprocess.check_output(["git", "diff", before.decode().strip(), "HEAD"], cwd=here.root, text=True)
    assert left == "" or (pair in SEALS and shape == ENDED and "No newline at end of file" in left)
    assert shape == "in braces" or len(kept) <= 6, "no line is written anew that says the same"


def _removed(checkout: Checkout) -> list[str]:
    """The lines that a change takes away."""
    shown = subprocess.check_output(["git", "diff", "-U0", "--", "overlays"], cwd=checkout.root, text=True)
    return [line for line in shown.splitlines() if line.startswith("-") and not line.startswith("---")]


UNUSUAL: dict[str, tuple[str, Callable[[str], str], tuple[str, ...]]] = {
    "no label of a team": (
        "kustomization.yaml",
        lambda text: re.sub(r"  - pairs:\n      team: \w+\n", "", text),
        ("service", "handover", "mogle", "--to", "benefit"),
    ),
    "a label by an anchor that another names": (
        "kustomization.yaml",
        lambda text: text.replace("team: community", "team: &team community") + "commonAnnotations: {by: *team}\n",
        ("service", "handover", "mogle", "--to", "benefit"),
    ),
    "an image by an anchor": (
        "kustomization.yaml",
        lambda text: text.replace('newTag: "', 'newTag: &tag "'),
        ("images", "set", "mogle", NEW),
    ),
    "two documents": (
        "kustomization.yaml",
        lambda text: f"{text}---\n{text}",
        ("secrets", "seal", "mogle", "api", "--key", "API_TOKEN", "--as-env"),
    ),
    "tabs": (
        "ingress.yaml",
        lambda text: text.replace("  rules:", "\trules:"),
        ("service", "handover", "mogle", "--to", "benefit"),
    ),
}


@pytest.mark.parametrize("shape", UNUSUAL)
def test_a_shape_that_cannot_be_edited_is_one_message_with_its_place(here: Checkout, given: Given, shape: str) -> None:
    name, edit, words = UNUSUAL[shape]
    file = here.root / MOGLE[0] / name
    text = file.read_text()
    file.write_text(edit(text))
    assert file.read_text() != text
    commit_all(here)
    done = given(*words)
    assert (done.code, done.out) == (2, ""), done.err
    [said] = done.err.splitlines()
    assert re.match(rf"gitops: {MOGLE[0]}/{name}(:\d+)?: ", said)
    assert changed(here) == []


def test_an_anchor_that_nobody_names_stays(here: Checkout, given: Given) -> None:
    file = here.root / MOGLE[0] / "kustomization.yaml"
    file.write_text(file.read_text().replace("team: community", "team: &team community # why"))
    commit_all(here)
    assert given("service", "handover", "mogle", "--to", "benefit").code == 0
    assert "team: &team benefit # why\n" in file.read_text()
