"""Whether Argo CD brings what is merged, and takes back what is changed by hand (its docs, user-guide/auto_sync and
sync-options)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from gitops.manifests import applicationset
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, spec_of, value_at

RULE = "syncing"
_AUTOMATED = ("prune", "selfHeal")
_WHOLE = "automated: {prune: true, selfHeal: true}"
# The options of an Application (its docs, 3.6); one that it does not know it passes by.
_OPTIONS = (
    "ApplyOutOfSyncOnly", "ClientSideApplyMigration", "ClientSideApplyMigrationManager", "CreateNamespace", "Delete",
    "DisableClientSideApplyMigration", "FailOnSharedResource", "Force", "Prune", "PruneLast", "PrunePropagationPolicy",
    "Replace", "RespectIgnoreDifferences", "ServerSideApply", "SkipDryRunOnMissingResource", "SkipSchemaValidation",
    "Validate",
)  # fmt: skip
_CREATE = "CreateNamespace"


def check(unit: Unit) -> Iterator[Finding]:
    """Every Application of a folder, what an ApplicationSet makes, and the projects' windows."""
    for item in unit.kind("Application"):
        yield from _policy(unit, item, ("spec", "syncPolicy"))
    for item in unit.kind("ApplicationSet"):
        path: FieldPath = (*applicationset.TEMPLATE, "spec", "syncPolicy")
        yield from _policy(unit, item, path)
        if f"{_CREATE}=true" not in (value_at(item, (*path, "syncOptions")) or []):
            what = f"{_CREATE}=true is not among its options: the namespace of the next service is never made"
            yield unit.finding(RULE, item, (*path, "syncOptions"), what, f"- {_CREATE}=true")
    for item in unit.kind("AppProject"):
        for number, window in enumerate(spec_of(item).get("syncWindows") or []):
            what = f"a window of kind {window.get('kind')} holds back what is merged, and the fix for it"
            fix = "take it out; a freeze of images is in .github/freezes.yaml"
            yield unit.finding(RULE, item, ("spec", "syncWindows", number), what, fix)


def _policy(unit: Unit, item: Object, path: FieldPath) -> Iterator[Finding]:
    automated = value_at(item, (*path, "automated"))
    if automated is None or automated.get("enabled") is False:
        what = "is not synced by itself: nothing that is merged comes to the cluster"
        where = (*path, "automated") if automated is None else (*path, "automated", "enabled")
        yield unit.finding(RULE, item, where, what, _WHOLE)
        return
    for field in _AUTOMATED:
        if automated.get(field) is not True:
            what = {
                "prune": "prune is not true: what is taken out of git runs on",
                "selfHeal": "selfHeal is not true: what is changed by hand in the cluster stays so",
            }[field]
            yield unit.finding(RULE, item, (*path, "automated", field), what, _WHOLE)
    for number, option in enumerate(value_at(item, (*path, "syncOptions")) or []):
        named = str(option).partition("=")[0]
        if named not in _OPTIONS:
            close = difflib.get_close_matches(named, _OPTIONS, 1)
            what = f"{named} is no option of Argo CD, which passes it by"
            fix = f"write {close[0]}" if close else f"one of {', '.join(_OPTIONS)}"
            yield unit.finding(RULE, item, (*path, "syncOptions", number), what, fix)
