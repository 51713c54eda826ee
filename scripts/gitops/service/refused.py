"""What is no verb, and why: the answer says what to type in its place, each line of it whole."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import sealedsecret
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.manifests.secret import is_generation
from gitops.repository import services
from gitops.repository.services import OverlaySummary, Service
from gitops.service import ending, secretlike, steps, workload
from gitops.service.change import FIRST_ENVIRONMENTS, NewService, uncovered

_PORT, _HEALTH = 8080, "/healthz"
# By which a service may call others: an address of one is refused before it.
_CALLS, _ADDRESS = "internal-client", ".svc.cluster.local"


@dataclass(frozen=True)
class _Step:
    """A command, and the commit of what it writes."""

    command: str
    paths: tuple[str, ...]
    message: str


def rename(checkout: Checkout, name: str, new: str) -> InputError:
    """Why a service keeps its name."""
    service = services.one(checkout, name)
    services.check_name(new, services.listed(checkout)[0])
    prod = _prod(service)
    folders = [ending.exception_file(summary.overlay) for summary in service.overlays]
    paths = (checkout.relative(service.folder), checkout.relative(checkout.codeowners_file), *folders)
    removal = _Step(f"gitops service remove {name}", paths, f"Remove {name}")
    parts = [removal, *_again(checkout, service, new, prod.domains)]
    lines = _pull_request(checkout, f"{name}-rename", parts, _by_hand(service, new))
    return InputError(
        f"{name} keeps its name: a name is a namespace, which Kubernetes renames never, and each secret is sealed for "
        "that one alone",
        fix="end it and begin it anew, in one pull request:",
        steps=tuple(lines),
    )


def copy(checkout: Checkout, name: str, new: str) -> InputError:
    """Why a service is not copied."""
    service = services.one(checkout, name)
    services.check_name(new, services.listed(checkout)[0])
    hosts = _host(checkout, _prod(service).domains, new)
    lines = _pull_request(checkout, new, list(_again(checkout, service, new, hosts)), _by_hand(service, new))
    return InputError(
        f"{name} is not copied: its domains, its secrets, its application at 42 and its data are its own, "
        "and two cannot have them",
        fix="make a new one of the same image, in one pull request:",
        steps=tuple(lines),
    )


def add_environment(checkout: Checkout, name: str, environment: str) -> InputError:
    """Why an environment is made by hand."""
    service = services.one(checkout, name)
    if environment in (summary.overlay.environment for summary in service.overlays):
        return InputError(f"{name} has {environment} already", path=Overlay(name, environment).path)
    if environment not in ENVIRONMENTS:
        expected = f"one of {', '.join(ENVIRONMENTS)}"
        fix = "the network, the nodes and the policies know these alone: a pull request to the platform makes another"
        return InputError(f"environment {environment!r}: does not exist", expected=expected, fix=fix)
    return InputError(
        f"{environment} of {name} is made by hand: nothing of another environment may come along (its secrets, its "
        "application at 42, its hosts, its data), and which images it takes is a decision",
        fix="docs/runbooks/services.md has the steps, and gitops check says what is missing",
    )


def _pull_request(checkout: Checkout, name: str, parts: Sequence[_Step], remark: str) -> list[str]:
    """The lines of a pull request of several commits, on a branch of its own; `remark`: before the push."""
    branch = steps.branch(checkout, name)
    lines = [branch.switch] if branch.switch else []
    for part in parts:
        lines += [part.command, steps.commit(part.paths, part.message)]
    return [*lines, *filter(None, [remark]), branch.push]


def _by_hand(service: Service, new: str) -> str:
    """What no line above does, as a shell's comment; empty where that is nothing."""
    opted = frozenset[str]().union(*(summary.components for summary in service.overlays)) - {"staging"}
    if not opted:
        return ""
    addresses = "; then the addresses that it calls: gitops service set" if _CALLS in opted else ""
    return f"# by hand, in the kustomizations of overlays/{new}: base/components/ {', '.join(sorted(opted))}{addresses}"


def _prod(service: Service) -> OverlaySummary:
    return next(iter([one for one in service.overlays if one.overlay.environment == "prod"] or service.overlays))


