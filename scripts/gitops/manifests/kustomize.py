"""kustomize, by subprocess."""

from __future__ import annotations

from pathlib import Path

from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, Limits, run
from gitops.ground.errors import InputError
from gitops.manifests import walk, yamlfile
from gitops.manifests.objects import Object
from gitops.manifests.reach import Files, Reach, RefusedError

# A build ends before Go's collector has paid for itself: half the time of one with it.
_ENV = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
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
    reach = reach or walk.read(Files(checkout), checkout.relative(folder))
    if reach.refusals:
        raise RefusedError.of(reach.refusals)
    # An overlay takes a tenth of a second. One that takes this long hangs: on a network, or in a loop.
    timeout = settings.read().render_timeout
    argv: list[str | Path] = [(tools or checkout).tool("kustomize"), "build", folder]
    try:
        return run(argv, timeout=timeout, env=_ENV, limits=LIMITS)
    except CommandError as error:
        timed_out = error.returncode is None
        stderr = error.stderr[:_LONGEST]
        complaint = (
            stderr.strip().removeprefix("Error: ") or f"kustomize exited with {error.returncode} and said nothing"
        )
        if any(line.startswith(_BROKEN) for line in stderr.splitlines()):
            megabytes = LIMITS.output // 2**20
            complaint = f"kustomize needs more memory than it is given, or prints more than {megabytes} MiB"
        if timed_out:
            complaint = f"kustomize gave no result within {timeout:g} s"
        # Another program's text, and the only one that knows the folder by its full path: put right where it comes in.
        root = str(checkout.root)
        complaint = complaint.replace(f"{root}/", "").replace(root, "the repository")
        raise RenderError(checkout.relative(folder), complaint, timed_out=timed_out) from None


def build(checkout: Checkout, folder: Path, *, tools: Checkout | None = None) -> list[Object]:
    """The objects of `kustomize build folder`, in its order. Raises RefusedError, RenderError, InputError."""
    return yamlfile.parse_all(text(checkout, folder, tools=tools), f"kustomize build {checkout.relative(folder)}")
