"""Whether pods stay while others go: replicas beside an autoscaler, budgets, probes, the strategy, the time to end.

The API server takes all of it. What breaks is the next rollout, or the next node that is drained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, label, name, selects, spec_of, value_at
from gitops.manifests.pods import Template, template
from gitops.manifests.quantity import number

# What runs on and on; a Job's pods end, and nobody waits for them to be ready.
_LASTING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
# The bases' own container, and the label by which a bot is known (base/bot).
_ZONE = "topology.kubernetes.io/zone"
_MAIN, _COMPONENT, _SITE, _BOT = "app", "app.kubernetes.io/component", "web", "bot"
# Kubernetes' own, where a pod names none.
_GRACE = 30
_DEADLINE = 600
_STARTING = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}
# What a program is left to answer what it has begun, once preStop is over; where the target group names no longer one.
_DRAIN = 10
_DELAY = re.compile(r"\bderegistration_delay\.timeout_seconds=(\d+)")
_ATTRIBUTES = "alb.ingress.kubernetes.io/target-group-attributes"
_ACTION, _ACTS_ON = "/actions.", re.compile(r'"serviceName"\s*:\s*"([^"]+)"')
_SLEEP = re.compile(r"\bsleep\s+(\d+)\b")


@dataclass(frozen=True)
class LastingWorkload:
    """A workload that lasts, and what else an overlay says of it.

    `served`: a Service selects its pods; `balanced`: an Ingress names such a Service; `autoscalers`: those that scale
    it; `budgets`: those that select its pods.
    """

    pods: Template
    served: bool
    balanced: bool
    autoscalers: tuple[Object, ...]
    budgets: tuple[Object, ...]

    @classmethod
    def of(cls, unit: Unit, pods: Template) -> LastingWorkload:
        """What a unit says of a pod template."""
        selectors = {name(item): spec_of(item).get("selector") or {} for item in unit.kind("Service")}
        services = {named for named, labels in selectors.items() if labels and labels.items() <= pods.labels.items()}
        balanced = not services.isdisjoint(chain.from_iterable(map(_backends, unit.kind("Ingress"))))
        key = (str(pods.item.get("kind")), name(pods.item))
        scalers = [item for item in unit.kind("HorizontalPodAutoscaler") if scaled(item) == key]
        # What base/ brings is not the one too many.
        scalers.sort(key=lambda item: not unit.places.of(item, ("spec", "scaleTargetRef")).of_base)
        budgets = [item for item in unit.kind("PodDisruptionBudget") if _guards(item, pods)]
        return cls(pods, bool(services), balanced, tuple(scalers), tuple(budgets))

    @property
    def item(self) -> Object:
        """The workload itself."""
        return self.pods.item

    @property
    def is_bot(self) -> bool:
        """Whether it is of the shape of which there is one pod alone."""
        return self.pods.labels.get(_COMPONENT) == _BOT

    @property
    def least(self) -> int:
        """The fewest pods that it has by what it says."""
        if self.autoscalers:
            return int(spec_of(self.autoscalers[0]).get("minReplicas") or 1)
        return _replicas(self.item)

    @property
    def most(self) -> int:
        """The most pods that it has, without a surge."""
        if self.autoscalers:
            return int(spec_of(self.autoscalers[0]).get("maxReplicas") or 1)
        return _replicas(self.item)


def scaled(autoscaler: Object) -> tuple[str, str]:
    """The kind and the name of what an autoscaler scales."""
    target = spec_of(autoscaler).get("scaleTargetRef") or {}
    return str(target.get("kind")), str(target.get("name"))


def _backends(ingress: Object) -> Iterator[str]:
    """The Services that an Ingress sends to, by its rules, its default or its annotations of actions."""
    spec = spec_of(ingress)
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or []:
        backends += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or []]
    for backend in backends:
        yield str((backend.get("service") or {}).get("name"))
    annotations = value_at(ingress, ("metadata", "annotations")) or {}
    for key, value in annotations.items():
        if _ACTION in key:
            yield from _ACTS_ON.findall(str(value))


def check(unit: Unit) -> Iterator[Finding]:
    """Every workload of a unit that lasts."""
    for item in unit.kind(*_LASTING):
        pods = template(item)
        if pods is None:
            continue
        workload = LastingWorkload.of(unit, pods)
        yield from _scale(unit, workload)
        yield from _budget(unit, workload)
        yield from _probed(unit, workload)
        yield from _strategy(unit, workload)
        yield from _spread(unit, workload)
        yield from _ending(unit, workload)


# -- how many


def _scale(unit: Unit, workload: LastingWorkload) -> Iterator[Finding]:
    item, path = workload.item, ("spec", "replicas")
    count = value_at(item, path)
    if workload.autoscalers and count is not None:
        first = label(workload.autoscalers[0])
        what = f"has replicas {count} beside {first}: each sync takes the autoscaler's pods away"
        yield unit.finding("replicas", item, path, what, f"leave replicas out; {first} has minReplicas")
    elif count == 0:
        yield unit.finding("replicas", item, path, "runs no pod", "1 or more; to end a service see docs/runbooks")
    elif workload.is_bot and workload.most > 1:
        where = (workload.autoscalers[0], ("spec", "maxReplicas")) if workload.autoscalers else (item, path)
        what = f"may have {workload.most} pods, and each would say everything once more"
        yield unit.finding("replicas", *where, what, "1: a bot has one pod")
    for second in workload.autoscalers[1:]:
        what = f"scales {label(item)}, which {label(workload.autoscalers[0])} scales too"
        yield unit.finding("replicas", second, ("spec", "scaleTargetRef", "name"), what, "keep one of the two")


def _replicas(item: Object) -> int:
    count = spec_of(item).get("replicas")
    return 1 if count is None else int(count)


# -- budgets


def _guards(budget: Object, pods: Template) -> bool:
    """Whether a budget selects pods. One without labels selects all of its namespace."""
    return selects(spec_of(budget).get("selector"), pods.labels)


def _budget(unit: Unit, workload: LastingWorkload) -> Iterator[Finding]:
    if workload.served and workload.most > 1 and not workload.budgets:
        what = "has no PodDisruptionBudget: a drain may end all of its pods at once"
        yield unit.finding("budget", workload.item, ("metadata", "name"), what, "leave base/web's as it is")
    for budget in workload.budgets:
        field = next((one for one in ("minAvailable", "maxUnavailable") if spec_of(budget).get(one) is not None), None)
        if field is None:
            continue
        value = spec_of(budget)[field]
        for pods in sorted({workload.least, workload.most} - {0}):
            free = _free(field, value, pods)
            if free <= 0:
                what = f"{field} {value} lets none of {pods} pods of {label(workload.item)} go: no node is ever drained"
                yield unit.finding("budget", budget, ("spec", field), what, "say maxUnavailable: 1")
                break
            if free >= pods > 1 and workload.served:
                what = f"{field} {value} lets all {pods} pods of {label(workload.item)} go at once"
                yield unit.finding("budget", budget, ("spec", field), what, "say maxUnavailable: 1")
                break


def _free(field: str, value: Any, pods: int) -> int:  # noqa: ANN401 - a number, or a share as text
    """How many pods may go; shares are rounded up on either side (pkg/controller/disruption)."""
    text = str(value)
    share = number(text.removesuffix("%"))
    count = math.ceil(share * pods / 100) if text.endswith("%") else int(share)
    return pods - count if field == "minAvailable" else count


# -- probes


def _probed(unit: Unit, workload: LastingWorkload) -> Iterator[Finding]:
    """A container that serves is asked whether it can; the bases' own one also whether it lives."""
    of_base = workload.pods.labels.get(_COMPONENT) in (_SITE, _BOT)
    for path, container in workload.pods.containers():
        main = of_base and container.get("name") == _MAIN
        if "initContainers" in path or not (main or (workload.served and container.get("ports"))):
            continue
        for probe in _PROBES if main else _PROBES[1:2]:
            if not container.get(probe):
                why = {
                    "startupProbe": "a slow start is taken for a dead program",
                    "readinessProbe": "it is sent requests before it can answer, and a rollout never waits for it",
                    "livenessProbe": "one that hangs is never started again",
                }[probe]
                what = f"container {container.get('name')} has no {probe}: {why}"
                yield unit.finding("probes", workload.item, (*path, probe), what, f"leave the base's {probe}")


