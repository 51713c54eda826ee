"""What may be sealed: names, keys and types as Kubernetes takes them, and values from pipes and files."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretBytes

from gitops.check import seals
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError
from gitops.manifests import sealedsecret, secret, yamlfile, yamltext
from gitops.manifests.overlay import Overlay
from gitops.secrets import manage, values
from tests import leaks
from tests.oauth_world import private_key
from tests.secret_world import CANARY, FILE, Seal, opened

LONG = "a" * 253
NAMES_TAKEN = ["a", "0", "true", "0x10", "1e3", "null", "a.b-c.d", "123", "y", LONG, f"{'b.' * 126}b"]
NAMES_REFUSED = ["", "A", "a..b", "..", ".", "-a", "a-", "a.-b", "a-.b", "a_b", "a b", f"{LONG}a", "a\n", "é"]
KEYS_TAKEN = ["a", "A_B", "true", "0x10", "-", "_", ".a", "a..b", "a..", "1.10", "no", "k" * 253]
KEYS_REFUSED = ["", ".", "..", "..a", "...", "a b", "a/b", "a\n", "é", "k" * 254, "~"]


def taken(name: str, *keys: str) -> bool:
    return not list(secret.refusals(name, keys))


def test_names_and_keys_are_those_that_kubernetes_takes() -> None:
    assert {name: taken(name, "a") for name in NAMES_TAKEN} == dict.fromkeys(NAMES_TAKEN, True)
    assert {name: taken(name, "a") for name in NAMES_REFUSED} == dict.fromkeys(NAMES_REFUSED, False)
    assert {key: taken("a", key) for key in KEYS_TAKEN} == dict.fromkeys(KEYS_TAKEN, True)
    assert {key: taken("a", key) for key in KEYS_REFUSED} == dict.fromkeys(KEYS_REFUSED, False)


def test_what_is_taken_stands_in_yaml_as_it_is_called(pinned: Checkout) -> None:
    """Also as a YAML 1.2 reader, which takes 1e3 for a number, has it: by what stands in quotes."""
    overlay = Overlay("notice-bot", "prod")
    for name in NAMES_TAKEN:
        target = manage.SecretTarget(overlay, name)
        assert len(Path(target.path).name.encode()) <= 255
        content = sealedsecret.write(name, dict.fromkeys(KEYS_TAKEN, "AAAA"), {"gitops/certificate": "ab"})
        read = sealedsecret.read(content, target.path)
        assert (read.name, list(read.encrypted)) == (name, KEYS_TAKEN)
        assert list(seals.check_file(target.path, content.replace(b"AAAA", b"AgA="))) != [], "no seal is no seal"
        assert not [f for f in seals.check_file(target.path, content) if f.rule == "secret-names"]
    for text in ("true", "0x10", "1e3", "y", "N", ".5", "-", "1_000", "0o7", ".inf", "null", "~"):
        assert yamltext.quoted(text) == json.dumps(text)
    assert [yamltext.quoted(text) for text in ("token", "client-secret", "A_B.c")] == [
        "token",
        "client-secret",
        "A_B.c",
    ]


@pytest.mark.parametrize("key", ["true", "0x10", "1.5", "null"])
def test_a_key_that_yaml_reads_as_no_text_is_refused_by_list_and_by_the_gate(key: str) -> None:
    content = sealedsecret.write("kakao", {"token": "AAAA"}, {"a": "b"}).decode().replace("token:", f"{key}:").encode()
    with pytest.raises(InputError, match="in YAML it stands in quotes"):
        sealedsecret.read(content, FILE)
    [finding] = [finding for finding in seals.check_file(FILE, content) if finding.rule == "secret-names"]
    assert (finding.place.line, key in finding.problem) == (10, True)


@pytest.mark.parametrize("broken", ["data: 1", "{}", "[]", "null", "{a: AAAA, '..b': AAAA}"])
def test_a_file_that_is_no_whole_seal_is_one_message(broken: str) -> None:
    text = sealedsecret.write("kakao", {"token": "AAAA"}, {"a": "b"}).decode()
    with pytest.raises(InputError):
        sealedsecret.read(text.replace("\n    token: AAAA", f" {broken}").encode(), FILE)


# -- values


@pytest.mark.parametrize(
    ("raw", "sealed", "told"),
    [
        (b"a\n", b"a", True),
        (b"a\r\n", b"a", True),
        (b"a", b"a", False),
        (b"\n", b"", True),
        (b"a \n", b"a ", True),
        (b"-----BEGIN\nx\n-----END\n", b"-----BEGIN\nx\n-----END\n", False),
        (b"\x00\xff\n", b"\x00\xff", True),
    ],
)
def test_the_newline_of_a_pipe_is_taken_off_a_line_and_left_to_a_file(raw: bytes, sealed: bytes, told: bool) -> None:
    given = values.piped("token", SecretBytes(raw), exact=False)
    assert (given.values["token"].get_secret_value(), bool(given.notes)) == (sealed, told)
    exact = values.piped("token", SecretBytes(raw), exact=True)
    assert (exact.values["token"].get_secret_value(), exact.notes) == (raw, ())


def plain(given: values.Given) -> dict[str, bytes]:
    return {key: value.get_secret_value() for key, value in given.values.items()}


def test_an_env_file_is_read_as_kubectl_reads_it(scratch: Checkout, tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    content = b"\xef\xbb\xbf# why\r\n\n  A=1\r\nB = 2\nC=\nD=a=b #c\nE='q'\nF=\xc3\xa9 "
    file.write_bytes(content.replace(b"B = 2", b"B=2"))
    given = values.from_env_file(scratch, file)
    assert plain(given) == {"A": b"1", "B": b"2", "C": b"", "D": b"a=b #c", "E": b"'q'", "F": b"\xc3\xa9 "}
    assert [note.partition(":")[0] for note in given.notes] == ["E"]
    values.check_empty(given, allow_empty=False)
    for text, line, message in [
        (CANARY, 1, "expected KEY=VALUE"),
        (f"A=1\n{CANARY} x=1", 2, "expected KEY=VALUE"),
        (f"A=1\n\nA={CANARY}", 3, "given twice"),
        ("", None, "has no line"),
    ]:
        file.write_text(text)
        with pytest.raises(InputError, match=message) as error:
            values.from_env_file(scratch, file)
        assert error.value.fault.line == line
        assert leaks.search("error", str(error.value).encode(), leaks.patterns([CANARY])) == []


def pair(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=9))
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def refusal(kind: str, **contents: bytes) -> str:
    named = {name.replace("_", "."): SecretBytes(value) for name, value in contents.items()}
    try:
        values.check(kind, named)
    except GitopsError as error:
        return str(error)
    return ""


def test_a_pair_of_tls_is_checked_against_each_other() -> None:
    certificate, key = pair(private_key())
    second, elliptic = pair(ec.generate_private_key(ec.SECP256R1()))
    assert refusal(secret.TLS, tls_crt=certificate + second, tls_key=key) == "", "a chain: the server's own first"
    assert refusal(secret.TLS, tls_crt=second, tls_key=elliptic) == ""
    assert "is not the key of tls.crt's first certificate" in refusal(secret.TLS, tls_crt=certificate, tls_key=elliptic)
    assert "is not the key" in refusal(secret.TLS, tls_crt=second + certificate, tls_key=key)
    assert "give both at once" in refusal(secret.TLS, tls_crt=certificate)
    assert "give both at once" in refusal(secret.TLS, tls_key=key)
    for damaged in (key[:200], b"", CANARY.encode()):
        said = refusal(secret.TLS, tls_crt=certificate, tls_key=damaged)
        assert "tls.key" in said
        assert leaks.search("error", said.encode(), leaks.patterns([key.decode(), CANARY])) == []
    assert "tls.crt" in refusal(secret.TLS, tls_crt=key, tls_key=key)


def test_docker_and_the_size_are_checked_without_a_word_of_the_value() -> None:
    whole = {"auths": {"registry.example.com": {"auth": CANARY}}}
    assert refusal(secret.DOCKER, _dockerconfigjson=json.dumps(whole).encode()) == ""
    bad: list[object] = [[CANARY], {"auths": {}}, {"auths": [CANARY]}, {"auths": {"a": CANARY}}, CANARY, {"x": "y"}]
    for document in bad:
        said = refusal(secret.DOCKER, _dockerconfigjson=json.dumps(document).encode())
        assert "docker login" in said
        assert leaks.search("error", said.encode(), leaks.patterns([CANARY])) == []
    assert refusal(secret.OPAQUE, a=b"x" * 2**19, b=b"x" * 2**19) == ""
    assert "at most 1048576 bytes" in refusal(secret.OPAQUE, a=b"x" * 2**19, b=b"x" * 2**19, c=b"x")


def test_several_keys_come_from_files_at_once_and_the_type_stays(
    pinned: Checkout, command: Seal, inside: Seal, tmp_path: Path
) -> None:
    certificate, key = pair(private_key())
    (tmp_path / "crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    (tmp_path / "more.env").write_text(f"true={CANARY}\n0x10=\n")
    words = ["--from-file", f"tls.crt={tmp_path / 'crt'}", "--from-file", str(tmp_path / "tls.key")]
    done = command(
        "seal", "notice-bot", "kakao", *words, "--from-env-file", str(tmp_path / "more.env"), "--type", secret.TLS
    )
    assert done.code == 0, done.err
    sealed = {"tls.crt": certificate, "tls.key": key, "true": CANARY.encode(), "0x10": b""}
    assert opened(pinned, FILE) == sealed
    document = yaml.safe_load((pinned.root / FILE).read_text())
    assert document["spec"]["template"]["type"] == secret.TLS
    assert set(document["spec"]["encryptedData"]) == set(sealed)
    done = inside("seal", "notice-bot", "kakao", "--key", "a.b", "--type", "Opaque", stdin="x")
    assert (done.code, "Kubernetes changes no Secret's type" in done.err) == (2, True)
    for words, stdin, message in [
        (["--key", "e"], "\n", "e: nothing was given; --allow-empty"),
        (["--from-file", f"a={pinned.root / FILE}"], "", "is committed with it"),
        (["--from-file", f"a={tmp_path}"], "", "cannot be read: Is a directory"),
        (["--from-file", f"a={tmp_path / 'crt'}", "--key", "a"], "x", "the key 'a' is given twice"),
        ([], "", "no key; give --key, --from-file or --from-env-file"),
        (["--from-file", f"tls.crt={tmp_path / 'crt'}"], "", "give both at once"),
    ]:
        done = inside("seal", "notice-bot", "kakao", *words, stdin=stdin)
        assert (done.code, message in done.err) == (2, True), done.err
    assert opened(pinned, FILE) == sealed
    assert inside("seal", "notice-bot", "kakao", "--key", "e", "--allow-empty", stdin="").code == 0
    assert opened(pinned, FILE) == {**sealed, "e": b""}


def test_a_file_of_another_secret_is_not_written_over(pinned: Checkout) -> None:
    """The value would be sealed for one name and stand under another, where nothing opens it."""
    target = manage.SecretTarget(Overlay("mogle", "prod"), "oauth-42-g1")
    with pytest.raises(InputError, match="has another Secret; expected oauth-42-g1, found mogle-oauth-42-g1"):
        manage.check_target(pinned, target, ["a"])
    path = "overlays/mogle/prod/sealedsecret-oauth-42-g1.yaml"
    before = (pinned.root / path).read_bytes()
    with pytest.raises(InputError):
        manage.put(pinned, target, {"client-secret": SecretBytes(b"x")}, "seoul")
    assert (pinned.root / path).read_bytes() == before
    status = subprocess.run(["git", "status", "--short"], cwd=pinned.root, capture_output=True, check=True).stdout
    assert status == b""
    assert yamlfile.read(pinned, pinned.root / path)["metadata"]["name"] == "mogle-oauth-42-g1"
