"""Starting, finding and ending a lab's processes.

Each carries GITOPS_LAB=<the lab's folder> in its environment, and so does everything that it starts: they are found by
that, never by a pid that was written down, so `down` misses nothing even when `up` itself was killed half-way.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from gitops.ground.errors import NotHealthyError
from gitops.lab.layout import Lab

TAG, PART = "GITOPS_LAB", "GITOPS_LAB_PART"
NETWORK = "network"
TAIL_LINES = 12
EXEC_SECONDS = 2.0
ALIVE_SECONDS = 0.5
_BOUND = ("setpriv", "--pdeathsig", "KILL", "--")


def start(lab: Lab, part: str, argv: Sequence[str | Path], env: Mapping[str, str], *, bound: bool = False) -> None:
    """Start a part that outlives this command, in the lab's network where it has one. Its output goes to its log.
    `bound`: it ends with this thread instead, by kill -9 too.

    Whatever it writes is its owner's alone, and no name in a folder that is shared with others can be guessed.
    """
    log = lab.log(part)
    log.parent.mkdir(parents=True, exist_ok=True)
    temporary = {"TMPDIR": str(lab.folder / "tmp")}
    with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        subprocess.Popen(
            [*(_BOUND if bound else ()), *_into_network(lab, part), *(str(word) for word in argv)],
            env={**os.environ, **temporary, **env, TAG: str(lab.folder), PART: part},
            cwd=lab.folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )


def _into_network(lab: Lab, part: str) -> list[str]:
    """The words before a command that run it in the lab's network."""
    if part == NETWORK or not (lab.exists and lab.settings().private):
        return []
    network = running(lab).get(NETWORK)
    if not network:
        raise dead_part(lab, NETWORK)
    return ["nsenter", f"--target={network[0].pid}", "--user", "--net", "--preserve-credentials", "--"]


def running(lab: Lab) -> dict[str, list[psutil.Process]]:
    """The lab's living processes by part; a part's first process is the one that was started first."""
    by_part: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        if part := _part_of(lab, process):
            by_part.setdefault(part, []).append(process)
    return {part: sorted(processes, key=_age) for part, processes in by_part.items()}


def _age(process: psutil.Process) -> tuple[float, int]:
    return process.create_time(), process.pid


def _part_of(lab: Lab, process: psutil.Process) -> str | None:
    """Which part of the lab a living process is, or belongs to."""
    try:
        environment = _environment(process)
        if environment.get(TAG) != str(lab.folder) or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return environment.get(PART, "?")
    except (psutil.Error, OSError):
        return None


def _environment(process: psutil.Process) -> dict[str, str]:
    """What a process was started with. While it executes another program the kernel shows neither environment nor
    command line, for longer the slower the disk is: read again, or a part that is starting would be called dead and
    `down` would leave it behind. Kernel threads and zombies never have them.
    """
    deadline = time.monotonic() + EXEC_SECONDS
    while True:
        environment: dict[str, str] = process.environ()
        if environment or time.monotonic() > deadline:
            return environment
        if process.cmdline():  # shown after the environment, which is there by now if there is any
            return dict(process.environ())
        if process.pid == 2 or process.ppid() in (0, 2) or process.status() == psutil.STATUS_ZOMBIE:
            return environment
        time.sleep(0.002)


def end_all(lab: Lab, *, order: Sequence[str] = (), last: str = "", patience: float = 10.0) -> int:
    """End every process of the lab: asked first, in `order`, then killed after `patience` seconds. Returns how many.

    `last`: the part that is asked when all others are gone, as they need it to end.
    """
    ended: set[int] = set()
    asked = running(lab)
    for part in sorted(asked, key=lambda name: order.index(name) if name in order else -1):
        if part != last:
            _signal(asked[part], psutil.Process.terminate)
    deadline = time.monotonic() + patience
    waits = last in asked
    while parts := running(lab):
        processes = list(itertools.chain.from_iterable(parts.values()))
        ended |= {process.pid for process in processes}
        if waits and parts.keys() == {last}:
            waits = False
            _signal(processes, psutil.Process.terminate)
        if time.monotonic() > deadline:
            _signal(processes, psutil.Process.kill)
        psutil.wait_procs(processes, timeout=0.1)
    return len(ended | {process.pid for process in itertools.chain.from_iterable(asked.values())})


def _signal(processes: Sequence[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.NoSuchProcess:
            continue


def memory(lab: Lab) -> int:
    """Bytes that the lab's processes hold, shared pages counted once (PSS)."""
    total = 0
    for processes in running(lab).values():
        for process in processes:
            try:
                total += process.memory_full_info().pss
            except (psutil.Error, OSError):
                continue
    return total


def tail(lab: Lab, part: str, lines: int = TAIL_LINES) -> str:
    """The last lines of a part's log."""
    try:
        text = lab.log(part).read_text(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(empty log)"


def is_down(lab: Lab) -> NotHealthyError:
    """The error that says that nothing of the lab runs."""
    return NotHealthyError(f"lab {lab.name!r} is down", fix=f"run: {lab.command('up')}")


def dead_part(lab: Lab, part: str) -> NotHealthyError:
    """The error that names a dead part and shows how its log ends."""
    if not lab.log(part).exists():
        return NotHealthyError(f"lab {lab.name!r}: {part} was never started", fix=f"start it: {lab.command('up')}")
    return NotHealthyError(
        f"lab {lab.name!r}: {part} is dead; its log ends:\n{_indent(tail(lab, part))}",
        path=lab.checkout.relative(lab.log(part)),
        fix=f"start dead parts again: {lab.command('up')}",
    )


def _indent(text: str) -> str:
    return "\n".join(f"  | {line[:300]}" for line in text.splitlines())


def wait_until(
    what: str, check: Callable[[], bool], *, seconds: float, alive: Callable[[], None] | None = None, every: float = 0.1
) -> float:
    """Wait for a condition, and say what was waited for when it does not come in time (NotHealthyError).

    `alive` raises as soon as waiting makes no sense. Returns the seconds that it took.
    """
    began = looked = time.monotonic()
    while not check():
        # To look through all processes of the machine takes longer than what is waited for.
        if alive and time.monotonic() - looked > ALIVE_SECONDS:
            alive()
            looked = time.monotonic()
        if time.monotonic() - began > seconds:
            raise NotHealthyError(f"{what}: not within {seconds:g} s")
        time.sleep(every)
    return time.monotonic() - began
