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
    form = draw(st.sampled_from(["lines", "braces", "lines in braces"]))
    shown = [f'{{name: {name}, value: "{value}"}}' for name, value in variables]
    if form == "braces":
        env = [f"      env: [{', '.join(shown)}]{draw(comments)}"]
    elif form == "lines in braces":
        comma = draw(st.sampled_from(["", ","]))
        commas = [*[","] * (len(shown) - 1), comma]
        env = [f"      env: [{draw(comments)}"]
        for item, behind in zip(shown, commas, strict=True):
            env += [
                *draw(st.sampled_from([[], ["        # a comment: above"]])),
                f"{indent}{item}{behind}{draw(comments)}",
            ]
        env.append(f"      ]{draw(comments)}")
    else:
        env = [f"      env:{draw(comments)}"]
        for name, value in variables:
            env += draw(st.sampled_from([[], ["        # a comment: above"], [""]]))
            kind = draw(st.sampled_from(["braces", "lines", "a block of text"]))
            if kind == "braces":
                env.append(f"{indent}- {{name: {name}, value: '{value}'}}{draw(comments)}")
            elif kind == "a block of text":
                env += [f"{indent}- name: {name}", f"{indent}  value: |-{draw(comments)}", f"{indent}    {value}"]
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
    assert len(after.splitlines()) - len(before.splitlines()) == (
        0 if "env: [{" in before else 1 if "[" in before else 2
    )
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
    gone = [line for line in before.splitlines() if line not in after.splitlines()]
    assert len(gone) <= 2, "of a block of text its first line and the text, of all else the one line"
    assert after.count("#") - before.count("#") == value.count("#")


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
        "d.yaml:3: spec.containers.0.env shares its text with another place; no program edits such a shape safely; "
        'write there by hand: - {name: B, value: "1"}',
    ),
    "a list that is none": (
        "spec:\n  containers:\n    - env: later\n",
        APPEND,
        "d.yaml:3: spec.containers.0.env is no",
    ),
    "two documents": ("spec: {}\n---\nspec: {}\n", APPEND, "d.yaml:2: not valid YAML: but found another document"),
    "a mapping": (
        "spec:\n  containers:\n    - env:\n        - name: A\n          value: {a: b}\n",
        ("put", "b"),
        "d.yaml:5: spec.containers.0.env.0.value is no plain text; write there by hand: b",
    ),
    "a value that others name": (
        "spec:\n  containers:\n    - env:\n        - name: A\n          value: &v a\nmore: *v\n",
        ("put", "b"),
        "d.yaml:5: spec.containers.0.env.0.value shares its text with another place; no program edits such a shape",
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


HEAD = "spec:\n  containers:\n    - env:\n        - name: A\n"
# The text behind the name; what it is once `b` is written over the value.
VALUES = {
    "an anchor that nobody names": ("          value: &v a # why\n", "          value: &v b # why\n"),
    "an alias": ("          value: *v # why\n", "          value: b # why\n"),
    "an alias behind a quoted key": ('          "value":  *v\n', '          "value":  b\n'),
    "nothing": ("          value: # why\n", "          value: b # why\n"),
    "null": ("          value: ~ # why\n", "          value: b # why\n"),
    "a block of text": (
        "          value: | # why\n            {\n              a: b\n            }\n\n        - name: B\n",
        "          value: b # why\n\n        - name: B\n",
    ),
    "a folded block that keeps its blank lines": (
        "          value: >+\n            a\n\n            b\n\n# end\n",
        "          value: b\n\n# end\n",
    ),
    "an empty block": ("          value: |\n      image: x\n", "          value: b\n      image: x\n"),
    "lines of a text": ('          value: "a\n            b"\n', '          value: "b"\n'),
}


@pytest.mark.parametrize("form", VALUES)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_value_in_another_form_is_written_over(form: str, end: str) -> None:
    before, after = (f"x: &v old\n{HEAD}{part}".replace("\n", end) for part in VALUES[form])
    if form == "an anchor that nobody names":
        before, after = before.replace("x: &v", "x:"), after.replace("x: &v", "x:")
    assert yamledit.put(before, "d.yaml", (*ENV, 0, "value"), "b") == after


EMPTY = {
    "nothing": ("env:  # why\nx: 1\n", "env:  # why\n  - a\nx: 1\n"),
    "nothing and no end of its line": ("x: 1\nenv:", "x: 1\nenv:\n  - a\n"),
    "null": ("env: null # why\n", "env: [a] # why\n"),
    "an empty list": ("env: [] # why\n", "env: [a] # why\n"),
    "an empty list of two lines": ("env: [\n]\n", "env: [\na]\n"),
    "nothing in braces": ("{env: , x: 1}\n", "{env: [a] , x: 1}\n"),
}


@pytest.mark.parametrize("form", EMPTY)
def test_a_list_of_nothing_gets_its_first_item(form: str) -> None:
    before, after = EMPTY[form]
    assert yamledit.append(before, "d.yaml", ("env",), "a") == after


@pytest.mark.parametrize("text", ["..", "/", "a/b", "./x", "../../../base/web", ".", "...a", "/5"])
def test_a_path_needs_no_quotes(text: str) -> None:
    assert yamledit.text_of(text) == text


@pytest.mark.parametrize(
    "text", ["...", ".5", ".5e3", ".inf", "---", "<<", "=", "y", "1.10", "1e3", "2027-01-31", "0o7"]
)
def test_what_some_reader_takes_for_no_text_is_quoted(text: str) -> None:
    assert yamledit.text_of(text) == f'"{text}"'


@settings(max_examples=60)
@given(file=patches(), number=st.integers(0, 3))
def test_an_item_that_comes_before_another_goes_again(file: tuple[str, list[tuple[str, str]]], number: int) -> None:
    before, variables = file
    number %= len(variables)
    after = yamledit.insert(before, "d.yaml", ENV, number, {"name": "NEW", "value": "x"})
    env = yaml.safe_load(after)["spec"]["containers"][0]["env"]
    assert [entry["name"] for entry in env] == [
        *(name for name, _ in variables[:number]),
        "NEW",
        *(name for name, _ in variables[number:]),
    ]
    assert lines_kept(before, after) or "env: [{" in before
    assert yamledit.remove(after, "d.yaml", (*ENV, number)) == before
