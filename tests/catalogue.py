"""The catalogue of mistakes: `make catalogue`. Each is a folder of tests/mistakes, named for its fault. It closes with

catalogue: seeded=N caught=N false=0

`caught`: the expected rule, on the expected line of the expected file. `false`: findings on the clean tree (all of it,
and nothing changed), and after 50 random changes that are legal (as a change, and all of it). Beside it, what
kubeconform and kube-score say of the same renders that they do not say of the clean ones.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from git import Repo
from pydantic import BaseModel, ConfigDict

from gitops.check import run as runs
from gitops.check.schema import Schemas
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import InputError
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph
from gitops.manifests.render import build
from gitops.repository import revision
from tests import figures, legal_changes
from tests.frozen import ROOT, clone
from tests.memory import work_in_memory

FOLDER = ROOT / "tests/mistakes"
LAB = "catalogue"
# What `make test` runs of it: one of each kind of rule.
SAMPLE = (
    "file-outside-of-the-repository", "service-renamed", "templated-project", "misspelt-field",
    "removed-api-of-a-budget",
    "quantity-that-is-none", "selector-changed", "memory-above-the-limitrange", "two-variables-of-one-name",
    "secret-generation-ahead-of-its-seal", "image-without-a-digest", "host-path", "leaked-42-secret", "quota-removed",
    "host-of-another-service", "path-behind-another", "exception-that-has-ended", "pod-security-lowered",
    "environment-that-is-not-declared", "everything-tolerated", "guard-that-argocd-leaves-out",
    "image-volume-of-a-stranger", "plain-text-in-a-sealed-secret", "disk-for-a-site", "database-that-nobody-made",
)  # fmt: skip


class Edit(BaseModel):
    """One change of a mistake: text replaced, a file written, linked, moved or taken away."""

    model_config = ConfigDict(extra="forbid")

    file: str
    find: str | None = None
    put: str = ""
    content: str | None = None
    link: str | None = None
    moved: str | None = None
    gone: bool = False


class Mistake(BaseModel):
    """What is done to the clean tree, and what must be found: `line` is text that stands on the line.

    `also`: the rules by which something else is found, as it has more than one cause, or shows in more than one place.
    Nothing beside them may be: one cause is one finding.
    """

    model_config = ConfigDict(extra="forbid")

    rule: str
    file: str
    line: str
    also: list[str] = []
    changes: list[Edit]


@dataclass(frozen=True)
class Outcome:
    """What was found of a mistake, and by whom."""

    name: str
    caught: bool
    findings: list[Finding]
    expected: str
    peers: dict[str, bool]


def mistakes() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/mistake.yaml"))


def read(name: str) -> Mistake:
    return yamlfile.read_model(Checkout(ROOT), FOLDER / name / "mistake.yaml", Mistake)


def make(root: Path, mistake: Mistake) -> None:
    edit(root, mistake.changes)


def edit(root: Path, changes: Sequence[Edit]) -> None:
    for change in changes:
        path = root / change.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if change.find is not None:
            text = path.read_text()
            assert text.count(change.find) >= 1, f"{change.file} has no {change.find!r}"
            path.write_text(text.replace(change.find, change.put, 1))
        elif change.content is not None:
            path.write_text(change.content)
        elif change.link is not None:
            path.symlink_to(change.link)
        elif change.moved is not None:
            shutil.move(path, root / change.moved)
        elif change.gone:
            shutil.rmtree(path)


def line_of(root: Path, mistake: Mistake) -> int:
    """The line that must be named: the last one that has the text, the first of a file that is gone."""
    path = root / mistake.file
    if not mistake.line or not path.exists():
        return 0
    numbers = [n for n, line in enumerate(path.read_text().splitlines(), 1) if mistake.line.strip("\n") in line]
    assert numbers, f"{mistake.file} has no line with {mistake.line!r}"
    return numbers[-1]


def _changes(mistake: Mistake, unit: str) -> bool:
    """Whether a mistake changes a file of a unit."""
    return any(edit.file.startswith(f"{unit}/") for edit in mistake.changes)


class Gate:
    """A clean clone, its control plane, and the peers' schemas."""

    def __init__(self, folder: Path) -> None:
        self.checkout = clone(folder / "clone")
        self.schemas = folder / "schemas"
        self._clean: dict[str, tuple[set[str], set[str]]] = {}

    def check(self, *, everything: bool = False) -> list[Finding]:
        with revision.compare(self.checkout, "HEAD", None) as change:
            return runs.run(
                self.checkout,
                change,
                Progress(quiet=True),
                offline=False,
                everything=everything,
                lab=LAB,
                today=datetime.now(UTC).date(),
            ).findings

    def false(self) -> list[Finding]:
        """What is found where nothing is wrong."""
        findings = [*self.check(), *self.check(everything=True)]
        with self.restored():
            legal_changes.make(self.checkout.root)
            return [*findings, *self.check(), *self.check(everything=True)]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """What is changed within is as it was afterwards."""
        try:
            yield
        finally:
            with Repo(self.checkout.root) as repo:
                repo.git.checkout("--force", "HEAD", "--", ".")
                repo.git.clean("-ffd", "--", "overlays", "apps", "base", "clusters", "policies", ".github")

    @contextmanager
    def with_mistake(self, name: str) -> Iterator[Mistake]:
        mistake = read(name)
        with self.with_edits(mistake.changes):
            yield mistake

    @contextmanager
    def with_edits(self, changes: Sequence[Edit]) -> Iterator[None]:
        with self.restored():
            edit(self.checkout.root, changes)
            yield

    def outcome(self, name: str, *, peers: bool = False) -> Outcome:
        with self.with_mistake(name) as mistake:
            line = line_of(self.checkout.root, mistake)
            findings = self.check()
            own = [
                f.rule == mistake.rule and f.place.file == mistake.file and (not line or f.place.line == line)
                for f in findings
            ]
            others = [f.rule for f, is_own in zip(findings, own, strict=True) if not is_own]
            caught = any(own) and set(others) <= set(mistake.also)
            objections = self._peers(mistake) if peers else {}
        return Outcome(name, caught, findings, f"{mistake.rule} at {mistake.file}:{line}", objections)

    def _peers(self, mistake: Mistake) -> dict[str, bool]:
        """Whether each peer says something of the changed overlay's render that it does not say of the clean one."""
        graph = Graph(self.checkout)
        unit = next((unit for unit in graph.units if _changes(mistake, unit)), None)
        if unit is None:
            return {"kubeconform": False, "kube-score": False}
        if unit not in self._clean:
            with Repo(self.checkout.root) as repo, tempfile.TemporaryDirectory() as folder:
                repo.git.worktree("add", "--detach", "--force", f"{folder}/tree", "HEAD")
                self._clean[unit] = self._objections(Path(folder) / "tree", unit)
                repo.git.worktree("remove", "--force", f"{folder}/tree")
        clean, now = self._clean[unit], self._objections(self.checkout.root, unit)
        return {"kubeconform": bool(now[0] - clean[0]), "kube-score": bool(now[1] - clean[1])}

    def _objections(self, root: Path, unit: str) -> tuple[set[str], set[str]]:
        rendered = build(self.checkout, root, unit)
        if rendered.error:
            return set(), set()
        with suppress(InputError):  # what is no object at all has no schema: the peers see the text
            self._write_schemas(rendered.objects())
        tool = self.checkout.tool
        location = f"{self.schemas}/{{{{.Group}}}}_{{{{.ResourceAPIVersion}}}}_{{{{.ResourceKind}}}}.json"
        argv: list[str | Path] = [
            tool("kubeconform"),
            "-strict",
            "-output",
            "json",
            "-schema-location",
            location,
            "-ignore-missing-schemas",
        ]
        out = _tool(argv, rendered.text, ok=(0, 1))
        resources = json.loads(out).get("resources") or []
        conform = {f"{resource['kind']} {resource['name']} {resource.get('msg')}" for resource in resources}
        out = _tool([tool("kube-score"), "score", "--output-format", "ci", "-"], rendered.text, ok=(0, 1))
        return conform, set(out.decode().splitlines())

    def _write_schemas(self, objects: list[dict[str, Any]]) -> None:
        schemas = Schemas(self.checkout)
        self.schemas.mkdir(exist_ok=True)
        for item in objects:
            api, kind = str(item.get("apiVersion")), str(item.get("kind"))
            group, _, version = api.rpartition("/")
            file = self.schemas / f"{group}_{version}_{kind.lower()}.json"
            if not file.exists() and (schema := schemas.schema(api, kind)):
                file.write_text(json.dumps(schema))


