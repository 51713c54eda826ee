"""What brings Argo CD into a cluster that has nothing: the only objects that are applied by hand, by `gitops cluster
up` and by the lab alike. From then on Argo CD has all of them from git.
"""

from __future__ import annotations

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import kustomize, upstream
from gitops.manifests.objects import Object, name
from gitops.manifests.overlay import Overlay

NAMESPACE = "argocd"
# The Application of Argo CD itself, in the cluster's second root.
_APPLICATION = "argocd"
_ROOT = ("Application", "root")


def objects(checkout: Checkout, cluster: str) -> list[Object]:
    """Argo CD with its definitions, after the namespace and the settings without which its programs do not start.

    Raises InputError, RenderError, CommandError.
    """
    settings = [item for item in _root(checkout, cluster) if item["kind"] in ("Namespace", "ConfigMap")]
    settings.sort(key=lambda item: item["kind"] != "Namespace")
    return [*settings, *upstream.render(checkout, _application(checkout, cluster))]


def platform(checkout: Checkout, cluster: str) -> list[str]:
    """The names of a cluster's Applications that are no service's: both roots, and what the second one brings."""
    made = [item for item in _second_root(checkout, cluster) if item["kind"] == "Application"]
    return ["root", "platform", *map(name, made)]


def services(checkout: Checkout) -> list[str]:
    """The names of the services' Applications, which every cluster has: one for each overlay."""
    folders = sorted(file.parent for file in checkout.overlays.glob("[!.]*/*/kustomization.yaml"))
    overlays = filter(None, (Overlay.of_path(checkout.relative(folder)) for folder in folders))
    return [overlay.application for overlay in overlays]


def root(checkout: Checkout, cluster: str, *, tools: Checkout | None = None) -> list[Object]:
    """The root Application, with which all begins, after every AppProject. `tools`: whose kustomize runs.

    An Application that Argo CD meets before its AppProject is looked at again only minutes later.
    """
    items = [item for item in _root(checkout, cluster, tools) if item["kind"] == "AppProject" or _is_root(item)]
    return sorted(items, key=_is_root)


def _is_root(item: Object) -> bool:
    return (item["kind"], name(item)) == _ROOT


def _root(checkout: Checkout, cluster: str, tools: Checkout | None = None) -> list[Object]:
    return kustomize.build(checkout, checkout.root / "clusters" / cluster, tools=tools)


def _application(checkout: Checkout, cluster: str) -> Object:
    for item in _second_root(checkout, cluster):
        if item["kind"] == "Application" and name(item) == _APPLICATION:
            return item
    path = f"clusters/{cluster}/platform"
    raise InputError(f"no Application {_APPLICATION}", path=path, fix="restore apps/platform/argocd")


def _second_root(checkout: Checkout, cluster: str) -> list[Object]:
    return kustomize.build(checkout, checkout.root / "clusters" / cluster / "platform")
