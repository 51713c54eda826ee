"""Errors carry fields; the text is made from them, and no path of a temporary folder is ever in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, Fault, GitopsError, InputError, NotHealthyError, combined
from gitops.manifests import kustomize, render, sealedsecret, yamlfile
from gitops.repository import revision, services
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from tests.conftest import commit_all

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
    with pytest.raises(kustomize.RenderError, match=r"^overlays/mogle/prod: does not render: .*no result") as caught:
        kustomize.build(scratch, scratch.overlays / "mogle/prod")
    assert caught.value.timed_out
    assert isinstance(caught.value, GitopsError)
