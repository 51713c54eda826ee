"""Bumps and promotions: the real command against moto's ECR and a GitHub with real git."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gitops.ground.checkout import Checkout
from gitops.images import edit
from gitops.manifests.image import Image
from tests.fakes.aws import CONFIG, MANIFEST, Fault
from tests.fakes.github import Fault as GitHubFault
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.frozen import ROOT
from tests.image_world import NOW, REPOSITORY, STAGING, ImageWorld
from tests.sigstore_world import IDENTITY, ISSUER, MEDIA_TYPE, Sigstore

pytestmark = pytest.mark.bots


def why(row: dict[str, Any]) -> dict[str, str]:
    """Why each tag was not taken."""
    return {image["tag"]: image["why_not"] for image in row["candidates"]}


LABELS = {"org.opencontainers.image.source": "https://github.com/42/mogle"}


def test_a_newer_image_is_one_pull_request_that_says_everything(images: ImageWorld) -> None:
    old = images.ecr.push("mogle", "3.0.1", labels={**LABELS, "org.opencontainers.image.revision": "a" * 40})
    images.pin(STAGING, "3.0.1", old)
    pushed = NOW - timedelta(hours=2)
    labels = {**LABELS, "org.opencontainers.image.revision": "b" * 40}
    new = images.ecr.push("mogle", "3.10.0", labels=labels, pushed=pushed)
    row = images.bump()["staging"]
    assert (row["action"], row["pull_request"], row["winner"]) == ("opened", 1, f"{REPOSITORY}:3.10.0@{new}")
    pull = images.github.pulls[1]
    assert (pull.head, pull.title) == ("bump/mogle/staging", "mogle/staging: 3.10.0")
    assert pull.labels == ["images", "staging"]
    assert not pull.auto_merge, "it would stay armed for what a stranger pushes"
    for expected in (
        old,
        new,
        pushed.strftime("%Y-%m-%d %H:%M UTC"),
        f"https://github.com/42/mogle/compare/{'a' * 40}...{'b' * 40}",
        f"-        image: {REPOSITORY}:3.0.1@{old}",
        f"+        image: {REPOSITORY}:3.10.0@{new}",
    ):
        assert expected in pull.body
    before = images.file(STAGING).decode()
    assert images.file(STAGING, pull.head).decode() == before.replace('"3.0.1"', '"3.10.0"').replace(old, new)
    assert images.github.git("diff", "--name-only", f"main...{pull.head}") == STAGING


def test_a_second_run_makes_no_write_and_one_listing(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.bump()
    writes, listings = len(images.github.writes), images.ecr.calls["DescribeImages"]
    assert images.bump()["staging"]["action"] == "unchanged"
    assert len(images.github.writes) == writes
    assert images.ecr.calls["DescribeImages"] == listings + 1


def test_a_newer_one_updates_in_place_and_a_merge_closes_the_matter(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.bump()
    images.ecr.push("mogle", "3.2.0")
    assert images.bump()["staging"]["action"] == "updated"
    assert images.open() == ["bump/mogle/staging"]
    assert images.proposed(1).tag == "3.2.0"
    images.github.merge(1)
    row = images.bump()["staging"]
    assert row["note"] == "no image is newer than what runs"
    assert images.github.branches() == ["main"], "the merged branch is swept"


def test_it_is_withdrawn_when_a_person_was_faster(images: ImageWorld) -> None:
    new = images.ecr.push("mogle", "3.1.0")
    images.bump()
    images.pin(STAGING, "3.1.0", new)
    assert images.bump()["staging"]["action"] == "withdrawn"
    assert images.open() == []


def test_rewording_every_reason_changes_nothing_that_is_done(
    images: ImageWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rejection", "no_change", "alert"):
        monkeypatch.setattr(f"gitops.images.wording.{name}", lambda reason: "reworded" if reason else "")
    new = images.ecr.push("mogle", "3.1.0")
    assert images.bump()["staging"]["action"] == "opened"
    images.pin(STAGING, "3.1.0", new)
    row = images.bump()["staging"]
    assert (row["action"], row["note"]) == ("withdrawn", "reworded")
    assert {image["reason"] for image in row["candidates"]} - {"untagged"} == {"not-newer"}
    assert images.open() == []


def test_an_empty_or_failed_listing_changes_nothing(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.bump()
    images.ecr.faults = [Fault("DescribeImages", "ServerException", times=9)]
    done = images.run("images", "bump")
    assert done.code == 4
    assert f"{REPOSITORY}: ECR answered ServerException" in done.err
    assert images.open() == ["bump/mogle/staging"]


def test_expired_credentials_end_the_run_with_one_message(images: ImageWorld) -> None:
    images.ecr.faults = [Fault("DescribeImages", "ExpiredTokenException", times=9)]
    done = images.run("images", "bump")
    assert done.code == 4
    assert done.err == "gitops: AWS refuses these credentials (ExpiredTokenException); sign in again\n"
    assert images.github.writes == []


def test_the_running_tags_disappearance_is_an_alert(images: ImageWorld) -> None:
    client = images.ecr.client
    client.batch_delete_image(repositoryName="mogle", imageIds=[{"imageTag": "3.0.0"}])
    images.ecr.push("mogle", "0.9.0")
    done = images.run("images", "bump")
    assert done.code == 1
    assert "mogle/staging: the running image 3.0.0@sha256:" in done.err
    assert images.open() == []


def test_a_platform_that_is_missing_is_no_winner(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.2.0", platforms=("linux/arm64",))
    images.ecr.push("mogle", "3.1.0")
    row = images.bump()["staging"]
    assert row["winner"].startswith(f"{REPOSITORY}:3.1.0@")
    assert why(row)["3.2.0"] == "not built for linux/amd64"


def test_what_may_merge_by_itself_is_merged_by_the_run_that_finds_its_checks_green(images: ImageWorld) -> None:
    new = images.ecr.push("mogle", "3.1.0")
    images.bump()
    head = images.github.pulls[1].last_head
    passed: list[Callable[[], None]] = [
        lambda: images.github.rules.checked(head),
        lambda: images.github.rules.status(head, "main-gate", "success", BOT_ACTOR),
    ]
    for check in passed:
        assert images.bump()["staging"]["action"] == "unchanged"
        check()
    assert images.bump()["staging"]["action"] == "merged"
    assert edit.read(images.file(STAGING), STAGING).image == Image(REPOSITORY, "3.1.0", new)
    assert images.github.pulls[1].merged_at


def test_prod_takes_what_staging_ran_for_the_soak_time_and_selects_nothing_itself(images: ImageWorld) -> None:
    soaked = images.ecr.push("mogle", "3.1.0")
    fresh = images.ecr.push("mogle", "3.2.0")
    images.ecr.push("mogle", "3.3.0")
    images.pin(STAGING, "3.1.0", soaked, NOW - timedelta(hours=30))
    images.pin(STAGING, "3.2.0", fresh, NOW - timedelta(hours=3))
    rows = images.bump()
    assert rows["prod"]["winner"] == f"{REPOSITORY}:3.1.0@{soaked}"
    assert rows["prod"]["candidates"] == []
    number = rows["prod"]["pull_request"]
    assert images.proposed(number) == Image(REPOSITORY, "3.1.0", soaked)
    assert not images.github.pulls[number].auto_merge
    images.github.merge(number)
    assert "3.2.0 has not run in staging for 1d" in images.bump()["prod"]["note"]


def test_what_staging_ran_too_short_or_took_back_is_not_promoted(images: ImageWorld) -> None:
    first = edit.read(images.file(STAGING), STAGING).image.digest
    bad = images.ecr.push("mogle", "3.1.0")
    images.pin(STAGING, "3.1.0", bad, NOW - timedelta(days=5))
    images.pin(STAGING, "3.0.0", first, NOW - timedelta(days=2))
    rows = images.bump()
    assert rows["prod"]["action"] == "nothing"
    assert rows["staging"]["note"] == "no image is newer than what runs"
    assert why(rows["staging"])["3.1.0"].startswith("held: a person took 3.1.0 back (")
    fixed = images.ecr.push("mogle", "3.1.1")
    assert images.bump()["staging"]["winner"] == f"{REPOSITORY}:3.1.1@{fixed}"


def test_a_declined_pull_request_is_a_hold_until_something_newer_comes(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.bump()
    images.github.pulls[1].state = "closed"
    row = images.bump()["staging"]
    assert row["winner"] is None
    assert {"3.1.0": "held: a person took 3.1.0 back (#1)"}.items() <= {
        c["tag"]: c["why_not"] for c in row["candidates"]
    }.items()
    images.ecr.push("mogle", "3.1.1")
    assert images.bump()["staging"]["pull_request"] == 2


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


def test_an_image_without_a_valid_signature_is_never_proposed(images: ImageWorld) -> None:
    key, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    images.write("overlays/mogle/cosign.pub", pem.decode())
    images.policy(staging={"semver": {"range": "*"}, "cosign-key": "cosign.pub"})
    good, unsigned, foreign, copied, torn = (images.ecr.push("mogle", f"3.{n}.0") for n in (1, 2, 3, 4, 5))
    sign(images, good, key)
    sign(images, foreign, stranger)
    sign(images, copied, key, of=good)
    sign(images, torn, key)
    payload = next(name for name, blob in images.ecr.blobs.items() if b"critical" in blob and torn.encode() in blob)
    images.ecr.blobs[payload] = images.ecr.blobs[payload].replace(b"cosign", b"cosigm")
    row = images.bump()["staging"]
    assert row["winner"] == f"{REPOSITORY}:3.1.0@{good}"
    why = {image["tag"]: image["why_not"] for image in row["candidates"]}
    assert why["3.2.0"] == "not signed"
    assert why["3.3.0"] == "no signature is valid: it is of another key or of other bytes"
    assert why["3.4.0"] == "no signature is valid: a signature of another image"
    assert why["3.5.0"] == "no signature is valid: not the payload that the manifest names"
    assert unsigned not in images.github.pulls[1].body


def test_who_signed_without_a_key_must_be_who_the_policy_names(images: ImageWorld) -> None:
    sigstore = Sigstore()
    images.write("overlays/mogle/trusted_root.json", json.dumps(sigstore.trust_root()))
    signer = {"identity": IDENTITY, "issuer": ISSUER, "trust-root": "trusted_root.json"}
    images.policy(staging={"semver": {"range": "*"}, "cosign-keyless": signer})
    good, _, foreign = (images.ecr.push("mogle", f"3.{n}.0") for n in (1, 2, 3))
    # Beside a provenance, as it may be, and behind what others attached.
    for attached in (b"[]", sigstore.bundle(good, predicate="https://slsa.dev/provenance/v1"), sigstore.bundle(good)):
        images.ecr.attach("mogle", good, attached, MEDIA_TYPE)
    images.ecr.attach("mogle", foreign, sigstore.bundle(foreign, identity="https://evil.example.com"), MEDIA_TYPE)
    row = images.bump()["staging"]
    assert row["winner"] == f"{REPOSITORY}:3.1.0@{good}"
    why = {image["tag"]: image["why_not"] for image in row["candidates"]}
    assert why["3.2.0"] == "not signed"
    assert why["3.3.0"].startswith("no signature is valid: Certificate's SANs do not match")


def test_a_dry_run_explains_and_writes_nothing_and_needs_no_github(images: ImageWorld) -> None:
    new = images.ecr.push("mogle", "3.1.0")
    images.ecr.push("mogle", "latest", content="l")
    done = images.run("images", "bump", "--dry-run", GITHUB_TOKEN="")
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
    assert images.github.writes == []
    assert images.run("images", "bump", GITHUB_TOKEN="").err == (
        "gitops: not set: GITHUB_TOKEN; in Actions the workflow sets them (.github/workflows)\n"
    )


def test_one_services_fault_is_said_and_stops_no_other(images: ImageWorld) -> None:
    images.write("overlays/umbrella/images.yaml", "staging: {semver: {range: nonsense}}")
    images.write("overlays/benefit/images.yaml", "staging: {semver: {}}")
    images.ecr.push("mogle", "3.1.0")
    done = images.run("images", "bump")
    assert done.code == 2
    assert "gitops: overlays/umbrella/images.yaml: staging.semver.range: Value error, not a semver range" in done.err
    assert "no such repository in ECR; found " in done.err
    assert "/benefit; create it, or correct newName" in done.err
    assert images.open() == ["bump/mogle/staging"]
    assert "service 'nothing': does not exist" in images.run("images", "bump", "nothing").err


def test_an_overlay_that_would_not_run_the_image_is_named_and_not_proposed(images: ImageWorld) -> None:
    text = images.file("base/workload/deployment.yaml").decode().replace("image: app", "image: elsewhere")
    images.write("base/workload/deployment.yaml", text)
    web = images.file("base/web/deployment.yaml").decode().replace("image: app", "image: elsewhere")
    images.write("base/web/deployment.yaml", web)
    images.ecr.push("mogle", "3.1.0")
    done = images.run("images", "bump")
    assert done.code == 2
    assert f"{STAGING}:" in done.err
    assert "is not what the render runs" in done.err
    assert images.open() == []


def test_a_shallow_clone_is_refused(images: ImageWorld, tmp_path: Path) -> None:
    folder = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", images.github.clone_url, str(folder)], check=True)
    (folder / ".tools").symlink_to(ROOT / ".tools")
    images.checkout = Checkout(folder)
    assert "a shallow clone has no history; fetch-depth: 0" in images.run("images", "bump").err


def test_the_run_summary_is_a_table(images: ImageWorld, tmp_path: Path) -> None:
    images.ecr.push("mogle", "3.1.0")
    done = images.run("images", "bump", GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    assert "mogle/staging  3.0.0  3.1.0     opened #1" in done.out
    lines = (tmp_path / "summary.md").read_text().splitlines()
    assert lines[:2] == ["| overlay | runs | proposed | pull request | why |", "| --- | --- | --- | --- | --- |"]
    assert lines[2].startswith("| `mogle/staging` | `3.0.0` | `3.1.0` | `opened #1` |")


def test_two_overlays_of_one_repository_share_its_listing(images: ImageWorld) -> None:
    images.policy(staging={"semver": {"range": "*"}}, prod={"semver": {"range": "<3.1.0"}})
    images.ecr.push("mogle", "3.1.0")
    images.ecr.push("mogle", "3.0.1")
    rows = images.bump()
    assert [rows[name]["winner"].split("@")[0] for name in ("staging", "prod")] == [
        f"{REPOSITORY}:3.1.0",
        f"{REPOSITORY}:3.0.1",
    ]
    assert images.ecr.calls["DescribeImages"] == 1


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[] if n in (2, 4, 6) else pytest.mark.matrix) for n in range(8)]
)
def test_a_kill_at_any_request_of_the_command_is_healed_by_the_next_run(images: ImageWorld, number: int) -> None:
    new = images.ecr.push("mogle", "3.1.0")
    victim: list[subprocess.Popen[str]] = []
    images.github.faults = [GitHubFault(".*", ".*", lambda: victim[0].kill(), skip=number, after=True)]
    victim.append(images.start("images", "bump"))
    assert victim[0].wait(timeout=60) == -signal.SIGKILL
    images.bump()
    assert images.open() == ["bump/mogle/staging"]
    assert images.proposed(1) == Image(REPOSITORY, "3.1.0", new)
    writes = len(images.github.writes)
    images.bump()
    assert len(images.github.writes) == writes
    assert sorted(images.github.branches()) == ["bump/mogle/staging", "main"]


def test_two_runs_at_once_leave_one_branch_and_one_pull_request(images: ImageWorld, tmp_path: Path) -> None:
    new = images.ecr.push("mogle", "3.1.0")
    second = images.clone(tmp_path / "second")
    for run in [images.start("images", "bump", folder=checkout.root) for checkout in (images.checkout, second)]:
        _, err = run.communicate(timeout=60)
        assert "Traceback" not in err
        assert run.returncode == 0 or "GitHub: " in err, err
    images.bump()
    assert images.open() == ["bump/mogle/staging"]
    assert len(images.github.pulls) == 1
    assert images.proposed(1) == Image(REPOSITORY, "3.1.0", new)
    assert sorted(images.github.branches()) == ["bump/mogle/staging", "main"]


def test_an_owner_file_that_cannot_be_read_is_its_services_own_fault(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.write("overlays/umbrella/owner.yaml", "team: [x\n")
    done = images.run("images", "bump")
    assert (done.code, "overlays/umbrella/owner.yaml" in done.err) == (2, True)
    assert images.open() == ["bump/mogle/staging"]
