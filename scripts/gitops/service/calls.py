"""A value that names another service's address: the component by which a service may call others comes with it."""

from __future__ import annotations

import posixpath
import re
import shlex

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamledit, yamlfile
from gitops.manifests.objects import name as name_of
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.service.draft import OverlayDraft
from gitops.service.workload import Workload

_COMPONENT = "base/components/internal-client"
# What it brings.
_POLICY = "allow-internal-services"
_BEFORE = ("apiVersion", "kind", "namespace", "resources")
# They change what it brings, and so come after it.
_ENVIRONMENTS = ("staging", "canary")
# A namespace is the end of a name, or the cluster's own words come behind it.
_NAME = re.compile(r"(?<![\w-])([a-z0-9-]+)\.([a-z0-9-]+)(?=\.svc\b|[:/?#\s\"',;]|$)")


def called(checkout: Checkout, value: str) -> list[Overlay]:
    """The overlays whose namespaces a value names behind a Service's, as WEB.NAMESPACE(.svc.cluster.local)."""
    named = [Overlay(*namespace.rpartition("-")[::2]) for _, namespace in _NAME.findall(value)]
    return [overlay for overlay in named if (checkout.root / overlay.kustomization).is_file()]


def allow(draft: OverlayDraft, program: Workload, variable: str, value: str) -> list[str]:
    """Let an overlay call what a value names. Returns what is to be said.

    Raises InputError where that is of another environment: the network is closed between them.
    """
    overlay = draft.overlay
    callees = [callee for callee in called(draft.checkout, value) if callee.service != overlay.service]
    for callee in callees:
        if callee.environment != overlay.environment:
            raise _of_another_environment(draft.checkout, overlay, callee, variable, value)
    # Of what is no Deployment the component says nothing.
    if not callees or _may_call(program) or program.kind != "Deployment":
        return []
    listing = overlay.kustomization
    text = draft.text(listing)
    own = posixpath.relpath(_COMPONENT, overlay.path)
    [document] = yamlfile.parse_all(text, listing)
    components = document.get("components") or []
    if own in map(posixpath.normpath, map(str, components)):
        return []
    later = [number for number, written in enumerate(components) if str(written).rpartition("/")[2] in _ENVIRONMENTS]
    if later:
        text = yamledit.insert(text, listing, ("components",), later[0], own)
    else:
        text = yamledit.put_in(text, listing, (), "components", own, after=_BEFORE)
    draft.write(listing, text)
    return [
        f"{overlay} may call other services of {overlay.environment} from now on: {_COMPONENT} is in its components"
    ]


def _may_call(program: Workload) -> bool:
    return _POLICY in {name_of(item) for item in program.unit.kind("NetworkPolicy")}


def _of_another_environment(
    checkout: Checkout, overlay: Overlay, callee: Overlay, variable: str, value: str
) -> InputError:
    what = f"{variable} names {callee.namespace}, and the network lets {overlay} call its own environment alone"
    steps: list[str] = []
    for environment in ENVIRONMENTS:
        target = Overlay(callee.service, environment)
        both = (target, Overlay(overlay.service, environment))
        if all((checkout.root / folder.path).is_dir() for folder in both):
            own = value.replace(f".{callee.namespace}", f".{target.namespace}")
            words = ["gitops", "service", "set", overlay.service, f"{variable}={own}", "--environment", environment]
            steps.append(shlex.join(words))
    return InputError(what, fix="give each environment its own:", steps=tuple(steps))


def left(draft: OverlayDraft, program: Workload, gone: str) -> list[str]:
    """What is to be said where a variable that named another service goes, and none of the others names one."""
    rest = str([entry for entry in program.app.get("env") or [] if entry.get("name") != gone])
    value = next((str(entry.get("value")) for entry in program.app.get("env") or [] if entry.get("name") == gone), "")
    if not called(draft.checkout, value) or called(draft.checkout, rest) or not _may_call(program):
        return []
    return [f"{draft.overlay} may still call other services, and no variable names one: {_COMPONENT} may go"]
