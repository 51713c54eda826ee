"""Another user of the machine against the sockets, the files and the processes of a running lab."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import pytest

from gitops.lab import network, process, redis
from gitops.lab.part import REDIS_SOCKET
from gitops.lab.relay import CONNECTED
from tests.attacks import Door, Guard, attack
from tests.attacks.intruder import (
    SECONDS,
    Deed,
    as_nobody,
    needs_root,
    opened,
)
from tests.lab.running import Running


def redis_deed(name: str, password: str, words: str, *, handed: socket.socket | None = None) -> Deed:
    """One command to a Redis: None where it is carried out. `handed`: a connection that the attacker got hold of."""

    def deed() -> str | None:
        with handed or socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(SECONDS)
            if not handed:
                connection.connect(name)
            for line in (f"AUTH {redis.USER} {password}", words) if password else (words,):
                connection.sendall(f"{line}\r\n".encode())
                answer = connection.recv(4096).decode("latin-1")
                if answer.startswith("-"):
                    return answer[1:].strip()
        return None

    return deed


@attack(Door.MACHINE, "{words} in Argo CD's Redis", Guard.SYSTEM, Guard.LOCK)
@pytest.mark.parametrize("words", ["SCAN 0", "DEL x"])
@pytest.mark.lab
@needs_root
def test_redis(running: Running, words: str, guard: Guard | None) -> str | None:
    """The operating system's guard is the lab's folder; taken away, the attacker is handed a connection."""
    lab = running.lab
    handed = None if guard is Guard.SYSTEM else network.connect_unix(lab.folder / REDIS_SOCKET)
    password = "" if guard is Guard.LOCK else lab.settings().redis_password
    deed = redis_deed(f"{lab.name}/{REDIS_SOCKET}", password, words, handed=handed)
    return as_nobody(deed, folder=lab.folder.parent)


@contextmanager
def former_redis(folder: Path) -> Iterator[Path]:
    """A Redis as the lab once had it, without a line of the lab's settings. Gives its socket."""
    server, path = redis.server(), folder / "former.sock"
    words = [str(server), "--port", "0", "--unixsocket", path.name, "--unixsocketperm", "777", "--save", ""]
    # The default of version 6, which the lab had.
    words += ["--enable-protected-configs", "yes"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL) as former:
        try:
            process.wait_until("the former Redis answers", path.is_socket, seconds=20)
            yield path
        finally:
            former.kill()


@attack(Door.MACHINE, "{words} in Argo CD's Redis, with its password", Guard.LOCK)
@pytest.mark.parametrize("words", ["CONFIG SET dir /tmp", "SAVE", "MODULE LIST", "SLAVEOF NO ONE", "EVAL return(1) 0"])
@pytest.mark.lab
@needs_root
def test_redis_as_a_writer_of_files(running: Running, tmp_path: Path, words: str, guard: Guard | None) -> str | None:
    """A server that obeys these writes wherever its owner may."""
    if guard is Guard.LOCK:
        handed = network.connect_unix(running.lab.folder / REDIS_SOCKET)
        deed = redis_deed("", running.lab.settings().redis_password, words, handed=handed)
        return as_nobody(deed, folder=tmp_path)
    with former_redis(tmp_path) as path:
        return as_nobody(redis_deed("", "", words, handed=network.connect_unix(path)), folder=tmp_path)


@attack(Door.MACHINE, "gets a connection into the lab's network from its control socket", Guard.SYSTEM, Guard.LOCK)
@pytest.mark.lab
@needs_root
def test_control_socket(running: Running, guard: Guard | None) -> str | None:
    """Its lock is that it asks the kernel who connected."""
    lab, number = running.lab, str(running.lab.settings().ports["etcd"]).encode()
    handed = network.connect_unix(lab.folder / network.CONTROL) if guard is None else None

    def deed() -> str | None:
        with handed or socket.socket(socket.AF_UNIX) as control:
            control.settimeout(SECONDS)
            if not handed:
                control.connect(f"{lab.name}/{network.CONTROL}")
            control.sendall(number)
            _, files, _, _ = socket.recv_fds(control, len(CONNECTED), 1)
            return None if files else "it answers its owner alone"

    with ExitStack() as stack:
        if guard is Guard.LOCK:
            stack.enter_context(opened(lab.folder / network.CONTROL, lab.folder))
        return as_nobody(deed, folder=lab.folder.parent)


FILES = [
    "lab.json",
    "kubeconfig",
    "pki/ca.key",
    "pki/service-account.key",
    "pki/tokens.csv",
    "pki/etcd-client.key",
    "redis/auth",
    "in-cluster/token",
    "log/argocd-server.log",
    "slack.jsonl",
    "origin.git/HEAD",
    "seals.json",
    "etcd/member/snap/db",
]


@attack(Door.MACHINE, "reads {file} of a lab", Guard.SYSTEM)
@pytest.mark.parametrize("file", FILES)
@pytest.mark.lab
@needs_root
def test_files(running: Running, file: str, guard: Guard | None) -> str | None:
    lab = running.lab
    if not (lab.folder / file).exists():
        (lab.folder / file).touch(0o600)  # nothing was wrong yet that Slack would have to hear of

    def deed() -> None:
        os.close(os.open(f"{lab.name}/{file}", os.O_RDONLY))

    with ExitStack() as stack:
        if guard is None:
            stack.enter_context(opened(lab.folder / file, lab.folder))
        return as_nobody(deed, folder=lab.folder.parent)


@attack(Door.MACHINE, "reads the lab's credentials out of /proc/PID/{file}", Guard.SYSTEM)
@pytest.mark.parametrize("file", ["cmdline", "environ"])
@pytest.mark.lab
@needs_root
def test_proc(running: Running, file: str, guard: Guard | None) -> str | None:
    """The control is a part that is given its token in its command line."""
    settings = running.lab.settings()
    secrets = [settings.token, settings.webhook_secret, settings.redis_password]
    pids = [member.pid for member in chain.from_iterable(process.running(running.lab).values())]

    def deed() -> str | None:
        for pid in pids:
            try:
                text = Path(f"/proc/{pid}/{file if guard else 'cmdline'}").read_text()
            except PermissionError:
                continue
            if any(secret in text for secret in secrets):
                return None
        return "no process shows one"

    with ExitStack() as stack:
        if guard is None:
            careless = [sys.executable, "-c", "input()", settings.token]
            part = stack.enter_context(subprocess.Popen(careless, stdin=subprocess.PIPE))
            stack.callback(part.kill)
            pids.append(part.pid)
        return as_nobody(deed, folder=running.lab.folder.parent)
