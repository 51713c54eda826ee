"""Edits of YAML: what was asked for changes, and every other byte stays."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.ground.errors import InputError
from gitops.manifests import yamledit

ENV = ("spec", "containers", 0, "env")
names = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
# Whatever a person may type behind the equals sign.
values = st.one_of(
    st.sampled_from(["", "1", "0x1f", "yes", "null", "~", "- a", "a: b", "# no", "{x}", "'", '"', "\\", "é 한글 🙂"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)
comments = st.sampled_from(["", "  # why: é 한글", "   #"])
ends = st.sampled_from(["\n", "\r\n"])


@st.composite
def patches(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A patch with a list of variables, in any form that people write it; and these variables."""
    variables = draw(st.lists(st.tuples(names, st.sampled_from(["a", "1", "https://x"])), min_size=1, max_size=4))
    indent = draw(st.sampled_from(["      ", "        ", "          "]))
    if draw(st.booleans()):
        shown = [f'{{name: {name}, value: "{value}"}}' for name, value in variables]
        env = [f"      env: [{', '.join(shown)}]{draw(comments)}"]
    else:
        env = [f"      env:{draw(comments)}"]
        for name, value in variables:
            env += draw(st.sampled_from([[], ["        # a comment: above"], [""]]))
            if draw(st.booleans()):
                env.append(f"{indent}- {{name: {name}, value: '{value}'}}{draw(comments)}")
            else:
                env += [f"{indent}- name: {name}{draw(comments)}", f'{indent}  value: "{value}"{draw(comments)}']
    after = draw(st.sampled_from([[], ["# the end"], ["      image: x"], ["  replicas: 1  # one", ""]]))
    lines = ["# head é", "kind: Deployment", "", "spec:", "  containers:", "    - name: app", *env, *after]
    end = draw(ends)
    return end.join(lines) + draw(st.sampled_from(["", end])), variables


def lines_kept(before: str, after: str) -> bool:
    """Whether each line of the one is in the other, in its order."""
    rest = iter(after.splitlines())
    return all(line in rest for line in before.splitlines())


@settings(max_examples=60)
@given(file=patches(), name=names, value=values)
def test_an_item_comes_and_goes_and_the_file_is_what_it_was(
    file: tuple[str, list[tuple[str, str]]], name: str, value: str
) -> None:
    before, variables = file
    after = yamledit.append(before, "d.yaml", ENV, {"name": name, "value": value})
    env = yaml.safe_load(after)["spec"]["containers"][0]["env"]
    assert env == [*({"name": old, "value": text} for old, text in variables), {"name": name, "value": value}]
    assert lines_kept(before, after) or "env: [" in before
    back = yamledit.remove(after, "d.yaml", (*ENV, len(variables)))
    # A last line without its end has one then.
    assert back in (before, before + "\n", before + "\r\n")


@settings(max_examples=60)
@given(file=patches(), value=values, number=st.integers(0, 3))
def test_a_value_is_written_over_and_back(file: tuple[str, list[tuple[str, str]]], value: str, number: int) -> None:
    before, variables = file
    number %= len(variables)
    path = (*ENV, number, "value")
    after = yamledit.put(before, "d.yaml", path, value)
    was, now = yaml.safe_load(before), yaml.safe_load(after)
    assert now["spec"]["containers"][0]["env"][number].pop("value") == value
    del was["spec"]["containers"][0]["env"][number]["value"]
    assert now == was
    start, end = len(before) - len(before.lstrip()), len(after)
    assert (after[:start], after[end:]) == (before[:start], "")
    assert len(after.splitlines()) == len(before.splitlines())


@settings(max_examples=60)
@given(file=patches(), number=st.integers(0, 3))
def test_what_is_taken_out_takes_no_other_byte(file: tuple[str, list[tuple[str, str]]], number: int) -> None:
    before, variables = file
    number %= len(variables)
    after = yamledit.remove(before, "d.yaml", (*ENV, number))
    expected = yaml.safe_load(before)
    container = expected["spec"]["containers"][0]
    del container["env"][number]
    if not container["env"]:
        del container["env"]
    assert yaml.safe_load(after) == expected
    assert lines_kept(after, before) or "env: [" in before
    for comment in ("# head é", "# the end", "# a comment: above"):
        assert after.count(comment) == before.count(comment) or (comment.endswith("above") and not container.get("env"))


@settings(max_examples=60)
@given(
    value=st.recursive(values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
)
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    assert yaml.safe_load(f"key: {yamledit.in_braces(value)}") == {"key": value}
    text = "\n".join(yamledit.lines_of({"key": value, "list": [value, {"a": value}]}, 2))
    assert yaml.safe_load(text) == {"key": value, "list": [value, {"a": value}]}


def test_a_key_comes_behind_those_that_it_follows() -> None:
    text = "resources:\n  - a.yaml # why\n\n# labels\nlabels: []\n"
    after = yamledit.add(text, "k.yaml", (), "patches", [{"path": "b.yaml"}], after=("resources", "components"))
    assert after == "resources:\n  - a.yaml # why\npatches:\n  - path: b.yaml\n\n# labels\nlabels: []\n"
    assert yamledit.remove(after, "k.yaml", ("patches", 0)) == text


APPEND = ("append", {"name": "B", "value": "1"})
REFUSED: dict[str, tuple[str, tuple[str, Any], str]] = {
    "an alias": (
        "x: &e\n  - {name: A}\nspec: {containers: [{env: *e}]}\n",
        APPEND,
        "d.yaml:3: spec.containers.0.env is",
    ),
    "an anchor that others name": (
        "spec:\n  containers:\n    - env: &e\n        - name: A\nmore: *e\n",
        APPEND,
        "d.yaml:3: spec.containers.0.env shares its text with another place; write it by hand there",
    ),
    "a list that is none": (
        "spec:\n  containers:\n    - env: later\n",
        APPEND,
        "d.yaml:3: spec.containers.0.env is no",
    ),
    "two documents": ("spec: {}\n---\nspec: {}\n", APPEND, "d.yaml:2: not valid YAML: but found another document"),
    "a block of text": (
        "spec:\n  containers:\n    - env:\n        - name: A\n          value: |\n            a\n",
        ("put", "b"),
        "d.yaml:5: spec.containers.0.env.0.value is no plain text on one line; write there by hand: b",
    ),
    "a tag": (
        "spec:\n  containers:\n    - env:\n        - name: A\n          value: !!str 1\n",
        ("put", "b"),
        "d.yaml:5: spec.containers.0.env.0.value is no plain text",
    ),
    "an item that shares its line": (
        "spec:\n  containers:\n    - env:\n        - name: A\n      name: app\n",
        ("remove", None),
        "d.yaml:4: spec.containers.0.env shares its lines with something else; take it out by hand",
    ),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_a_shape_that_no_program_edits_safely_is_refused_with_its_line(shape: str) -> None:
    text, (verb, value), message = REFUSED[shape]
    edits = {
        "append": lambda: yamledit.append(text, "d.yaml", ENV, value),
        "put": lambda: yamledit.put(text, "d.yaml", (*ENV, 0, "value"), value),
        "remove": lambda: yamledit.remove(text, "d.yaml", (*ENV, 0)),
    }
    with pytest.raises(InputError) as raised:
        edits[verb]()
    assert message in str(raised.value)
    assert raised.value.fault.line
    assert raised.value.fault.path == "d.yaml"
