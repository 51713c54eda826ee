"""How a program reads what is sealed for it, and no more: odd paths, odd values, what is read already, by whom else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from tests.conftest import commit_all
from tests.service_world import MOGLE, VALUE, Given, app, changed
from tests.world import run_here

PROD = MOGLE[0]
SEAL = ("secrets", "seal", "mogle")
ODD_PATHS = (
    "run/api/token",
    "/token",
    "//run/api/token",
    "/run/api/",
    "/run/./api/token",
    "/run/api/..",
    "/run/api/..data",
    "/run/a:b/token",
    "/run/a b/token",
    "/run/api\n/token",
    "/etc/passwd",
    "/etc/ssl/certs/token",
    "/usr/local/bin/token",
    "/proc/1/token",
    "/dev/shm/token",
    "/bin/sub/token",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
)


@pytest.mark.parametrize("path", ODD_PATHS)
def test_a_file_that_cannot_be_mounted_is_refused(here: Checkout, given: Given, path: str) -> None:
    done = given(*SEAL, "api", "--key", "key", "--as-file", path)
    assert (done.code, done.out) == (2, "")
    assert "--as-file; expected a file in a folder that has nothing else, such as /run/secrets/api/token" in done.err
    assert changed(here) == []


def test_a_folder_that_an_image_may_have_is_said(here: Checkout, given: Given) -> None:
    words = (*SEAL, "api", "--key", "key", "--environment", "prod", "--as-file")
    done = given(*words, "/app/token")
    assert "note: the program reads key as the file /app/token\n" in done.out
    assert "note: what the image itself has in /app is hidden by it\n" in done.out
    commit_all(here)
    assert "is hidden" not in given(*SEAL, "more", *words[4:], "/run/more/token").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("api", "--key", "other", "--as-file", "/run/api/key"), ":16: /run/api/key is key already; name another file"),
        (("api", "--key", "other", "--as-file", "/run/other/key"), "the volume api is mounted elsewhere; give it in"),
        (("more", "--key", "key", "--as-file", "/run/api/more"), "/run/api is mounted already; choose another folder"),
        (("more", "--key", "key", "--as-file", "/run/api/sub/key"), "/run/api/sub and /run/api, which is mounted alr"),
    ],
    ids=["file", "volume", "folder", "folder in a folder"],
)
def test_what_is_mounted_already_is_refused(here: Checkout, given: Given, words: tuple[str, ...], message: str) -> None:
    file = here.root / PROD / "deployment.yaml"
    assert given("service", "unset", "mogle", "GREETING").code == 0
    commit_all(here)
    assert given("secrets", "remove", "mogle", "mail").code == 0
    commit_all(here)
    assert not file.exists()
    assert given(*SEAL, "api", "--key", "key", "--as-file", "/run/api/key", "--environment", "prod").code == 0
    commit_all(here)
    done = given(*SEAL, *words, "--environment", "prod")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert changed(here) == []


def test_a_volume_has_a_name_of_its_own(here: Checkout, given: Given) -> None:
    # `tmp` is the base's, and a.b and a-b would be one.
    for number, name in enumerate(("tmp", "a.b", "a-b")):
        done = given(*SEAL, name, "--key", "key", "--as-file", f"/run/{number}/key", "--environment", "prod")
        assert done.code == 0, done.err
        commit_all(here)
    paths = {mount["name"]: mount["mountPath"] for mount in app(here, PROD)["volumeMounts"]}
    assert paths["tmp"] == "/tmp"
    assert set(paths.values()) >= {"/run/0", "/run/1", "/run/2"}
    for name in ("tmp", "a.b", "a-b"):
        assert given("secrets", "remove", "mogle", name).code == 0
        commit_all(here)
    assert {mount["name"] for mount in app(here, PROD)["volumeMounts"]} == {"tmp"}


def test_a_volume_of_all_keys_keeps_all_of_them(here: Checkout, given: Given) -> None:
    sealing = (*SEAL, "api", "--environment", "prod", "--as-file")
    assert given(*sealing, "/run/api/one", "--key", "one").code == 0
    file = here.root / PROD / "deployment.yaml"
    text = file.read_text()
    file.write_text(text.replace("            items:\n              - {key: one, path: one}\n", ""))
    assert file.read_text() != text
    commit_all(here)
    done = given(*sealing, "/run/api/another", "--key", "two")
    assert (done.code, "the volume api has each key by its own name; --as-file /run/api/two" in done.err) == (2, True)
    assert given(*sealing, "/run/api/two", "--key", "two").code == 0
    assert "items" not in file.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\0b", "KEY: a variable is text, and this is none; --as-file /run/secrets/api/KEY"),
        (b"\xff\xfe", "KEY: a variable is text, and this is none; --as-file /run/secrets/api/KEY"),
        (b"a" * 131_068, "KEY: longer than a variable can be; expected less than 131072; --as-file"),
    ],
    ids=["zero byte", "no UTF-8", "long"],
)
def test_a_value_that_no_variable_can_have_is_a_file(
    here: Checkout, given: Given, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "value").write_bytes(content)
    sealing = (*SEAL, "api", "--from-file", f"KEY={tmp_path}/value", "--environment", "prod")
    done = given(*sealing, "--as-env")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert changed(here) == []
    assert given(*sealing, "--as-file", "/run/secrets/api/KEY").code == 0


def test_two_keys_are_two_variables(here: Checkout, given: Given, tmp_path: Path) -> None:
    (tmp_path / "values").write_text("a-b=1\na.b=2\n")
    done = given(*SEAL, "api", "--from-env-file", str(tmp_path / "values"), "--as-env")
    assert (done.code, done.out) == (2, "")
    assert done.err == "gitops: a-b and a.b would both be $API_A_B; give one of them another name\n"
    assert changed(here) == []


def test_a_variable_of_another_secret_is_refused_with_what_comes_first(here: Checkout, given: Given) -> None:
    done = given(*SEAL, "api", "--key", "MAIL_TOKEN", "--as-env")
    assert (done.code, done.out) == (2, "")
    assert "MAIL_TOKEN is set there already; gitops secrets remove mogle mail --key token comes first" in done.err
    assert changed(here) == []


def test_a_variable_of_a_secret_is_taken_out_by_the_line_that_unset_says(here: Checkout, given: Given) -> None:
    refused = given("service", "unset", "mogle", "MAIL_TOKEN")
    assert (refused.code, changed(here)) == (2, [])
    words = "gitops secrets remove mogle mail --key token"
    assert f"MAIL_TOKEN is read from a Secret; {words} takes it and what reads it" in refused.err
    assert given(*words.split()[1:]).code == 0
    assert "MAIL_TOKEN" not in {entry["name"] for entry in app(here, PROD)["env"]}


def test_what_is_read_already_is_only_sealed(here: Checkout, given: Given) -> None:
    done = given("secrets", "seal", "oauth-watch", "github", "--key", "token", "--as-env")
    assert done.code == 0, done.err
    folder = "overlays/oauth-watch/prod"
    assert changed(here) == [f"{folder}/kustomization.yaml", f"{folder}/sealedsecret-github.yaml"]


# -- what a person types


@pytest.mark.parametrize(
    "words",
    [
        ("seal", "mogle", "api", "--key", f"TOKEN={VALUE}", "--as-env"),
        ("seal", "mogle", "api", VALUE, "--key", "TOKEN", "--as-env"),
        ("seal", "mogle", "api", "--key", "TOKEN", VALUE),
        ("leaked", "mogle", "mail", "--key", f"token={VALUE}"),
        ("leaked", "mogle", "mail", VALUE),
    ],
    ids=lambda words: " ".join(words).replace(VALUE, "VALUE"),
)
def test_a_value_as_an_argument_is_refused_and_not_shown(here: Checkout, given: Given, words: tuple[str, ...]) -> None:
    done = given("secrets", *words)
    assert (done.code, done.out) == (2, "")
    assert "a value is never an argument; pipe it in, or type it at the prompt" in done.err
    assert (VALUE in done.err, done.err.count("\n")) == (False, 1)
    assert changed(here) == []


@pytest.mark.parametrize("wiring", [("--as-env",), ("--as-file", "/run/api/key"), ()], ids=["env", "file", "none"])
def test_a_closed_standard_input_is_no_value(
    here: Checkout, wiring: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    done = run_here(here.root, (*SEAL, "api", "--key", "key", *wiring), None, {})
    assert (done.code, done.out) == (2, "")
    assert "api key: nothing was given; type it at the prompt, or pipe it in" in done.err
    assert changed(here) == []


# -- whoever reads it beside the program

SIDE = """\
        - name: side
          image: app
          env:
            - {name: ITS_TOKEN, valueFrom: {secretKeyRef: {name: mail, key: token}}}
          volumeMounts:
            - {name: mail, mountPath: /run/mail}
      initContainers:
        - name: first
          image: app
          envFrom:
            - secretRef: {name: mail}
          volumeMounts:
            - {name: mail, mountPath: /run/mail}
      volumes:
        - name: mail
          secret: {secretName: mail}
