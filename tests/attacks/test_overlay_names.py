"""A member's folder whose name escapes the rules, or takes what belongs to another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gitops.check import argo, declared, names
from gitops.check.dry_run import Server
from gitops.ground.checkout import Checkout
from gitops.manifests.objects import Object
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from tests.attacks import Door, Guard, attack, sample
from tests.attacks.gate_world import answer, cluster, findings, refusal, write
from tests.conftest import commit_all
from tests.frozen import clone

pytestmark = pytest.mark.bots

# Names that fit the AppProject's *-prod or *-staging, or would if Argo CD let them, and those that fit nothing.
ESCAPING = [
    "mogle/x-prod",
    "mogle/dev",
    "mogle/production",
    "mogle/Prod",
    "mogle/prod.x",
    "kube-dns/prod",
    "kube/system",
    "argocd/prod",
    "sealed-secrets/prod",
    "Shop/prod",
    "sh.op/prod",
    f"{'s' * 59}/prod",
]


def overlay_files(path: str) -> dict[str, str]:
    """An overlay in a folder as mogle/prod is one: sound, but for its name."""
    overlay = Overlay(*path.split("/"))
    text = f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {overlay.namespace}
resources:
  - ../../../base/bot
images:
  - name: app
    newName: ghcr.io/ft-platform/miner
    newTag: "1.0"
    digest: sha256:{"0" * 64}
"""
    return {overlay.kustomization: text}


@pytest.fixture(autouse=True)
def owned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers for a service is another matter than its name."""
    monkeypatch.setattr(declared, "check", lambda *_: iter(()))


def ungated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate without its rules of names."""
    monkeypatch.setattr(names, "check", lambda *_: iter(()))
    monkeypatch.setattr("gitops.manifests.names.platforms", lambda *_: None)


@attack(Door.MEMBER, "an overlay in {path}", Guard.GATE)
@pytest.mark.parametrize("path", sample(ESCAPING, "mogle/x-prod", "kube/system"))
def test_a_name_that_no_policy_knows(
    scratch: Checkout, path: str, guard: Guard | None, monkeypatch: pytest.MonkeyPatch
) -> str | None:
    if guard is None:
        ungated(monkeypatch)
    write(scratch, overlay_files(path))
    return refusal(scratch)


@attack(Door.MEMBER, "{first} beside {second}: one Application, one namespace", Guard.GATE)
@pytest.mark.parametrize(
    ("first", "second"), [("jobs/bot-prod", "jobs-bot/prod"), ("notice-bot/prod", "notice/bot-prod")]
)
def test_two_overlays_of_one_name(
    scratch: Checkout, first: str, second: str, guard: Guard | None, monkeypatch: pytest.MonkeyPatch
) -> str | None:
    if guard is None:
        ungated(monkeypatch)
    for path in (first, second):
        if not (scratch.overlays / path).exists():
            write(scratch, overlay_files(path))
    refused = findings(scratch)
    if refused:
        [finding] = refused
        assert f"overlays/{first}" in finding.problem
        assert f"overlays/{second}" in finding.problem
    return refusal(scratch)


@attack(Door.MEMBER, "an overlay with the name of {what}", Guard.GATE)
@pytest.mark.parametrize("what", ["an add-on's Application", "an add-on's namespace"])
def test_the_platforms_name(
    scratch: Checkout, what: str, guard: Guard | None, monkeypatch: pytest.MonkeyPatch
) -> str | None:
    if what == "an add-on's Application":
        root = (scratch.root / "apps/root.yaml").read_text()
        write(scratch, {"apps/root.yaml": root.replace("name: root", "name: metrics-prod")})
        file = scratch.root / "apps/per-cluster/kustomization.yaml"
        file.write_text(file.read_text().replace("name: root", "name: metrics-prod"))
    else:
        file = scratch.root / "apps/projects/platform.yaml"
        file.write_text(file.read_text().replace("namespace: kube-system", "namespace: metrics-prod"))
    commit_all(scratch)
    if guard is None:
        ungated(monkeypatch)
    write(scratch, overlay_files("metrics/prod"))
    return refusal(scratch)


@attack(Door.MEMBER, "a folder of {file} alone, which Argo CD applies as it is", Guard.GATE)
@pytest.mark.parametrize("file", ["miner.json", "miner.jsonnet", "miner.yaml"])
def test_a_folder_that_is_no_overlay(
    scratch: Checkout, file: str, guard: Guard | None, monkeypatch: pytest.MonkeyPatch
) -> str | None:
    if guard is None:
        monkeypatch.setattr(argo, "check_folders", lambda *_: iter(()))
    write(scratch, {f"overlays/miner/prod/{file}": '{"apiVersion": "v1", "kind": "ConfigMap"}'})
    return refusal(scratch)


# -- the cluster


ELSEWHERE = [Overlay("mogle", "x-prod"), Overlay("mogle", "dev"), Overlay("mogle", "prod")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with cluster(clone(tmp_path_factory.mktemp("names") / "clone"), *ELSEWHERE) as running:
        running.apply(namespace("unbound", {}))
        yield running


def namespace(name: str, labels: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def miner(where: str) -> Object:
    container = {"name": "miner", "image": "evil.example/miner:latest", "securityContext": {"privileged": True}}
    labels = {"app": "miner"}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "miner", "namespace": where},
        "spec": spec,
    }


@attack(Door.MEMBER, "a privileged Deployment of a stranger's image in environment {environment}", Guard.CLUSTER)
@pytest.mark.parametrize("environment", ["x-prod", "dev"])
def test_an_environment_that_no_policy_names(server: Server, environment: str, guard: Guard | None) -> str | None:
    where = Overlay("mogle", environment).namespace if guard else "unbound"
    return answer(server, miner(where))


LABELS = {"service": "mogle", "environment": "prod", "pod-security.kubernetes.io/enforce": "restricted"}
OPENED: dict[str, dict[str, str | None]] = {
    "without the label of the policies": {"environment": None},
    "without the service's label": {"service": None},
    "as another environment": {"environment": "staging"},
    "with privileged pods": {"pod-security.kubernetes.io/enforce": "privileged"},
    "with the Pod Security of an older version": {"pod-security.kubernetes.io/enforce-version": "v1.22"},
}


@attack(Door.MEMBER, "its namespace brought along {how}", Guard.CLUSTER)
@pytest.mark.parametrize("how", OPENED)
@pytest.mark.parametrize("name", ["mogle-prod", "new-prod"])
def test_a_namespace_that_its_overlay_brings(server: Server, how: str, name: str, guard: Guard | None) -> str | None:
    """Changed, or new: the AppProject has to allow the kind."""
    service = name.removesuffix("-prod")
    labels = {key: value for key, value in (LABELS | {"service": service} | OPENED[how]).items() if value}
    if guard is None:  # a name that is no service's
        name, labels = "unbound", {key: value for key, value in labels.items() if key != "environment"}
    return answer(server, namespace(name, labels))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_namespace_as_argocd_makes_it_is_taken(server: Server, environment: str) -> None:
    labels = LABELS | {"service": "some-new-one", "environment": environment}
    assert answer(server, namespace(f"some-new-one-{environment}", labels)) is None
