"""gitleaks over the change: every commit of it, as a secret that was taken out again is in the history all the same."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place
from gitops.repository.revision import WORKING_COPY, Change, paths

_SECONDS = 300.0
_FIX = "replace it where it was issued, then take it out; a false alarm goes into .gitleaks.toml with its reason"


def check(checkout: Checkout, change: Change) -> Iterator[Finding]:
    """Secrets in the change's commits, and in its files as they are."""
    # A sealed value is long and random, and no secret: what cannot be opened is not looked at.
    config = (
        ["--config", str(change.head.root / ".gitleaks.toml")] if (change.head.root / ".gitleaks.toml").exists() else []
    )
    gitleaks = [checkout.tool("gitleaks")]
    rest = [
        "--no-banner",
        "--log-level",
        "error",
        "--redact=100",
        "--report-format",
        "json",
        "--exit-code",
        "0",
        *config,
    ]
    if change.commits:
        yield from _run([*gitleaks, "git", str(checkout.root), "--log-opts", change.commits, *rest], checkout.root)
    with tempfile.TemporaryDirectory(prefix="gitops-") as folder:
        for path in change.files if change.base else _all(change):
            source = change.head.root / path
            if source.is_file() and not source.is_symlink():
                target = Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        # From within: the allowed paths of .gitleaks.toml are the repository's.
        yield from _run([*gitleaks, "dir", ".", *rest], Path(folder))


def _all(change: Change) -> list[str]:
    more = ("--cached", "--others", "--exclude-standard") if change.head_name == WORKING_COPY else ()
    return paths(change.head.root, "ls-files", "-z", *more)


def _run(argv: list[str | Path], root: Path) -> Iterator[Finding]:
    with tempfile.NamedTemporaryFile(prefix="gitops-", suffix=".json") as report:
        run([*argv, "--report-path", report.name], timeout=_SECONDS, cwd=root)
        for leak in json.loads(Path(report.name).read_bytes() or b"[]"):
            file = str(leak["File"]).removeprefix(f"{root}/")
            commit = f" (commit {leak['Commit'][:12]})" if leak.get("Commit") else ""
            yield Finding(
                "leaked-secret",
                Place(file, int(leak["StartLine"])),
                f"looks like a secret: {leak['RuleID']}{commit}",
                _FIX,
            )
