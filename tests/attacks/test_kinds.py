"""What an overlay may consist of, against every kind that a real API server serves: each is allowed for a purpose that
stands here, or refused by the gate. The control is an AppProject without a list.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from gitops.check import argo, plaintext
from gitops.check.argo import Platform
from gitops.check.dry_run import Server
from gitops.ground.checkout import Checkout
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.names import SERVICES_PROJECT
from gitops.manifests.objects import Object, name
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import Rendered
from tests.attacks import Door, Guard, attack
from tests.attacks.gate_world import cluster, platform
from tests.frozen import clone

pytestmark = pytest.mark.bots

OVERLAY = Overlay("mogle", "prod")
# A further kind of the AppProject needs a line here: what holds it in bounds.
PURPOSES = {
    ("", "ConfigMap"): "settings; of the namespace alone",
    ("", "LimitRange"): "the base's, and no other (guard-rails)",
    ("", "PersistentVolumeClaim"): "one disk, of one class (volume-claim, quota-room, volume)",
    ("", "ResourceQuota"): "the base's, and no other (guard-rails)",
    ("", "Service"): "an address inside (service-inside, service-address)",
    ("", "ServiceAccount"): "an identity without rights (service-account, guard-rails)",
    ("apps", "Deployment"): "pods (every policy on pods, quota-room)",
    ("autoscaling", "HorizontalPodAutoscaler"): "how many pods (hpa-target, quota-room)",
    ("batch", "CronJob"): "pods at times (every policy on pods, quota-room)",
    ("bitnami.com", "SealedSecret"): "a secret (plain-secret, sealed-scope)",
    ("networking.k8s.io", "Ingress"): "the way in (ingress-class, lb-...)",
    ("networking.k8s.io", "NetworkPolicy"): "the base's, and no other (guard-rails)",
    ("policy", "PodDisruptionBudget"): "which pods may go (disruption-budget, pdb-...)",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return clone(tmp_path_factory.mktemp("kinds") / "clone")


@pytest.fixture(scope="module")
def server(checkout: Checkout) -> Iterator[Server]:
    with cluster(checkout, OVERLAY) as made:
        yield made


def served(server: Server) -> dict[tuple[str, str], Object]:
    """An object of each kind that can be made, by group and kind; what of it is in a namespace is in the overlay's."""
    groups = server.cluster.get("/apis")["groups"]
    roots = {"v1": "/api/v1"}
    for group in groups:
        roots |= {entry["groupVersion"]: f"/apis/{entry['groupVersion']}" for entry in group["versions"]}
    objects: dict[tuple[str, str], Object] = {}
    for api, root in roots.items():
        for resource in server.cluster.get(root)["resources"]:
            if "/" in resource["name"] or "create" not in resource["verbs"]:
                continue
            space = {"namespace": OVERLAY.namespace} if resource["namespaced"] else {}
            group = api.rpartition("/")[0]
            item = {"apiVersion": api, "kind": resource["kind"], "metadata": {"name": "a", **space}}
            objects[group, resource["kind"]] = item
    return objects


def _unlisted(has: Platform) -> Platform:
    """A platform whose AppProject says nothing of kinds."""
    objects = []
    for item in has.unit.objects:
        spec = item.get("spec")
        if item["kind"] == "AppProject" and name(item) == SERVICES_PROJECT and isinstance(spec, dict):
            # An empty list would allow nothing.
            item = {**item, "spec": {key: spec[key] for key in spec if key != "namespaceResourceWhitelist"}}
        objects.append(item)
    return Platform(Unit(has.unit.name, tuple(objects), has.unit.places), has.others)


def test_every_kind_of_the_project_has_a_purpose_and_is_served(checkout: Checkout, server: Server) -> None:
    project = platform(checkout).project(SERVICES_PROJECT)
    assert project
    assert {(entry["group"], entry["kind"]) for entry in project["namespaceResourceWhitelist"]} == PURPOSES.keys()
    assert served(server).keys() >= PURPOSES.keys()


@attack(Door.MEMBER, "its overlay renders any other kind that the API server serves in a namespace", Guard.GATE)
def test_every_other_kind(checkout: Checkout, server: Server, guard: Guard | None) -> str | None:
    has = platform(checkout) if guard else _unlisted(platform(checkout))
    others = {kind: item for kind, item in served(server).items() if kind not in PURPOSES}
    assert len(others) > 40
    let_through, rules = [], set[str]()
    for kind, item in others.items():
        text = yaml.safe_dump(item, explicit_start=True).encode()
        unit = Unit.of(Graph(checkout), Rendered(OVERLAY.path, text))
        refused = {finding.rule for finding in [*argo.check_overlay(unit, OVERLAY, has), *plaintext.check(unit)]}
        rules |= refused
        let_through += [] if refused else [kind]
    if guard is None:
        return None if ("rbac.authorization.k8s.io", "Role") in let_through else "another rule"
    assert let_through == []
    return ", ".join(sorted(rules))
