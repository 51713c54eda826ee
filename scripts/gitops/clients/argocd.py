"""Argo CD's Applications, as the API server shows them. A bot, outside of the cluster, asks GitHub (clients/github)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from gitops.clients import workloads
from gitops.clients.kubernetes import Cluster
from gitops.ground.errors import NotHealthyError

APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
SERVICES = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/services"


# What no further attempt changes, by the package that says it: the API server refuses an object for what it is, the
# project refuses its kind or the Application itself, or the folder does not render. Not a quota, a namespace that is
# going, a connection or a definition that is not there yet.
_REFUSALS = re.compile(
    "|".join(
        (
            # k8s.io/apiserver, admission/plugin/policy/validating; it fails to configure while parameters are not there
            r"denied request: (?!failed to configure)",
            # k8s.io/apiserver, admission/plugin/webhook/errors
            r"denied the request:",
            # k8s.io/pod-security-admission, admission
            r"violates PodSecurity",
            # k8s.io/apimachinery, api/errors, NewInvalid
            r" is invalid: ",
            # sigs.k8s.io/structured-merge-diff, typed
            r"field not declared in schema",
            # k8s.io/apimachinery, util/managedfields, of a value of another type
            r"typed patch object .*: expected \w+, got",
            # github.com/argoproj/argo-cd, controller/sync.go of a kind, util/argo (ValidatePermissions) of a repository
            r"is not permitted in project",
            # github.com/argoproj/argo-cd, util/argo (ValidatePermissions)
            r"do not match any of the allowed destinations in project",
            # github.com/argoproj/argo-cd, util/kustomize by util/exec
            r"`kustomize build .*` failed exit status",
        )
    )
)
# Of an Application that is invalid nothing is compared, so the commit is an older one's.
_COMPARISON = "ComparisonError"
_CONDITIONS = (_COMPARISON, "InvalidSpecError")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# They bring the projects, and the policies: what those refuse is decided once their newest commit is there.
_FIRST = ("root", "cluster")
_REFRESH = "argocd.argoproj.io/refresh"
# Seconds after which an Application that is not at the commit is asked for: by then a webhook has come through.
_PATIENCE = 15.0
_REFRESH_SET = "argocd.argoproj.io/application-set-refresh"
# Seconds from one look of the ApplicationSet that is asked for to the next.
_SET_PAUSE = 2.0
_SET_FAILED = ("ErrorOccurred", "True")
_CONTRADICTION = "ApplicationValidationError"
# What Argo CD puts before the words of kustomize and of the API server, and the folder in which it rendered.
_WRAPPED = (
    (
        re.compile(r"Failed to load target state: .*?`kustomize build [^`]*` failed exit status \d+: (?:Error: )?"),
        "kustomize build: ",
    ),
    (re.compile(r"Failed to compare desired state to live state: .*? in dryrun mode for resource (\S+): "), r"\1: "),
    (re.compile(r"<path to cached source>/|/\S*/_argocd-repo/[-0-9a-f]+/"), ""),
)


@dataclass(frozen=True)
class SyncRefusal:
    """Why an Application can never be Synced at a commit.

    `revision`: that commit; None where Argo CD names none. `attempt`: how often its sync was tried again; None where a
    comparison was refused, before any sync.
    """

    reason: str
    revision: str | None
    attempt: int | None = None


@dataclass(frozen=True)
class AppStatus:
    """What an operator looks at first. `revision` is the commit that the Application is compared with.

    `asked`: Argo CD was asked to look again and did not do so yet.
    """

    name: str
    project: str
    sync: str
    health: str
    revision: str
    message: str
    refusal: SyncRefusal | None = None
    asked: bool = False
    namespace: str = ""

    @property
    def short_revision(self) -> str:
        """The commit's first characters; empty where Argo CD has only a branch's name, as nothing was compared."""
        return self.revision[:8] if _COMMIT.fullmatch(self.revision) else ""

    @property
    def good(self) -> bool:
        """Synced and Healthy."""
        return self.sync == "Synced" and self.health == "Healthy"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def applications(cluster: Cluster) -> list[AppStatus]:
    """Every Application, by name."""
    apps = []
    for item in cluster.items(APPLICATIONS):
        status = item.get("status", {})
        operation = status.get("operationState", {})
        problems = [c["message"] for c in status.get("conditions", []) if c["type"].endswith("Error")]
        if operation.get("phase") in ("Failed", "Error") or (
            operation.get("phase") == "Running" and operation.get("retryCount")
        ):
            problems.append(operation.get("message", ""))
        problems += [
            f"{r['kind']} {r['name']}: {r['health'].get('message') or r['health']['status']}"
            for r in status.get("resources", [])
            if r.get("health", {}).get("status") in ("Degraded", "Missing")
        ]
        apps.append(
            AppStatus(
                name=item["metadata"]["name"],
                project=item["spec"]["project"],
                sync=status.get("sync", {}).get("status", "Unknown"),
                health=status.get("health", {}).get("status", "Missing"),
                revision=status.get("sync", {}).get("revision", ""),
                message="; ".join(dict.fromkeys(map(_plain, filter(None, problems)))),
                refusal=_refusal(status),
                asked=_REFRESH in (item["metadata"].get("annotations") or {}),
                namespace=item["spec"].get("destination", {}).get("namespace", ""),
            )
        )
    return sorted(apps, key=lambda app: app.name)


def _plain(message: str) -> str:
    """Argo CD's words on one line, without what it wraps kustomize's in."""
    text = " ".join(message.split())
    for pattern, plain in _WRAPPED:
        text = pattern.sub(plain, text)
    return text


def explained(cluster: Cluster, apps: Collection[AppStatus]) -> list[AppStatus]:
    """The same, and of each that is Degraded or Progressing what its own pods and controllers say.

    Argo CD has no more to tell of those than that a rollout is not through. Raises ClusterError.
    """
    told = []
    for app in apps:
        if app.namespace and app.health in ("Degraded", "Progressing", "Missing"):
            reasons = [*workloads.faults(cluster, app.namespace), app.message]
            told.append(replace(app, message="; ".join(dict.fromkeys(filter(None, reasons)))))
        else:
            told.append(app)
    return told


def _refusal(status: dict[str, Any]) -> SyncRefusal | None:
    """What refuses the commit that the Application is compared with."""
    compared = status.get("sync", {}).get("revision", "")
    commit = compared if _COMMIT.fullmatch(compared) else None
    for condition in status.get("conditions", []):
        if condition["type"] in _CONDITIONS and _REFUSALS.search(condition["message"]):
            return SyncRefusal(condition["message"], commit if condition["type"] == _COMPARISON else None)
    operation = status.get("operationState", {})
    result = operation.get("syncResult") or {}
    if commit is None or result.get("revision") != commit:
        return None
    for resource in result.get("resources") or []:
        if resource.get("status") == "SyncFailed" and _REFUSALS.search(resource.get("message", "")):
            reason = f"{resource['kind']} {resource['name']}: {resource['message']}"
            return SyncRefusal(reason, commit, operation.get("retryCount") or 0)
    return None


class _Refusals:
    """Which Applications can never become good, so that nobody waits for them.

    A refusal of which Argo CD names no commit may be of an older one, and one from before those of _FIRST were there
    may be of older projects and policies: Argo CD is asked once to look again; what it says then is of the newest.
    """

    def __init__(self, cluster: Cluster, revision: str | None) -> None:
        self._cluster = cluster
        self._revision = revision
        self._asked: set[str] = set()
        self._set_asked = -_SET_PAUSE
        self._began = time.monotonic()
        self._early: dict[str, SyncRefusal] = {}

    def check(self, late: Collection[AppStatus]) -> None:
        """Raise NotHealthyError that names each Application that is refused, and why."""
        if first := [app for app in late if app.name in _FIRST]:
            self._early |= {app.name: app.refusal for app in late if app.refusal and app not in first}
            late = first
        self._look_again(late)
        refused = [f"  {app.name}: {app.refusal.reason}" for app in late if app.refusal and self._holds(app)]
        if refused:
            raise NotHealthyError("refused, so that waiting does not help:\n" + "\n".join(refused))
        self._check_set()

    def _look_again(self, late: Collection[AppStatus]) -> None:
        """Ask once for what has not come to the commit: Argo CD says nothing of a render that failed the first time,
        and tries it again after minutes (repo-error-grace-period); a hard refresh is answered at once.
        """
        if self._revision is None or time.monotonic() - self._began < _PATIENCE:
            return
        for app in late:
            if not app.refusal and app.revision != self._revision and app.name not in self._asked:
                self._ask(f"{APPLICATIONS}/{app.name}", app.name, {_REFRESH: "hard"})

    def _holds(self, app: AppStatus) -> bool:
        """Whether the Application's refusal is of the commit that is waited for."""
        if app.refusal and app.refusal.revision and app.refusal != self._early.get(app.name):
            return self._revision in (None, app.refusal.revision)
        if app.refusal and app.refusal.attempt is not None:
            return False  # tried before those were there: the next attempt tells
        if app.name in self._asked:
            return not app.asked
        self._ask(f"{APPLICATIONS}/{app.name}", app.name, {_REFRESH: "normal"})
        return False

    def _check_set(self) -> None:
        """The same of the ApplicationSet, which makes no Application of folders that contradict each other."""
        services = self._cluster.find(SERVICES) or {}
        conditions = services.get("status", {}).get("conditions", [])
        errors = [condition for condition in conditions if (condition["type"], condition["status"]) == _SET_FAILED]
        if not errors or _REFRESH_SET in (services["metadata"].get("annotations") or {}):
            return
        reason, message = errors[0].get("reason"), errors[0]["message"]
        if SERVICES in self._asked and reason == _CONTRADICTION:
            raise NotHealthyError(f"refused, so that waiting does not help:\n  ApplicationSet services: {message}")
        # Any other error passes, such as a project that its cache does not have yet; by itself it tries again after
        # three minutes.
        if time.monotonic() - self._set_asked > _SET_PAUSE:
            self._set_asked = time.monotonic()
            self._ask(SERVICES, SERVICES, {_REFRESH_SET: "true"})

    def _ask(self, path: str, name: str, annotations: dict[str, str]) -> None:
        self._cluster.patch(path, {"metadata": {"annotations": annotations}})
        self._asked.add(name)


