"""Whether an overlay's name is its own: it is an Application and a namespace, and each exists once in a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitops.manifests.globs import glob_matches
from gitops.manifests.objects import Object, label, name
from gitops.manifests.overlay import Overlay

# The AppProject of the overlays. The namespaces of every other one are the platform's.
SERVICES_PROJECT = "services"


def sharing(overlay: Overlay, units: Iterable[str]) -> list[Overlay]:
    """The other overlays among the folders `units` that have its name, as jobs/bot-prod and jobs-bot/prod would."""
    overlays = filter(None, map(Overlay.of_path, units))
    return sorted(twin for twin in overlays if twin != overlay and twin.namespace == overlay.namespace)


def platforms(overlay: Overlay, cluster: Sequence[Object]) -> str | None:
    """What of the platform has an overlay's name, None where nothing has. `cluster`: a cluster's rendered objects."""
    for item in cluster:
        if item.get("kind") in ("Application", "ApplicationSet") and name(item) == overlay.application:
            return label(item)
        if item.get("kind") == "AppProject" and name(item) != SERVICES_PROJECT:
            destinations = (item.get("spec") or {}).get("destinations") or []
            patterns = [str(entry.get("namespace")) for entry in destinations]
            # A project that may go anywhere names nobody's namespace.
            if any(glob_matches(pattern, overlay.namespace) and not glob_matches(pattern, "") for pattern in patterns):
                return f"a namespace of AppProject {name(item)}"
    return None
