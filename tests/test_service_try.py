"""`gitops service try`: each clause of the contract, kept and broken, by containers that a real podman starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.lab.process import wait_until
from gitops.service import contract, sockets
from tests import containers
from tests.conftest import GITOPS, Ran, gitops
from tests.containers import IMAGE, Podman
from tests.frozen import platform

Try = Callable[..., Ran]
ask: Try = gitops
RUNS = "runs as user 65532:65532, writes to /tmp alone, without capabilities, in 128 MiB"


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    return containers.make(tmp_path_factory.mktemp("podman"))


@pytest.fixture
def impatient(scratch: Checkout) -> Checkout:
    """A base whose numbers are smaller: they are read there, and nobody waits for a minute."""
    for path, numbers in {
        "base/workload/deployment.yaml": {"failureThreshold: 30": "failureThreshold: 2"},
        "base/web/deployment.yaml": {"terminationGracePeriodSeconds: 60": "terminationGracePeriodSeconds: 24"},
    }.items():
        file = scratch.root / path
        text = file.read_text()
        for old, new in numbers.items():
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)
    return scratch


@pytest.fixture
def tries(impatient: Checkout, podman: Podman) -> Try:
    return lambda *words, **env: ask(impatient, "service", "try", IMAGE, *words, **podman.environment, **env)


@pytest.mark.matrix
def test_an_image_that_keeps_the_contract(tries: Try, podman: Podman) -> None:
    done = tries()
    assert done.code == 0, (done.out, done.err)
    lines = done.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["kept"] * 6
    assert f"kept:      {RUNS}: it runs since" in done.out
    assert lines[-1].startswith("kept:      ends on SIGTERM within 4 s (24 less 20 of preStop): after ")
    assert podman.left() == []


# What the program breaks, the clause that is said to be broken, and of the fix.
BROKEN = {
    "writes": ("writes to /tmp alone", "it writes /var/cache/app/index: have it write to /tmp alone"),
    "root": ("runs as user 65532", "have its files readable by any user, and try `USER 65532:65532`"),
    "variable": (RUNS, "it ends without these walls too: read what it said"),
    "memory": ("in 128 MiB", "it needs more than 128 MiB"),
    "loopback": ("answers GET /healthz", "listen on 0.0.0.0, all addresses"),
    "port": ("answers GET /healthz", "--port 3000"),
    "silent": ("answers GET /healthz", "listen on $PORT on all addresses"),
    "health": ("answers GET /healthz", "--health PATH"),
    "ready": ("answers GET /readyz", "answer it with 200"),
    "end": ("ends on SIGTERM within 4 s", "handle SIGTERM in its first process"),
}


@pytest.mark.matrix
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_clause_is_named_with_its_fix(tries: Try, podman: Podman, broken: str) -> None:
    done = tries("--env", f"BREAK={broken}", "--output", "json")
    clause, fix = BROKEN[broken]
    assert done.code == 1, (done.out, done.err)
    told = {entry["clause"]: entry for entry in json.loads(done.out)}
    [first, *_] = [entry for entry in told.values() if entry["kept"] is False]
    assert clause in first["clause"]
    assert fix in first["fix"]
    assert sum(entry["kept"] is False for entry in told.values()) == 1, "one cause is said once"
    assert f"gitops: {IMAGE} breaks " in done.err
    assert podman.left() == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    "words",
    [
        ("--env", "BREAK=temporary"),
        ("--env", "BREAK=port", "--port", "3000"),
        ("--env", "BREAK=health", "--health", "/status"),
        ("--env", "BREAK=variable", "--env", "MENU_URL=https://menu.example.com"),
        ("--shape", "bot"),
    ],
    ids=" ".join,
)
def test_what_it_is_told_and_given_is_no_fault(tries: Try, words: tuple[str, ...]) -> None:
    assert tries(*words).code == 0


@pytest.mark.matrix
def test_what_it_said_and_a_file_of_variables(tries: Try, tmp_path: Path) -> None:
    done = tries("--env", "BREAK=variable")
    assert done.code == 1
    assert "with exit code 3, and said:\n             MENU_URL is not set\n" in done.out
    assert "not tried: answers GET /readyz on $PORT (8080): it had ended" in done.out
    (tmp_path / "variables").write_text("MENU_URL=https://menu.example.com\nBREAK=variable\n")
    assert tries("--env-file", str(tmp_path / "variables")).code == 0


@pytest.mark.matrix
def test_an_image_that_is_nowhere(impatient: Checkout, podman: Podman) -> None:
    done = ask(impatient, "service", "try", "localhost/nobody:1", **podman.environment)
    assert (done.code, done.out) == (4, "")
    assert "localhost/nobody:1 is not here and cannot be brought: " in done.err
    assert "podman login" in done.err


@pytest.mark.matrix
def test_ctrl_c_leaves_no_container(scratch: Checkout, podman: Podman) -> None:
    """The base's own numbers: it would wait for a minute."""
    words = [str(GITOPS), "service", "try", IMAGE, "--env", "BREAK=silent"]
    started = subprocess.Popen(
        words, cwd=scratch.root, env={**os.environ, **podman.environment}, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until("its container runs", lambda: started.poll() is not None or bool(podman.left()), seconds=120)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 130
    assert err.endswith("interrupted\n")
    assert podman.left() == []


def nowhere(scratch: Checkout, folder: Path, **programs: str) -> Ran:
    """The command where PATH has these scripts alone."""
    folder.mkdir()
    (folder / "git").symlink_to(shutil.which("git") or "")
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return gitops(scratch, "service", "try", "shop:1", PATH=str(folder))


def test_without_podman_and_docker_one_message_says_what_to_install(scratch: Checkout, tmp_path: Path) -> None:
    done = nowhere(scratch, tmp_path / "bin")
    assert (done.code, done.out) == (3, "")
    [line] = done.err.splitlines()
    assert line.startswith("gitops: neither podman nor docker is here, and one of them has to start the image; install")


def test_a_docker_without_its_engine_is_said(scratch: Checkout, tmp_path: Path) -> None:
    done = nowhere(scratch, tmp_path / "bin", docker='echo "Cannot connect to the Docker daemon" >&2; exit 1')
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        "gitops: docker is here and does not answer: Cannot connect to the Docker daemon; start it, or install podman\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--privileged",), "--privileged"),
        (("",), "''"),
        (("a b",), "'a b'"),
        (("shop:1", "--env", "API_TOKEN=abcdefgh"), "API_TOKEN looks like a secret (by its name)"),
        (("shop:1", "--env", "MENU_URL"), "NAME=VALUE"),
        (("shop:1", "--env", "abcdefgh"), "NAME=VALUE"),
        (("shop:1", "--env-file", "/nowhere"), "/nowhere"),
        (("shop:1", "--health", "status"), "a path, such as /status"),
        (("shop:1", "--port", "80"), "80"),
        (("shop:1", "--shape", "cron"), "cron"),
    ],
    ids=" ".join,
)
def test_bad_input_is_refused_before_anything_is_started(
    scratch: Checkout, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "git").symlink_to(shutil.which("git") or "")
    done = gitops(scratch, "service", "try", *words, PATH=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "abcdefgh" not in done.err


@pytest.mark.parametrize("shape", contract.SHAPES)
def test_the_contract_is_what_the_base_renders(shape: str) -> None:
    read = contract.of_base(platform(), shape, None, None)
    assert (read.sandbox.user, read.sandbox.read_only, read.sandbox.dropped) == ("65532:65532", True, ("ALL",))
    assert (read.sandbox.memory, dict(read.sandbox.writable)) == (128 * 2**20, {"/tmp": 64 * 2**20})
    assert (read.startup.path, read.startup.patience, read.readiness.path) == ("/healthz", 60, "/readyz")
    assert read.grace == {"web": 40, "bot": 30}[shape]
    assert contract.of_base(platform(), shape, 3000, "/up").sandbox.variables == {"PORT": "3000"}


def test_where_a_process_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside, socket.create_server(("", 0)) as everywhere:
        ports = sockets.listening(os.getpid())
        assert inside.getsockname()[1] in ports.loopback - ports.everywhere
        assert everywhere.getsockname()[1] in ports.everywhere - ports.loopback
    assert sockets.listening(0) == sockets.Listening()