def _host(checkout: Checkout, hosts: Sequence[str], new: str) -> list[str]:
    """A host that a copy could have, beside or below the first of the service's: one that a certificate covers."""
    first = hosts[0] if hosts else ""
    possible = [f"{new}.{first.partition('.')[2]}", f"{new}.{first}"] if first else []
    covered = [host for host in possible if not uncovered(checkout, NewService(new, "", (host,), "web", ""))]
    return (covered or possible)[:1]


def _again(checkout: Checkout, service: Service, new: str, hosts: Sequence[str]) -> Iterator[_Step]:
    """The commands by which the same service would be made under another name."""
    prod = _prod(service)
    program = workload.read(checkout, prod.overlay)
    if program.kind != "Deployment":
        raise InputError(
            f"{service.name} is a {program.kind}, which no verb begins",
            path=prod.overlay.path,
            fix=f"write overlays/{new} by hand as this one is, with a name, a namespace and an owner of its own",
        )
    words = ["gitops", "service", "new", new, "--image", str(program.app.get("image")), "--owner", service.owner.team]
    words += [] if hosts else ["--shape", "bot"]
    for host in hosts:
        words += ["--domain", host]
    if service.owner.contact != services.teams(checkout)[service.owner.team].contact:
        words += ["--contact", service.owner.contact]
    paths = (f"overlays/{new}", checkout.relative(checkout.codeowners_file))
    yield _Step(shlex.join([*words, *_contract(program)]), paths, f"Add {new}")
    yield from _set_again(checkout, service, new, FIRST_ENVIRONMENTS["web" if hosts else "bot"])
    sealed, _ = sealedsecret.readable(checkout, [service.name])
    for secret in sealed:
        if secret.overlay == prod.overlay and not is_generation(secret.name):
            words = ["gitops", "secrets", "seal", new, secret.name]
            for key in sorted(secret.encrypted):
                words += ["--key", key]
            words += ["--as-env"] if _is_read_as_variables(program, secret.name, secret.encrypted) else []
            yield _Step(shlex.join(words), paths[:1], f"{new}: seal {secret.name}")


def _set_again(checkout: Checkout, service: Service, new: str, made: Sequence[str]) -> Iterator[_Step]:
    """The variables of a service's own, in the environments that a new one begins with."""
    overlays = [summary.overlay for summary in service.overlays if summary.overlay.environment in made]
    own = {overlay.environment: _variables(checkout, overlay) for overlay in overlays}
    if len(own) == len(made) and len(set(map(tuple, own.values()))) == 1:
        own = {"": next(iter(own.values()))}
    for environment, entries in own.items():
        words = ["gitops", "service", "set", new, *entries, *(["--environment", environment] if environment else [])]
        names = " ".join(entry.partition("=")[0] for entry in entries if entry != "--public")
        if names:
            message = f"{'/'.join(filter(None, [new, environment]))}: set {names}"
            yield _Step(shlex.join(words), (f"overlays/{new}",), message)


def _contract(program: workload.Workload) -> list[str]:
    """The options of an image that has a port or a health check of its own."""
    ports = [port.get("containerPort") for port in program.app.get("ports") or []]
    health = ((program.app.get("livenessProbe") or {}).get("httpGet") or {}).get("path", _HEALTH)
    words = ["--port", str(ports[0])] if ports and ports[0] != _PORT else []
    return [*words, *(["--health", health] if health != _HEALTH else [])]


def _variables(checkout: Checkout, overlay: Overlay) -> list[str]:
    """NAME=VALUE of each variable that an overlay sets by itself, but for other services' addresses; --public where one
    looks like a secret.
    """
    program = workload.read(checkout, overlay)
    entries: list[str] = []
    public: list[str] = []
    for entry in program.app.get("env") or []:
        place = program.place("env", entry["name"])
        own = place is not None and place.file.startswith("overlays/") and entry["name"] != "PORT"
        if own and _ADDRESS not in entry.get("value", _ADDRESS):
            entries.append(f"{entry['name']}={entry['value']}")
            public += ["--public"] if secretlike.reason(entry["name"], entry["value"]) else []
    return [*entries, *public[:1]]


def _is_read_as_variables(program: workload.Workload, name: str, keys: Iterable[str]) -> bool:
    """Whether each key of a Secret is a variable of the program."""
    sources = [(entry.get("valueFrom") or {}).get("secretKeyRef") or {} for entry in program.app.get("env") or []]
    return {source.get("key") for source in sources if source.get("name") == name}.issuperset(keys)