def _tool(argv: Sequence[str | Path], stdin: bytes, ok: tuple[int, ...]) -> bytes:
    try:
        return run(argv, timeout=60, stdin=stdin, ok=ok)
    except CommandError as error:
        return json.dumps({"resources": [{"kind": "?", "name": "?", "msg": error.stderr}]}).encode()


@contextmanager
def gate() -> Iterator[Gate]:
    work_in_memory()
    with tempfile.TemporaryDirectory(prefix="catalogue-") as folder:
        made = Gate(Path(folder))
        try:
            yield made
        finally:
            labs.reset(Lab(made.checkout, LAB))


def main(names: list[str]) -> int:
    chosen = names or mistakes()
    caught = 0
    peers = {"kubeconform": 0, "kube-score": 0}
    with gate() as made:
        false = made.false()
        for finding in false:
            print(f"FALSE {finding.place.file}:{finding.place.line} {finding.rule}: {finding.what}", flush=True)
        for name in chosen:
            outcome = made.outcome(name, peers=True)
            caught += outcome.caught
            for peer, objects in outcome.peers.items():
                peers[peer] += objects
            marks = " ".join(peer for peer, objects in outcome.peers.items() if objects)
            print(
                f"{'caught' if outcome.caught else 'MISSED'} {name}{f'  (also {marks})' if marks else ''}", flush=True
            )
            if not outcome.caught or names or len(outcome.findings) > 1:
                print(f"    expected {outcome.expected}")
                for finding in outcome.findings:
                    print(f"    found {finding.rule} at {finding.place.file}:{finding.place.line}: {finding.what}")
    total = len(chosen)
    for peer, count in peers.items():
        print(f"catalogue: {peer} says something of {count} of {total}")
    print(f"catalogue: seeded={total} caught={caught} false={len(false)}")
    if not names:
        figures.record("catalogue", {"seeded": total, "caught": caught, "false": len(false), **peers})
    return 0 if caught == total and not false else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
