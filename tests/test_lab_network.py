"""A lab's own network, without the lab: its process, and a server inside."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError, NotHealthyError
from gitops.ground.progress import Progress
from gitops.lab import control, network, process
from gitops.lab import lab as labs
from gitops.lab.layout import Lab, find_labs
from gitops.lab.parts import all_parts
from gitops.lab.relay import LOOPBACK

SERVER = (
    sys.executable,
    "-c",
    "import http.server as h, sys; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]))",
)


@pytest.fixture
def lab(scratch: Checkout) -> Iterator[Lab]:
    """A lab of which the network runs, and a web server inside on the ports `api`, which has a door, and `kwok`."""
    lab = Lab(scratch, "network")
    lab.create(0)
    (lab.folder / "tmp").mkdir()
    [part] = [part for part in all_parts(lab) if part.name == process.NETWORK]
    try:
        process.start(lab, part.name, part.argv, part.env)
        process.wait_until("the network is there", part.ready, seconds=20)
        for port in ("api", "kwok"):
            process.start(lab, port, [*SERVER, str(lab.settings().ports[port])], {})
            process.wait_until(f"{port} answers", partial(answers, lab, port), seconds=20)
        yield lab
    finally:
        process.end_all(lab)


def answers(lab: Lab, port: str) -> bool:
    try:
        return network.request(lab, port, "/lab.json")[0] == 200
    except OSError:
        return False


def test_the_owner_reaches_every_port_and_the_loopback_has_the_doors(lab: Lab) -> None:
    assert answers(lab, "kwok")
    ports = lab.settings().ports
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, ports["kwok"])).close()
    with socket.create_connection((LOOPBACK, ports["api"])) as door:
        door.sendall(b"GET /lab.json HTTP/1.0\r\n\r\n")
        assert door.makefile("rb").readline().split()[1] == b"200"
    with pytest.raises(ConnectionRefusedError, match="nothing listens on scheduler"):
        network.connect(lab, "scheduler")


def test_a_door_without_a_part_behind_it_ends_at_once(lab: Lab) -> None:
    with socket.create_connection((LOOPBACK, lab.settings().ports["argocd"]), timeout=5) as door:
        assert door.recv(1) == b""


def test_files_of_a_part_are_its_owners_alone(lab: Lab) -> None:
    process.start(lab, "writer", ["sh", "-c", "echo x > written; mktemp"], {})
    process.wait_until("it wrote", lambda: bool(process.tail(lab, "writer").count("/")), seconds=20)
    temporary = Path(process.tail(lab, "writer"))
    assert temporary.parent == lab.folder / "tmp"
    for path in (lab.folder, lab.folder / "lab.json", lab.folder / "written", lab.log("writer"), temporary):
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_lost_its_network_is_ended_and_nothing_else_starts_there(lab: Lab) -> None:
    for member in process.running(lab)[process.NETWORK]:
        member.kill()
        member.wait()
    with pytest.raises(NotHealthyError, match="network is dead"):
        process.start(lab, "late", ["sleep", "60"], {})
    assert set(process.running(lab)) == {"api", "kwok"}
    control.end_where_network_died(lab)
    assert process.running(lab) == {}


def test_a_lab_of_a_check_is_not_brought_up(scratch: Checkout) -> None:
    lab = Lab(scratch, "check")
    lab.create(0, private=False)
    with pytest.raises(InputError, match="is a check's: it has no nodes"):
        labs.up(lab, Progress(quiet=True))


@pytest.mark.parametrize(
    "text", ['{"ports": {}, "token": "", "webhook_secret": "", "nodes_per_zone": 2}', "", "{", "[]", "null"]
)
def test_a_lab_of_another_version_is_said(scratch: Checkout, text: str) -> None:
    lab = Lab(scratch, "old")
    lab.create(0)
    (lab.folder / "lab.json").write_text(text)
    with pytest.raises(InputError, match="made by another version of gitops, or its lab"):
        lab.settings()
    Lab(scratch, "new").create(0)  # beside it


@pytest.mark.parametrize("name", ["Foo", ".hidden", "notes.md"])
def test_what_a_person_keeps_beside_the_labs_is_none(scratch: Checkout, name: str) -> None:
    Lab(scratch, "mine").create(0)
    (scratch.labs / name).mkdir()
    (scratch.labs / name / "lab.json").write_text("{}")
    assert [lab.name for lab in find_labs(scratch)] == ["mine"]
