"""What is no verb, and why: the answer says what to type in its place, each line of it whole."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.repository import services
from gitops.service import ending, steps
from gitops.service.again import Again, TypedStep, calls, prod_of
from gitops.service.change import NewService, check_clean, uncovered


def rename(checkout: Checkout, name: str, new: str) -> InputError:
    """Why a service keeps its name."""
    service = services.one(checkout, name)
    services.check_name(new, services.listed(checkout)[0])
    ending.check_owner(checkout, service)
    check_clean(checkout)
    again = Again(checkout, service, new, prod_of(service).domains, same=True)
    before, after, remark = calls(checkout, service, new)
    folders = [ending.exception_file(summary.overlay) for summary in service.overlays]
    paths = (checkout.relative(service.folder), checkout.relative(checkout.codeowners_file), *folders)
    command = shlex.join(["gitops", "service", "remove", name, "--reason", f"{new} takes its place"])
    parts = [*before, TypedStep(command, paths, f"Remove {name}"), *again.steps(), *after]
    lines = _pull_request(checkout, f"{name}-rename", parts, remark, again.remark())
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
    ending.check_owner(checkout, service)
    check_clean(checkout)
    again = Again(checkout, service, new, _host(checkout, prod_of(service).domains, new), same=False)
    lines = _pull_request(checkout, new, list(again.steps()), "", again.remark())
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


def _pull_request(checkout: Checkout, name: str, parts: Sequence[TypedStep], first: str, last: str) -> list[str]:
    """The lines of a pull request of several commits, on a branch of its own.

    `first`, `last`: remarks, before all of them and before the push.
    """
    branch = steps.branch(checkout, name)
    lines = [*filter(None, [first, branch.switch])]
    for part in parts:
        lines += [part.command, steps.commit(part.paths, part.message)]
    return [*lines, *filter(None, [last]), branch.push]


def _host(checkout: Checkout, hosts: Sequence[str], new: str) -> list[str]:
    """A host that a copy could have, beside or below the first of the service's: one that a certificate covers."""
    first = hosts[0] if hosts else ""
    possible = [f"{new}.{first.partition('.')[2]}", f"{new}.{first}"] if first else []
    covered = [host for host in possible if not uncovered(checkout, NewService(new, "", (host,), "web", ""))]
    return (covered or possible)[:1]
