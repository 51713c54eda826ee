"""Another user of the machine against the ports of a running lab.

Taken away, the operating system's guard is what it keeps apart: the attacker is put into the lab's network, or into its
folder. The lock of a part taken away is the password, the token or the certificate in the attacker's hand.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from gitops.lab import network
from gitops.lab.layout import DOORS, PORTS, Lab
from gitops.lab.relay import LOOPBACK
from tests.attacks import Door, Guard, attack
from tests.attacks.intruder import API_PATHS, SECONDS, Target, as_nobody, bearer, blind, etcd_deed, inside, needs_root
from tests.lab.running import Running

IMPOSTOR_SECONDS = 1.0  # what an impostor waits for somebody to come: who comes is there at once
# What has no lock of its own: the network alone keeps it.
OPEN = {
    "kwok": "/debug/pprof/",
    "simulation": "/healthz",
    "externals": "/platform/gitops.git/info/refs?service=git-upload-pack",
    "sealed-secrets": "/v1/cert.pem",
    "sealed-secrets-metrics": "/metrics",
    "repo-server-metrics": "/metrics",
    "argocd-metrics": "/metrics",
    "application-controller": "/metrics",
    "applicationset-metrics": "/metrics",
    "notifications": "/metrics",
}
# What asks for a token of the API, as well.
WITH_TOKEN = {"controller-manager": "/metrics", "scheduler": "/metrics", "metrics-server": "/metrics"}
# What asks for a certificate or a signature, as well.
LOCKED = ["etcd", "etcd-peer", "repo-server", "applicationset-webhook"]
# What knows nothing to tell.
EMPTY = ["applicationset-probe"]


def test_every_port_of_a_lab_is_attacked() -> None:
    assert sorted([*OPEN, *WITH_TOKEN, *LOCKED, *EMPTY, *DOORS]) == sorted(PORTS)


@attack(Door.MACHINE, "asks {port} of a lab for {path}", Guard.SYSTEM)
@pytest.mark.parametrize(("port", "path"), OPEN.items(), ids=list(OPEN))
@pytest.mark.lab
@needs_root
def test_open_port(running: Running, port: str, path: str, guard: Guard | None) -> str | None:
    deed = Target.of(running.lab, port).ask(path)
    return as_nobody(deed, folder=running.lab.folder.parent, network=inside(running.lab, guard))


@attack(Door.MACHINE, "asks {port} of a lab for {path}", Guard.SYSTEM, Guard.LOCK)
@pytest.mark.parametrize(("port", "path"), WITH_TOKEN.items(), ids=list(WITH_TOKEN))
@pytest.mark.lab
@needs_root
def test_port_with_a_token(running: Running, port: str, path: str, guard: Guard | None) -> str | None:
    deed = Target.of(running.lab, port).ask(path, tls=blind(), headers=bearer(running.lab, guard))
    return as_nobody(deed, folder=running.lab.folder.parent, network=inside(running.lab, guard))


@attack(Door.MACHINE, "reads {what} of a lab's {port}", Guard.SYSTEM, Guard.LOCK)
@pytest.mark.parametrize(("port", "what"), [("etcd", "every Secret"), ("etcd-peer", "the members")])
@pytest.mark.lab
@needs_root
def test_etcd(running: Running, port: str, what: str, guard: Guard | None) -> str | None:
    deed = etcd_deed(running.lab, port, guard)
    return as_nobody(deed, folder=running.lab.folder.parent, network=inside(running.lab, guard))


@attack(Door.MACHINE, "has repo-server render a folder of the attacker's", Guard.SYSTEM, Guard.LOCK)
@pytest.mark.lab
@needs_root
def test_repo_server(running: Running, guard: Guard | None) -> str | None:
    certificate = None if guard is Guard.LOCK else running.lab.folder / "pki/argocd.crt"
    deed = Target.of(running.lab, "repo-server").greet(blind(certificate, http2=True))
    return as_nobody(deed, folder=running.lab.folder.parent, network=inside(running.lab, guard))


PUSH = json.dumps({"ref": "refs/heads/main", "repository": {"html_url": "http://x.example/platform/gitops"}}).encode()


def signed(lab: Lab, guard: Guard | None) -> dict[str, str]:
    secret = "guessed" if guard is Guard.LOCK else lab.settings().webhook_secret
    signature = hmac.new(secret.encode(), PUSH, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": f"sha256={signature}",
    }


@attack(Door.MACHINE, "tells the ApplicationSet controller of a push that was none", Guard.SYSTEM, Guard.LOCK)
@pytest.mark.lab
@needs_root
def test_applicationset_webhook(running: Running, guard: Guard | None) -> str | None:
    deed = Target.of(running.lab, "applicationset-webhook").ask(
        "/api/webhook", body=PUSH, headers=signed(running.lab, guard)
    )
    return as_nobody(deed, folder=running.lab.folder.parent, network=inside(running.lab, guard))


@attack(Door.MACHINE, "tells Argo CD of a push that was none", Guard.LOCK)
@pytest.mark.lab
@needs_root
def test_argocd_webhook(running: Running, guard: Guard | None) -> str | None:
    deed = Target.of(running.lab, "argocd").ask(
        "/api/webhook", tls=blind(), body=PUSH, headers=signed(running.lab, guard)
    )
    return as_nobody(deed, folder=running.lab.folder.parent)


@attack(Door.MACHINE, "asks Argo CD for {path}", Guard.LOCK)
@pytest.mark.parametrize("path", ["/api/v1/applications", "/api/v1/repositories", "/api/v1/clusters"])
@pytest.mark.lab
@needs_root
def test_argocd(running: Running, path: str, guard: Guard | None) -> str | None:
    token = "" if guard is Guard.LOCK else running.token()
    deed = Target.of(running.lab, "argocd").ask(path, tls=blind(), headers={"Authorization": f"Bearer {token}"})
    return as_nobody(deed, folder=running.lab.folder.parent)


@attack(Door.MACHINE, "asks a lab's API server for {path}", Guard.LOCK)
@pytest.mark.parametrize("path", API_PATHS)
@pytest.mark.lab
@needs_root
def test_api_server(running: Running, path: str, guard: Guard | None) -> str | None:
    deed = Target.of(running.lab, "api").ask(path, tls=blind(), headers=bearer(running.lab, guard))
    return as_nobody(deed, folder=running.lab.folder.parent)


# Two listen on every interface, as they have no flag for one.
ADDRESSES = [(port, LOOPBACK) for port in EMPTY] + [
    ("application-controller", "127.0.0.2"),
    ("notifications", "127.0.0.2"),
]


@attack(Door.MACHINE, "connects to {port} of a lab at {address}", Guard.SYSTEM)
@pytest.mark.parametrize(("port", "address"), ADDRESSES)
@pytest.mark.lab
@needs_root
def test_connection(running: Running, port: str, address: str, guard: Guard | None) -> str | None:
    number = running.lab.settings().ports[port]

    def deed() -> None:
        socket.create_connection((address, number), timeout=SECONDS).close()

    return as_nobody(deed, folder=running.lab.folder.parent, network=inside(running.lab, guard))


@attack(Door.MACHINE, "takes the port of {port} and answers in its place", Guard.SYSTEM)
@pytest.mark.parametrize("port", ["externals", "repo-server", "etcd"])
@pytest.mark.lab
@needs_root
def test_impostor(running: Running, port: str, guard: Guard | None) -> str | None:
    """The control is a lab whose parts share the machine's network, as once all did."""
    number = running.lab.settings().ports[port]
    reading, writing = os.pipe()

    def deed() -> str | None:
        with socket.create_server((LOOPBACK, number)) as impostor:
            impostor.settimeout(IMPOSTOR_SECONDS)
            os.write(writing, b"listening")
            try:
                impostor.accept()[0].close()
            except TimeoutError:
                return "nobody came: the lab's parts are in another network"
        return None

    with ThreadPoolExecutor(1) as pool:
        attacker = pool.submit(as_nobody, deed, folder=running.lab.folder.parent)
        os.read(reading, 16)
        if guard is Guard.SYSTEM:
            network.connect(running.lab, port).close()
        else:
            socket.create_connection((LOOPBACK, number), timeout=SECONDS).close()
        return attacker.result()
