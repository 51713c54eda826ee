"""Every kill times every fault of a rotation: `make matrix` runs all of it, `make test` a fixed sample.

A case is one whole rotation, from the day on which 42 shows a next secret to the clean-up after its switch. Somewhere
in it a run is killed (kill -9), and in the run after that something else is wrong. A person mends what a bot cannot.
In the end main must deploy what 42 accepts, by exactly one pull request, and everyone who had to know was told.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from gitops.ground.output import print_table
from gitops.oauth.model import rotation_id
from gitops.oauth.state import KEEP
from tests import figures, leaks
from tests.fakes.github import GitHub
from tests.oauth_troubles import ONLY_WHEN_VERIFYING, TROUBLES, Case, Kill, Trouble
from tests.oauth_world import BRANCH, ID, KEYS, World, make_template, private_key

DAY = timedelta(days=1)
# From a merge until the last old pod is gone: Argo CD's webhook, the pods' start, their preStop sleep.
ROLLOUT = timedelta(minutes=2)


# The first token is for what is deployed, the second for the candidate.
KILLS: dict[str, Kill | None] = {
    "none": None,
    "DUE": Kill("due", "42", f"GET /oauth/applications/{ID}"),
    "FETCHED": Kill("due", "42", "POST /oauth/token", skip=1),
    "VERIFIED": Kill("due", "42", "GET /oauth/token/info", skip=1, after=True),
    "SEALED": Kill("due", "github", "mutation Refs"),
    "committed": Kill("due", "github", "mutation Commit", after=True),
    "branch moved": Kill("due", "github", "mutation Refs", skip=1, after=True),
    "PR_OPEN": Kill("due", "github", "POST .*/pulls$", after=True),
    "MERGED": Kill("MERGED", "42", f"GET /oauth/applications/{ID}", after=True),
    "SYNCED": Kill("SYNCED", "42", "GET /oauth/token/info", after=True),
    "CONFIRMED": Kill("CONFIRMED", "42", "POST /oauth/token"),
    "RETIRED": Kill("RETIRED", "github", "mutation Commit", after=True),
}


@dataclass(frozen=True)
class Result:
    """How a case ended. `gap`: seconds in which a web service had no accepted secret."""

    kill: str
    trouble: str
    lost: str = ""
    duplicates: int = 0
    silent: int = 0
    leaks: tuple[str, ...] = ()
    gap: float = 0.0
    control: bool = False


def play(kill_name: str, trouble_name: str, template: Path, *, plant: bool = False) -> Result:
    """One case. `template`: a bare repository in which the deployed secret is known. `plant`: leak on purpose."""
    kill, trouble = KILLS[kill_name], TROUBLES[trouble_name]
    folder = Path(tempfile.mkdtemp(prefix="case-"))
    old_temp, tempfile.tempdir = tempfile.tempdir, str(folder / "tmp")
    (folder / "tmp").mkdir()
    github = GitHub(Path(shutil.copytree(template, folder / "origin.git")))
    world = World(github, folder / "checkout", known=True)
    case = Case(world, folder)
    app = world.intra.apps[ID]
    silent, lost = 0, ""
    try:
        with leaks.Watch() as watch, pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(folder / "tmp"))
            world.intra.advance(app.switch - world.intra.shows_before - world.intra.now + timedelta(hours=1))
            old = app.current
            case.secrets += [old, str(app.next)]
            # 42 shows a next secret.
            silent += _phase(case, "due", kill, trouble, trouble_name)
            code, said = case.run()
            code, said = case.run()
            if code or len(world.open()) != 1:
                lost = f"no pull request: {said or case.texts[-2]}"
            # It is merged, in time or late.
            if trouble.when == "late":
                world.intra.advance(app.switch - world.intra.now + world.intra.overlap + timedelta(hours=1))
                code, said = case.run()
                silent += not (code and "EXPIRED" in said)
            merged, before = world.intra.now, world.github.head("main")
            if not lost:
                world.merge()
            if world.opened("main", key=case.key) not in (app.next, app.current):
                lost = lost or "main deploys what 42 does not show"
            # Argo CD has not looked yet; then it syncs; then the pods run.
            for phase, sync, health, revision in (
                ("MERGED", "Synced", "Healthy", before),
                ("SYNCED", "Synced", "Progressing", None),
                ("CONFIRMED", "Synced", "Healthy", None),
            ):
                world.argo_says(sync, health, revision)
                _phase(case, phase, kill, None, trouble_name)
                case.run()
                if phase not in case.texts[-3] and trouble.when != "late":
                    lost = lost or f"not {phase}: {case.texts[-3]}"
            # 42 switches; the old secret ends, and what remembers it goes.
            if trouble.when != "late":
                world.intra.advance(app.switch - world.intra.now + timedelta(hours=1))
            case.run()
            world.intra.advance(KEEP + timedelta(hours=15))
            _phase(case, "RETIRED", kill, None, trouble_name)
            code, said = case.run()
            if len(world.open()) == 1:
                world.merge()
                world.argo_says("Synced", "Healthy")
            else:
                lost = lost or f"no clean-up: {said}"
            row = world.status()
            if row["state"] not in ("IDLE", "WAITING"):
                lost = lost or f"in the end {row['state']}: {row['next']}"
            if not world.intra.accepts(ID, world.opened("main", key=case.key)):
                lost = lost or "main deploys what 42 refuses"
        value = world.opened("main", key=case.key)
        rotation = world.application().deployed.record
        if not rotation or rotation.rotation != rotation_id(ID, SecretStr(value)):
            lost = lost or "the record is of another secret"
        ends = app.accepted[old][1]
        gap = max(0.0, (merged + ROLLOUT - ends).total_seconds()) if ends else 0.0
        found, control = _leaks(case, watch, plant=plant)
        return Result(kill_name, trouble_name, lost, case.duplicates, silent, tuple(found), gap, control)
    finally:
        tempfile.tempdir = old_temp
        world.close()
        github.close()
        shutil.rmtree(folder, ignore_errors=True)


def _phase(case: Case, phase: str, kill: Kill | None, trouble: Trouble | None, name: str) -> int:
    """A killed run where the case has one here, then a run in trouble. Returns 1 where that was silent."""
    if kill and kill.phase == phase:
        case.killed(kill)
    if trouble is None or trouble.when != "due":
        return 0
    trouble.hook(case)
    carried = case.world.github.head(BRANCH) is not None
    code, said = case.run()
    silent = 0
    if trouble.needs and not (name in ONLY_WHEN_VERIFYING and carried and code == 0):
        silent = int(not (code and said))
    case.lift()
    return silent


def _leaks(case: Case, watch: leaks.Watch, *, plant: bool) -> tuple[list[str], bool]:
    """Where a value stands that must not; and whether the same search finds what is planted."""
    world = case.world
    wanted = leaks.patterns({*case.secrets, *world.intra.seen, *(world.intra.apps[ID].accepted)})
    if not plant:
        return _search(case, watch, wanted), False
    value = case.secrets[-1]
    planted = 0
    hidden = base64.b64encode(b"x" + value.encode()).decode()
    (case.folder / "tmp/left.txt").write_text(hidden)
    case.texts.append(f"log: {value[20:40]}")
    world.github.commit("planted", {"x": value.encode().hex().encode()}, "Planted", parent=world.github.head("main"))
    watch.processes.add((f"curl\0https://x/?s={value[30:50]}".encode(), b""))
    for where in ("file", "text", "git", "process"):
        planted += any(each.startswith(where) for each in _search(case, watch, wanted))
    return [], planted == 4


def _search(case: Case, watch: leaks.Watch, wanted: dict[bytes, str]) -> list[str]:
    world = case.world
    found = [
        f"text {n}: {hit}" for n, text in enumerate(case.texts) for hit in leaks.search("log", text.encode(), wanted)
    ]
    pulls = [f"{pull.title}\n{pull.body}\n" + "\n".join(pull.comments) for pull in world.github.pulls.values()]
    told = "\n".join([*pulls, *world.slack.messages, *world.github.bodies, *world.github.requests])
    found += [f"text: {hit}" for hit in leaks.search("pull requests, Slack, requests", told.encode(), wanted)]
    found += [f"git {hit}" for hit in leaks.in_git(world.github.git_dir, wanted)]
    for folder in (world.checkout.root, case.folder / "tmp", case.folder / "second"):
        found += [f"file {hit}" for hit in leaks.in_files(folder, wanted)]
    found += [f"process {hit}" for seen in watch.seen for hit in leaks.search("cmdline, environ", seen, wanted)]
    return found


def _job(words: tuple[str, str, str, bytes]) -> Result:
    kill, trouble, template, key = words
    found = load_pem_private_key(key, None)
    assert isinstance(found, rsa.RSAPrivateKey)
    KEYS[0] = found
    try:
        return play(kill, trouble, Path(template))
    except Exception as error:  # a case that breaks is a bad one, and no end of the others
        return Result(kill, trouble, lost=f"broke: {error!r}"[:300])


def counts(results: Iterable[Result], *, control: bool) -> dict[str, int | str]:
    """What the closing line says, by name."""
    listed = list(results)
    return {
        "cases": len(listed),
        "lost": sum(bool(result.lost) for result in listed),
        "duplicates": sum(result.duplicates for result in listed),
        "silent": sum(result.silent for result in listed),
        "leaks": sum(len(result.leaks) for result in listed),
        "control": "found" if control else "MISSED",
    }


def summary(results: Iterable[Result], *, control: bool) -> str:
    """The closing line."""
    return "matrix: " + " ".join(f"{name}={count}" for name, count in counts(results, control=control).items())


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        template = make_template(Path(name))
        key = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        jobs = [(kill, trouble, str(template), key) for kill in KILLS for trouble in TROUBLES]
        results = []
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for result in pool.map(_job, jobs):
                results.append(result)
                if (not sys.stderr.isatty() and len(results) % 20 == 0) or sys.stderr.isatty():
                    print(f"{len(results)} of {len(jobs)}", file=sys.stderr, flush=True)
        control = play("none", "none", template, plant=True).control
    rows = []
    for trouble in TROUBLES:
        cases = [each for each in results if each.trouble == trouble]
        worst = max(each.gap for each in cases)
        which = [f"{each.kill}: {each.lost or each.leaks or 'silent or doubled'}" for each in cases if bad(each)]
        rows.append([trouble, str(len(cases)), str(len(which)), f"{worst:.0f}", "; ".join(which) or "-"])
    print_table(["trouble", "cases (a kill each)", "bad", "seconds without an accepted secret", "which"], rows)
    print(summary(results, control=control))
    figures.record("matrix", counts(results, control=control))
    if any(map(bad, results)) or not control:
        sys.exit(1)


def bad(result: Result) -> bool:
    """Whether a case broke a promise. Seconds without an accepted secret are allowed after a late merge alone."""
    late = TROUBLES[result.trouble].when == "late"
    return bool(result.lost or result.duplicates or result.silent or result.leaks or (result.gap and not late))


if __name__ == "__main__":
    main()
