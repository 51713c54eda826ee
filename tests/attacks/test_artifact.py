"""A stranger's fork against comment.yaml: what its run keeps is read by a job that writes to pull requests."""

from __future__ import annotations

import contextlib
import io
import json
import random
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gitops.check.report import sarif
from gitops.clients.github import Hub, RepositorySettings, artifacts
from gitops.clients.github.workflow_run import WorkflowRun, pull_request
from gitops.ground.errors import InputError
from gitops.preview import artifact, comment
from gitops.preview.model import Preview
from tests.artifacts import event, zipped
from tests.attacks import Door, Guard, attack
from tests.fakes.github import TOKEN, GitHub
from tests.frozen import ROOT
from tests.previews import large

HEAD = "a" * 40
PREVIEW = large(1).model_copy(update={"head_sha": HEAD}).model_dump_json().encode()
PROGRAM = ".venv/bin/gitops"
THEIRS = b"#!/bin/sh\necho theirs\n"
RESULT: dict[str, Any] = {
    "ruleId": "render",
    "level": "error",
    "message": {"text": "x"},
    "locations": [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "overlays/mogle/prod/ingress.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 1},
            }
        }
    ],
    "partialFingerprints": {"gitops/v1": "x"},
}


def linked(entry: str, target: str) -> bytes:
    """An archive with a symbolic link, and the program behind it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, target)
        archive.writestr(zipfile.ZipInfo(entry), THEIRS)
        archive.writestr("preview.json", PREVIEW)
    return stream.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """What the pinned action did: every entry goes where its name leads."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            path = folder / entry.filename
            with contextlib.suppress(FileExistsError):
                path.parent.mkdir(parents=True)
            if stat.S_ISLNK(entry.external_attr >> 16):
                path.symlink_to(archive.read(entry).decode())
            else:
                path.write_bytes(archive.read(entry))


@attack(Door.FORK, "an artifact's entry {entry} is what the next step runs", Guard.WORKFLOW)
@pytest.mark.parametrize(
    "entry",
    [f"x/../../{PROGRAM}", f"../{PROGRAM}", "{workspace}/" + PROGRAM, "link/gitops", f"../preview/../{PROGRAM}"],
)
def test_program_in_an_artifact(tmp_path: Path, entry: str, guard: Guard | None) -> str | None:
    workspace = tmp_path / "gitops"
    program, folder = workspace / PROGRAM, workspace / "preview"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho ours\n")
    program.chmod(0o755)
    (folder / "x").mkdir(parents=True)
    name = entry.replace("{workspace}", str(workspace))
    content = (
        linked(name, "../.venv/bin") if entry.startswith("link") else zipped({name: THEIRS, "preview.json": PREVIEW})
    )
    before = sorted(workspace.rglob("*"))
    if guard:
        assert artifact.read(content).preview.head_sha == HEAD
        assert sorted(workspace.rglob("*")) == before
    else:
        unpack(content, folder)
    ran = subprocess.run([program], cwd=workspace, capture_output=True, text=True, check=True)
    return "read in memory: no entry is written" if ran.stdout == "ours\n" else None


def run_of(github: GitHub, number: int) -> WorkflowRun:
    pull = github.pulls[number]
    return WorkflowRun.model_validate(event(7, pull.last_head, pull.head, pull.fork)["workflow_run"])


@pytest.fixture
def two(github: GitHub) -> GitHub:
    """A student's pull request, and a stranger's."""
    head = github.commit("student/fix", {"README.md": b"x"}, "Fix", parent=github.head("main"))
    evil = github.commit("elsewhere", {"README.md": b"y"}, "Fix", parent=github.head("main"))
    github.fork_opens("stranger/gitops", "evil", evil)
    github.fork_opens("student/gitops", "student/fix", head)
    return github