"""
NIGHTLY = """\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: job
              image: app
              env:
                - name: TOKEN
                  valueFrom:
                    secretKeyRef: {name: mail, key: token}
"""


@pytest.mark.parametrize("key", [(), ("--key", "token")], ids=["all of it", "its only key"])
def test_a_secret_goes_with_all_that_reads_it(here: Checkout, given: Given, key: tuple[str, ...]) -> None:
    folder = here.root / PROD
    deployment, listing = folder / "deployment.yaml", folder / "kustomization.yaml"
    deployment.write_text(deployment.read_text() + SIDE)
    (folder / "nightly.yaml").write_text(NIGHTLY)
    listing.write_text(listing.read_text().replace("  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - nightly.yaml\n"))
    commit_all(here)
    done = given("secrets", "remove", "mogle", "mail", *key)
    assert done.code == 0, done.err
    rendered = str([item for item in kustomize.build(here, folder) if item["kind"] in ("Deployment", "CronJob")])
    assert "'mail'" not in rendered
    assert "'side'" in rendered
    assert "'nightly'" in rendered


def test_one_key_of_several_is_what_the_commit_says(here: Checkout, given: Given) -> None:
    assert given(*SEAL, "mail", "--key", "other", "--as-file", "/run/mail/other").code == 0
    commit_all(here)
    done = given("secrets", "remove", "mogle", "mail", "--key", "other")
    assert done.code == 0, done.err
    assert "git commit -m 'mogle: no more other of mail'" in done.out
    sources = [entry.get("valueFrom") for entry in app(here, PROD)["env"]]
    assert {"secretKeyRef": {"name": "mail", "key": "token"}} in sources


# -- whoever ends it

_ENDED = """
import os
from gitops.manifests import kustomize
kustomize.build = lambda *_, **__: os.kill(os.getpid(), {number})
from gitops.cli import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_a_run_nothing_of_it_is_left(here: Checkout, number: signal.Signals) -> None:
    words = [sys.executable, "-c", _ENDED.format(number=int(number)), *SEAL, "api", "--key", "key"]
    done = subprocess.run(words, cwd=here.root, input=VALUE, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.split() == ["interrupted"]
    assert changed(here) == []
