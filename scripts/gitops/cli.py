"""`gitops`: parses the command line and prints; everything else is done by the packages beside it."""

from __future__ import annotations

import errno
import gc
import io
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

import click

from gitops.ground import complete, credentials
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError, InputError, MachineError
from gitops.ground.groups import Group
from gitops.ground.options import GATE
from gitops.ground.output import prepare, say, say_bug, say_error, spare_collector
from gitops.ground.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops.repository.revision import Change


class _Verbs(Group):
    """Knows each verb's first sentence, and imports its module only to run it: help loads none of them."""

    verbs: ClassVar[dict[str, str]] = {
        "check": "Hold a change against everything that must be true before it merges.",
        "cluster": "A cluster on AWS, from an empty account and back.",
        "data": "Copies of databases in a bucket, and the way back into an empty one.",
        "exceptions": "Show what may break a rule for a while, and fail where its time is over.",
        "github": "GitHub's own settings as files: who may merge what, and main's verdict on a change.",
        "images": "Image updates: from the registry to a pull request; back to what ran; the freeze.",
        "lab": "The platform's real components on this machine: etcd, Kubernetes, Argo CD, on loopback.",
        "lb": "The one load balancer: what its controller would build from all Ingresses of the working copy.",
        "oauth": "42's OAuth secrets: what each is at, and rotating them by pull requests.",
        "preview": "Show what a change does to every Application, object by object and field by field.",
        "scope": "Say which tests a change can break, as targets of make.",
        "secrets": "Sealed secrets: nobody needs kubeseal, and no value is ever an argument.",
        "service": "Make a service, change it, try its image, watch it, list them, hand one over, end one.",
        "status": "Everything of your services: what runs, what is open or newer, and what needs a person.",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.verbs])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"gitops.{cmd_name}.cli"), cmd_name)
        return command

    def summary(self, ctx: click.Context, name: str) -> str:
        return self.verbs.get(name) or super().summary(ctx, name)


@click.group(
    cls=_Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="gitops", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """The platform's one command. Without a verb: your services, and what needs you, within a second.

    Exit codes: 0 done; 1 the answer is no (something is dead, not Healthy, or was found); 2 bad input;
    3 this machine lacks something; 4 a program or service that was called failed; 70 a fault of gitops itself;
    130 interrupted; 141 whoever read what it printed has gone.

    Example: gitops service list
    """
    context.meta[GATE] = _gate
    if context.invoked_subcommand is None:
        from gitops.status import cli as status

        if status.is_here():
            status.glance()
        else:
            say(*context.get_help().split("\n"))


def _gate(checkout: Checkout, change: Change) -> list[Fault]:
    """What the check has against a draft: for the verbs that write one, which stand below it."""
    from gitops.check import draft

    return draft.errors(checkout, change)


@cli.command()
@click.argument("names", nargs=-1, shell_complete=complete.tools)
@click.option("--prune", "pruning", is_flag=True, help="Build nothing; clear the cache of what no pin names.")
def tools(names: tuple[str, ...], pruning: bool) -> None:
    """Build the pinned Go tools that are missing (NAMES: only these), check and link them into .tools/.

    Example: gitops tools kustomize
    """
    from gitops.tools.build import ensure, prune

    if pruning and names:
        raise InputError("--prune clears the cache of all tools", fix="leave the names out")
    if pruning:
        for name in prune(Checkout.find()):
            say(f"removed {name}", err=True)
        return
    ensure(Checkout.find(), Progress(), names)


def _clean_up_when_ended() -> None:
    """Have whoever ends this process (a runner's timeout, a closed terminal) do what Ctrl-C does: nothing stays behind.

    What is ignored stays so, as nohup has it.
    """
    if threading.current_thread() is threading.main_thread():  # no other may say so
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)


def main() -> None:
    """Run the command line; every expected failure is one message and its exit code, never a traceback."""
    prepare()
    spare_collector()
    _clean_up_when_ended()
    try:
        code = cli.main(standalone_mode=False, obj=credentials.take_credentials())
    except BaseException as error:  # whatever it is: Python would print its text
        code, tell = _ending(error)
        with suppress(OSError):  # nobody is there who could read it
            tell()
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


def _ending(error: BaseException) -> tuple[int, Callable[[], None]]:
    """How a run ends by an exception: its exit code, and what prints why."""
    match error:
        case click.ClickException():
            shown = io.StringIO()
            error.show(shown)
            lines = shown.getvalue().rstrip("\n").split("\n")
            return error.exit_code, lambda: say(*lines, err=True)
        case click.Abort() | KeyboardInterrupt():
            return 130, lambda: say("interrupted", err=True)
        case SystemExit(code=0):  # of Click, which has told a shell how to complete
            return 0, lambda: None
        case SystemExit():  # of Click or rich: whoever read what is printed has gone
            return 141, lambda: None
        case GitopsError():
            return error.exit_code, lambda: say_error(error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG | errno.EIO):
            full = MachineError(f"cannot be written: {error.strerror}", path=error.filename, fix="make room")
            return full.exit_code, lambda: say_error(full)
        case _:
            return 70, lambda: say_bug(error)