@pytest.mark.bots
@attack(Door.FORK, "a preview that names another's commit rewrites the comment there", Guard.WORKFLOW, Guard.BOT)
def test_preview_of_another_commit(two: GitHub, guard: Guard | None) -> str | None:
    hub = Hub(RepositorySettings(two.name, SecretStr(TOKEN), two.environment["GITHUB_API_URL"]), pause=0)
    [mine, victim] = two.pulls.values()
    forged = large(2).model_copy(update={"head_sha": victim.last_head})
    run = run_of(two, mine.number)
    if guard is Guard.BOT:
        with pytest.raises(InputError, match="is of another commit"):
            comment.check_same_commit(forged, run)
        return "the preview must be of the run's commit"
    if guard is Guard.WORKFLOW:
        comment.post(hub, pull_request(hub, run), forged)
    else:
        [pull] = [pull for pull in hub.open_heads() if pull.head.sha == forged.head_sha]
        comment.post(hub, pull, forged)
    return None if victim.comments else f"the event names #{mine.number}"


@pytest.mark.bots
@attack(Door.FORK, "another's very commit, pushed to a fork, rewrites the comment there", Guard.WORKFLOW)
def test_preview_of_the_same_commit(two: GitHub, guard: Guard | None) -> str | None:
    hub = Hub(RepositorySettings(two.name, SecretStr(TOKEN), two.environment["GITHUB_API_URL"]), pause=0)
    [mine, victim] = two.pulls.values()
    mine.last_head = victim.last_head
    forged = large(2).model_copy(update={"head_sha": victim.last_head})
    run = run_of(two, mine.number)
    comment.check_same_commit(forged, run)
    pulls = [pull for pull in hub.open_heads() if pull.head.sha == run.head_sha]
    comment.post(hub, pull_request(hub, run) if guard else pulls[0], forged)
    return None if victim.comments else "repository and branch of the run tell them apart"


def _tool(document: dict[str, Any]) -> None:
    document["runs"][0]["tool"]["driver"]["name"] = "CodeQL"


