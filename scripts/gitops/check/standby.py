"""The keeper of a check's control plane: a process that boots it, ends it however the check ends (by kill -9 too), and
then has another one ready for a while, for the next check of this checkout.

Each check has one that no other check wrote to: what one had brought (a ServiceAccount, a LimitRange, an exception)
would hide that the next does not bring it. What is the same for all, the definitions and main's policies, stands in
etcd's data as a template. One keeper of a checkout has the part of standing by; others end with their check.

`python -m gitops.check.standby CHECKOUT` is asked over the socket that is its standard input, and then over one in the
checkout's folder of labs. Who asks gets one line of JSON, and holds the connection as long as it needs the answer.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gitops.check import rules
from gitops.check.dry_run import Server
from gitops.check.rules import Rules
from gitops.clients.kubernetes import Cluster
from gitops.ground import jsontext, settings
from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from gitops.ground.errors import GitopsError
from gitops.lab import control, process
from gitops.lab.layout import Lab

PREFIX = "check-"
# Hidden: no lab has such a name.
_HOME = ".standby"
# How often one that waits looks whether its checkout is still there.
_LOOK = 1.0


@dataclass(frozen=True)
class Home:
    """What keepers of one checkout share: the door that the next check knocks at, and the template."""

    checkout: Checkout

    @property
    def folder(self) -> Path:
        """Readable by its owner alone."""
        return self.checkout.labs / _HOME

    @property
    def template(self) -> Path:
        """etcd's data with the definitions and the last policies in it, and what it is of."""
        return self.folder / "template"

    def server(self, lab: Lab) -> Server:
        """A control plane, to ask."""
        return Server(self.checkout, Cluster(lab.kubeconfig))

    def make(self) -> None:
        """The folder."""
        self.checkout.labs.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def locked(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
        """Hold a lock of the checkout's keepers; False where `wait` is false and another has it."""
        with (self.folder / f"{name}.lock").open("w") as stream:
            how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(stream, how if wait else how | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def door(self, connect: bool) -> socket.socket:
        """The socket that the next check is answered on; `connect`: as who asks. Raises OSError where there is none."""
        made = socket.socket(socket.AF_UNIX)
        # A socket's path may have 107 bytes.
        folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        try:
            if connect:
                made.connect(f"/proc/self/fd/{folder}/door")
            else:
                (self.folder / "door").unlink(missing_ok=True)
                made.bind(f"/proc/self/fd/{folder}/door")
                made.listen(1)
        except OSError:
            made.close()
            raise
        finally:
            os.close(folder)
        return made

    def sweep(self) -> None:
        """End what keepers left behind that were killed."""
        for folder in self.checkout.labs.glob(f"{PREFIX}*"):
            with suppress(OSError), (folder / "keeper").open() as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                process.end_all(Lab(self.checkout, folder.name), patience=0)
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def plane(self, *, bare: bool = False) -> Iterator[Lab]:
        """A control plane of its own, gone afterwards: from the template, or `bare`."""
        lab = Lab(self.checkout, f"{PREFIX}{secrets.token_hex(4)}")
        lab.folder.mkdir(mode=0o700)
        with _held(lab.folder / "keeper"):
            try:
                restored = not bare and self._restore(lab)
                control.control_plane(lab, bound=True, stored=restored)
                if restored:
                    rules.wait_in_force(self.server(lab))
                yield lab
            finally:
                process.end_all(lab, patience=0)
                shutil.rmtree(lab.folder, ignore_errors=True)

    def _restore(self, lab: Lab) -> bool:
        with self.locked("template", shared=True):
            if self._template_of().get("key") != rules.key(self.checkout):
                return False
            # etcd's log is 64 MiB of which a few are written.
            argv = ["cp", "-a", "--sparse=always", str(self.template / "etcd"), str(lab.folder / "etcd")]
            run(argv, timeout=60)
        return True

    def _template_of(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            content: dict[str, Any] = jsontext.parse((self.template / "of.json").read_text())
            return content
        return {}

    def renew_template(self, brought: Rules) -> None:
        """Make the template anew where it is of other definitions or policies."""
        of = {"key": rules.key(self.checkout), "mark": brought.mark}
        if self._template_of() == of:
            return
        with self.plane(bare=True) as lab:
            rules.bring(self.server(lab), brought)
            process.end_all(lab, order=["kube-apiserver"], last="etcd")
            made = self.folder / "template.partial"
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(mode=0o700)
            run(["cp", "-a", "--sparse=always", str(lab.folder / "etcd"), str(made / "etcd")], timeout=60)
        (made / "of.json").write_text(json.dumps(of))
        with self.locked("template"):
            shutil.rmtree(self.template, ignore_errors=True)
            made.rename(self.template)


@contextmanager
def _held(file: Path) -> Iterator[None]:
    """A file that is locked from its first moment on."""
    partial = file.with_suffix(".partial")
    with partial.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        partial.rename(file)
        yield


def _say(taker: socket.socket, answer: dict[str, Any]) -> None:
    with suppress(OSError):
        taker.sendall(json.dumps(answer).encode() + b"\n")


def _attend(home: Home, taker: socket.socket, lab: Lab) -> Rules | None:
    """Hand a control plane over until its check ends. Returns the rules that the check brought."""
    with taker:
        _say(taker, {"lab": lab.name, "key": rules.key(home.checkout)})
        with suppress(OSError):
            taker.recv(1)
    with suppress(GitopsError):
        return rules.read(home.server(lab))
    return None


def _stand_by(home: Home, seconds: float) -> Rules | None:
    """Have one ready, and attend to the check that takes it. None: nobody came."""
    with ExitStack() as stack:
        door = stack.enter_context(home.door(connect=False))
        lab = stack.enter_context(home.plane())
        deadline = time.monotonic() + seconds
        door.settimeout(_LOOK)
        while time.monotonic() < deadline and lab.kubeconfig.exists():
            with suppress(TimeoutError):
                taker, _ = door.accept()
                door.close()
                return _attend(home, taker, lab)
    return None


def main() -> None:
    """Attend to the check that started it, then stand by."""
    home = Home(Checkout(Path(sys.argv[1])))
    taker = socket.socket(fileno=os.dup(0))
    seconds = settings.read().keeps
    brought: Rules | None = None
    try:
        home.make()
        home.sweep()
        with home.plane() as lab:
            brought = _attend(home, taker, lab)
    except GitopsError as error:
        faults = [asdict(fault) for fault in error.faults]
        _say(taker, {"error": type(error).__name__, "faults": faults})
        return
    with suppress(GitopsError, OSError), home.locked("keeper", wait=False) as alone:
        while alone and seconds and brought:
            home.renew_template(brought)
            brought = _stand_by(home, seconds)


if __name__ == "__main__":
    main()
