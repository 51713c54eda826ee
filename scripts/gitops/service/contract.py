"""What a base asks of an image, read from what it renders: there is no second place for any of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gitops.clients.containers import Sandbox
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import kustomize, quantity
from gitops.manifests.objects import Object, name
from gitops.manifests.pods import Template, template
from gitops.service.workload import APP

SHAPES = ("web", "bot")
# What Kubernetes takes for what a probe or a pod does not say (k8s.io/api, core/v1).
_PERIOD, _TIMEOUT, _FAILURES, _GRACE = 10, 1, 3, 30


@dataclass(frozen=True)
class HttpProbe:
    """A probe: GET `path` every `period` seconds, each with `timeout` seconds; `failures` in a row are too many.

    `delay`: seconds before the first.
    """

    path: str
    delay: float
    period: float
    timeout: float
    failures: int

    @property
    def patience(self) -> float:
        """Seconds until what never answers has failed."""
        return self.delay + self.period * self.failures


@dataclass(frozen=True)
class Contract:
    """What an image must keep. `grace`: seconds from SIGTERM to SIGKILL, what its preStop hook takes left out.

    `terminates`, `hook`: the two numbers that this is made of. `system`: what a node is, as linux/amd64.
    """

    sandbox: Sandbox
    startup: HttpProbe
    readiness: HttpProbe
    terminates: float
    hook: float
    system: str

    @property
    def grace(self) -> float:
        """Seconds for its own end."""
        return self.terminates - self.hook


def of_base(checkout: Checkout, shape: str, port: int | None, health: str | None) -> Contract:
    """The contract of base/<shape>. `port`, `health`: where an image says otherwise, as `service new` takes them.

    Raises InputError where the base renders no such program.
    """
    folder = checkout.root / "base" / shape
    objects = kustomize.build(checkout, folder)
    for item in objects:
        pods = template(item) if item.get("kind") == "Deployment" else None
        for _, container in pods.containers() if pods else ():
            if pods and name(item) == shape and container.get("name") == APP:
                return _read(pods, container, port, health)
    what = f"no Deployment {shape} with a container {APP}"
    raise InputError(what, path=checkout.relative(folder), fix="base/ is the contract: restore it from git")


def _read(pods: Template, container: Object, port: int | None, health: str | None) -> Contract:
    pod, context = pods.spec, {**(pods.spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
    numbers = pods.ports()
    number = port or next(iter(numbers.values()))
    variables = {entry["name"]: str(entry["value"]) for entry in container.get("env") or [] if "value" in entry}
    if port:
        variables["PORT"] = str(port)
    sandbox = Sandbox(
        user=f"{context['runAsUser']}:{context.get('runAsGroup', 0)}",
        read_only=bool(context.get("readOnlyRootFilesystem")),
        dropped=tuple((context.get("capabilities") or {}).get("drop") or ()),
        no_new_privileges=context.get("allowPrivilegeEscalation") is False,
        memory=int(quantity.number(container["resources"]["limits"]["memory"])),
        writable=_writable(pod, container),
        variables=variables,
        port=number,
    )
    hook = (((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}).get("seconds", 0)
    architecture = (pod.get("nodeSelector") or {}).get("kubernetes.io/arch", "amd64")
    return Contract(
        sandbox,
        _probe(container["startupProbe"], health),
        _probe(container["readinessProbe"], health),
        float(pod.get("terminationGracePeriodSeconds", _GRACE)),
        float(hook),
        f"linux/{architecture}",
    )


def _writable(pod: Object, container: Object) -> Mapping[str, int]:
    """The folders that a pod keeps nothing in, with their sizes."""
    sizes = {
        volume["name"]: int(quantity.number(volume["emptyDir"].get("sizeLimit", "64Mi")))
        for volume in pod.get("volumes") or []
        if "emptyDir" in volume
    }
    mounts = container.get("volumeMounts") or []
    return {mount["mountPath"]: sizes[mount["name"]] for mount in mounts if mount["name"] in sizes}


def _probe(body: Object, path: str | None) -> HttpProbe:
    return HttpProbe(
        path or str(body["httpGet"]["path"]),
        float(body.get("initialDelaySeconds", 0)),
        float(body.get("periodSeconds", _PERIOD)),
        float(body.get("timeoutSeconds", _TIMEOUT)),
        int(body.get("failureThreshold", _FAILURES)),
    )


def loosened(sandbox: Sandbox) -> dict[str, Sandbox]:
    """The same without one of its walls each, by what that wall asks: what a program lives in says what it breaks."""
    return {
        "read-only": replace(sandbox, read_only=False),
        "user": replace(sandbox, user=None),
        "capabilities": replace(sandbox, dropped=()),
        "privileges": replace(sandbox, no_new_privileges=False),
        "memory": replace(sandbox, memory=None),
    }


def open_wide(sandbox: Sandbox) -> Sandbox:
    """Without any wall: what ends here as well ends for a reason of its own."""
    return replace(sandbox, read_only=False, user=None, dropped=(), no_new_privileges=False, memory=None)
