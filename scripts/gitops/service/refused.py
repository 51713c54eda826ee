"""What is no verb, and why: the answer says what to type in its place."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.repository import services
from gitops.repository.services import Service
from gitops.service import workload


def rename(checkout: Checkout, name: str, new: str) -> InputError:
    """Why a service keeps its name."""
    steps = [f"gitops service remove {name}", "commit that", *_again(checkout, services.one(checkout, name), new)]
    return InputError(
        f"{name} keeps its name: a name is a namespace, which Kubernetes renames never, and each secret is sealed for "
        "that one alone",
        fix="end it and begin it anew, in one pull request:\n" + "\n".join(steps),
    )


def copy(checkout: Checkout, name: str, new: str) -> InputError:
    """Why a service is not copied."""
    return InputError(
        f"{name} is not copied: its domains, its secrets, its application at 42 and its data are its own, "
        "and two cannot have them",
        fix="make a new one of the same image:\n" + "\n".join(_again(checkout, services.one(checkout, name), new)),
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


def _again(checkout: Checkout, service: Service, new: str) -> Iterator[str]:
    """The commands by which the same service would be made under another name."""
    prod = next(iter([one for one in service.overlays if one.overlay.environment == "prod"] or service.overlays))
    program = workload.read(checkout, prod.overlay)
    words = ["gitops", "service", "new", new, "--image", str(program.app.get("image")), "--owner", service.owner.team]
    if program.kind == "Deployment" and not prod.domains:
        words += ["--shape", "bot"]
    for domain in prod.domains:
        words += ["--domain", domain]
    yield shlex.join(words)
    own = [
        shlex.quote(f"{entry['name']}={entry['value']}")
        for entry in program.app.get("env") or []
        if "value" in entry and (place := program.place("env", entry["name"])) and place.file.startswith("overlays/")
    ]
    if own:
        yield f"commit that\ngitops service set {new} {' '.join(own)}"
    yield "each secret is sealed anew: gitops secrets seal --as-env"
