"""What an AppProject allows, as Argo CD decides it.

Source: argo-cd v3.6.1, pkg/apis/application/v1alpha1/app_project_types.go and types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitops.manifests.globs import allows, is_denial, path_matches
from gitops.manifests.objects import Object

Spec = Mapping[str, Any]
# Argo CD's own name of the cluster that it runs in, and its address.
IN_CLUSTER = {"name": "in-cluster", "server": "https://kubernetes.default.svc"}


def permits_source(project: Spec, url: str) -> bool:
    """Whether its Applications may read a repository."""
    matched = False
    for entry in project.get("sourceRepos") or []:
        text = str(entry)
        pattern = f"!{_normalized(text[1:])}" if is_denial(text) else _normalized(text)
        if allows(pattern, _normalized(url), "/"):
            matched = True
        elif is_denial(pattern):
            return False
    return matched


def permits_destination(project: Spec, destination: Object, namespace: str = "") -> bool:
    """Whether its Applications may go to a cluster and a namespace (default: the one that `destination` names)."""
    goal = {key: str(destination.get(key) or "") for key in ("server", "name")}
    # Either of them leads Argo CD to the cluster, which has both.
    if any(goal[key] == IN_CLUSTER[key] for key in goal):
        goal = {key: goal[key] or IN_CLUSTER[key] for key in goal}
    space = namespace or str(destination.get("namespace") or "")
    matched = False
    for entry in project.get("destinations") or []:
        patterns = {key: str(entry.get(key) or "") for key in ("server", "name", "namespace")}
        same = {key: bool(goal[key]) and allows(patterns[key], goal[key]) for key in ("server", "name")}
        inside = allows(patterns["namespace"], space)
        denied = any(is_denial(patterns[key]) and not same[key] for key in same)
        if any(same.values()) and inside:
            matched = True
        elif (inside and denied) or (not inside and is_denial(patterns["namespace"]) and same["server"]):
            return False
    return matched


def permits_kind(project: Spec, group: str, kind: str, name: str, *, namespaced: bool) -> bool:
    """Whether its Applications may bring an object."""
    scope = "namespace" if namespaced else "cluster"
    listed, refused = (project.get(f"{scope}Resource{colour}list") for colour in ("White", "Black"))
    if listed is None and namespaced:
        return not _lists(refused, group, kind, name)
    return _lists(listed, group, kind, name) and not _lists(refused, group, kind, name)


def _lists(entries: Any, group: str, kind: str, name: str) -> bool:  # noqa: ANN401 - whatever stands there
    return any(
        path_matches(str(entry.get("group") or ""), group)
        and path_matches(str(entry.get("kind") or ""), kind)
        and (not entry.get("name") or path_matches(str(entry["name"]), name))
        for entry in entries or []
    )


def _normalized(url: str) -> str:
    return url.strip().lower().removesuffix("/").removesuffix(".git")
