"""Secrets that a change brings, and would have the gate pass over. The control is gitleaks as it comes."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitops.check import leaks
from gitops.ground.checkout import Checkout
from gitops.manifests.findings import Finding
from gitops.repository import revision
from tests import leaks as canaries
from tests.attacks import Door, Guard, attack
from tests.conftest import commit_all

# Made here: a key that stands in a file would be one.
KEY = "AKIA" + "QYLPMN5HHHFPZAM2"
LINE = f"aws_access_key_id = {KEY}"
FILE = "overlays/mogle/prod/settings.env"

Way = Callable[[Path], None]


def _write(path: str, text: str | bytes) -> Way:
    def write(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


def _with(*ways: Way) -> Way:
    def do(root: Path) -> None:
        for way in ways:
            way(root)

    return do


def _then(first: Way, second: Way) -> Way:
    def do(root: Path) -> None:
        first(root)
        commit_all(Checkout(root))
        second(root)

    return do


def _append(path: str, text: str) -> Way:
    def append(root: Path) -> None:
        (root / path).write_text((root / path).read_text() + text)

    return append


WAYS: dict[str, Way] = {
    "a comment at the line's end": _write(FILE, f"{LINE} # gitleaks:allow\n"),
    "a .gitleaksignore": _with(_write(FILE, f"{LINE}\n"), _write(".gitleaksignore", f"{FILE}:aws-access-token:1\n")),
    "its own .gitleaks.toml": _with(
        _write(FILE, f"{LINE}\n"), _append(".gitleaks.toml", "\n[[allowlists]]\npaths = ['''^overlays/''']\n")
    ),
    "no rules at all": _with(_write(FILE, f"{LINE}\n"), _write(".gitleaks.toml", 'title = "none"\n')),
    "the name of a picture": _write("overlays/mogle/prod/logo.svg", f"{LINE}\n"),
    "the name of a lock": _write("overlays/mogle/prod/package-lock.json", f"{LINE}\n"),
    "a folder that nobody reads": _write("overlays/mogle/prod/node_modules/a.yaml", f"{LINE}\n"),
    "UTF-16": _write(FILE, f"{LINE}\n".encode("utf-16")),
    "an archive": _write(FILE, b"PK\x03\x04\x00" + LINE.encode()),
    "git's attributes, and another commit": _then(
        _with(_write(FILE, f"{LINE}\n"), _write(".gitattributes", "*.env binary\n")), _write(FILE, "a=b\n")
    ),
    "a file's name": _write(f"overlays/mogle/prod/{KEY}.txt", "x\n"),
    "the name of its file in the first commit": _then(
        _write("tests/logo.svg", f"{LINE}\n"), lambda root: (root / "tests/logo.svg").unlink()
    ),
}
READ_IN_THE_END: dict[str, Way] = {
    "the head of a PDF": _write(FILE, f"%PDF-1.4\n{LINE}\n"),
    "a symbolic link's target": lambda root: (root / "overlays/mogle/prod/link").symlink_to(f"/{LINE}"),
    "base64": _write(FILE, f"value = {base64.b64encode(LINE.encode()).decode()}\n"),
    "a later commit": _then(_write(FILE, f"{LINE}\n"), _write(FILE, "a=b\n")),
    "the form of a sealed value": _write(
        "overlays/mogle/prod/settings.yaml", f"data:\n  client-secret: Ag/{KEY}/{'a' * 200}\n"
    ),
}
SEALED = "overlays/mogle/prod/sealedsecret-oauth-42-g1.yaml"


def gate(scratch: Checkout) -> list[Finding]:
    with revision.compare(scratch, "main", None) as change:
        return list(leaks.check(scratch, change))


def as_it_comes(scratch: Checkout, folder: Path) -> list[object]:
    """gitleaks by its own command on the branch, as anyone would call it."""
    report = folder / "report.json"
    words = [str(scratch.tool("gitleaks")), "git", ".", "--log-opts=main..HEAD", "--exit-code=0", "--no-banner"]
    words += ["--log-level=error", "--report-format=json", f"--report-path={report}"]
    subprocess.run(words, cwd=scratch.root, check=True)
    return list(json.loads(report.read_text()))


def _branch(scratch: Checkout, way: Way) -> None:
    subprocess.run(["git", "branch", "-f", "main"], cwd=scratch.root, check=False, capture_output=True)
    subprocess.run(["git", "switch", "-q", "-c", "theirs"], cwd=scratch.root, check=True)
    way(scratch.root)
    commit_all(scratch)


@attack(Door.MEMBER, "a secret that {what} hides", Guard.GATE)
@pytest.mark.parametrize("what", WAYS)
def test_hidden_secret(scratch: Checkout, tmp_path: Path, what: str, guard: Guard | None) -> str | None:
    _branch(scratch, WAYS[what])
    if guard is None:
        return None if not as_it_comes(scratch, tmp_path) else "gitleaks alone"
    findings = gate(scratch)
    assert canaries.search("", repr(findings).encode(), canaries.patterns([KEY])) == []
    return findings[0].rule if findings else None


@pytest.mark.parametrize("what", READ_IN_THE_END)
def test_secret_that_is_read(scratch: Checkout, what: str) -> None:
    _branch(scratch, READ_IN_THE_END[what])
    assert {finding.rule for finding in gate(scratch)} == {"leaked-secret"}


def test_every_version_of_a_sealed_value_is_none(scratch: Checkout) -> None:
    path = scratch.root / SEALED
    text = path.read_text()
    sealed_anew = (scratch.root / SEALED.replace("mogle", "umbrella")).read_text()
    _branch(
        scratch,
        _then(_then(_write(SEALED, sealed_anew), _write(SEALED, f"{text}# again\n")), _write(SEALED, sealed_anew)),
    )
    assert gate(scratch) == []


def test_what_a_commit_says(scratch: Checkout) -> None:
    _branch(scratch, _write(FILE, "a=b\n"))
    (scratch.root / FILE).write_text("a=c\n")
    commit_all(scratch, f"Rotate\n\n{LINE}")
    [finding] = gate(scratch)
    assert (finding.rule, "the message" in finding.problem) == ("leaked-secret", True)


def test_a_change_without_a_secret_has_none(scratch: Checkout) -> None:
    _branch(scratch, _write(FILE, "a=b\n"))
    assert gate(scratch) == []
