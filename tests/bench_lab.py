"""The lab: its start, a push against the same apply by hand, a lost zone, and how cost grows with the services."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from git import Repo

from gitops.clients.kubernetes import Cluster, apply
from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from gitops.ground.progress import Progress
from gitops.lab import bootstrap, origin, process
from gitops.lab import lab as labs
from gitops.lab.bootstrap import START_UP_MS
from gitops.lab.layout import Lab
from gitops.manifests import kustomize
from gitops.manifests.overlay import Overlay
from tests.bench_report import Report
from tests.conftest import commit_all, gitops
from tests.frozen import TEST, clone
from tests.zones import TOLERATION_SECONDS, lose_zone

# The registry must be one that policies/pods/image-registry.yaml allows.
IMAGE = f"ghcr.io/ft-platform/app:1.0@sha256:{'a' * 64}"
# In each zone: what a hundred services ask for, and the pods that replace theirs.
NODES = 4
UP_LIMIT, PUSH_LIMIT, MEMORY_LIMIT = 90.0, 15.0, 4e9
# After the tolerations a pod starts; eviction and scheduling take the rest on 2 busy cores.
ZONE_LIMIT = TOLERATION_SECONDS + START_UP_MS / 1000 + 10
GB = 10**9
APPLY_NAMESPACE = "bench-by-hand"


@dataclass(frozen=True)
class Size:
    """`overlays`: how many of this repository's are in the lab (None: all); `rounds` of pushes; `services`: how many
    there are after each step of growth. Whether a zone is lost too: it takes a minute, and is a test of its own.
    """

    overlays: int | None
    rounds: int
    services: tuple[int, ...]
    lost_zone: bool


FULL, SMALLEST = Size(None, 3, (10, 50, 100), True), Size(1, 1, (1,), False)


def measure(size: Size, report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(clone(Path(folder) / "clone"), "bench")
        _keep_overlays(lab, size.overlays)
        try:
            _start(lab, report)
            _push(lab, size.rounds, report)
            if size.lost_zone:
                _lost_zone(lab, report)
            _growth(lab, size.services, report)
        finally:
            labs.down(lab)


def _overlays(lab: Lab) -> list[Path]:
    """Every overlay of the lab's checkout, the staging environments of web services first."""
    files = lab.checkout.overlays.glob("*/*/kustomization.yaml")
    return sorted(
        (file.parent for file in files),
        key=lambda path: ("base/web" not in (path / "kustomization.yaml").read_text(), path.name != "staging", path),
    )


def _keep_overlays(lab: Lab, count: int | None) -> None:
    if count is None:
        return
    for overlay in _overlays(lab)[count:]:
        shutil.rmtree(overlay)
    for service in lab.checkout.overlays.iterdir():
        if service.is_dir() and not any(service.glob("*/kustomization.yaml")):
            shutil.rmtree(service)
    commit_all(lab.checkout, f"{count} overlays")


def _start(lab: Lab, report: Report) -> None:
    began = time.monotonic()
    labs.up(lab, Progress())
    seconds, memory = time.monotonic() - began, process.memory(lab)
    what = f"s to all Healthy, tools built / its limit of {UP_LIMIT:g} s"
    report.ratio("lab-up", seconds, UP_LIMIT, 1.0, what)
    report.ratio("lab-memory", memory, MEMORY_LIMIT, 1.0, "bytes of all parts / its limit of 4 GB")
    report.keep(memory_gb=memory / GB, memory_limit_gb=MEMORY_LIMIT / GB)


def _push(lab: Lab, rounds: int, report: Report) -> None:
    folder = _overlays(lab)[0]
    overlay = Overlay(folder.parent.name, folder.name)
    pushed = statistics.median(labs.push_one_line(lab, overlay, f"bench-{number}") for number in range(rounds))
    source = lab.folder / "seed" / overlay.path
    _prepare_by_hand(lab, source)
    _apply_by_hand(lab, source, "first")
    applied = statistics.median(_apply_by_hand(lab, source, f"bench-{number}") for number in range(rounds))
    what = f"s from push to Synced and Healthy / its limit of {PUSH_LIMIT:g} s"
    report.ratio("push", pushed, PUSH_LIMIT, 1.0, what)
    what = f"s from push to Healthy / kubectl apply -k until available; the bound is {PUSH_LIMIT:g} s"
    report.ratio("push-floor", pushed, applied, round(PUSH_LIMIT / applied, 1), what)


