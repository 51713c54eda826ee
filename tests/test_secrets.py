"""Sealing by hand, in the byte format of kubeseal; pins, and seals that move from key to key."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import counted
from gitops.manifests import sealedsecret, yamledit, yamlfile
from gitops.oauth import model
from gitops.secrets import certificate
from gitops.secrets.seal import seal, unseal
from tests import leaks
from tests.conftest import GITOPS, commit_all
from tests.fakes.sealed_secrets import SealedSecrets
from tests.frozen import ROOT
from tests.oauth_world import certificate_of, private_key
from tests.secret_world import CANARY, FILE, PIN, Seal, opened, pin

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


@given(st.binary(max_size=2**16), NAMES, NAMES)
def test_what_is_sealed_can_be_opened_for_its_own_name_alone(value: bytes, namespace: str, name: str) -> None:
    sealed = seal(private_key().public_key(), namespace, name, value)
    assert unseal([private_key(1), private_key()], namespace, name, sealed) == value
    with pytest.raises(InputError, match="no given key opens this seal"):
        unseal([private_key()], namespace, f"{name}x", sealed)
    with pytest.raises(InputError, match="no given key opens this seal"):
        unseal([private_key(1)], namespace, name, sealed)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "Ag=="])
def test_what_is_no_seal_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="seal"):
        unseal([private_key()], "a", "b", text)


def kubeseal(pem: Path, namespace: str, name: str, value: bytes) -> str:
    words = [ROOT / ".tools/bin/kubeseal", "--raw", "--from-file=/dev/stdin", "--cert", pem]
    words += ["--namespace", namespace, "--name", name]
    return subprocess.run(list(map(str, words)), input=value, capture_output=True, check=True).stdout.decode()


KUBESEALS = 60  # `make matrix` opens 1,000


@pytest.mark.parametrize("count", [KUBESEALS, pytest.param(1000, marks=pytest.mark.matrix)])
def test_what_kubeseal_seals_can_be_opened(tmp_path: Path, count: int) -> None:
    pem = tmp_path / "cert.pem"
    pem.write_bytes(certificate_of(private_key()))
    mismatches = 0
    for number in range(count):
        value = (os.urandom(number * 64), f"ключ-열쇠-🔑-{number}".encode(), b"")[number % 3]
        name = f"name-{os.urandom(4).hex()}"
        sealed = kubeseal(pem, f"namespace-{number}", name, value)
        mismatches += unseal([private_key()], f"namespace-{number}", name, sealed) != value
    print(f"kubeseal: seals={count} mismatches={mismatches}")
    assert mismatches == 0


def test_a_value_is_sealed_into_a_new_file_and_its_other_keys_stay(pinned: Checkout, command: Seal) -> None:
    done = command("seal", "notice-bot", "kakao", "--key", "token")
    assert done.code == 0, done.err
    assert done.out.splitlines()[:2] == [f"wrote {FILE}", "wrote overlays/notice-bot/prod/kustomization.yaml"]
    assert opened(pinned, FILE) == {"token": CANARY.encode()}
    listing = yamlfile.read(pinned, pinned.root / "overlays/notice-bot/prod/kustomization.yaml")["resources"]
    assert listing[-1] == "sealedsecret-kakao.yaml"
    first = (pinned.root / FILE).read_text()
    assert command("seal", "notice-bot", "kakao", "--key", "other", stdin="second").code == 0
    assert opened(pinned, FILE) == {"token": CANARY.encode(), "other": b"second"}
    assert [line for line in first.splitlines() if line not in (pinned.root / FILE).read_text()] == []
    done = command("seal", "notice-bot", "kakao", "--key", "token", stdin="third\n")
    assert (done.code, done.err) == (
        0,
        "token: the newline at its end is taken off, as a pipe adds it (--exact keeps it)\n",
    )
    assert opened(pinned, FILE) == {"token": b"third", "other": b"second"}
    assert command("seal", "notice-bot", "kakao", "--key", "token", "--exact", stdin="third\n").code == 0
    assert opened(pinned, FILE) == {"token": b"third\n", "other": b"second"}, "standard input counts as it is"
    assert leaks.in_files(pinned.root / "overlays", leaks.patterns([CANARY])) == []


def test_list_says_what_there_is(command: Seal) -> None:
    command("seal", "notice-bot", "kakao", "--key", "token")
    rows = json.loads(command("list", "--output", "json").out)
    [row] = [row for row in rows if row["name"] == "kakao"]
    assert (row["namespace"], row["keys"], len(row["certificate"])) == ("notice-bot-prod", ["token"], 64)
    assert "notice-bot-prod" in command("list").out


BAD: dict[str, tuple[list[str], str, str]] = {
    "no overlay": (["shop", "kakao", "--key", "a"], "x", "service 'shop': does not exist; there are: benefit, "),
    "no environment": (
        ["notice-bot", "kakao", "--key", "a", "--environment", "staging"],
        "x",
        "notice-bot has none of this name",
    ),
    "name": (["notice-bot", "Kakao", "--key", "a"], "x", "name; expected lower-case letters"),
    "key": (["notice-bot", "kakao", "--key", "a b"], "x", "key; expected letters, digits"),
    "nothing": (["notice-bot", "kakao", "--key", "a"], "", "nothing was given; type it at the prompt, or pipe it in"),
    "two keys": (["notice-bot", "kakao", "--key", "a", "--key", "b"], "x", "2 keys and one standard input"),
    "generation": (["mogle", "mogle-oauth-42-g1", "--key", "a"], "x", "make the next one: gitops oauth provide mogle"),
    "cluster": (
        ["notice-bot", "kakao", "--key", "a", "--cluster", "../x"],
        "x",
        ": does not exist; there are: lab",
    ),
    "no certificate": (
        ["notice-bot", "kakao", "--key", "a", "--cluster", "lab"],
        "x",
        "cluster 'lab' has no certificate",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_writes_nothing(pinned: Checkout, command: Seal, name: str) -> None:
    words, stdin, message = BAD[name]
    done = command("seal", *words, stdin=stdin)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=pinned.root, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_an_overlay_that_does_not_render_gets_no_seal(pinned: Checkout, command: Seal) -> None:
    file = pinned.root / "overlays/notice-bot/prod/kustomization.yaml"
    file.write_text(file.read_text().replace("base/bot", "base/boat"))
    before = file.read_bytes()
    done = command("seal", "notice-bot", "kakao", "--key", "token")
    assert done.code == 2
    assert "does not render" in done.err
    assert file.read_bytes() == before
    assert not (pinned.root / FILE).exists()


def test_a_service_that_is_new_to_42_gets_its_first_generation(pinned: Checkout, command: Seal) -> None:
    path = "overlays/mogle/staging/sealedsecret-oauth-42-g1.yaml"
    listing = pinned.root / "overlays/mogle/staging/kustomization.yaml"
    (pinned.root / path).unlink()
    listing.write_text(listing.read_text().replace("  - sealedsecret-oauth-42-g1.yaml\n", ""))
    words = ["--environment", "staging", "--key", "client-secret"]
    done = command("seal", "mogle", "mogle-oauth-42-g1", *words)
    assert done.code == 0, done.err
    assert f"wrote {path}" in done.out
    assert opened(pinned, path) == {"client-secret": CANARY.encode()}
    applications, broken = model.applications(pinned, ["mogle"])
    assert not broken
    assert [application.deployed.number for application in applications] == [1, 1]


def test_a_prompt_does_not_echo(pinned: Checkout) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(pinned.root)
        os.execv(GITOPS, [str(GITOPS), "secrets", "seal", "notice-bot", "kakao", "--key", "token"])
    seen = b""
    while b"kakao token" not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, f"{CANARY}\n".encode())
    try:
        while chunk := os.read(terminal, 1024):
            seen += chunk
    except OSError:  # the other side is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert leaks.search("terminal", seen, leaks.patterns([CANARY])) == []
    assert opened(pinned, FILE) == {"token": CANARY.encode()}


def test_a_backup_of_the_lost_key_saves_every_seal(pinned: Checkout, command: Seal, tmp_path: Path) -> None:
    command("seal", "notice-bot", "kakao", "--key", "token")
    for file in pinned.overlays.glob("*/*/sealedsecret-*.yaml"):
        if file.name != "sealedsecret-kakao.yaml":
            file.unlink()  # sealed for a key that nobody has
    commit_all(pinned)
    new = rsa.generate_private_key(65537, 2048)
    pin(pinned, certificate_of(new))
    commit_all(pinned)
    old = private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    secret = {"apiVersion": "v1", "kind": "List", "items": [{"data": {"tls.key": base64.b64encode(old).decode()}}]}
    (tmp_path / "backup.yaml").write_text(json.dumps(secret))
    (tmp_path / "backup.pem").write_bytes(old)
    done = command("recover", "--backup", str(tmp_path / "backup.yaml"))
    assert done.code == 0, done.err
    assert f"wrote {FILE}" in done.out
    assert opened(pinned, FILE, new) == {"token": CANARY.encode()}
    commit_all(pinned)
    again = command("recover", "--backup", str(tmp_path / "backup.pem"))
    assert again.code == 2
    assert f"{FILE}: no given key opens this seal" in again.err


def test_a_new_controller_is_pinned_and_what_it_cannot_open_is_said(pinned: Checkout, command: Seal) -> None:
    """The cluster is new: it has one key of the old one's, and nobody holds the key of what else is sealed."""
    command("seal", "notice-bot", "kakao", "--key", "token")
    commit_all(pinned)
    strangers = [sealed.path for sealed in sealedsecret.all_sealed(pinned) if sealed.path != FILE]
    before = {path: (pinned.root / path).read_bytes() for path in strangers}
    new = rsa.generate_private_key(65537, 2048)
    pem = certificate_of(new)
    controller = SealedSecrets(pem, [new, private_key()])
    try:
        done = command("pin", "--controller", controller.url)
        assert done.code == 0, done.err
        fingerprint = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
        assert f"pinned: {fingerprint}" in done.out
        assert certificate.pinned(pinned, "seoul").fingerprint == fingerprint
        assert opened(pinned, FILE, new) == {"token": CANARY.encode()}
        assert counted(len(strangers), "seal is", "seals are") + " for another key" in done.out
        assert {path: (pinned.root / path).read_bytes() for path in strangers} == before
        assert "gitops oauth rotate (the workflow" in done.out
        assert "gitops secrets seal oauth-watch slack --key token --environment prod" in done.out
        uncommitted = command("pin", "--controller", controller.url)
        assert (uncommitted.code, "uncommitted changes" in uncommitted.err) == (2, True)
        commit_all(pinned)
        again = command("pin", "--controller", controller.url)
        assert (again.code, "wrote" in again.out) == (0, False)
    finally:
        controller.close()


