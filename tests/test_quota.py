"""What the cluster's quota controller and LimitRange would say, which the check's API server does not run."""

from __future__ import annotations

import pytest
import yaml

from gitops.check import control_plane, quota
from gitops.clients.kubernetes import ClusterError
from gitops.ground.checkout import Checkout
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.objects import Object
from gitops.manifests.pods import template
from gitops.manifests.render import Rendered
from tests.attacks.gate_world import findings, write
from tests.frozen import platform

pytestmark = pytest.mark.bots

UNIT = "overlays/mogle/prod"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: extra}\nspec:\n  ports: [{port: 80}]\n  type: "
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: extra}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""


def worker(cpu: str, memory: str, replicas: int) -> str:
    """Another Deployment beside web."""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: extra}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: extra}}}}
  template:
    metadata: {{labels: {{app: extra}}}}
    spec:
      containers:
        - name: app
          image: app
          resources:
            requests: {{cpu: {cpu}, memory: {memory}, ephemeral-storage: 64Mi}}
            limits: {{memory: {memory}}}
"""


REFUSED = {
    "a load balancer": (SERVICE + "LoadBalancer\n", "makes 1 services.loadbalancers; the quota gives 0"),
    "a node port": (SERVICE + "NodePort\n", "makes 1 services.nodeports; the quota gives 0"),
    "a volume": (CLAIM, "makes 1 persistentvolumeclaims; the quota gives 0"),
    "pods of its own": (worker("10m", "16Mi", 50), "needs 63 pods at its largest scale and a surge"),
    "what is left beside the others": (worker("3900m", "64Mi", 1), "beside the others'"),
    "more than a container may have": (
        worker("10m", "3Gi", 1),
        "limits.memory is 3Gi; the LimitRange gives a container at max 2Gi",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_cluster_would_refuse_is_said_before(scratch: Checkout, what: str) -> None:
    text, problem = REFUSED[what]
    said = quota_says(scratch, text)
    assert any(problem in line for line in said), said


@pytest.mark.parametrize("text", [SERVICE + "ClusterIP\n", worker("10m", "64Mi", 1)])
def test_what_has_room_is_let_through(scratch: Checkout, text: str) -> None:
    assert quota_says(scratch, text) == []


def quota_says(checkout: Checkout, text: str) -> list[str]:
    listing = (checkout.root / UNIT / "kustomization.yaml").read_text()
    entry = "  - oauth-42.yaml\n"
    files = {"kustomization.yaml": listing.replace(entry, f"{entry}  - extra.yaml\n"), "extra.yaml": text}
    write(checkout, {f"{UNIT}/{name}": content for name, content in files.items()})
    refusals = [finding for finding in findings(checkout) if finding.rule == "quota-room"]
    assert all(finding.place.file == f"{UNIT}/extra.yaml" for finding in refusals), refusals
    return [finding.problem for finding in refusals]


# -- against the API server's own LimitRanger

RANGES: dict[str, Object] = {
    "memory": {
        "default": {"memory": "128Mi"},
        "max": {"memory": "2Gi", "ephemeral-storage": "1Gi"},
        "maxLimitRequestRatio": {"memory": "4"},
    },
    # Where both fill in, both say the same: the server takes them up in no order.
    "cpu": {"min": {"cpu": "100m"}, "max": {"memory": "1Gi"}, "default": {"memory": "128Mi"}},
}
CONTAINERS: dict[str, Object] = {
    "nothing": {},
    "a request alone": {"requests": {"memory": "64Mi", "cpu": "200m"}},
    "a limit alone": {"limits": {"memory": "512Mi"}},
    "more than one of two allows": {"limits": {"memory": "1536Mi"}},
    "less than the other allows": {"requests": {"cpu": "50m"}},
    "a limit far from its request": {"requests": {"memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    "more of what only one knows": {"requests": {"ephemeral-storage": "2Gi"}, "limits": {"ephemeral-storage": "2Gi"}},
}


def unit_of(*items: Object) -> Unit:
    text = yaml.safe_dump_all(items, explicit_start=True).encode()
    return Unit.of(Graph(platform()), Rendered(UNIT, text))


def limit_ranges() -> list[Object]:
    head = {"apiVersion": "v1", "kind": "LimitRange"}
    return [
        {
            **head,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"limits": [{"type": "Container", **spec}]},
        }
        for name, spec in RANGES.items()
    ]


def test_two_limit_ranges_are_each_applied_as_the_api_server_does() -> None:
    ours: dict[str, object] = {}
    theirs: dict[str, object] = {}
    with control_plane.control_plane(platform(), None) as server:
        control_plane.prepare(server, [], {"default": {}})
        for item in limit_ranges():
            server.apply(item)
        for what, resources in CONTAINERS.items():
            container = {"name": "app", "image": "app", "resources": resources}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": {"containers": [container]}}
            unit = unit_of(*limit_ranges(), pod)
            pods = template(pod)
            assert pods
            refused = list(quota.check(unit, [quota.largest(pods)]))
            completed = quota.completed(container, list(quota.ranges(unit)))
            ours[what] = "refused" if refused else {side: values for side, values in completed.items() if values}
            try:
                made = server.cluster.create("/api/v1/namespaces/default/pods", pod, dryRun="All")
                theirs[what] = made["spec"]["containers"][0]["resources"]
            except ClusterError as error:
                theirs[what] = "refused" if error.status == 403 else error.reason
    assert ours == theirs
    assert list(theirs.values()).count("refused") == 4


DEPLOYMENT: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"replicas": 4, "template": {"spec": {"containers": [{"name": "app"}]}}},
}


@pytest.mark.parametrize(
    ("strategy", "most"),
    [
        ({"type": "Recreate"}, 4),
        ({}, 5),
        ({"rollingUpdate": {"maxSurge": 3}}, 7),
        ({"rollingUpdate": {"maxSurge": "30%"}}, 6),
        ({"rollingUpdate": {"maxSurge": 0}}, 4),
    ],
)
def test_a_surge_is_the_deployments_own(strategy: Object, most: int) -> None:
    pods = template({**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "strategy": strategy}})
    assert pods
    assert quota.largest(pods).with_surge == most


def test_containers_of_the_beginning_run_before_the_others() -> None:
    containers: dict[str, list[Object]] = {
        "initContainers": [
            {"name": "first", "resources": {"requests": {"cpu": "3"}}},
            {"name": "beside", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
            {"name": "second", "resources": {"requests": {"cpu": "4", "memory": "1"}}},
        ],
        "containers": [{"name": "app", "resources": {"requests": {"cpu": "2"}}}],
    }
    pods = template({"kind": "Pod", "spec": containers})
    assert pods
    assert quota.of_a_pod(pods, "requests", []) == {"cpu": 5, "memory": 1}