# -- rollouts


def _strategy(unit: Unit, workload: LastingWorkload) -> Iterator[Finding]:
    item = workload.item
    if item.get("kind") != "Deployment":
        return
    strategy = spec_of(item).get("strategy") or {}
    recreates = strategy.get("type") == "Recreate"
    path: FieldPath = ("spec", "strategy", "type")
    yield from _progress(unit, workload)
    if workload.is_bot and not recreates:
        what = "starts a new pod beside the old one, and both say everything"
        yield unit.finding("rollout", item, path, what, "strategy: {type: Recreate}, as base/bot has it")
    if not workload.served:
        return
    if recreates:
        yield unit.finding("rollout", item, path, "ends all of its pods before it starts a new one", "RollingUpdate")
        return
    value = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
    # A share is rounded down here (pkg/controller/deployment/util).
    text, share = str(value), number(str(value).removesuffix("%"))
    pods = max(workload.least, 1)
    gone = math.floor(share * pods / 100) if text.endswith("%") else int(share)
    if gone:
        what = f"a rollout ends {gone} of {pods} pods before new ones are ready"
        where = ("spec", "strategy", "rollingUpdate", "maxUnavailable")
        yield unit.finding("rollout", item, where, what, "maxUnavailable: 0, as base/web has it")


def _progress(unit: Unit, workload: LastingWorkload) -> Iterator[Finding]:
    """A rollout that never goes on, or that counts as failed while a program still starts."""
    item, spec = workload.item, spec_of(workload.item)
    if spec.get("paused"):
        what = "is paused: what is merged is not rolled out, and Argo CD calls it suspended"
        fix = "leave paused out; an image is held by hold.yaml (docs/runbooks/images.md)"
        yield unit.finding("rollout", item, ("spec", "paused"), what, fix)
    deadline: FieldPath = ("spec", "progressDeadlineSeconds")
    most = _number(spec.get("progressDeadlineSeconds"), _DEADLINE)
    for path, container in workload.pods.containers():
        probe = container.get("startupProbe") or {}
        number = {field: _number(probe.get(field), value) for field, value in _STARTING.items()}
        patience = number["initialDelaySeconds"] + number["periodSeconds"] * number["failureThreshold"]
        if probe and patience > most:
            fields = [(*path, "startupProbe", field) for field in ("failureThreshold", "periodSeconds")]
            own = _own(unit, item, [*fields, deadline])
            what = f"{container.get('name')} may take {patience} s to start; after {most} s the rollout has failed"
            fix = f"progressDeadlineSeconds: {patience + _DEADLINE // 10}, or fewer attempts of the startupProbe"
            yield unit.finding("rollout", item, own, what, fix)


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _spread(unit: Unit, workload: LastingWorkload) -> Iterator[Finding]:
    """What has more than one pod survives a zone; nothing else is spread over (docs/adr/0013)."""
    field = (*workload.pods.path, "spec", "topologySpreadConstraints")
    constraints = value_at(workload.item, field) or []
    zones = [entry for entry in constraints if entry.get("topologyKey") == _ZONE]
    spread = any(entry.get("whenUnsatisfiable") == "DoNotSchedule" for entry in zones)
    if workload.served and workload.most > 1 and not spread:
        where: FieldPath = (*field, constraints.index(zones[0]), "whenUnsatisfiable") if zones else field
        what = "all of its pods may be in one zone"
        yield unit.finding("spread", workload.item, where, what, "leave base/web's topologySpreadConstraints")
    for position, entry in enumerate(constraints):
        if entry.get("topologyKey") != _ZONE:
            what = f"is spread over {entry.get('topologyKey')}: the autoscaler of nodes then makes a node for each pod"
            yield unit.finding("spread", workload.item, (*field, position, "topologyKey"), what, f"spread over {_ZONE}")
        elif entry.get("minDomains") is not None:
            what = "has minDomains: once a zone is lost no new pod starts"
            yield unit.finding("spread", workload.item, (*field, position, "minDomains"), what, "leave minDomains out")


