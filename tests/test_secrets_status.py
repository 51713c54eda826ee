"""What is known of each sealed secret, and what is done when one leaked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from secrets import token_hex

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import sealedsecret, yamlfile
from gitops.manifests.sealedsecret import CERTIFICATE, ISSUER, VALID_UNTIL
from gitops.secrets import give, status, tell
from gitops.secrets.seal import unseal
from gitops.secrets.status import Against, Delivery
from tests import leaks
from tests.conftest import Ran, commit_all
from tests.fakes.sealed_secrets import SealedSecrets
from tests.fakes.slack import Slack
from tests.oauth_world import BRANCH, RotationWorld, certificate_of, next_shows, private_key
from tests.secret_world import CANARY, FILE, Seal, opened, pin
from tests.world import run_here

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KAKAO = "overlays/mogle/prod/sealedsecret-kakao.yaml"


def row(done: Ran, name: str) -> dict[str, object]:
    [entry] = [entry for entry in json.loads(done.out) if entry["name"] == name]
    assert isinstance(entry, dict)
    return entry


def on_main(checkout: Checkout, days: int, message: str) -> None:
    """What stands there is main's, as of some days before NOW."""
    when = (NOW - timedelta(days=days)).isoformat()
    with Repo(checkout.root) as repo:
        repo.git.add("--all")
        repo.git.commit("-qm", message, env={"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}, date=when)
        repo.git.update_ref("refs/remotes/origin/main", "HEAD")


def test_age_is_of_the_values_and_the_key_is_the_files(pinned: Checkout, inside: Seal) -> None:
    inside("seal", "notice-bot", "kakao", "--key", "token")
    on_main(pinned, 40, "Seal")
    file = pinned.root / FILE
    [known] = [entry for entry in status.read(pinned, "seoul", None)[0] if entry.sealed.path == FILE]
    assert (known.days(NOW), known.against, known.delivery.value) == (40, Against.PINNED, "unknown")
    owner = yamlfile.read(pinned, pinned.overlays / "notice-bot/owner.yaml")
    assert (known.team, known.contact) == (owner["team"], owner["contact"])
    # Sealed anew for another key: the same values, and as old as before.
    newer = certificate_of(private_key(1))
    name = x509.load_pem_x509_certificate(newer).fingerprint(hashes.SHA256()).hex()
    again = sealedsecret.read(file.read_bytes(), FILE)
    file.write_bytes(sealedsecret.reseal(file.read_bytes(), FILE, {"token": again.encrypted["token"][::-1]}, name))
    on_main(pinned, 10, "Seal anew")
    [known] = [entry for entry in status.read(pinned, "seoul", None)[0] if entry.sealed.path == FILE]
    assert (known.days(NOW), known.against) == (40, Against.OLDER)
    pin(pinned, newer)
    assert inside("seal", "notice-bot", "kakao", "--key", "other", stdin="x").code == 0
    on_main(pinned, 3, "Another key")
    [known] = [entry for entry in status.read(pinned, "seoul", None)[0] if entry.sealed.path == FILE]
    assert (known.days(NOW), known.against) == (3, Against.PINNED)
    strangers, _ = status.read(pinned, "seoul", None, ["mogle"])
    assert {entry.against for entry in strangers} == {Against.UNKNOWN}
    assert {entry.sealed.overlay.service for entry in strangers} == {"mogle"}


def test_age_is_of_the_values_however_often_they_were_sealed_anew(
    pinned: Checkout, inside: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_VERSIONS", 2)
    inside("seal", "notice-bot", "kakao", "--key", "token")
    on_main(pinned, 40, "Seal")
    file = pinned.root / FILE
    for number in range(5):
        again = sealedsecret.read(file.read_bytes(), FILE).encrypted["token"][::-1]
        file.write_bytes(sealedsecret.reseal(file.read_bytes(), FILE, {"token": again}, f"{number:064x}"))
        on_main(pinned, 30 - number, "Seal anew")
        [known] = [entry for entry in status.read(pinned, "seoul", None)[0] if entry.sealed.path == FILE]
        assert known.days(NOW) == 40


def test_an_end_that_was_declared_is_told_in_time(pinned: Checkout, inside: Seal) -> None:
    soon = datetime.now(UTC).date() + timedelta(days=9)
    words = ["seal", "notice-bot", "kakao", "--key", "token"]
    done = inside(*words, "--valid-until", soon.isoformat(), "--issuer", "https://developers.kakao.com/console")
    assert done.code == 0, done.err
    done = inside("status", "--output", "json")
    assert (done.code, f"{FILE}: ends on {soon}" in done.err) == (1, True)
    assert (row(done, "kakao")["valid_until"], row(done, "kakao")["against"]) == (soon.isoformat(), "pinned")
    again = inside(*words)
    assert (again.code, f"was declared to end on {soon}; say when this one ends" in again.err) == (2, True)
    assert inside(*words, "--valid-until", "none").code == 0
    done = inside("status")
    assert (done.code, " kakao " in done.out) == (0, True), done.err
    sealed = sealedsecret.read((pinned.root / FILE).read_bytes(), FILE)
    assert (sealed.annotations[VALID_UNTIL], sealed.annotations[ISSUER][:8]) == ("", "https://")
    assert opened(pinned, FILE) == {"token": CANARY.encode()}
    assert "did you mean mogle?" in inside("status", "mogel").err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("valid_until", "2026-11-26"),
        ("valid_until", "31.12.2027"),
        ("valid_until", ""),
        ("issuer", "http://example.com"),
        ("issuer", 'https://example.com/"x'),
        ("issuer", "javascript:x"),
    ],
)
def test_what_is_declared_is_held_to_its_form(option: str, value: str) -> None:
    asked = give.Asked(**{option: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"--{option.replace('_', '-')}; expected a "):
        asked.declared(date(2026, 11, 26))


def test_annotations_come_to_a_file_that_has_none_and_every_other_byte_stays() -> None:
    text = (
        sealedsecret.write("kakao", {"token": "AAAA"}, {"a": "b"}).decode().replace('  annotations:\n    a: "b"\n', "")
    )
    content = sealedsecret.reseal(text.encode(), FILE, {"token": "BBBB"}, "ab")
    document = yamlfile.parse_all(content, FILE)[0]
    assert document["metadata"] == {"name": "kakao", "annotations": {CERTIFICATE: "ab"}}
    changed = sealedsecret.annotate(
        content.decode(), FILE, sealedsecret.read(content, FILE), {CERTIFICATE: "cd", ISSUER: "https://x/y?z=1#a"}
    )
    document = yamlfile.parse_all(changed, FILE)[0]
    assert document["metadata"]["annotations"] == {CERTIFICATE: "cd", ISSUER: "https://x/y?z=1#a"}
    assert document["spec"]["encryptedData"] == {"token": "BBBB"}
    assert [line for line in text.splitlines() if "token" not in line and line not in changed.splitlines()] == []


# -- what is told every week


def test_what_ends_does_not_run_or_is_of_an_older_key_is_told_every_week(pinned: Checkout, inside: Seal) -> None:
    now = datetime.now(UTC)
    soon = now.date() + timedelta(days=3)
    inside("seal", "notice-bot", "kakao", "--key", "token", "--valid-until", soon.isoformat())
    on_main(pinned, 0, "Seal")
    known, _ = status.read(pinned, "seoul", None)
    [ending] = [line for line in tell.lines(pinned, "seoul", known, now) if "kakao" in line]
    assert ending.startswith(f"{FILE} ends on {soon}: seal the next one")
    [kakao] = [entry for entry in known if entry.sealed.path == FILE]
    fresh = replace(kakao, until=None, given=now - timedelta(hours=2), delivery=Delivery.WAITING)
    assert tell.lines(pinned, "seoul", [fresh], now) == [], "Argo CD has a day"
    late = replace(fresh, given=now - timedelta(days=2))
    assert tell.lines(pinned, "seoul", [late], now) == [
        f"{FILE} is not in the cluster, 2 days after it came: {kakao.contact}"
    ]
    assert "does not run" in tell.lines(pinned, "seoul", [replace(late, delivery=Delivery.ROLLING)], now)[0]
    assert tell.lines(pinned, "seoul", [replace(late, delivery=Delivery.DELIVERED)], now) == []
    [old] = tell.lines(pinned, "seoul", [replace(fresh, against=Against.OLDER)], now)
    assert old.startswith("1 seal is not for the pinned key: merge the pull request of the workflow `seals`")
    pin(pinned, certificate_of(private_key(), begins=-31))
    [old] = tell.lines(pinned, "seoul", [fresh], now)
    assert "and the controller has a newer one" in old
    pin(pinned, certificate_of(private_key(), begins=-29))
    assert tell.lines(pinned, "seoul", [fresh], now) == []


def test_slack_hears_of_it(pinned: Checkout) -> None:
    slack = Slack()
    try:
        done = run_here(pinned.root, ["secrets", "status", "--tell"], None, slack.environment)
    finally:
        slack.close()
    assert done.code == 0, done.err
    [message] = slack.messages
    assert "not for the pinned key" in message
    assert "Runbook: docs/runbooks/secrets.md" in message
    unheard = run_here(pinned.root, ["secrets", "status", "--tell"], None, {})
    assert (unheard.code, "not set: SLACK_TOKEN" in unheard.err) == (2, True)


# -- with GitHub


@pytest.mark.bots
def test_whether_it_runs_is_argo_cds_word(known: RotationWorld) -> None:
    def delivery(name: str = "mogle-oauth-42-g2") -> object:
        done = known.run("secrets", "status", "mogle", "--output", "json")
        return row(done, name)["delivery"]

    assert delivery() == "delivered"
    known.github.deployments.kept.clear()
    assert delivery() == "unknown"
    known.argo_says("success")
    assert delivery() == "delivered"
    known.argo_says("failure")
    assert delivery() == "rolling"
    assert known.run("secrets", "seal", "mogle", "kakao", "--key", "token", stdin=CANARY).code == 0
    commit_all(known.checkout)
    known.argo_says("success")
    assert (delivery(), delivery("kakao")) == ("delivered", "waiting"), "the cluster does not have it"


@pytest.mark.bots
def test_a_leaked_secret_is_explained_sealed_anew_proposed_and_followed(known: RotationWorld) -> None:
    # The tests of the clone have no part of it.
    world, value = known, f"canary-{token_hex(24)}"
    issuer = "https://developers.kakao.com/console"
    sealing = ["secrets", "seal", "mogle", "kakao", "--key", "token", "--issuer", issuer]
    assert world.run(*sealing, stdin=value).code == 0
    deployment = world.checkout.root / "overlays/mogle/prod/deployment.yaml"
    patch = {"name": "app", "envFrom": [{"secretRef": {"name": "kakao"}}]}
    deployment.write_text(
        json.dumps(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web"},
                "spec": {"template": {"spec": {"containers": [patch]}}},
            }
        )
    )
    listing = world.checkout.root / "overlays/mogle/prod/kustomization.yaml"
    listing.write_text(listing.read_text().replace("patches:\n", "patches:\n  - path: deployment.yaml\n"))
    commit_all(world.checkout)
    with Repo(world.checkout.root) as repo:
        repo.git.push(str(world.github.git_dir), "HEAD:main")
    told = world.run("secrets", "leaked", "mogle", "kakao")
    assert told.code == 0, told.err
    assert "Deployment web: spec.template.spec.containers[app].envFrom[0].secretRef.name" in told.out
    assert f"1. revoke it and make another one at {issuer}" in told.out
    [command] = [line.partition(": ")[2] for line in told.out.splitlines() if line.startswith("  2. ")]
    done = world.run(*command.split()[1:], stdin=f"new-{value}\n")
    assert done.code == 0, done.err
    [pull] = [pull for pull in world.github.pulls.values() if pull.head == "seal/mogle/prod/kakao"]
    assert f"/pull/{pull.number}" in done.out
    content = world.file(KAKAO, "seal/mogle/prod/kakao")
    sealed = sealedsecret.read(content, KAKAO)
    assert unseal([world.key], "mogle-prod", "kakao", sealed.encrypted["token"]) == f"new-{value}".encode()
    with Repo(world.checkout.root) as repo:
        assert repo.git.status("--porcelain", "--untracked-files=no") == "", "main's files are there again"
    patterns = leaks.patterns([value])
    texts = [
        told.out,
        told.err,
        done.out,
        done.err,
        pull.title,
        pull.body,
        *world.github.bodies,
        *world.github.requests,
    ]
    assert leaks.search("all", "\n".join(texts).encode(), patterns) == []
    assert leaks.in_git(Path(world.github.git_dir), patterns) == []


@pytest.mark.bots
def test_a_leaked_secret_of_42_is_the_bots_to_replace(known: RotationWorld) -> None:
    next_shows(known)
    told = known.run("secrets", "leaked", "mogle", "mogle-oauth-42-g2")
    assert told.code == 0, told.err
    assert "/oauth/applications/41002: it makes another next secret" in told.out
    assert "ConfigMap oauth-42: data.secret" in told.out
    assert told.out.index("Generate now") < told.out.index("gh workflow run oauth.yaml") < told.out.index("Replace now")
    done = known.run("secrets", "leaked", "mogle", "mogle-oauth-42-g2", "--key", "client-secret", stdin="x")
    assert (done.code, "make the next one: gitops oauth provide mogle" in done.err) == (2, True)
    assert known.github.head(BRANCH) is None
    missing = known.run("secrets", "leaked", "mogle", "kakoa")
    assert (missing.code, "'kakoa': does not exist; there are: mogle-oauth-42-g2" in missing.err) == (2, True)


@pytest.mark.bots
def test_everything_that_is_stale_is_one_pull_request(known: RotationWorld) -> None:
    """What a person with a way to the controller runs; no value is known to anybody."""
    newest = certificate_of(private_key(1))
    controller = SealedSecrets(newest, [private_key(1), known.key])
    before = known.opened("main")
    try:
        done = known.run("secrets", "reseal", "--propose", "--controller", controller.url)
        assert done.code == 0, done.err
        [pull] = known.github.pulls.values()
        assert (pull.head, f"/pull/{pull.number}" in done.out) == ("seal-keys/seoul", True)
        name = x509.load_pem_x509_certificate(newest).fingerprint(hashes.SHA256()).hex()
        assert name in pull.body
        assert known.opened("seal-keys/seoul", key=private_key(1)) == before
        assert f"sealedSecretsFingerprint: {name}".encode() in known.file("clusters/seoul/cluster.yaml", pull.head)
        with Repo(known.checkout.root) as repo:
            assert repo.git.status("--porcelain", "--untracked-files=no") == ""
        again = known.run("secrets", "reseal", "--propose", "--controller", controller.url)
        assert again.code == 0, again.err
        assert len(known.github.pulls) == 1, "the same one"
    finally:
        controller.close()
