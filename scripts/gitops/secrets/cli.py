"""`gitops secrets`: parses and prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from gitops.ground import complete, credentials
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import cluster_option, environment_option, output_option
from gitops.ground.output import Table, present, print_table, say, say_json
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.manifests.overlay import Overlay
from gitops.manifests.secret import is_generation
from gitops.secrets import cli_keys, cli_wire
from gitops.secrets.cli_wire import SILENT, check_silent, value_options
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from pydantic import SecretStr

    from gitops.manifests.sealedsecret import Sealed
    from gitops.secrets.certificate import SealingCertificate

_ROTATE = "gitops oauth rotate (the workflow `oauth` does it by itself)"
_COMPARE = "compare the fingerprint with the cluster's own (docs/runbooks/secrets.md)"


def _url() -> str:
    from gitops.ground import settings

    return settings.read().sealed_secrets_url


def _check_url(_: click.Context, __: click.Parameter, value: str) -> str:
    from gitops.ground import settings

    try:
        return settings.check_url(value)
    except ValueError as error:
        raise InputError(f"--controller {value!r}: {error}") from None


controller_option = click.option(
    "--controller",
    "url",
    default=_url,
    show_default="http://127.0.0.1:8080",
    callback=_check_url,
    help="The sealed-secrets controller, as kubectl port-forward shows it (GITOPS_SEALED_SECRETS_URL).",
)


@click.group(cls=Group)
def secrets() -> None:
    """Sealed secrets: nobody needs kubeseal, and no value is ever an argument.

    Example: gitops secrets list
    """


@secrets.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@click.option("--tell", "telling", is_flag=True, help="Tell Slack what needs a person (SLACK_TOKEN).")
@cluster_option
@output_option
@click.pass_obj
def status(taken: Mapping[str, SecretStr], services: tuple[str, ...], telling: bool, cluster: str, output: str) -> None:
    """How old each sealed secret is, when it ends, which key opens it, and whether it runs (SERVICES: only these).

    GitHub is asked what runs where GITHUB_TOKEN and ARGOCD_APP are set. Exit code 1: one has ended, ends within two
    weeks, or cannot be read; all else is shown.

    Example: gitops secrets status mogle
    """
    from gitops.secrets import propose, tell
    from gitops.secrets import status as states

    now, checkout = datetime.now(UTC), Checkout.find()
    known, broken = states.read(checkout, cluster, propose.reachable(), services)
    head = ["namespace", "name", "keys", "owner", "days", "until", "key", "runs"]
    rows = [
        [
            entry.sealed.namespace,
            entry.sealed.name,
            " ".join(sorted(entry.sealed.encrypted)),
            entry.team or "?",
            "?" if entry.given is None else str(entry.days(now)),
            entry.until.isoformat() if entry.until else "",
            entry.against.value,
            entry.delivery.value,
        ]
        for entry in known
    ]
    present(output, Table(head, rows), [entry.as_dict(now) for entry in known])
    if telling:
        tell.tell(tell.lines(checkout, cluster, known, now), taken)
    if due := [*broken, *states.due(known, now)]:
        raise NotHealthyError.several(due)


@secrets.command(context_settings=SILENT)
@click.argument("service", shell_complete=complete.services)
@click.argument("name", shell_complete=complete.secrets)
@value_options
@environment_option
@cluster_option
def leaked(service: str, name: str, environment: str, cluster: str, **options: Any) -> None:
    """A secret leaked: say what it is, who reads it and what to do. With its successor: seal that, open a pull request.

    The pull request is opened where GITHUB_TOKEN and GITHUB_REPOSITORY are set; without them the files are in the
    working copy.

    Example: gitops secrets leaked mogle mogle-oauth-42-g1
    """
    from gitops.repository.ours import readable
    from gitops.secrets import give, propose
    from gitops.secrets import leaked as leaks
    from gitops.service.change import check_clean
    from gitops.tools.build import ensure

    credentials.harden()
    check_silent()
    checkout, overlay, asked = Checkout.find(), Overlay(service, environment), give.Asked(**options)
    ensure(checkout, Progress(), ["kustomize"])
    hub = propose.reachable()
    leak = leaks.look(checkout, cluster, hub, overlay, name)
    now = datetime.now(UTC)
    own = leak.status
    age = "of an unknown age" if own.given is None else f"{counted(own.days(now) or 0, 'day')} old"
    say(f"{own.sealed.path}: {own.sealed.kind} {name}, keys {' '.join(sorted(own.sealed.encrypted))}, {age}")
    say(f"owner: {own.team}, {own.contact}; {own.delivery.value}; sealed against the key that is {own.against.value}")
    say("", "read by:", *(f"  {use}" for use in leak.uses or ["nothing of this overlay"]))
    if leak.elsewhere:
        say("", "the same name, perhaps the same value, is sealed in:", *(f"  {path}" for path in leak.elsewhere))
    if not asked.any:
        say("", "what to do:", *(f"  {number}. {step}" for number, step in enumerate(leak.steps, 1)))
        return
    check_clean(checkout)
    written = give.seal(checkout, overlay, name, asked, cluster, now.date())
    say(*written.notes, err=True)
    if hub:
        branch, title = f"seal/{overlay}/{readable(name)}", f"{overlay}: seal {name} anew"
        url = propose.propose(checkout, hub, branch, title, leaks.body(overlay, name), written.paths)
        say("", f"opened {url}")
        say(f"next: have it merged; gitops secrets status {service} says whether it runs")
    else:
        say("")
        then = f"and open a pull request; once it is merged, gitops secrets status {service} says whether it runs"
        say_written(checkout, written.paths, f"{service}-secret", f"{overlay}: seal {name} anew", then=then)


@secrets.command("list")
@output_option
def list_sealed(output: str) -> None:
    """Every SealedSecret: where, its keys, and the certificate that it was sealed against.

    Exit code 1: one cannot be read; all else is shown.

    Example: gitops secrets list
    """
    from gitops.manifests import sealedsecret

    sealed, faults = sealedsecret.readable(Checkout.find())
    documents = [
        {
            "path": secret.path,
            "namespace": secret.namespace,
            "name": secret.name,
            "keys": sorted(secret.encrypted),
            "certificate": secret.annotations.get(sealedsecret.CERTIFICATE),
        }
        for secret in sealed
    ]
    rows = [
        [
            secret.namespace,
            secret.name,
            " ".join(sorted(secret.encrypted)),
            secret.annotations.get(sealedsecret.CERTIFICATE, "?")[:12],
        ]
        for secret in sealed
    ]
    present(output, Table(["namespace", "name", "keys", "certificate"], rows), documents)
    if faults:
        raise NotHealthyError.several(faults)


@secrets.command()
@controller_option
@output_option
def verify(url: str, output: str) -> None:
    """Ask the controller whether it opens every seal of this checkout. Exit code 1: not all.

    Example: gitops secrets verify --controller http://127.0.0.1:8080
    """
    from gitops.clients.sealed_secrets import Controller
    from gitops.manifests import sealedsecret
    from gitops.secrets import manage

    progress, (sealed, faults) = Progress(), sealedsecret.readable(Checkout.find())
    with progress.step("the controller tries every seal"):
        verified = manage.verify(sealed, Controller(url))
    if output == "json":
        rows = [{"path": secret.path, "opens": opens} for secret, opens in verified]
        say_json(rows)
    else:
        print_table(["file", "opens"], [[secret.path, "yes" if opens else "NO"] for secret, opens in verified])
    what = "sealed for another cluster, namespace or name"
    faults += [Fault(what, path=secret.path, fix="seal it anew") for secret, opens in verified if not opens]
    if faults:
        raise NotHealthyError.several(faults)


@secrets.command()
@controller_option
@cluster_option
@click.option("--all", "every", is_flag=True, help="Also what says that it is sealed against the newest certificate.")
@click.option("--propose", "proposing", is_flag=True, help="Open its pull request (GITHUB_TOKEN, GITHUB_REPOSITORY).")
def reseal(url: str, cluster: str, every: bool, proposing: bool) -> None:
    """Seal anew what is not sealed with the controller's newest key, without knowing any value, and pin that key.

    Example: gitops secrets reseal --controller http://127.0.0.1:8080
    """
    from gitops.clients.github import Hub
    from gitops.clients.sealed_secrets import Controller
    from gitops.secrets import manage, propose
    from gitops.service.change import check_clean

    checkout = Checkout.find()
    check_clean(checkout)
    hub = Hub.from_environment() if proposing else None
    newest, paths = manage.reseal(checkout, Controller(url), cluster, every=every)
    if not paths:
        say(f"all is sealed against the controller's newest certificate {newest.fingerprint[:12]}; nothing to do")
        return
    title, pinned = f"Seal anew for the key {newest.fingerprint[:12]}", f"now {_pinned(newest)}"
    if not hub:
        say_written(checkout, paths, f"{cluster}-seals", title, pinned, _COMPARE)
        return
    for path in paths:
        say(f"wrote {checkout.relative(path)}")
    say("", pinned, f"next: {_COMPARE}, and merge")
    body = f"{counted(len(paths), 'file')}, by the controller itself. Compare the fingerprint: {newest.fingerprint}\n"
    say(f"opened {propose.propose(checkout, hub, f'seal-keys/{cluster}', title, body, paths)}")


def _pinned(newest: SealingCertificate) -> str:
    return f"pinned: {newest.fingerprint}, valid until {newest.ends:%Y-%m-%d}"


@secrets.command()
@cluster_option
def renew(cluster: str) -> None:
    """Open the pull request with what the cluster's own job sealed anew (the workflow `seals` does it by itself).

    Exit codes: 0 it is open, or there is nothing; 2 no bucket yet, or no credentials; 4 AWS or GitHub refused.

    Example: gitops secrets renew
    """
    from gitops.clients.github import Hub
    from gitops.secrets import backup
    from gitops.secrets import renew as renewals

    checkout = Checkout.find()
    say(renewals.run(checkout, cluster, backup.bucket_of(checkout, cluster), Hub.from_environment()))


@secrets.command()
@controller_option
@cluster_option
def pin(url: str, cluster: str) -> None:
    """Pin the certificate of a new cluster's controller, and say what must be sealed anew because it opens it not.

    Example: gitops secrets pin --controller http://127.0.0.1:8080
    """
    from gitops.clients.sealed_secrets import Controller
    from gitops.secrets import manage
    from gitops.service.change import check_clean

    checkout = Checkout.find()
    check_clean(checkout)
    newest, paths, lost = manage.pin(checkout, Controller(url), cluster)
    say(_pinned(newest))
    if lost:
        say("", f"{counted(len(lost), 'seal is', 'seals are')} for another key. Each must be sealed anew:")
        print_table(["file", "by"], [[secret.path, _anew(secret)] for secret in lost])
        say("")
    say_written(checkout, paths, f"{cluster}-certificate", f"Pin {newest.fingerprint[:12]} in {cluster}", _COMPARE)


def _anew(sealed: Sealed) -> str:
    """What makes a seal again whose value nobody can read from it."""
    from gitops.manifests import sealedsecret

    service, environment = sealed.overlay.service, sealed.overlay.environment
    if is_generation(sealed.name):
        # What has no record yet, the bot takes over from 42's page.
        has_record = sealed.annotations.keys() - {sealedsecret.CERTIFICATE}
        return f"gitops oauth provide {service} --environment {environment}" if has_record else _ROTATE
    keys = " ".join(f"--key {key}" for key in sorted(sealed.encrypted))
    return f"gitops secrets seal {service} {sealed.name} {keys} --environment {environment}"


for command in (cli_keys.recover, cli_keys.backups, cli_keys.restore, cli_wire.remove, cli_wire.seal):
    secrets.add_command(command)
