"""Errors carry fields; the text is made from them, and no path of a temporary folder is ever in it."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, Fault, GitopsError, InputError, NotHealthyError, combined
from gitops.manifests import kustomize, render, sealedsecret, yamlfile
from gitops.repository import revision, services
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from tests.conftest import GITOPS, commit_all
from tests.frozen import ROOT, platform

NEW = "overlays/broken/prod"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("gone"), "gone"),
        (Fault("gone", path="a.yaml"), "a.yaml: gone"),
        (Fault("gone", path="a.yaml", line=3), "a.yaml:3: gone"),
        (Fault(path="a.yaml", expected="a list", found="str"), "a.yaml: expected a list, found str"),
        (Fault("no tag", expected="one", fix="pin it"), "no tag; expected one; pin it"),
        (Fault("its log ends:\n  | gone", path="a.log", fix="start it"), "a.log: its log ends:\n  | gone\nstart it"),
    ],
)
def test_the_text_is_made_from_the_fields(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_several_faults_are_one_error_each_once() -> None:
    error = InputError.several([Fault("a", path="x"), Fault("b"), Fault("b")])
    assert isinstance(error, InputError)
    assert (len(error.faults), str(error)) == (2, "x: a\nb")


def test_combined_errors_exit_as_the_worst() -> None:
    error = combined([InputError("a"), ExternalError("b"), NotHealthyError("a")])
    assert (error.exit_code, str(error)) == (4, "a\nb")


READINGS: dict[str, Callable[[Checkout], object]] = {
    "owner": lambda base: services.services(base),
    "seal": lambda base: sealedsecret.all_sealed(base),
    "model": lambda base: yamlfile.read_model(base, base.root / NEW / "kustomization.yaml", services.Owner),
    "render": lambda base: kustomize.build(base, base.root / NEW),
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("copy", ["main", "base", "head"])
def test_a_fault_in_a_temporary_copy_names_the_file_of_the_repository(
    scratch: Checkout, reading: str, copy: str
) -> None:
    folder = scratch.root / NEW
    folder.mkdir(parents=True)
    (folder.parent / "owner.yaml").write_text("team: {")
    (folder / "kustomization.yaml").write_text("resources:\n  - sealed.yaml\n  - missing.yaml\n")
    (folder / "sealed.yaml").write_text("kind: SealedSecret\n")
    commit_all(scratch)
    (scratch.root / "base/note.txt").write_text("so that all files of both revisions are there\n")
    commit_all(scratch)
    with pytest.raises(InputError) as caught:
        _read(scratch, copy, READINGS[reading])
    for fault in caught.value.faults:
        assert fault.path is not None
        assert fault.path.startswith("overlays/broken/")
    assert tempfile.gettempdir() not in str(caught.value)


def _read(scratch: Checkout, copy: str, reading: Callable[[Checkout], object]) -> None:
    if copy == "main":
        history = History(scratch.root)
        history._repo.git.update_ref("refs/remotes/origin/main", "HEAD")
        with main_files(scratch, history) as base:
            reading(base)
        return
    with revision.compare(scratch, "HEAD~1", "HEAD") as change:
        assert change.base is not None
        reading(change.base if copy == "base" else change.head)


def test_an_origin_that_cannot_be_fetched_is_said_with_its_place_and_what_to_try(
    scratch: Checkout, tmp_path: Path
) -> None:
    history = History(scratch.root)
    history._repo.git.remote("set-url", "origin", str(tmp_path / "gone"))
    with pytest.raises(ExternalError) as caught:
        history.fetch(None)
    fault = caught.value.fault
    assert (fault.path, fault.fix) == (str(scratch.root), f"try: git -C {scratch.root} fetch origin")
    assert fault.what.startswith("origin cannot be fetched: git exited with 128\n")
    assert "does not appear to be a git repository" in fault.what


def test_main_that_cannot_be_written_names_no_folder(scratch: Checkout, tmp_path: Path) -> None:
    with pytest.raises(ExternalError) as caught:
        History(scratch.root).export("0" * 40, tmp_path / "main")
    assert str(caught.value) == "the files of main cannot be written: git exited with 128"


def test_kustomize_complains_of_the_repository_not_of_the_folder(scratch: Checkout, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / NEW).mkdir(parents=True)
    (tree / NEW / "kustomization.yaml").write_text("resources: [../missing]\n")
    rendered = render.build(scratch, tree, NEW)
    assert rendered.error is not None
    assert str(tmp_path) not in str(rendered.error)
    assert "overlays/broken/missing" in str(rendered.error)


def test_a_render_that_hangs_says_so_by_its_type(scratch: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITOPS_RENDER_TIMEOUT", "0.001")
    with pytest.raises(
        kustomize.RenderError, match=r"^overlays/mogle/prod/kus.*: does not render: .*no result"
    ) as caught:
        kustomize.build(scratch, scratch.overlays / "mogle/prod")
    assert caught.value.timed_out
    assert isinstance(caught.value, GitopsError)


# -- what messages are made of

SOURCES = sorted((ROOT / "scripts/gitops").rglob("*.py"))
# A path of the repository, whole: not a pattern, and nothing is filled in behind it.
_PATH = re.compile(
    r"(?<![\w./<>{}\\-])((?:apps|base|clusters|docs|overlays|policies|scripts|tests|\.github)/[\w/-]+(?:\.\w+)*)"
    r"(?![\w.]*[/<{}*\[\\-])(?!\w)"
)
# `{len(...)} files`, and other numbers; behind "of" the noun is of all of them.
_NUMBER = re.compile(r"^(len\(.*\)|sum\(.*\)|.*\.days(\(\w*\))?)$")
_NOUN = re.compile(r"^ (?:\w+ )?(?!less\b|has\b|is\b|was\b|times\b)[a-z]+s\b")


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Every text of a module that is no docstring, `{}` for what is filled in."""
    tree = ast.parse(file.read_text())
    inside = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            inside.update(map(id, node.values))
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def absent(text: str) -> list[str]:
    """The paths in a text that nothing in the repository has, nor begins with."""
    paths = [match[1] for match in _PATH.finditer(text) if not re.match(r"apps/v\d|.*[A-Z]{3}", match[1])]
    return [path for path in paths if not any(platform().root.glob(f"{path}*"))]


