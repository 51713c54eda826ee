"""The required check of a pull request: the gate, and the live tree's rules, on what main would be with it.

Both are the real ones (the gate without an API server, tests/test_live.py). They take seconds, and a year has some
hundred pull requests that differ in a value alone, so a change is known by its shape: its files before and after,
without digests, seals, dates and numbers. The first of a shape is checked, and of all later ones a sample; `real` and
`known` say how many of each there were, and `contradicted` how often the sample said another thing than the shape had.
"""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property

from gitops.scope.targets import DATA
from tests.forks import Forks
from tests.year.world import YearWorld

# In the order in which they are taken out: a seal, a digest or a commit, a moment, a version, a generation.
_VALUES = (
    (re.compile(rb"[A-Za-z0-9+/]{200,}={0,2}"), b"S"),
    (re.compile(rb"[0-9a-f]{12,}"), b"H"),
    (re.compile(rb"\d{4}-\d\d-\d\d[T ][\d:.+]+"), b"T"),
    (re.compile(rb"\d+(\.\d+)+"), b"V"),
    (re.compile(rb"-g\d+"), b"-gN"),
    (re.compile(rb"generation: \"?\d+"), b"generation N"),
    # A PEM.
    (re.compile(rb"-----BEGIN CERT[^!]*?-----END CERTIFICATE-----"), b"P"),
)
# Of those whose shape is known, this part is checked all the same.
SAMPLE = 0.04


@dataclass
class Verdicts:
    """`live`: whether the live tests run too (their process takes long to start)."""

    world: YearWorld
    live: bool
    draw: random.Random
    real: int = 0
    known: int = 0
    contradicted: int = 0
    _shapes: dict[str, bool] = field(default_factory=dict)
    _heads: dict[tuple[str, str], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._forks: Forks | None = None

    def close(self) -> None:
        if self._forks:
            self._forks.close()

    def passes(self, head: str) -> bool:
        """Whether the required check of a commit is green, beside main as it is now."""
        github = self.world.github
        base = github.git("merge-base", "main", head)
        if (base, head) not in self._heads:
            self._heads[base, head] = self._by_shape(base, head)
        return self._heads[base, head]

    def main_passes(self) -> bool:
        """Whether main as a whole passes the gate: what check.yaml does twice a week."""
        self._fetch()
        return self.world.run("check", "--offline", "--all", "--head", "origin/main").code == 0

    def _by_shape(self, base: str, head: str) -> bool:
        shape = self._shape(base, head)
        before = self._shapes.get(shape)
        if before is not None and self.draw.random() >= SAMPLE:
            self.known += 1
            return before
        self.real += 1
        self._shapes[shape] = self._really(base, head)
        self.contradicted += before is not None and before != self._shapes[shape]
        return self._shapes[shape]

    def _shape(self, base: str, head: str) -> str:
        listed = self.world.github.git("diff", "--raw", "--no-renames", "--abbrev=40", base, head)
        parts = []
        for line in listed.splitlines():
            facts, _, path = line.partition("\t")
            _, mode, before, after, _ = facts.split()
            texts = [self._blob(blob) for blob in (before, after)]
            parts.append((re.sub(r"-g\d+", "-gN", path), mode, *texts))
        return hashlib.sha256(repr(sorted(parts)).encode()).hexdigest()

    def _blob(self, blob: str) -> bytes:
        if not blob.strip("0"):
            return b"-"
        words = ["git", "--git-dir", str(self.world.github.git_dir), "cat-file", "blob", blob]
        content = subprocess.run(words, capture_output=True, check=True).stdout
        for pattern, letter in _VALUES:
            content = pattern.sub(letter, content)
        return content

    def _really(self, base: str, head: str) -> bool:
        self._fetch()
        gate = self.world.run("check", "--offline", "--base", "origin/main", "--head", head).code == 0
        return gate and (not self.live or self._live_tests(base, head))

    def _fetch(self) -> None:
        words = ["git", "-C", str(self.world.checkout.root), "fetch", "--quiet", "--prune"]
        refs = "+refs/heads/*:refs/remotes/origin/*"
        subprocess.run([*words, str(self.world.github.git_dir), refs], check=True)

    # -- the live tests

    def _live_tests(self, base: str, head: str) -> bool:
        """No test is red that was green on main as the year began: the frozen platform does not keep all of them."""
        tree = self.world.github.git("merge-tree", "--write-tree", "main", head).splitlines()[0]
        before = self._red_before
        self._lay(tree)
        return self._red() <= before

    @cached_property
    def _red_before(self) -> set[str]:
        return self._red()

    def _lay(self, tree: str) -> None:
        """Put the data of a tree in the place of the whole platform's."""
        root = self.world.whole.root
        words = ["git", "--git-dir", str(self.world.github.git_dir), "ls-tree", "--name-only", tree, *DATA]
        there = subprocess.run(words, capture_output=True, check=True, text=True).stdout.split()
        subprocess.run(["rm", "-rf", *[str(root / path) for path in DATA]], check=True)
        words = ["git", "--git-dir", str(self.world.github.git_dir), "archive", tree, *there]
        archive = subprocess.run(words, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(root)], input=archive, check=True)

    def _red(self) -> set[str]:
        done = self._fork.pytest("-q", "-p", "no:cacheprovider", "-m", "live", "tests/test_live.py")
        assert done.code in (0, 1), done.text
        return set(re.findall(r"^FAILED (\S+)", done.text, re.MULTILINE))

    @cached_property
    def _fork(self) -> Forks:
        self._forks = Forks(self.world.whole.root)
        return self._forks