# -- the end


def _ending(unit: Unit, workload: LastingWorkload) -> Iterator[Finding]:
    spec = workload.pods.spec
    said = spec.get("terminationGracePeriodSeconds")
    grace = _GRACE if said is None else int(said)
    waits = [(_wait(container), path) for path, container in workload.pods.containers()]
    wait, path = max(waits, key=lambda pair: pair[0], default=(0, ()))
    drain = _drain(unit) if workload.balanced else _DRAIN if workload.served else 0
    if workload.balanced and not wait:
        main = next((where for where, container in workload.pods.containers() if container.get("ports")), path)
        what = "has no preStop that sleeps: it ends while the load balancer still sends to it"
        yield unit.finding("grace", workload.item, (*main, "lifecycle", "preStop"), what, "leave base/web's: sleep 20")
    elif (wait or workload.served) and grace < wait + drain:
        most = (*workload.pods.path, "spec", "terminationGracePeriodSeconds")
        # The one that the overlay itself changed, where the other is the base's.
        own = _own(unit, workload.item, (most, (*path, "lifecycle", "preStop", "sleep", "seconds")))
        rest = f" and {drain} s to answer what it has begun" if drain else ""
        what = f"is killed after {grace} s; its preStop takes {wait} s{rest}"
        fix = f"terminationGracePeriodSeconds: {max(60, wait + drain)}"
        yield unit.finding("grace", workload.item, own, what, fix)


def _own(unit: Unit, item: Object, paths: Sequence[FieldPath]) -> FieldPath:
    places = [(unit.places.of(item, path).of_base, path) for path in paths]
    return min(places, key=lambda pair: pair[0])[1]


def _wait(container: Object) -> int:
    """How long a container's preStop takes, in seconds; 0 where that is not known."""
    hook = value_at(container, ("lifecycle", "preStop")) or {}
    seconds = value_at(hook, ("sleep", "seconds"))
    if seconds is not None:
        return int(seconds)
    command = value_at(hook, ("exec", "command")) or []
    match = _SLEEP.search(" ".join(map(str, command)))
    return int(match[1]) if match else 0


def _drain(unit: Unit) -> int:
    """How long the load balancer lets what has begun go on, in seconds."""
    texts = [value_at(item, ("metadata", "annotations", _ATTRIBUTES)) for item in unit.kind("Ingress", "Service")]
    delays = map(int, _DELAY.findall(" ".join(map(str, texts))))
    return max(delays, default=_DRAIN)
