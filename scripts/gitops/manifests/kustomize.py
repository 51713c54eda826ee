"""kustomize, by subprocess: its own command for one folder, and a renderer on its library for many."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue

from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, Limits, run
from gitops.ground.errors import Fault, InputError
from gitops.ground.worker import TooLongError, Worker
from gitops.manifests import complaints, walk, yamlfile
from gitops.manifests.lines import Place
from gitops.manifests.objects import Object
from gitops.manifests.reach import NAMES, Files, Reach, RefusedError

# A build ends before Go's collector has paid for itself: half the time of one with it.
_ENV = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
_ENV_OF_MANY = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
# An overlay of ours takes 100 MiB; what Go has reserved and never used counts too. Replacements may multiply a text.
LIMITS = Limits(memory=2 * 2**30, output=yamlfile.MOST_BYTES)
# How Go begins to say that a program has broken down. kustomize's own words begin otherwise.
_BROKEN = ("fatal error: ", "runtime: ", "SIGXFSZ", "panic: ", "Error: write /dev/stdout: file too large")
_LONGEST = 20_000


class RenderError(InputError):
    """A folder does not render. `complaint`: kustomize's own words, with paths as the repository has them; its fault
    has what of them decides, the line, and what to write.

    Where a file that it is made of is no YAML, `syntax` has where, its faults are these, and kustomize's words, which
    name no line, are left out.
    """

    def __init__(self, place: Place, complaint: str, *, timed_out: bool, syntax: Sequence[Fault] = ()) -> None:
        self.reason = complaints.reason(complaint)
        what, fix = f"does not render: {self.reason}", complaints.fix(complaint)
        super().__init__(what, path=place.file, line=place.line, fix=fix)
        self.timed_out, self.syntax = timed_out, tuple(syntax)
        self.faults = self.syntax or self.faults
        self.complaint = "\n".join(map(str, syntax)) or complaint


def text(checkout: Checkout, folder: Path, *, tools: Checkout | None = None, reach: Reach | None = None) -> bytes:
    """What `kustomize build folder` prints. `tools`: whose kustomize runs (default: that of `checkout`).

    `reach`: what the folder is made of, where that is known already. Raises RefusedError, before kustomize reads
    anything, for what is no file of the repository; RenderError.
    """
    reach = _allowed(checkout, folder, reach)
    # An overlay takes a tenth of a second. One that takes this long hangs: on a network, or in a loop.
    timeout = settings.read().render_timeout
    argv: list[str | Path] = [(tools or checkout).tool("kustomize"), "build", folder]
    try:
        return run(argv, timeout=timeout, env=_ENV, limits=LIMITS)
    except CommandError as error:
        raise _failure(checkout, folder, reach, error, timeout) from None


def _allowed(checkout: Checkout, folder: Path, reach: Reach | None) -> Reach:
    """What a folder is made of, where kustomize may read it. Raises RefusedError, RenderError."""
    reach = reach or walk.read(Files(checkout), checkout.relative(folder))
    if reach.refusals:
        if syntax := _syntax(checkout, reach):
            raise RenderError(Place(checkout.relative(folder), 1), "", timed_out=False, syntax=syntax)
        raise RefusedError.of(reach.refusals)
    return reach


def _syntax(checkout: Checkout, reach: Reach) -> list[Fault]:
    texts = (path for path in sorted(reach.files) if path.endswith((".yaml", ".yml", NAMES[-1])))
    return yamlfile.syntax_faults(checkout.root, texts)


def _failure(checkout: Checkout, folder: Path, reach: Reach, error: CommandError, timeout: float) -> RenderError:
    """Why kustomize ended without a result."""
    timed_out = error.returncode is None
    said = error.stderr[:_LONGEST]
    complaint = said.strip().removeprefix("Error: ") or f"kustomize exited with {error.returncode} and said nothing"
    if isinstance(error, TooLongError) or any(line.startswith(_BROKEN) for line in said.splitlines()):
        megabytes = LIMITS.output // 2**20
        complaint = f"kustomize needs more memory than it is given, or prints more than {megabytes} MiB"
    if timed_out:
        complaint = f"kustomize gave no result within {timeout:g} s"
    return _complaint(checkout, folder, reach, complaint, timed_out=timed_out)


def _complaint(
    checkout: Checkout, folder: Path, reach: Reach, complaint: str, *, timed_out: bool = False
) -> RenderError:
    # Another program's text, and the only one that knows the folder by its full path: put right where it comes in.
    root = str(checkout.root)
    complaint = complaint.replace(f"{root}/", "").replace(root, "the repository")
    syntax = () if timed_out else _syntax(checkout, reach)
    unit = checkout.relative(folder)
    place = Place(unit, 1) if syntax else complaints.locate(checkout, unit, reach.files, complaint)
    return RenderError(place, complaint, timed_out=timed_out, syntax=syntax)


class Renderer:
    """kustomize for many folders: as many processes of its library as there are threads that ask at once, each started
    when it is first needed.
    """

    def __init__(self, tools: Checkout) -> None:
        """`tools`: whose renderer runs."""
        self._tools = tools
        self._idle: LifoQueue[Worker] = LifoQueue()

    def text(self, checkout: Checkout, folder: Path, *, reach: Reach | None = None) -> bytes:
        """What `kustomize build folder` prints, byte for byte. Raises as the function `text` does."""
        reach = _allowed(checkout, folder, reach)
        timeout = settings.read().render_timeout
        try:
            worker = self._idle.get_nowait()
        except Empty:
            worker = self._worker()
        try:
            word, content = worker.ask(os.fsencode(folder), timeout=timeout)
        except CommandError as error:
            raise _failure(checkout, folder, reach, error, timeout) from None
        self._idle.put(worker)
        if word != "ok":
            raise _complaint(checkout, folder, reach, content[:_LONGEST].decode(errors="replace").strip())
        return content

    def start(self) -> None:
        """Start one for each processor ahead: their start is over once something is asked."""
        for _ in range(os.cpu_count() or 2):
            self._idle.put(self._worker())

    def _worker(self) -> Worker:
        return Worker([self._tools.tool("kustomize-render")], env=_ENV_OF_MANY, limits=LIMITS)

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
