"""Waiting for Applications, no longer than it makes sense."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gitops.clients import workloads
from gitops.clients.argocd.applications import (
    APPLICATIONS,
    REFRESH,
    AppStatus,
    SyncRefusal,
    applications,
    describe,
    explained,
    plain,
)
from gitops.clients.kubernetes import Cluster
from gitops.clients.workloads import Lasts
from gitops.ground.errors import NotHealthyError

SERVICES = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/services"
# They bring the projects, and the policies: what those refuse is decided once their newest commit is there.
_FIRST = ("root", "cluster")
# Seconds after which an Application that is not at the commit is asked for: by then a webhook has come through.
_PATIENCE = 15.0
_REFRESH_SET = "argocd.argoproj.io/application-set-refresh"
# Seconds from one look of the ApplicationSet that is asked for to the next.
_SET_PAUSE = 2.0
_SET_FAILED = ("ErrorOccurred", "True")
_CONTRADICTION = "ApplicationValidationError"
NO_SUCH = "no such Application"
# Seconds from one look at the objects of an Application to the next.
_LOOK = 2.0
# Seconds for which what only a change ends must be said without a break: a Secret is opened and a pod replaced within
# less. What others may make room for, what Argo CD cannot compare and what it has not made passes within a minute, or
# does not (argocd-notifications-cm).
_LASTS = 20.0
_MINUTE_LASTS = 60.0


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
        refused = [f"  {app.name}: {plain(app.refusal.reason)}" for app in late if app.refusal and self._holds(app)]
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
            compared = app.refusal and app.refusal.attempt is None
            if not compared and app.revision != self._revision and app.name not in self._asked:
                self._ask(f"{APPLICATIONS}/{app.name}", app.name, {REFRESH: "hard"})

    def _holds(self, app: AppStatus) -> bool:
        """Whether the Application's refusal is of the commit that is waited for."""
        refusal = app.refusal
        if refusal is None or (self._revision is None and not refusal.certain):
            return False
        of_it = refusal.revision and self._revision in (None, refusal.revision)
        if of_it and refusal != self._early.get(app.name):
            return True
        if refusal.attempt is not None:
            return False  # of another commit, or tried before those were there: the next attempt tells
        if app.name in self._asked:
            return not app.asked
        self._ask(f"{APPLICATIONS}/{app.name}", app.name, {REFRESH: "normal"})
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


@dataclass(frozen=True)
class _Lasting:
    """What is said of an Application, and for how many seconds until only a change ends it."""

    application: str
    says: str
    seconds: float


class _Stuck:
    """Which Applications stay as they are, by what their own objects say, and which nobody makes: not waited for.

    `patience`: how many times as long as usual each must be said.
    """

    def __init__(self, cluster: Cluster, revision: str | None, patience: float) -> None:
        self._cluster = cluster
        self._revision = revision
        self._patience = patience
        self._since: dict[tuple[str, float], float] = {}
        self._looked = 0.0
        self._asked: set[str] = set()

    def check(self, late: Collection[AppStatus], absent: Collection[str]) -> None:
        """Raise NotHealthyError that names each Application of which it was said for long enough, and what."""
        now = time.monotonic()
        if not self._patience or now - self._looked < _LOOK:
            return
        self._looked, before = now, self._since
        self._since, lasting = {}, []
        said = self._absent(late, absent)
        for app in late:
            said += self._says(app)
        for one in said:
            key = one.application, one.seconds
            self._since[key] = before.get(key, now)
            if now - self._since[key] >= one.seconds * self._patience:
                lasting.append(f"  {one.application}: {one.says}")
        if lasting:
            raise NotHealthyError("not without a change, so that waiting does not help:\n" + "\n".join(lasting))

    def _says(self, app: AppStatus) -> list[_Lasting]:
        if app.sync == "Unknown":
            said = [] if self._is_old(app) else [(app.message, _MINUTE_LASTS)]
        elif app.sync != "Synced" or app.health == "Healthy" or self._revision not in (None, app.revision):
            return []
        else:
            reasons = workloads.reasons(self._cluster, app.namespace) if app.namespace else []
            for_good = [*(reason.text for reason in reasons if reason.lasts is Lasts.FOR_GOOD), *app.broken]
            for_room = [reason.text for reason in reasons if reason.lasts is Lasts.FOR_ROOM]
            said = [("; ".join(for_good), _LASTS), ("; ".join(for_room), _MINUTE_LASTS)]
        return [_Lasting(app.name, f"{app.sync}, {app.health}: {why}", seconds) for why, seconds in said if why]

    def _is_old(self, app: AppStatus) -> bool:
        """Whether Argo CD said so before it was asked to look again, as by itself it looks after minutes."""
        if self._revision is None and app.name not in self._asked:
            self._asked.add(app.name)
            self._cluster.patch(f"{APPLICATIONS}/{app.name}", {"metadata": {"annotations": {REFRESH: "normal"}}})
            return True
        return app.asked

    def _absent(self, late: Collection[AppStatus], absent: Collection[str]) -> list[_Lasting]:
        """Those that are not there though what brings them is."""
        if roots := [name for name in absent if name in _FIRST]:
            return [_Lasting(name, NO_SUCH, _LASTS) for name in roots]
        if any(app.name in _FIRST for app in late):
            return []
        return [_Lasting(name, f"{NO_SUCH}, and nothing in apps/ makes it", _MINUTE_LASTS) for name in absent]


def wait_for(
    cluster: Cluster,
    expected: Collection[str],
    *,
    seconds: float,
    revision: str | None = None,
    alive: Callable[[], None] | None = None,
    patience: float | None = None,
) -> float:
    """Wait until every expected Application is Synced and Healthy, at `revision` where one is given.

    Returns the seconds that it took. Raises NotHealthyError that names each one that is not, and why: at once where one
    is refused at that revision, soon where its own objects say that only a change helps, and after `seconds` where one
    is slow. `patience`: how many times as long as usual those must say so, 0: no matter what they say. Without one it
    is 1 where a commit is waited for, and 0 where all may only be starting.
    """
    began = time.monotonic()
    if patience is None:
        patience = 0.0 if revision is None else 1.0
    refusals, stuck = _Refusals(cluster, revision), _Stuck(cluster, revision, patience)
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
        there = [by_name[name] for name in late if name in by_name]
        absent = [name for name in late if name not in by_name]
        refusals.check(there)
        stuck.check(there, absent)
        if time.monotonic() - began > seconds:
            lines = [f"  {app.name}: {describe(app, revision)}" for app in explained(cluster, there)]
            lines += [f"  {name}: {NO_SUCH}" for name in absent]
            raise NotHealthyError(f"not Synced and Healthy within {seconds:g} s:\n" + "\n".join(lines))
        time.sleep(0.25)