def uncounted(file: Path) -> list[str]:
    """Numbers with a noun that is said of several, whatever the number is."""
    lines = []
    for node in [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.JoinedStr)]:
        parts = node.values
        for before, number, noun in zip([None, *parts], parts, parts[1:], strict=False):
            if isinstance(number, ast.FormattedValue) and isinstance(noun, ast.Constant):
                told = ast.unparse(number.value)
                share = isinstance(before, ast.Constant) and str(before.value).endswith((" of ", "'s "))
                if _NUMBER.match(told) and _NOUN.match(str(noun.value)) and not share:
                    lines.append(f"{file.name}:{node.lineno}: {{{told}}}{noun.value!s}")
    return lines


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT / "scripts/gitops")))
def test_no_message_names_a_path_that_is_not_there_or_says_1_errors(file: Path) -> None:
    assert [(line, paths) for line, text in texts(file) if (paths := absent(text))] == []
    assert uncounted(file) == []


def test_what_is_not_there_and_what_is_not_counted_is_noticed(tmp_path: Path) -> None:
    assert absent("see (apps/policies), docs/runbooks/gate.md and overlays/<service>/owner.yaml") == ["apps/policies"]
    module = tmp_path / "module.py"
    module.write_text("print(f\"{len(errors)} errors, {len(done)} of {len(files)} files, {counted(1, 'file')} files\")")
    assert uncounted(module) == ["module.py:1: {len(errors)} errors, "]


def test_ctrl_c_while_the_command_is_loaded_says_nothing(tmp_path: Path) -> None:
    early = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    (tmp_path / "click.py").write_text(early)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([GITOPS, "--version"], cwd=tmp_path, env=environment, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
