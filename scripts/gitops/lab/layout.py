"""Where a lab keeps its files, which ports it has, and what it must remember between two commands."""

from __future__ import annotations

import json
import random
import re
import secrets
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from gitops.ground import jsontext
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError, MachineError
from gitops.ground.suggest import did_you_mean

# Every port that a part listens on, in the lab's own network. Redis has none: it listens on a socket in
# the lab's folder.
PORTS = (
    "etcd", "etcd-peer", "api", "controller-manager", "scheduler", "kwok", "metrics-server", "sealed-secrets",
    "sealed-secrets-metrics", "repo-server", "repo-server-metrics", "argocd", "argocd-metrics",
    "application-controller", "applicationset-webhook", "applicationset-metrics", "applicationset-probe",
    "notifications", "externals", "simulation",
)  # fmt: skip
# The ports that lead in from the machine's loopback. What stands behind them has a certificate and asks who one is.
DOORS = ("api", "argocd")
# Below the range that Linux takes outgoing connections from, so that a lab that was down finds its ports free again.
PORT_RANGE = range(20000, 32000)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class LabSettings:
    """What a lab keeps for its whole life: lab.json in its folder, readable by its owner alone."""

    ports: dict[str, int]
    token: str
    webhook_secret: str
    redis_password: str
    nodes_per_zone: int
    # Whether its parts run in a network of its own. The control plane of a check alone does without: it has no part
    # that does not ask for a certificate or a token.
    private: bool


@dataclass(frozen=True)
class Lab:
    """One lab of one checkout. Several may run side by side under different names."""

    checkout: Checkout
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"{self.name!r}: a lab's name is lower-case letters, digits and hyphens, at most 32 of them"
            )

    def command(self, verb: str) -> str:
        """What to type for this lab, such as `gitops lab up --name other`."""
        return f"gitops lab {verb}" + (f" --name {self.name}" if self.name != default_name() else "")

    @property
    def folder(self) -> Path:
        """Everything that this lab writes."""
        return self.checkout.labs / self.name

    @property
    def exists(self) -> bool:
        """Whether `up` was ever called for it since the last `reset`."""
        return (self.folder / "lab.json").exists()

    @property
    def kubeconfig(self) -> Path:
        """For kubectl and every part. Its context's namespace is argocd, which Argo CD takes its own from."""
        return self.checkout.lab_kubeconfig(self.name)

    @property
    def origin(self) -> Path:
        """The bare repository that Argo CD reads."""
        return self.folder / "origin.git"

    @property
    def upstream(self) -> Path:
        """The bare repositories of the projects that Applications read, as <owner>/<name>.git."""
        return self.folder / "upstream"

    @property
    def slack_file(self) -> Path:
        """Each message that was sent to Slack, a JSON object a line."""
        return self.folder / "slack.jsonl"

    @property
    def deployments_file(self) -> Path:
        """What Argo CD told GitHub of its Applications' health, a JSON object a call."""
        return self.folder / "deployments.jsonl"

    def log(self, part: str) -> Path:
        """What a part printed."""
        return self.folder / "log" / f"{part}.log"

    def settings(self) -> LabSettings:
        """Read lab.json. Raises InputError where the lab was never up."""
        try:
            return LabSettings(**jsontext.parse((self.folder / "lab.json").read_text()))
        except (TypeError, ValueError):
            raise InputError(
                f"lab {self.name!r}: made by another version of gitops, or its lab.json is broken",
                fix=f"forget that lab: {self.command('reset')}",
            ) from None
        except FileNotFoundError:
            others = [lab.name for lab in find_labs(self.checkout)]
            there = [f"lab {self.name!r}: never started", *([did_you_mean(self.name, others)] if others else [])]
            raise InputError("; ".join(there), fix=f"run: {self.command('up')}") from None

    def create(self, nodes_per_zone: int, api_port: int | None = None, *, private: bool = True) -> LabSettings:
        """Choose and remember free ports and new credentials. Raises MachineError where a wished port is taken."""
        if api_port:
            check_free("api", api_port, fix="end that program, or take another port")
        settings = LabSettings(
            ports=dict(zip(PORTS, _free_ports(len(PORTS), self._reserved()), strict=True))
            | ({"api": api_port} if api_port else {}),
            token=secrets.token_urlsafe(32),
            webhook_secret=secrets.token_urlsafe(32),
            redis_password=secrets.token_urlsafe(32),
            nodes_per_zone=nodes_per_zone,
            private=private,
        )
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)  # also one that was there before
        (self.folder / "log").mkdir(exist_ok=True)
        partial = self.folder / "lab.json.partial"
        partial.touch(0o600)
        partial.write_text(json.dumps(asdict(settings), indent=1))
        partial.rename(self.folder / "lab.json")
        return settings

    def _reserved(self) -> set[int]:
        """The ports of this checkout's other labs: one that is down finds its own free again."""
        ports: set[int] = set()
        for lab in find_labs(self.checkout):
            if lab.name != self.name:
                # One of another version keeps its ports, if nothing else can be said of it.
                with suppress(ValueError, TypeError, KeyError, AttributeError):
                    ports.update(jsontext.parse((lab.folder / "lab.json").read_text())["ports"].values())
        return ports

    def url(self, port: str) -> str:
        """The address of one of the lab's ports, in the lab's own network."""
        scheme = "https" if port in DOORS else "http"
        return f"{scheme}://127.0.0.1:{self.settings().ports[port]}"

    @property
    def ca(self) -> Path:
        """The authority that certifies what answers on the lab's ports."""
        return self.folder / "pki/ca.crt"

    @property
    def repo_url(self) -> str:
        """The origin's address, as Argo CD knows it. Everybody else clones and pushes `origin`, the folder itself."""
        return f"{self.url('externals')}/platform/gitops.git"


def check_free(what: str, port: int, *, fix: str) -> None:
    """Raise MachineError, naming who has it and what to do, unless `port` can be listened on."""
    if not _is_free(port):
        raise MachineError(f"port {port} ({what}) is taken{_owner(port)}", fix=fix)


def _owner(port: int) -> str:
    for process in psutil.process_iter():
        try:
            for connection in process.net_connections():
                if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                    return f" by process {process.pid} ({process.name()})"
        except (psutil.Error, OSError):
            continue
    return ""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_ports(count: int, reserved: Collection[int]) -> list[int]:
    """`count` free ports, none of them `reserved`; at random, so that two labs that start together do not meet."""
    sample = random.SystemRandom().sample(PORT_RANGE, k=min(len(PORT_RANGE), count * 20))
    free = [port for port in sample if port not in reserved and _is_free(port)][:count]
    if len(free) < count:
        raise MachineError(f"fewer than {count} free ports between {PORT_RANGE.start} and {PORT_RANGE.stop}")
    return free


def find_labs(checkout: Checkout) -> list[Lab]:
    """Every lab of this checkout that has state."""
    if not checkout.labs.is_dir():
        return []
    # Of another name it is no lab's: a hidden one, a person's own.
    names = sorted(folder.name for folder in checkout.labs.iterdir() if _NAME.fullmatch(folder.name))
    return [lab for name in names if (lab := Lab(checkout, name)).exists]


def default_name() -> str:
    """GITOPS_LAB_NAME, or `default`."""
    from gitops.ground import settings

    return settings.read().lab_name