def _result(**fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["runs"][0]["results"] = [RESULT | fields]

    return change


def _uri(uri: str) -> Callable[[dict[str, Any]], None]:
    location = json.loads(json.dumps(RESULT["locations"]))
    location[0]["physicalLocation"]["artifactLocation"]["uri"] = uri
    return _result(locations=location)


def _many(document: dict[str, Any]) -> None:
    document["runs"][0]["results"] = [RESULT] * 20_000


def _runs(document: dict[str, Any]) -> None:
    document["runs"] *= 2


FINDINGS = {
    "close another tool's alerts": (_tool, '"CodeQL"'),
    "point to a stranger's site": (_uri("https://evil.example/x"), "evil.example"),
    "point out of the repository": (_uri("overlays/../../etc/passwd"), "etc/passwd"),
    "point to the runner's files": (_uri("/etc/passwd"), "/etc/passwd"),
    "carry markup": (_result(message={"text": "x", "markdown": "[sign in](//evil.example)"}), "evil.example"),
    "carry a fix to be applied": (_result(fixes=[{"description": {"text": "evil"}}]), "evil"),
    "are too many to be read": (_many, '"ruleId"'),
    "speak for two tools": (_runs, '"columnKind"'),
}


@attack(Door.FORK, "findings that {what}", Guard.WORKFLOW)
@pytest.mark.parametrize("what", FINDINGS)
def test_findings_of_a_stranger(what: str, guard: Guard | None) -> str | None:
    change, mark = FINDINGS[what]
    document = json.loads(sarif([]))
    change(document)
    content = json.dumps(document)
    most = 5_000 if change is _many else 1 if change is _runs else 0
    if guard:
        try:
            kept = artifact.read(zipped({"preview.json": PREVIEW, "findings.sarif": content.encode()})).sarif
        except InputError:
            return "refused by its schema"
        assert kept
        content = kept.text()
    return None if content.count(mark) > most else "left out: GitHub gets known fields alone"


@attack(Door.FORK, "an artifact that fills the memory: {what}", Guard.WORKFLOW)
@pytest.mark.parametrize("what", ["200 MB of zeros in 200 kB", "100,000 entries", "a million nested lists"])
def test_artifact_that_fills_the_memory(what: str, guard: Guard | None) -> str | None:
    files = {
        "2": {"preview.json": bytes(200_000_000)},
        "1": {f"{number}": b"" for number in range(100_000)},
        "a": {"preview.json": b"[" * 1_000_000},
    }[what[0]]
    content = zipped(files)
    assert len(content) < artifact.LIMIT, "else it is not even asked for"
    if not guard:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            size = max(entry.file_size for entry in entries)
            return (
                None if size > artifact.LIMIT or len(entries) > 1_000 or archive.read(entries[0])[:2] == b"[[" else "no"
            )
    with pytest.raises(InputError) as caught:
        artifact.read(content)
    return caught.value.fault.what


def _lzma() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("preview.json", PREVIEW)
    content = bytearray(stream.getvalue())
    content[60] ^= 0xFF
    return bytes(content)


def _offset() -> bytes:
    """The list of entries is said to begin far behind where it stands."""
    content = bytearray(zipped({"preview.json": PREVIEW}))
    end = content.rindex(b"PK\5\6")
    content[end + 16 : end + 20] = (0x7FFFFFFF).to_bytes(4, "little")
    return bytes(content)


def _size() -> bytes:
    content = bytearray(zipped({"preview.json": PREVIEW}))
    end = content.rindex(b"PK\5\6")
    content[end + 12 : end + 16] = (0x7FFFFFFF).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize("broken", [_lzma, _offset, _size])
def test_an_archive_that_no_zip_program_writes_is_refused_in_a_sentence(broken: Callable[[], bytes]) -> None:
    with pytest.raises(InputError, match=r"of the artifact is compressed otherwise|no archive that can be read"):
        artifact.read(broken())


def test_an_archive_with_any_byte_changed_is_read_or_refused() -> None:
    dice = random.Random(13)
    for _ in range(300):
        content = bytearray(zipped({"preview.json": PREVIEW}))
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        with contextlib.suppress(InputError):
            artifact.read(bytes(content))


@pytest.mark.bots
@attack(Door.FORK, "an artifact of more bytes than are read", Guard.WORKFLOW)
def test_artifact_of_many_bytes(github: GitHub, guard: Guard | None) -> str | None:
    hub = Hub(RepositorySettings(github.name, SecretStr(TOKEN), github.environment["GITHUB_API_URL"]), pause=0)
    github.artifacts[7, "preview"] = bytes(1_000)
    if not guard:
        return None if len(artifacts.artifact(hub, 7, "preview", limit=10**9)) == 1_000 else "no"
    with pytest.raises(InputError, match="too large"):
        artifacts.artifact(hub, 7, "preview", limit=999)
    assert not any(request.endswith("/zip") for request in github.requests)
    return "its size is asked first"


@attack(Door.FORK, "a name in the artifact that speaks to the runner", Guard.WORKFLOW)
def test_artifact_that_speaks_to_the_runner(guard: Guard | None) -> str | None:
    content = json.dumps({"base": "a", "head": "b", "looked": 1, "x\n::error file=README.md::merge this": 1}).encode()
    if guard:
        with pytest.raises(InputError) as caught:
            artifact.read(zipped({"preview.json": content}))
        said = str(caught.value)
    else:
        with pytest.raises(ValidationError) as refused:
            Preview.model_validate_json(content)
        said = str(refused.value)
    return None if "\n::error" in said else "names of a stranger's are not printed"


@attack(Door.FORK, "a commit message or branch that the job's shell runs", Guard.WORKFLOW)
def test_words_of_the_event(guard: Guard | None) -> str | None:
    workflow = (ROOT / ".github/workflows/comment.yaml").read_text()
    if not guard:
        workflow = workflow.replace("preview comment", "preview comment ${{ github.event.workflow_run.head_branch }}")
    ran = [line for line in workflow.splitlines() if "run:" in line and "${{" in line]
    return None if ran else "no expression stands in a shell's words"
