"""Containers on this machine, by podman or docker: whichever is there and answers. Both take the same words here."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitops.ground import jsontext
from gitops.ground.command import CommandError, run
from gitops.ground.errors import ExternalError, Fault, MachineError

PROGRAMS = ("podman", "docker")
LOOPBACK = "127.0.0.1"
# Seconds for a word with the program, and for an image from its registry.
_ANSWER, _PULL = 60.0, 600.0
# What podman and docker write themselves into a root.
_WRITTEN = ("/etc/passwd", "/etc/group", "/etc/host", "/etc/resolv.conf", "/etc/mtab", "/run/.container", "/.dockerenv")
# Seconds in which it may tell of an end that was in time, and between two looks.
_LATE, _LOOK = 2.0, 0.1


@dataclass(frozen=True)
class Sandbox:
    """What a container may do and gets. `memory` and the sizes of `writable` folders are bytes.

    None: as the image has it (`user`), or without a limit (`memory`).
    """

    user: str | None
    read_only: bool
    dropped: tuple[str, ...]
    no_new_privileges: bool
    memory: int | None
    writable: Mapping[str, int]
    variables: Mapping[str, str]
    port: int


@dataclass(frozen=True)
class ContainerState:
    """What a container is at. `pid`: its first process, as this machine counts; `address`: of its port, here."""

    running: bool
    exit_code: int
    out_of_memory: bool
    pid: int
    address: tuple[str, int] | None


@dataclass(frozen=True)
class Engine:
    """podman or docker. Its calls raise ExternalError."""

    program: str

    def architecture(self, image: str) -> str:
        """Which system an image is for, as linux/amd64. It is brought from its registry where it is not here."""
        try:
            self._run("image", "inspect", image)
        except CommandError:
            self._pull(image)
        [facts] = jsontext.parse(self._run("image", "inspect", image))
        return f"{facts.get('Os', '')}/{facts.get('Architecture', '')}"

    def _pull(self, image: str) -> None:
        try:
            self._run("pull", "--quiet", image, timeout=_PULL)
        except CommandError as error:
            why = error.last_lines[-1] if error.last_lines else error.how
            fix = f"build it first, or sign in to its registry: {self.program} login"
            raise ExternalError(f"{image} is not here and cannot be brought: {why}", fix=fix) from None

    def start(self, name: str, image: str, sandbox: Sandbox, environment_file: Path | None) -> None:
        """Start a container under a name. Raises CommandError where the image cannot be started at all."""
        self._run("run", "--detach", "--name", name, *self._options(sandbox, environment_file), image)

    def _options(self, sandbox: Sandbox, environment_file: Path | None) -> list[str]:
        words = ["--publish", f"{LOOPBACK}::{sandbox.port}"]
        if sandbox.user:
            words += ["--user", sandbox.user]
        if sandbox.read_only:
            # podman makes /run and /var/tmp writable of its own accord; a cluster does not.
            words += ["--read-only", *(["--read-only-tmpfs=false"] if self.program == "podman" else [])]
        for capability in sandbox.dropped:
            words += ["--cap-drop", capability]
        if sandbox.no_new_privileges:
            words += ["--security-opt", "no-new-privileges"]
        if sandbox.memory:
            # No swap beside it: a node has none.
            words += ["--memory", f"{sandbox.memory}b", "--memory-swap", f"{sandbox.memory}b"]
        for path, size in sandbox.writable.items():
            words += ["--tmpfs", f"{path}:rw,exec,mode=1777,size={size}"]
        for variable, value in sandbox.variables.items():
            words += ["--env", f"{variable}={value}"]
        return words + (["--env-file", str(environment_file)] if environment_file else [])

    def state(self, name: str) -> ContainerState:
        """What a container is at now."""
        [facts] = jsontext.parse(self._run("container", "inspect", name))
        state: dict[str, Any] = facts["State"]
        return ContainerState(
            bool(state.get("Running")),
            int(state.get("ExitCode") or 0),
            bool(state.get("OOMKilled")),
            int(state.get("Pid") or 0),
            _address((facts.get("NetworkSettings") or {}).get("Ports") or {}),
        )

    def said(self, name: str, lines: int) -> list[str]:
        """The last lines that its program printed, on either stream."""
        words = [self.program, "logs", "--tail", str(lines), name]
        return run(words, timeout=_ANSWER, together=True).decode(errors="replace").splitlines()

    def changed(self, name: str) -> list[str]:
        """The paths that its program wrote in its own root, the deepest alone."""
        lines = [line.partition(" ") for line in self._run("diff", name).decode(errors="replace").splitlines()]
        paths = sorted(path for mark, _, path in lines if mark in ("A", "C") and not path.startswith(_WRITTEN))
        folders = {"/etc"}
        for path in paths:
            folders |= set(map(str, Path(path).parents))
        return [path for path in paths if path not in folders]

    def end(self, name: str, seconds: float) -> float | None:
        """Send SIGTERM to its first process. Returns the seconds that its end took; None where it has none in time."""
        self._run("kill", "--signal", "TERM", name)
        sent = datetime.now(UTC)
        while True:
            [facts] = jsontext.parse(self._run("container", "inspect", name))
            if not facts["State"].get("Running"):
                # Its own clock says when it ended: who asks may be late.
                took = datetime.fromisoformat(facts["State"]["FinishedAt"]) - sent
                return max(0.0, took.total_seconds()) if took.total_seconds() <= seconds else None
            if (datetime.now(UTC) - sent).total_seconds() > seconds + _LATE:
                return None
            time.sleep(_LOOK)

    def remove(self, name: str) -> None:
        """Have nothing left of a container, whatever it is at."""
        self._run("rm", "--force", name, ok=(0, 1))

    def _run(self, *words: str, timeout: float = _ANSWER, ok: tuple[int, ...] = (0,)) -> bytes:
        return run([self.program, *words], timeout=timeout, ok=ok)


def _address(ports: Mapping[str, Sequence[Mapping[str, str]] | None]) -> tuple[str, int] | None:
    for bindings in ports.values():
        for binding in bindings or ():
            return binding.get("HostIp") or LOOPBACK, int(binding["HostPort"])
    return None


def engine() -> Engine:
    """The first of PROGRAMS that is here and answers. Raises MachineError: none is, or why each does not."""
    faults: list[Fault] = []
    for program in PROGRAMS:
        if shutil.which(program) is None:
            continue
        try:
            run([program, "version"], timeout=_ANSWER)
        except CommandError as error:
            why = error.last_lines[-1] if error.last_lines else error.how
            faults.append(
                Fault(f"{program} is here and does not answer: {why}", fix=f"start it, or install {_rest(program)}")
            )
        else:
            return Engine(program)
    if faults:
        raise MachineError.several(faults)
    raise MachineError(
        "neither podman nor docker is here, and one of them has to start the image",
        fix="install one: apt-get install podman (Debian, Ubuntu), dnf install podman, brew install podman",
    )


def _rest(program: str) -> str:
    return next(name for name in PROGRAMS if name != program)