def refresh(cluster: Cluster) -> None:
    """Have Argo CD look at git for every Application now: without a webhook it looks every few minutes."""
    for app in applications(cluster):
        cluster.patch(f"{APPLICATIONS}/{app.name}", {"metadata": {"annotations": {_REFRESH: "normal"}}})


def wait_for(
    cluster: Cluster,
    expected: Collection[str],
    *,
    seconds: float,
    revision: str | None = None,
    alive: Callable[[], None] | None = None,
) -> float:
    """Wait until every expected Application is Synced and Healthy, at `revision` where one is given.

    Returns the seconds that it took. Raises NotHealthyError that names each one that is not, and why: at once where one
    is refused at that revision, and after `seconds` where one is slow.
    """
    began = time.monotonic()
    refusals = _Refusals(cluster, revision)
    while True:
        by_name = {app.name: app for app in applications(cluster)}
        late = [
            name
            for name in expected
            if not ((app := by_name.get(name)) and app.good and (revision is None or app.revision == revision))
        ]
        if not late:
            return time.monotonic() - began
        if alive:
            alive()
        refusals.check([by_name[name] for name in late if name in by_name])
        if time.monotonic() - began > seconds:
            there = explained(cluster, [by_name[name] for name in late if name in by_name])
            lines = [f"  {app.name}: {describe(app, revision)}" for app in there]
            lines += [f"  {name}: no such Application" for name in late if name not in by_name]
            raise NotHealthyError(f"not Synced and Healthy within {seconds:g} s:\n" + "\n".join(lines))
        time.sleep(0.25)


def describe(app: AppStatus, revision: str | None = None) -> str:
    """One line on an Application that is not as it should be."""
    commit = app.short_revision or "no commit yet"
    behind = f", at {commit} and not at {revision[:8]}" if revision and app.revision != revision else ""
    return f"{app.sync}, {app.health}{behind}{': ' + app.message if app.message else ''}"
