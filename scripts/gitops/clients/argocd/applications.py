"""What Argo CD says of its Applications."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from gitops.clients import workloads
from gitops.clients.kubernetes import Cluster

APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
REFRESH = "argocd.argoproj.io/refresh"

# What no further attempt changes, by the package that says it: the API server refuses an object for what it is, the
# project refuses its kind or the Application itself, or the folder does not render. Not a quota, a namespace that is
# going, a connection or a definition that is not there yet.
_REFUSALS = re.compile(
    "|".join(
        (
            *workloads.DENIALS,
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
# After so many attempts, 75 seconds, a sync that failed each time is no accident (so too argocd-notifications-cm).
_ATTEMPTS = 4
# What turns Healthy by itself, or says of others what they say themselves.
_NO_CAUSE = ("Application", "HorizontalPodAutoscaler", "Ingress", "PersistentVolumeClaim")
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
    comparison was refused, before any sync, or where no attempt follows. `certain`: False where it failed each time and
    says nothing that holds for ever.
    """

    reason: str
    revision: str | None
    attempt: int | None = None
    certain: bool = True


@dataclass(frozen=True)
class AppStatus:
    """What an operator looks at first. `revision` is the commit that the Application is compared with.

    `asked`: Argo CD was asked to look again and did not do so yet. `runs`: the commit that was synced last, empty where
    none was. `broken`: the objects that say of themselves that they do not work.
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
    runs: str = ""
    broken: tuple[str, ...] = ()

    @property
    def short_revision(self) -> str:
        """The commit's first characters; of what runs where nothing was compared, and Argo CD has a branch's name."""
        return (self.revision if _COMMIT.fullmatch(self.revision) else self.runs)[:8]

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
        unwell = [part for part in status.get("resources", []) if _health(part) in ("Degraded", "Missing")]
        problems += _together(map(_unwell, unwell))
        if not problems:
            problems += _together(map(_unsynced, filter(_differs, status.get("resources", []))))
        apps.append(
            AppStatus(
                name=item["metadata"]["name"],
                project=item["spec"]["project"],
                sync=status.get("sync", {}).get("status") or "Unknown",
                health=status.get("health", {}).get("status") or "Missing",
                revision=status.get("sync", {}).get("revision", ""),
                message="; ".join(dict.fromkeys(map(plain, filter(None, problems)))),
                refusal=_refusal(status),
                asked=REFRESH in (item["metadata"].get("annotations") or {}),
                namespace=item["spec"].get("destination", {}).get("namespace", ""),
                runs=_synced(status),
                broken=tuple(plain(_unwell(part)) for part in unwell if part["kind"] not in _NO_CAUSE),
            )
        )
    return sorted(apps, key=lambda app: app.name)


def _health(resource: dict[str, Any]) -> str:
    return str(resource.get("health", {}).get("status", ""))


def _unwell(resource: dict[str, Any]) -> str:
    return f"{resource['kind']} {resource['name']}: {resource['health'].get('message') or _health(resource)}"


def _differs(resource: dict[str, Any]) -> bool:
    return resource.get("status") == "OutOfSync"


def _unsynced(resource: dict[str, Any]) -> str:
    return f"{resource['kind']} {resource['name']}: not as git has it"


def _together(told: Iterable[str]) -> Iterator[str]:
    """What objects say of themselves, each behind its name: those that say the same once, with how many more."""
    saying: dict[str, list[str]] = {}
    for text in told:
        name, _, words = text.partition(": ")
        saying.setdefault(words, []).append(name)
    for words, names in saying.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{more}: {words}"


def _synced(status: dict[str, Any]) -> str:
    """The commit of the last sync that came to its end."""
    history = status.get("history") or [{}]
    return str(history[-1].get("revision", ""))


def plain(message: str) -> str:
    """Argo CD's words on one line, without what it wraps kustomize's in."""
    text = " ".join(message.split())
    for pattern, words in _WRAPPED:
        text = pattern.sub(words, text)
    return text


def explained(cluster: Cluster, apps: Collection[AppStatus]) -> list[AppStatus]:
    """The same, and of each that is not Healthy what its own pods and controllers say.

    Argo CD has no more to tell of those than that a rollout is not through. Raises ClusterError.
    """
    told = []
    for app in apps:
        if app.namespace and app.health != "Healthy":
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
    message = operation.get("message") or "its sync failed"
    if operation.get("phase") in ("Failed", "Error"):
        return SyncRefusal(message, commit, certain=False)
    if operation.get("phase") == "Running" and (operation.get("retryCount") or 0) >= _ATTEMPTS:
        return SyncRefusal(message, commit, operation["retryCount"], certain=False)
    return None


def refresh(cluster: Cluster) -> None:
    """Have Argo CD look at git for every Application now: without a webhook it looks every few minutes."""
    for app in applications(cluster):
        cluster.patch(f"{APPLICATIONS}/{app.name}", {"metadata": {"annotations": {REFRESH: "normal"}}})


def describe(app: AppStatus, revision: str | None = None) -> str:
    """One line on an Application that is not as it should be."""
    commit = app.short_revision or "no commit yet"
    behind = f", at {commit} and not at {revision[:8]}" if revision and app.revision != revision else ""
    return f"{app.sync}, {app.health}{behind}{': ' + app.message if app.message else ''}"
