"""What others say: GitHub of what is open, and a cluster (the kubeconfig's, else the lab's) of what runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError

if TYPE_CHECKING:
    from gitops.clients.argocd import AppStatus
    from gitops.clients.github.overview import HubOverview


@dataclass(frozen=True)
class HubAnswer:
    """What is open, and the handles by which who asks is known: the login, and the teams where these were asked for."""

    overview: HubOverview
    handles: tuple[str, ...]


@dataclass(frozen=True)
class ClusterAnswer:
    """Every Application of a cluster. `place`: which one, for a person; `simulated`: no image is run there."""

    place: str
    simulated: bool
    apps: dict[str, AppStatus]


def ask_hub(checkout: Checkout, applications: Sequence[str], *, with_teams: bool, tries: int) -> HubAnswer:
    """Ask GitHub. Raises InputError where nobody is signed in, ExternalError."""
    from gitops.clients.github import overview, person

    hub = person.hub_of(checkout.root, tries=tries)
    told = overview.look(hub, applications)
    handles = [told.login]
    if with_teams:
        # A repository of a person has no teams, and many a token may not see them.
        with suppress(GitopsError):
            handles += overview.teams(hub)
    return HubAnswer(told, tuple(handles))


def ask_cluster(checkout: Checkout, *, seconds: float, reasons: bool) -> ClusterAnswer:
    """Ask a cluster. `reasons`: its pods too, of what is not well. Raises InputError, ExternalError."""
    from gitops.clients import argocd
    from gitops.ground import settings
    from gitops.service import place

    lab = not place.kubeconfig() and checkout.lab_kubeconfig(settings.read().lab_name).is_file()
    where = place.of(checkout, lab=lab, context=None, seconds=seconds)
    apps = argocd.applications(where.cluster)
    if reasons:
        apps = argocd.explained(where.cluster, apps)
    return ClusterAnswer(where.sentence, where.simulated, {app.name: app for app in apps})
