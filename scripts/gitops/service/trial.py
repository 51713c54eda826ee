"""`gitops service try`: an image, started as a base would start it, and what of the contract it keeps.

What ends early is started again without one wall each; the wall without which it lives is the one that it breaks.
"""

from __future__ import annotations

import http.client
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gitops.clients.containers import ContainerState, Engine, Sandbox
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError
from gitops.ground.errors import Fault, InputError
from gitops.ground.progress import Progress
from gitops.service import secretlike, sockets
from gitops.service.contract import Contract, HttpProbe, loosened, of_base, open_wide

# As docker and podman take a name, a tag and a digest; nothing that begins like an option.
_REFERENCE = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,500}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINES = 5
_LOOK = 0.1
_MIB = 2**20
# How much longer than the first time a program gets that is tried without a wall, in seconds.
_MORE = 10.0


@dataclass(frozen=True)
class Clause:
    """One clause of the contract. `kept`: None where it could not be tried. `fix`: what to do about a broken one."""

    clause: str
    kept: bool | None
    said: str
    fix: str = ""

    @property
    def word(self) -> str:
        """For a person."""
        return {True: "kept", False: "broken", None: "not tried"}[self.kept]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Answered:
    """How a probe went: `status` is the last one of HTTP, 0 where nobody answered; `seconds` from the first try on."""

    fits: bool
    status: int
    seconds: float
    state: ContainerState


def check_reference(image: str) -> None:
    """Raise InputError for what is no name of an image."""
    if not _REFERENCE.fullmatch(image):
        raise InputError("an image", expected="its name, as shop:dev or ghcr.io/team/shop:1.2.3", found=repr(image))


@dataclass(frozen=True)
class TrialRequest:
    """What a person says of an image: what `service new` takes as well, and what it needs of its environment."""

    shape: str
    port: int | None
    health: str | None
    variables: Mapping[str, str]
    environment_file: Path | None


def variables(words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE of each word. Raises InputError, also for what looks like a secret: all see a program's arguments."""
    given: dict[str, str] = {}
    faults: list[Fault] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and _VARIABLE.fullmatch(name)):
            # What has no name may be a secret.
            named = repr(name[:60]) if equals else None
            faults.append(Fault("--env", expected="NAME=VALUE, NAME of letters, digits and _", found=named))
        elif why := secretlike.reason(name, value):
            fix = "write it into a file of NAME=VALUE lines: --env-file FILE"
            faults.append(Fault(f"{name} looks like a secret ({why}), and all see a program's arguments", fix=fix))
        given[name] = value
    if faults:
        raise InputError.several(faults)
    return given


def run(checkout: Checkout, engine: Engine, progress: Progress, image: str, asked: TrialRequest) -> list[Clause]:
    """Try every clause of a base's contract. Raises InputError, ExternalError where the image cannot be had."""
    contract = of_base(checkout, asked.shape, asked.port, asked.health)
    sandbox = replace(contract.sandbox, variables={**contract.sandbox.variables, **asked.variables})
    return Trial(engine, image, replace(contract, sandbox=sandbox), progress, asked.environment_file).clauses()