def _prepare_by_hand(lab: Lab, source: Path) -> None:
    """A namespace that Argo CD does not know, with the Secrets that the controller would open in the overlay's own."""
    rendered = kustomize.build(Checkout(lab.folder / "seed"), source, tools=lab.checkout)
    seals = [item for item in rendered if item["kind"] == "SealedSecret"]
    metadata = {"namespace": APPLY_NAMESPACE}
    secrets = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": seal["metadata"]["name"], **metadata},
            "stringData": dict.fromkeys(seal["spec"]["encryptedData"], "by hand"),
        }
        for seal in seals
    ]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": APPLY_NAMESPACE}}
    for item in (namespace, *secrets):
        apply(lab.checkout.tool("kubectl"), lab.kubeconfig, [item])


def _apply_by_hand(lab: Lab, source: Path, value: str) -> float:
    """The overlay with the same one-line change, applied with kubectl. Returns the seconds until it is available."""
    kubectl: list[str | Path] = [lab.checkout.tool("kubectl"), "--kubeconfig", lab.kubeconfig]
    copy = source.parent / "by-hand"
    shutil.copytree(source, copy, dirs_exist_ok=True)
    file = copy / "kustomization.yaml"
    document = yaml.safe_load(file.read_text())
    annotations = {"example.com/revision": value}
    file.write_text(yaml.safe_dump({**document, "namespace": APPLY_NAMESPACE, "commonAnnotations": annotations}))
    began = time.monotonic()
    run([*kubectl, "apply", "--server-side", "--force-conflicts", "-k", copy], timeout=60)
    run([*kubectl, "-n", APPLY_NAMESPACE, "rollout", "status", "deployment/web", "--timeout=90s"], timeout=100)
    return time.monotonic() - began


def _lost_zone(lab: Lab, report: Report) -> None:
    """Where the pods of a whole zone are some seconds after its nodes are gone."""
    overlay = next(path for path in _overlays(lab) if path.name == "prod")
    with lose_zone(Cluster(lab.kubeconfig), f"{overlay.parent.name}-{overlay.name}") as lost:
        what = f"s until a lost zone's pods run elsewhere / the tolerations and a pod's start, {ZONE_LIMIT:g} s"
        report.ratio("lost-zone", lost.seconds, ZONE_LIMIT, 1.0, what)
    labs.wait_synced(lab, Progress(quiet=True))


def _growth(lab: Lab, steps: tuple[int, ...], report: Report) -> None:
    """Push more and more services made by `gitops service new`."""
    bootstrap.create_nodes(Cluster(lab.kubeconfig), NODES)
    made = 0
    first_memory, costs = process.memory(lab), []
    for services in steps:
        for number in range(made, services):
            _new_service(lab, f"bench-{number:03d}")
        commit_all(lab.checkout)
        began = time.monotonic()
        labs.push(lab, Progress(), seconds=1800)
        seconds, memory = time.monotonic() - began, process.memory(lab)
        report.row(
            "growth",
            services=services,
            new=services - made,
            applications=len(origin.applications(lab)),
            seconds=seconds,
            memory_gb=memory / GB,
        )
        costs.append(seconds / (services - made))
        made = services
    report.figures["service"] = {
        "least_seconds": round(min(costs), 1),
        "most_seconds": round(max(costs), 1),
        "memory_mb": round((memory - first_memory) / made / 2**20),
    }


def _new_service(lab: Lab, name: str) -> None:
    done = gitops(lab.checkout, "service", "new", name, "--image", IMAGE, "--domain", f"{name}.example.com")
    assert done.code == 0, done.err
    with Repo(lab.checkout.root) as repo:
        repo.git.add(f"overlays/{name}", ".github/CODEOWNERS")
        repo.index.commit(f"Add {name}", author=TEST, committer=TEST)
