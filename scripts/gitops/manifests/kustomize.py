"""kustomize, by subprocess: its own command for one folder, and a renderer on its library for many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue

from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, Limits, run
from gitops.ground.errors import InputError
from gitops.ground.worker import TooLongError, Worker
from gitops.manifests import walk, yamlfile
from gitops.manifests.objects import Object
from gitops.manifests.reach import Files, Reach, RefusedError

# A build ends before Go's collector has paid for itself: half the time of one with it.
_ENV = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
_ENV_OF_MANY = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
# An overlay of ours takes 100 MiB; what Go has reserved and never used counts too. Replacements may multiply a text.
LIMITS = Limits(memory=2 * 2**30, output=yamlfile.MOST_BYTES)
# How Go begins to say that a program has broken down. kustomize's own words begin otherwise.
_BROKEN = ("fatal error: ", "runtime: ", "SIGXFSZ", "panic: ", "Error: write /dev/stdout: file too large")
_LONGEST = 20_000


class RenderError(InputError):
    """A folder does not render. `complaint`: kustomize's own words, with paths as the repository has them."""

    def __init__(self, folder: str, complaint: str, *, timed_out: bool) -> None:
        super().__init__(f"does not render: {complaint}", path=folder)
        self.complaint, self.timed_out = complaint, timed_out


def text(checkout: Checkout, folder: Path, *, tools: Checkout | None = None, reach: Reach | None = None) -> bytes:
    """What `kustomize build folder` prints. `tools`: whose kustomize runs (default: that of `checkout`).

    `reach`: what the folder is made of, where that is known already. Raises RefusedError, before kustomize reads
    anything, for what is no file of the repository; RenderError.
    """
    _refuse(checkout, folder, reach)
    # An overlay takes a tenth of a second. One that takes this long hangs: on a network, or in a loop.
    timeout = settings.read().render_timeout
    argv: list[str | Path] = [(tools or checkout).tool("kustomize"), "build", folder]
    try:
        return run(argv, timeout=timeout, env=_ENV, limits=LIMITS)
    except CommandError as error:
        raise _failure(checkout, folder, error, timeout) from None


def _refuse(checkout: Checkout, folder: Path, reach: Reach | None) -> None:
    reach = reach or walk.read(Files(checkout), checkout.relative(folder))
    if reach.refusals:
        raise RefusedError.of(reach.refusals)


def _failure(checkout: Checkout, folder: Path, error: CommandError, timeout: float) -> RenderError:
    """Why kustomize ended without a result."""
    timed_out = error.returncode is None
    said = error.stderr[:_LONGEST]
    complaint = said.strip().removeprefix("Error: ") or f"kustomize exited with {error.returncode} and said nothing"
    if isinstance(error, TooLongError) or any(line.startswith(_BROKEN) for line in said.splitlines()):
        megabytes = LIMITS.output // 2**20
        complaint = f"kustomize needs more memory than it is given, or prints more than {megabytes} MiB"
    if timed_out:
        complaint = f"kustomize gave no result within {timeout:g} s"
    return _complaint(checkout, folder, complaint, timed_out=timed_out)


def _complaint(checkout: Checkout, folder: Path, complaint: str, *, timed_out: bool = False) -> RenderError:
    # Another program's text, and the only one that knows the folder by its full path: put right where it comes in.
    root = str(checkout.root)
    complaint = complaint.replace(f"{root}/", "").replace(root, "the repository")
    return RenderError(checkout.relative(folder), complaint, timed_out=timed_out)


class Renderer:
    """kustomize for many folders: as many processes of its library as there are processors, each started when it is
    first needed. Several threads may ask at once.
    """

    def __init__(self, tools: Checkout) -> None:
        """`tools`: whose renderer runs."""
        self._tools = tools
        self._idle: LifoQueue[Worker] = LifoQueue()

    def text(self, checkout: Checkout, folder: Path, *, reach: Reach | None = None) -> bytes:
        """What `kustomize build folder` prints, byte for byte. Raises as the function `text` does."""
        _refuse(checkout, folder, reach)
        timeout = settings.read().render_timeout
        try:
            worker = self._idle.get_nowait()
        except Empty:
            worker = Worker([self._tools.tool("kustomize-render")], env=_ENV_OF_MANY, limits=LIMITS)
        try:
            word, content = worker.ask(os.fsencode(folder), timeout=timeout)
        except CommandError as error:
            raise _failure(checkout, folder, error, timeout) from None
        self._idle.put(worker)
        if word != "ok":
            raise _complaint(checkout, folder, content[:_LONGEST].decode(errors="replace").strip())
        return content

    def end(self) -> None:
        """End its processes; none of them is asked any more."""
        while not self._idle.empty():
            self._idle.get_nowait().end()


@contextmanager
def renderer(tools: Checkout) -> Iterator[Renderer]:
    """A renderer whose processes end afterwards. `tools`: whose programs these are."""
    programs = Renderer(tools)
    try:
        yield programs
    finally:
        programs.end()


def build(checkout: Checkout, folder: Path, *, tools: Checkout | None = None) -> list[Object]:
    """The objects of `kustomize build folder`, in its order. Raises RefusedError, RenderError, InputError."""
    return yamlfile.parse_all(text(checkout, folder, tools=tools), f"kustomize build {checkout.relative(folder)}")