class Trial:
    """One image, one contract, and the containers that are started for them; none is left afterwards."""

    def __init__(
        self, engine: Engine, image: str, contract: Contract, progress: Progress, environment_file: Path | None = None
    ) -> None:
        self._engine, self._image, self._contract = engine, image, contract
        self._progress, self._file = progress, environment_file

    def clauses(self) -> list[Clause]:
        """Every clause, tried. Raises ExternalError where the image cannot be had."""
        sandbox, asked = self._contract.sandbox, self._contract.system
        with self._progress.step(f"{self._engine.program} has {self._image}"):
            system = self._engine.architecture(self._image)
        fix = "" if system == asked else f"build it for {asked}: {self._engine.program} build --platform {asked}"
        clauses = [Clause(f"is built for {asked}", system == asked, f"it is for {system}", fix)]
        with self._progress.step("started as base/ would"), self._started(sandbox) as (name, refused):
            if refused:
                rest = "the program it names could not be started"
                return [*clauses, self._lives(sandbox, False, f"{rest}: {refused}", "mend its ENTRYPOINT or CMD")]
            startup = self._ask(name, self._contract.startup)
            if not startup.state.running:
                return [*clauses, *self._ended(name, startup)]
            clauses.append(self._lives(sandbox, True, f"it runs since {startup.seconds:.1f} s"))
            clauses.append(self._answers(self._contract.startup, startup))
            clauses.append(self._is_ready(name, startup))
            clauses.append(self._fits(self._engine.state(name)))
            clauses.append(self._ends(name))
        return clauses

    @contextmanager
    def _started(self, sandbox: Sandbox) -> Iterator[tuple[str, str]]:
        """A container's name, and why it could not be started at all."""
        name, refused = f"gitops-try-{secrets.token_hex(4)}", ""
        try:
            try:
                self._engine.start(name, self._image, sandbox, self._file)
            except CommandError as error:
                refused = error.last_lines[-1] if error.last_lines else error.how
            yield name, refused
        finally:
            self._engine.remove(name)

    def _ask(self, name: str, probe: HttpProbe, *, patience: float | None = None) -> Answered:
        """Ask as the kubelet would, until it answers, the container ends, or the patience does."""
        began, status = time.monotonic(), 0
        deadline, due = began + (patience or probe.patience), began + probe.delay
        while True:
            state, now = self._engine.state(name), time.monotonic()
            if now >= due and state.running:
                status, due = _status(state, probe), now + probe.period
                if 200 <= status < 400:
                    return Answered(True, status, time.monotonic() - began, state)
            if not state.running or now > deadline:
                return Answered(False, status, now - began, state)
            time.sleep(_LOOK)

    def _lives(self, sandbox: Sandbox, kept: bool, said: str, fix: str = "") -> Clause:
        memory = f", in {sandbox.memory // _MIB} MiB" if sandbox.memory else ""
        folders = " and ".join(sandbox.writable)
        return Clause(
            f"runs as user {sandbox.user}, writes to {folders} alone, without capabilities{memory}", kept, said, fix
        )

    def _ended(self, name: str, answered: Answered) -> list[Clause]:
        """Which wall it ran against, or that it ends for a reason of its own; the rest could not be tried."""
        lines = self._engine.said(name, _LINES)
        how = f"it ended after {answered.seconds:.1f} s with exit code {answered.state.exit_code}"
        said = "\n".join([how + (", and said:" if lines else " and said nothing"), *lines])
        fix = self._memory_fix() if answered.state.out_of_memory else self._wall(answered.seconds)
        rest = [self._contract.startup, self._contract.readiness]
        return [
            self._lives(self._contract.sandbox, False, said, fix),
            *(Clause(self._path(probe), None, "it had ended") for probe in rest),
            Clause(self._end_words(), None, "it had ended"),
        ]

    def _wall(self, seconds: float) -> str:
        """What to do, by the wall without which it lives."""
        patience = seconds + _MORE
        if not self._lives_in(open_wide(self._contract.sandbox), patience)[0]:
            return "it ends without these walls too: read what it said; what it misses give it by --env or --env-file"
        for wall, sandbox in loosened(self._contract.sandbox).items():
            lives, changed = self._lives_in(sandbox, patience)
            if lives:
                return self._advice(wall, changed)
        return "it runs against several of these walls at once: begin with its user"

    def _lives_in(self, sandbox: Sandbox, seconds: float) -> tuple[bool, list[str]]:
        with self._started(sandbox) as (name, refused):
            if refused:
                return False, []
            lives = self._ask(name, self._contract.startup, patience=seconds).state.running
            return lives, self._engine.changed(name) if lives and not sandbox.read_only else []

    def _advice(self, wall: str, changed: list[str]) -> str:
        folders = " and ".join(self._contract.sandbox.writable)
        user = self._contract.sandbox.user
        advice = {
            "read-only": f"it writes {', '.join(changed[:_LINES]) or 'outside'}: have it write to {folders} alone",
            "user": f"it lives as its own user alone: have its files readable by any user, and try `USER {user}`",
            "capabilities": "it needs a capability of root: listen on a port above 1023, and change no owner at start",
            "privileges": "it gains rights while it runs (sudo, a setuid program): start it as the user that it needs",
            "memory": self._memory_fix(),
        }
        return advice[wall]

    def _memory_fix(self) -> str:
        memory = (self._contract.sandbox.memory or 0) // _MIB
        return f"it needs more than {memory} MiB: have it use less, or raise resources of its Deployment in the overlay"

    def _path(self, probe: HttpProbe) -> str:
        return f"answers GET {probe.path} on $PORT ({self._contract.sandbox.port})"

    def _answers(self, probe: HttpProbe, answered: Answered) -> Clause:
        clause, port = self._path(probe), self._contract.sandbox.port
        if answered.fits:
            return Clause(clause, True, f"{answered.status} after {answered.seconds:.1f} s")
        if answered.status:
            fix = "answer it with 200, or give another path: --health PATH (and to gitops service new)"
            return Clause(clause, False, f"it answered {answered.status} for {answered.seconds:.0f} s", fix)
        listening = sockets.listening(answered.state.pid)
        if port in listening.loopback and port not in listening.everywhere:
            return Clause(clause, False, f"it listens on 127.0.0.1:{port} alone", "listen on 0.0.0.0, all addresses")
        ports = sorted(listening.everywhere | listening.loopback)
        if ports and port not in ports:
            fix = f"listen on $PORT, or say its port: --port {ports[0]} (and to gitops service new)"
            return Clause(clause, False, f"it listens on {', '.join(map(str, ports))} and not on {port}", fix)
        said = f"nobody answered within {probe.timeout:g} s, for {answered.seconds:.0f} s"
        return Clause(clause, False, said, "listen on $PORT on all addresses, and answer soon")

    def _is_ready(self, name: str, startup: Answered) -> Clause:
        """One cause is said once: where nobody answers the one probe, nobody answers the other."""
        if not startup.fits and not startup.status:
            return Clause(self._path(self._contract.readiness), None, "nobody answers")
        ready = self._ask(name, self._contract.readiness, patience=self._contract.startup.patience)
        return self._answers(self._contract.readiness, ready)

    def _fits(self, state: ContainerState) -> Clause:
        memory = (self._contract.sandbox.memory or 0) // _MIB
        fix = self._memory_fix() if state.out_of_memory else ""
        said = "a part of it was ended for its memory" if state.out_of_memory else "while nobody uses it"
        return Clause(f"has enough with {memory} MiB", not state.out_of_memory, said, fix)

    def _end_words(self) -> str:
        contract = self._contract
        hook = f" ({contract.terminates:g} less {contract.hook:g} of preStop)" if contract.hook else ""
        return f"ends on SIGTERM within {contract.grace:g} s{hook}"

    def _ends(self, name: str) -> Clause:
        if not self._engine.state(name).running:
            return Clause(self._end_words(), None, "it had ended")
        took = self._engine.end(name, self._contract.grace)
        if took is not None:
            return Clause(self._end_words(), True, f"after {took:.1f} s")
        fix = 'handle SIGTERM in its first process: CMD ["program"] and no shell around it, or `exec` in its script'
        return Clause(self._end_words(), False, f"it still ran after {self._contract.grace:g} s", fix)


def _status(state: ContainerState, probe: HttpProbe) -> int:
    """The status of one GET; 0 where nobody answered in time."""
    if state.address is None:
        return 0
    connection = http.client.HTTPConnection(*state.address, timeout=probe.timeout)
    try:
        connection.request("GET", probe.path, headers={"User-Agent": "kube-probe/gitops", "Accept": "*/*"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
