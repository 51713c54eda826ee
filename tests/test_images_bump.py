"""Bumps, promotions, holds, rollbacks and freezes: the real command against moto's ECR and a GitHub with real git."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gitops.ground.checkout import Checkout
from gitops.images import edit
from gitops.manifests.image import Image
from tests.fakes.argocd import ArgoCD
from tests.fakes.aws import CONFIG, MANIFEST, Ecr, Fault
from tests.fakes.github import Fault as GitHubFault
from tests.fakes.github import GitHub
from tests.frozen import ROOT
from tests.world import World

pytestmark = pytest.mark.bots

REPOSITORY = "111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/mogle"
STAGING, PROD = "overlays/mogle/staging/kustomization.yaml", "overlays/mogle/prod/kustomization.yaml"
NOW = datetime.now(UTC)


class ImageWorld(World):
    """With a registry. It begins with mogle 3.0.0 in both environments."""

    def __init__(self, ecr: Ecr, github: GitHub, folder: Path) -> None:
        self.ecr, self.github = ecr, github
        first = ecr.push("mogle", "3.0.0", pushed=NOW - timedelta(days=30))
        github.commit("main", {f"overlays/{name}/images.yaml": None for name in OTHERS}, "Only mogle is bumped")
        self.pin(STAGING, "3.0.0", first, NOW - timedelta(days=20))
        self.pin(PROD, "3.0.0", first, NOW - timedelta(days=20))
        super().__init__(github, folder)

    def pin(self, path: str, tag: str, digest: str, when: datetime = NOW, *, by: str = "student") -> None:
        """A person pins an image on main."""
        changed = edit.replace(self.file(path), path, Image(REPOSITORY, tag, digest))
        person = (by, f"{by}@example.com")
        self.github.commit("main", {path: changed}, f"{path}: {tag}", person, when=when.isoformat())

    def write(self, path: str, text: str) -> None:
        self.github.commit("main", {path: text.encode()}, f"Change {path}")

    def policy(self, **environments: Any) -> None:
        self.write("overlays/mogle/images.yaml", yaml.safe_dump(environments))

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.ecr.environment}

    def bump(self, **env: str) -> dict[str, dict[str, Any]]:
        done = self.run("images", "bump", "--output", "json", **env)
        assert done.code == 0, done.err
        return {row["environment"]: row for row in json.loads(done.out)}

    def proposed(self, number: int) -> Image:
        pull = self.github.pulls[number]
        path = f"overlays/{pull.head.partition('/')[2]}/kustomization.yaml"
        return edit.read(self.file(path, pull.head), path).image

    def open(self) -> list[str]:
        return sorted(pull.head for pull in self.github.pulls.values() if pull.state == "open")


def why(row: dict[str, Any]) -> dict[str, str]:
    """Why each tag was not taken."""
    return {candidate["tag"]: candidate["why_not"] for candidate in row["candidates"]}


OTHERS = ("evaluation-metrics", "benefit", "umbrella", "notice-bot", "jobs-bot")


@pytest.fixture
def argocd() -> Iterator[ArgoCD]:
    fake = ArgoCD("mogle-staging")
    yield fake
    fake.close()


@pytest.fixture
def world(github: GitHub, ecr: Ecr, tmp_path: Path) -> ImageWorld:
    return ImageWorld(ecr, github, tmp_path / "checkout")


LABELS = {"org.opencontainers.image.source": "https://github.com/42/mogle"}


def test_a_newer_image_is_one_pull_request_that_says_everything(world: ImageWorld) -> None:
    old = world.ecr.push("mogle", "3.0.1", labels={**LABELS, "org.opencontainers.image.revision": "a" * 40})
    world.pin(STAGING, "3.0.1", old)
    pushed = NOW - timedelta(hours=2)
    labels = {**LABELS, "org.opencontainers.image.revision": "b" * 40}
    new = world.ecr.push("mogle", "3.10.0", labels=labels, pushed=pushed)
    row = world.bump()["staging"]
    assert (row["action"], row["pull_request"], row["winner"]) == ("opened", 1, f"{REPOSITORY}:3.10.0@{new}")
    pull = world.github.pulls[1]
    assert (pull.head, pull.title) == ("bump/mogle/staging", "mogle/staging: 3.10.0")
    assert pull.labels == ["images", "staging"]
    assert pull.auto_merge, "staging's policy says so"
    for expected in (
        old,
        new,
        pushed.strftime("%Y-%m-%d %H:%M UTC"),
        f"https://github.com/42/mogle/compare/{'a' * 40}...{'b' * 40}",
        f"-        image: {REPOSITORY}:3.0.1@{old}",
        f"+        image: {REPOSITORY}:3.10.0@{new}",
    ):
        assert expected in pull.body
    before = world.file(STAGING).decode()
    assert world.file(STAGING, pull.head).decode() == before.replace('"3.0.1"', '"3.10.0"').replace(old, new)
    assert world.github.git("diff", "--name-only", f"main...{pull.head}") == STAGING


def test_a_second_run_makes_no_write_and_one_listing(world: ImageWorld) -> None:
    world.ecr.push("mogle", "3.1.0")
    world.bump()
    writes, listings = len(world.github.writes), world.ecr.calls["DescribeImages"]
    assert world.bump()["staging"]["action"] == "unchanged"
    assert len(world.github.writes) == writes
    assert world.ecr.calls["DescribeImages"] == listings + 1


def test_a_newer_one_updates_in_place_and_a_merge_closes_the_matter(world: ImageWorld) -> None:
    world.ecr.push("mogle", "3.1.0")
    world.bump()
    world.ecr.push("mogle", "3.2.0")
    assert world.bump()["staging"]["action"] == "updated"
    assert world.open() == ["bump/mogle/staging"]
    assert world.proposed(1).tag == "3.2.0"
    world.github.merge(1)
    row = world.bump()["staging"]
    assert row["note"] == "no candidate is newer than what runs"
    assert world.github.branches() == ["main"], "the merged branch is swept"


def test_it_is_withdrawn_when_a_person_was_faster(world: ImageWorld) -> None:
    new = world.ecr.push("mogle", "3.1.0")
    world.bump()
    world.pin(STAGING, "3.1.0", new)
    assert world.bump()["staging"]["action"] == "withdrawn"
    assert world.open() == []


def test_rewording_every_reason_changes_nothing_that_is_done(
    world: ImageWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rejection", "no_change", "alert"):
        monkeypatch.setattr(f"gitops.images.wording.{name}", lambda reason: "reworded" if reason else "")
    new = world.ecr.push("mogle", "3.1.0")
    assert world.bump()["staging"]["action"] == "opened"
    world.pin(STAGING, "3.1.0", new)
    row = world.bump()["staging"]
    assert (row["action"], row["note"]) == ("withdrawn", "reworded")
    assert {candidate["reason"] for candidate in row["candidates"]} - {"untagged"} == {"not-newer"}
    assert world.open() == []


def test_an_empty_or_failed_listing_changes_nothing(world: ImageWorld) -> None:
    world.ecr.push("mogle", "3.1.0")
    world.bump()
    world.ecr.faults = [Fault("DescribeImages", "ServerException", times=9)]
    done = world.run("images", "bump")
    assert done.code == 4
    assert f"{REPOSITORY}: ECR answered ServerException" in done.err
    assert world.open() == ["bump/mogle/staging"]


def test_expired_credentials_end_the_run_with_one_message(world: ImageWorld) -> None:
    world.ecr.faults = [Fault("DescribeImages", "ExpiredTokenException", times=9)]
    done = world.run("images", "bump")
    assert done.code == 4
    assert done.err == "gitops: AWS refuses these credentials (ExpiredTokenException); sign in again\n"
    assert world.github.writes == []


def test_the_running_tags_disappearance_is_an_alert(world: ImageWorld) -> None:
    client = world.ecr.client
    client.batch_delete_image(repositoryName="mogle", imageIds=[{"imageTag": "3.0.0"}])
    world.ecr.push("mogle", "0.9.0")
    done = world.run("images", "bump")
    assert done.code == 1
    assert "mogle/staging: the running image 3.0.0@sha256:" in done.err
    assert world.open() == []


def test_a_platform_that_is_missing_is_no_winner(world: ImageWorld) -> None:
    world.ecr.push("mogle", "3.2.0", platforms=("linux/arm64",))
    world.ecr.push("mogle", "3.1.0")
    row = world.bump()["staging"]
    assert row["winner"].startswith(f"{REPOSITORY}:3.1.0@")
    assert why(row)["3.2.0"] == "not built for linux/amd64"


def test_prod_takes_what_staging_ran_for_the_soak_time_and_selects_nothing_itself(world: ImageWorld) -> None:
    soaked = world.ecr.push("mogle", "3.1.0")
    fresh = world.ecr.push("mogle", "3.2.0")
    world.ecr.push("mogle", "3.3.0")
    world.pin(STAGING, "3.1.0", soaked, NOW - timedelta(hours=30))
    world.pin(STAGING, "3.2.0", fresh, NOW - timedelta(hours=3))
    rows = world.bump()
    assert rows["prod"]["winner"] == f"{REPOSITORY}:3.1.0@{soaked}"
    assert rows["prod"]["candidates"] == []
    number = rows["prod"]["pull_request"]
    assert world.proposed(number) == Image(REPOSITORY, "3.1.0", soaked)
    assert not world.github.pulls[number].auto_merge
    world.github.merge(number)
    assert "3.2.0 has not run in staging for 1d" in world.bump()["prod"]["note"]


def test_what_staging_ran_too_short_or_took_back_is_not_promoted(world: ImageWorld) -> None:
    first = edit.read(world.file(STAGING), STAGING).image.digest
    bad = world.ecr.push("mogle", "3.1.0")
    world.pin(STAGING, "3.1.0", bad, NOW - timedelta(days=5))
    world.pin(STAGING, "3.0.0", first, NOW - timedelta(days=2))
    rows = world.bump()
    assert rows["prod"]["action"] == "nothing"
    assert rows["staging"]["note"] == "no candidate is newer than what runs"
    assert why(rows["staging"])["3.1.0"] == "held: a person took 3.1.0 back"
    fixed = world.ecr.push("mogle", "3.1.1")
    assert world.bump()["staging"]["winner"] == f"{REPOSITORY}:3.1.1@{fixed}"


def test_argo_cd_must_vouch_for_what_is_promoted(world: ImageWorld, argocd: ArgoCD) -> None:
    soaked = world.ecr.push("mogle", "3.1.0")
    world.pin(STAGING, "3.1.0", soaked, NOW - timedelta(days=2))
    before = world.github.git("rev-parse", "main~1")
    argocd.says("Synced", "Degraded", before)
    env = argocd.environment
    assert world.bump(**env)["prod"]["note"] == "mogle-staging is Synced and Degraded, not Synced and Healthy"
    argocd.says("Synced", "Healthy", before)
    assert "mogle-staging does not run 3.1.0@sha256:" in world.bump(**env)["prod"]["note"]
    argocd.says("Synced", "Healthy", world.github.head("main") or "")
    assert world.bump(**env)["prod"]["action"] == "opened"


def test_a_declined_pull_request_is_a_hold_until_something_newer_comes(world: ImageWorld) -> None:
    world.ecr.push("mogle", "3.1.0")
    world.bump()
    world.github.pulls[1].state = "closed"
    row = world.bump()["staging"]
    assert row["winner"] is None
    assert {"3.1.0": "held: a person took 3.1.0 back"}.items() <= {
        c["tag"]: c["why_not"] for c in row["candidates"]
    }.items()
    world.ecr.push("mogle", "3.1.1")
    assert world.bump()["staging"]["pull_request"] == 2


def test_rollback_opens_a_pull_request_and_its_hold_is_kept_until_its_end(world: ImageWorld) -> None:
    newer = world.ecr.push("mogle", "3.1.0")
    world.pin(PROD, "3.1.0", newer, NOW - timedelta(hours=1))
    done = world.run("images", "rollback", "mogle", "--reason", 'logins fail: "500"', "--for", "2d")
    assert done.code == 0, done.err
    assert "opened: mogle/prod back to 3.0.0" in done.out
    pull = world.github.pulls[1]
    assert (pull.head, pull.title, pull.labels) == (
        "rollback/mogle/prod",
        "mogle/prod: back to 3.0.0",
        ["images", "rollback"],
    )
    assert world.run("images", "rollback", "mogle", "--reason", 'logins fail: "500"', "--for", "2d").code == 0
    assert len(world.github.pulls) == 1
    world.github.merge(1)
    world.pin(STAGING, "3.1.0", newer, NOW - timedelta(days=9))
    row = world.bump()["prod"]
    assert row["action"] == "nothing"
    assert "held on 3.0.0 until" in row["note"]
    assert 'logins fail: "500"' in row["note"]
    hold = yaml.safe_load(world.file("overlays/mogle/prod/hold.yaml"))
    over = world.file("overlays/mogle/prod/hold.yaml").decode().replace(str(hold["until"].year), "2020")
    world.write("overlays/mogle/prod/hold.yaml", over)
    world.pin(STAGING, "3.2.0", world.ecr.push("mogle", "3.2.0"), NOW - timedelta(days=2))
    row = world.bump()["prod"]
    assert row["winner"].startswith(f"{REPOSITORY}:3.2.0@"), row
    head = world.github.pulls[row["pull_request"]].head
    assert world.github.git("diff", "--name-status", f"main...{head}").split() == [
        "D", "overlays/mogle/prod/hold.yaml", "M", PROD,
    ]  # fmt: skip


def test_rollback_says_what_it_cannot_do(world: ImageWorld) -> None:
    done = world.run("images", "rollback", "mogle", "--reason", "x", "--to", "0.1.0")
    assert (done.code, "0.1.0 never ran here; main's history has: 2.14.0" in done.err) == (2, True), done.err
    done = world.run("images", "rollback", "nothing", "--reason", "x")
    assert "overlays/nothing/prod/kustomization.yaml: no such overlay on main" in done.err
    assert (
        "--for '1 day': not a duration"
        in world.run("images", "rollback", "mogle", "--reason", "x", "--for", "1 day").err
    )
    assert world.github.writes == []


def window(start: datetime, end: datetime) -> str:
    seoul = [(moment + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S") for moment in (start, end)]
    return f"freezes:\n  - {{name: evaluation day, from: {seoul[0]}, to: {seoul[1]}, time-zone: Asia/Seoul}}\n"


def test_in_a_freeze_nothing_is_opened_and_every_open_pull_request_fails_its_status(world: ImageWorld) -> None:
    world.ecr.push("mogle", "3.1.0")
    world.bump()
    world.github.commit("student/fix", {"README.md": b"x"}, "Fix", parent=world.github.head("main"))
    world.github._open({"head": "student/fix", "base": "main", "title": "Fix"})
    newer = world.ecr.push("mogle", "3.2.0")
    world.pin(PROD, "3.2.0", newer)
    world.run("images", "rollback", "mogle", "--reason", "x")
    world.write(".github/freezes.yaml", window(NOW - timedelta(hours=1), NOW + timedelta(hours=2)))
    row = world.bump()["staging"]
    assert (row["action"], row["why"].startswith("frozen: evaluation day until")) == ("unchanged", True)
    assert world.proposed(1).tag == "3.1.0"
    assert "#1: failure: evaluation day" in world.run("images", "freeze").out

    def states() -> dict[str, str]:
        heads = {pull.head: pull.last_head for pull in world.github.pulls.values()}
        return {head: world.github.statuses[sha][0]["state"] for head, sha in heads.items()}

    expected = {"bump/mogle/staging": "failure", "student/fix": "failure", "rollback/mogle/prod": "success"}
    assert states() == expected
    writes = len(world.github.writes)
    assert world.run("images", "freeze").out == "nothing changed\n"
    assert len(world.github.writes) == writes
    world.write(".github/freezes.yaml", window(NOW - timedelta(hours=3), NOW - timedelta(hours=1)))
    assert world.run("images", "freeze").code == 0
    assert set(states().values()) == {"success"}
    assert world.bump()["staging"]["action"] == "updated"


BAD_FREEZES = {
    "no zone": (
        "{name: x, from: 2026-01-01T00:00:00, to: 2026-01-02T00:00:00, time-zone: Mars/Base}",
        "not a time zone",
    ),
    "an offset": (
        "{name: x, from: 2026-01-01T00:00:00Z, to: 2026-01-02T00:00:00Z, time-zone: UTC}",
        "leave their offset",
    ),
    "backwards": ("{name: x, from: 2026-01-03T00:00:00, to: 2026-01-02T00:00:00, time-zone: UTC}", "is not before"),
}


@pytest.mark.parametrize("fault", BAD_FREEZES)
def test_a_freeze_that_cannot_be_read_stops_the_run(world: ImageWorld, fault: str) -> None:
    line, message = BAD_FREEZES[fault]
    world.write(".github/freezes.yaml", f"freezes:\n  - {line}\n")
    world.ecr.push("mogle", "3.1.0")
    for verb in ("bump", "freeze"):
        done = world.run("images", verb)
        assert done.code == 2
        assert done.err.startswith("gitops: .github/freezes.yaml: freezes.0")
        assert message in done.err
    assert world.github.writes == []


def sign(world: ImageWorld, digest: str, key: ec.EllipticCurvePrivateKey, *, of: str | None = None) -> None:
    """As `cosign sign --key` does; `of`: the digest that the payload names."""
    body = {"critical": {"identity": {}, "image": {"docker-manifest-digest": of or digest}, "type": "cosign"}}
    payload = json.dumps(body).encode()
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
    layer = {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", **world.ecr.blob(payload)}
    layer["annotations"] = {"dev.cosignproject.cosign/signature": signature}
    config = {"mediaType": CONFIG, **world.ecr.blob(b"{}" + digest.encode())}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    world.ecr.put("mogle", json.dumps(manifest), f"{digest.replace(':', '-')}.sig")


def test_an_image_without_a_valid_signature_is_never_proposed(world: ImageWorld) -> None:
    key, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    world.write("overlays/mogle/cosign.pub", pem.decode())
    world.policy(staging={"semver": {"range": "*"}, "cosign-key": "cosign.pub"})
    good, unsigned, foreign, copied, torn = (world.ecr.push("mogle", f"3.{n}.0") for n in (1, 2, 3, 4, 5))
    sign(world, good, key)
    sign(world, foreign, stranger)
    sign(world, copied, key, of=good)
    sign(world, torn, key)
    payload = next(name for name, blob in world.ecr.blobs.items() if b"critical" in blob and torn.encode() in blob)
    world.ecr.blobs[payload] = world.ecr.blobs[payload].replace(b"cosign", b"cosigm")
    row = world.bump()["staging"]
    assert row["winner"] == f"{REPOSITORY}:3.1.0@{good}"
    why = {candidate["tag"]: candidate["why_not"] for candidate in row["candidates"]}
    assert why["3.2.0"] == "not signed"
    assert {why[tag] for tag in ("3.3.0", "3.4.0", "3.5.0")} == {
        "no signature of the named key is valid for this digest"
    }
    assert unsigned not in world.github.pulls[1].body


def test_a_dry_run_explains_and_writes_nothing_and_needs_no_github(world: ImageWorld) -> None:
    new = world.ecr.push("mogle", "3.1.0")
    world.ecr.push("mogle", "latest", content="l")
    done = world.run("images", "bump", "--dry-run", GITHUB_TOKEN="")
    assert done.code == 0, done.err
    for line in (
        "mogle/staging runs 3.0.0: 3.1.0",
        f"  3.1.0  {new[:19]}  winner",
        "not newer than 3.0.0, which runs",
        "no whole semantic version (MAJOR.MINOR.PATCH)",
        f"  +        image: {REPOSITORY}:3.1.0@{new}",
        "mogle/prod runs 3.0.0: no change",
    ):
        assert line in done.out
    assert world.github.writes == []
    assert world.run("images", "bump", GITHUB_TOKEN="").err == (
        "gitops: not set: GITHUB_TOKEN; in Actions the workflow sets them (.github/workflows)\n"
    )


def test_one_services_fault_is_said_and_stops_no_other(world: ImageWorld) -> None:
    world.write("overlays/umbrella/images.yaml", "staging: {semver: {range: nonsense}}")
    world.write("overlays/benefit/images.yaml", "staging: {semver: {}}")
    world.ecr.push("mogle", "3.1.0")
    done = world.run("images", "bump")
    assert done.code == 2
    assert "gitops: overlays/umbrella/images.yaml: staging.semver.range: Value error, not a semver range" in done.err
    assert "/benefit: no such repository in ECR; create it, or correct newName" in done.err
    assert world.open() == ["bump/mogle/staging"]
    assert "service 'nothing': does not exist" in world.run("images", "bump", "nothing").err


def test_an_overlay_that_would_not_run_the_image_is_named_and_not_proposed(world: ImageWorld) -> None:
    text = world.file("base/workload/deployment.yaml").decode().replace("image: app", "image: elsewhere")
    world.write("base/workload/deployment.yaml", text)
    web = world.file("base/web/deployment.yaml").decode().replace("image: app", "image: elsewhere")
    world.write("base/web/deployment.yaml", web)
    world.ecr.push("mogle", "3.1.0")
    done = world.run("images", "bump")
    assert done.code == 2
    assert f"{STAGING}:" in done.err
    assert "expected the render to run" in done.err
    assert world.open() == []


def test_a_shallow_clone_is_refused(world: ImageWorld, tmp_path: Path) -> None:
    folder = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", world.github.clone_url, str(folder)], check=True)
    (folder / ".tools").symlink_to(ROOT / ".tools")
    world.checkout = Checkout(folder)
    assert "a shallow clone has no history; fetch-depth: 0" in world.run("images", "bump").err


def test_the_run_summary_is_a_table(world: ImageWorld, tmp_path: Path) -> None:
    world.ecr.push("mogle", "3.1.0")
    done = world.run("images", "bump", GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    assert "mogle/staging  3.0.0  3.1.0     opened #1" in done.out
    lines = (tmp_path / "summary.md").read_text().splitlines()
    assert lines[:2] == ["| overlay | runs | proposed | pull request | why |", "| --- | --- | --- | --- | --- |"]
    assert lines[2].startswith("| mogle/staging | 3.0.0 | 3.1.0 | opened #1 |")


def test_two_overlays_of_one_repository_share_its_listing(world: ImageWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}}, prod={"semver": {"range": "<3.1.0"}})
    world.ecr.push("mogle", "3.1.0")
    world.ecr.push("mogle", "3.0.1")
    rows = world.bump()
    assert [rows[name]["winner"].split("@")[0] for name in ("staging", "prod")] == [
        f"{REPOSITORY}:3.1.0",
        f"{REPOSITORY}:3.0.1",
    ]
    assert world.ecr.calls["DescribeImages"] == 1


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[] if n in (2, 4, 6) else pytest.mark.matrix) for n in range(9)]
)
def test_a_kill_at_any_request_of_the_command_is_healed_by_the_next_run(world: ImageWorld, number: int) -> None:
    new = world.ecr.push("mogle", "3.1.0")
    victim: list[subprocess.Popen[str]] = []
    world.github.faults = [GitHubFault(".*", ".*", lambda: victim[0].kill(), skip=number, after=True)]
    victim.append(world.start("images", "bump"))
    assert victim[0].wait(timeout=60) == -signal.SIGKILL
    world.bump()
    assert world.open() == ["bump/mogle/staging"]
    assert world.proposed(1) == Image(REPOSITORY, "3.1.0", new)
    assert world.github.pulls[1].auto_merge
    writes = len(world.github.writes)
    world.bump()
    assert len(world.github.writes) == writes
    assert sorted(world.github.branches()) == ["bump/mogle/staging", "main"]


def test_two_runs_at_once_leave_one_branch_and_one_pull_request(world: ImageWorld, tmp_path: Path) -> None:
    new = world.ecr.push("mogle", "3.1.0")
    second = world.clone(tmp_path / "second")
    for run in [world.start("images", "bump", folder=checkout.root) for checkout in (world.checkout, second)]:
        _, err = run.communicate(timeout=60)
        assert "Traceback" not in err
        assert run.returncode == 0 or "GitHub: " in err, err
    world.bump()
    assert world.open() == ["bump/mogle/staging"]
    assert len(world.github.pulls) == 1
    assert world.proposed(1) == Image(REPOSITORY, "3.1.0", new)
    assert sorted(world.github.branches()) == ["bump/mogle/staging", "main"]