def test_the_first_certificate_is_pinned_where_there_was_none(pinned: Checkout, command: Seal) -> None:
    (pinned.root / "clusters/seoul/sealed-secrets.pem").unlink()
    file = pinned.root / PIN
    file.write_text(
        "".join(line for line in file.read_text().splitlines(True) if "sealedSecretsFingerprint" not in line)
    )
    commit_all(pinned)
    controller = SealedSecrets(certificate_of(private_key()), [private_key()])
    try:
        assert command("pin", "--controller", controller.url).code == 0
    finally:
        controller.close()
    assert certificate.pinned(pinned, "seoul").key.public_numbers() == private_key().public_key().public_numbers()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nonsense: 1", "no Secret in it has tls.key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no private key in PEM"),
        ('{"data": {"tls.key": "%"}}', "data.tls.key is not base64"),
        (None, "cannot be read"),
    ],
)
def test_a_backup_that_is_none_is_said(command: Seal, tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "backup"
    if content is not None:
        file.write_text(content)
    done = command("recover", "--backup", str(file))
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_controller_that_is_not_there_is_said(command: Seal) -> None:
    done = command("verify", "--controller", "http://127.0.0.1:1")
    assert done.code == 4
    assert "kubectl -n kube-system port-forward svc/sealed-secrets-controller 8080" in done.err


TEXTS = st.lists(st.sampled_from(["a.yaml", "b.yaml", "../base", "c.yaml"]), min_size=1, max_size=5, unique=True)


@given(TEXTS, st.integers(0, 4), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_items_come_and_go_and_every_other_byte_stays(
    items: list[str], indent: int, end: str, comment: bool, last: bool
) -> None:
    lines = [f"{' ' * indent}- {item}{'  # why' if comment else ''}" for item in items]
    text = end.join(["# head", "resources:", *lines, "other: 1"]) + (end if last else "")
    added = yamledit.append(text, "f", ("resources",), "new.yaml")
    assert yamlfile.parse_all(added, "f")[0] == {"resources": [*items, "new.yaml"], "other": 1}
    assert yamledit.remove_item(added, "f", ("resources",), "new.yaml") == text
    assert sorted(set(added.split(end)) - set(text.split(end))) == [f"{' ' * indent}- new.yaml"]


@pytest.mark.parametrize("text", ["resources: later", "other: 1", "resources: {a: b}\n"])
def test_a_list_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no list that an item can be added to; write there by hand: - new"):
        yamledit.append(text, "f", ("resources",), "new.yaml")
