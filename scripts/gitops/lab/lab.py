"""up, down, status and push: the lab as a whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground import printable
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.ground.suggest import unknown
from gitops.lab import bootstrap, control, origin, pki, process, redis, upstream
from gitops.lab.control import check_alive
from gitops.lab.layout import Lab
from gitops.lab.parts import PARTS, all_parts
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay

# Ten overlays take under a minute on 2 cores. A hundred services take longer, a smaller machine too.
SYNC_SECONDS = 600.0
# In each zone of a new lab.
NODES = 2
# How much longer than after a push a reason must be said while all of it starts.
STARTING = 3.0
# Characters of what is waited for, in the line that tells of progress.
NOTE = 120

# What a person has by each step of a start.
_API = "a real Kubernetes API server answers on this machine: what it refuses here, it refuses in production"
_PARTS = "the real Argo CD, the controller that opens sealed secrets, and metrics for autoscaling run beside it"
_ORIGIN = "your commit stands in a git repository of the lab's own, with secrets sealed for this lab alone"
_HEALTHY = "every service runs as its folder in git says: nobody applied anything by hand"
_SCALES = "every site would get more pods under load"


@dataclass(frozen=True)
class Pushed:
    """The commit of the origin's main, and whether a push brought it."""

    commit: str
    new: bool


@dataclass(frozen=True)
class PartStatus:
    """One process: alive or not, and what it holds."""

    name: str
    alive: bool
    pid: int | None


def up(lab: Lab, progress: Progress, *, nodes_per_zone: int | None = None, api_port: int | None = None) -> bool:
    """Start what is not running, and wait until every Application is Synced and Healthy. False: all of it already ran.

    `nodes_per_zone` (NODES where it is None) and `api_port` make a new lab; one that is there has its own for good.

    Raises InputError (no commit, a name, port or number that cannot be), MachineError (a port is taken),
    NotHealthyError (a part died, with the end of its log, or an Application does not turn Healthy, with its reason).
    """
    origin.source_commit(lab)
    if not lab.exists:
        lab.create(nodes_per_zone or NODES, api_port)
    elif api_port and api_port != lab.settings().ports["api"]:
        raise InputError(
            f"lab {lab.name!r} has its API server on port {lab.settings().ports['api']}",
            fix=f"{lab.command('reset')} forgets that",
        )
    settings = lab.settings()
    if not settings.private:
        raise InputError(
            f"lab {lab.name!r} is a check's: it has no nodes", fix=f"{lab.command('reset')}, or another name"
        )
    if nodes_per_zone and nodes_per_zone != settings.nodes_per_zone:
        what = f"lab {lab.name!r} has {counted(settings.nodes_per_zone, 'node')} in each zone"
        raise InputError(what, fix=f"{lab.command('reset')} forgets that")
    parts = all_parts(lab)
    control.end_where_network_died(lab)
    missing = {part.name for part in parts} - process.running(lab).keys()
    seeded = origin.seeded(lab)
    if not missing and seeded and _whole(lab, settings.nodes_per_zone):
        return False
    prepare(lab)
    with progress.step("control plane", gain=_API):
        control.start(lab, [part.name for part in parts if part.wave < 3])
        bootstrap.apply_foundations(lab)
        bootstrap.create_nodes(Cluster(lab.kubeconfig), settings.nodes_per_zone)
    with progress.step("controllers and Argo CD", gain=_PARTS):
        control.start(lab, PARTS)
    with progress.step("git origin, sealed with the lab's certificate", gain=_ORIGIN):
        if not seeded:
            origin.push(lab)
        bootstrap.apply_root(lab, lab.folder / origin.SEED)
    wait_synced(lab, progress)
    return True


def _whole(lab: Lab, nodes_per_zone: int) -> bool:
    """Whether an earlier `up` came to its end, and nobody took a node since."""
    cluster = Cluster(lab.kubeconfig)
    try:
        apps = {app.name: app for app in argocd.applications(cluster)}
        lost = bootstrap.missing_nodes(cluster, nodes_per_zone)
    except ClusterError:
        return False
    return not lost and all(name in apps and apps[name].good for name in origin.applications(lab))


def prepare(lab: Lab) -> None:
    """Write what the parts of a lab that was made read: repositories, keys, certificates, settings."""
    (lab.folder / "tmp").mkdir(exist_ok=True)
    (lab.folder / "argocd/tls").mkdir(parents=True, exist_ok=True)
    origin.create(lab)
    upstream.create(lab)
    pki.write(lab)
    # Where Argo CD has the authorities of git hosts, by the host's name.
    shutil.copyfile(lab.ca, lab.folder / "argocd/tls" / pki.GITHUB)
    redis.write(lab)
    bootstrap.write_kwok_config(lab)
    bootstrap.write_in_cluster_settings(lab, lab.settings())


def wait_synced(lab: Lab, progress: Progress, *, seconds: float | None = None, patience: float = STARTING) -> float:
    """Wait until every Application of the origin's main is Synced and Healthy, and stays so once the
    HorizontalPodAutoscalers read their metrics (until then Argo CD may call one Healthy too early). `patience`: with
    what only a change ends, as `argocd.wait_for` has it.

    Returns the seconds that it took.
    """
    cluster, expected = Cluster(lab.kubeconfig), origin.applications(lab)
    limit, began = seconds or SYNC_SECONDS, time.monotonic()

    def alive() -> None:
        check_alive(lab)

    with progress.step(
        f"{counted(len(expected), 'Application')} Synced and Healthy", note=_counter(cluster, expected), gain=_HEALTHY
    ):
        argocd.wait_for(cluster, expected, seconds=limit, alive=alive, patience=patience)
    waits = "metrics"

    def active() -> bool:
        nonlocal waits
        waits = _without_metrics(cluster)
        return not waits

    with progress.step(
        "every HorizontalPodAutoscaler reads its metrics", note=lambda: f"(not yet: {waits[:120]})", gain=_SCALES
    ):
        try:
            process.wait_until("every HorizontalPodAutoscaler is active", active, seconds=limit, alive=alive, every=0.5)
        except NotHealthyError as error:
            raise NotHealthyError(f"{error}: {waits}") from None
        argocd.wait_for(cluster, expected, seconds=limit, alive=alive, patience=patience)
    return time.monotonic() - began


def _without_metrics(cluster: Cluster) -> str:
    """The first HorizontalPodAutoscaler or pod without metrics, and why; empty where each has them and will keep them:
    pods that just replaced others have none for some seconds, which its autoscaler notices some seconds later.
    """
    for item in cluster.items("/apis/autoscaling/v2/horizontalpodautoscalers"):
        conditions = item.get("status", {}).get("conditions", [])
        scaling = next((entry for entry in conditions if entry["type"] == "ScalingActive"), {"status": "False"})
        if scaling["status"] != "True":
            return f"{'/'.join(_key(item))}: {scaling.get('message', 'not looked at yet')}"
    pods = cluster.items("/api/v1/pods", labelSelector="app.kubernetes.io/component=web")
    # A pod that does not run (yet, or any more) has no use; whether it should run its Application's health tells.
    scaled = {
        _key(pod)
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") == "Running"
    }
    try:
        measured = cluster.items("/apis/metrics.k8s.io/v1beta1/pods")
    except ClusterError as error:
        if error.status in (404, 503):  # metrics-server is starting: the aggregator has nobody to ask
            return "metrics-server does not answer yet"
        raise
    late = sorted(scaled - {_key(item) for item in measured})
    return f"pod {'/'.join(late[0])} (one of {len(late)})" if late else ""


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _counter(cluster: Cluster, names: Collection[str], revision: str | None = None) -> Callable[[], str]:
    """How many of the Applications are good by now, and what the first of the others says."""

    def count() -> str:
        try:
            apps = [app for app in argocd.applications(cluster) if app.name in names]
        except ClusterError:
            return ""
        late = [app for app in apps if not (app.good and revision in (None, app.revision))]
        first = f"; {late[0].name}: {argocd.describe(late[0], revision)}" if late else ""
        return f"({len(apps) - len(late)} of {len(names)}{printable.elided(first, NOTE)})"

    return count


def check_up(lab: Lab) -> None:
    """Raise NotHealthyError where a part is dead, or no `up` of the lab has come as far as its first commit."""
    check_alive(lab)
    try:
        begun = origin.seeded(lab) and Cluster(lab.kubeconfig).find(f"{argocd.APPLICATIONS}/root")
    except ClusterError as error:
        raise unanswered(lab, error) from None
    if not begun:
        what = f"lab {lab.name!r}: its start was ended before anything ran in it"
        raise NotHealthyError(what, fix=f"let it come to its end: {lab.command('up')}")


def unanswered(lab: Lab, error: ClusterError) -> NotHealthyError:
    """The error that says that the lab's API server runs and does not answer: it is starting, or hangs."""
    what = f"lab {lab.name!r}: its API server does not answer yet: {error}"
    return NotHealthyError(what, fix=f"let it come to its end: {lab.command('up')}")


def down(lab: Lab) -> int:
    """End every process of the lab and keep its state. Returns how many there were."""
    return control.end(lab)


def reset(lab: Lab) -> int:
    """End it and forget everything: ports, certificates, origin, cluster."""
    count = down(lab)
    # Hidden, it is no lab any more: the half of one, where this is interrupted, would never start again.
    gone = lab.folder.with_name(f".{lab.name}")
    shutil.rmtree(gone, ignore_errors=True)
    if lab.folder.exists():
        lab.folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    return count


def status(lab: Lab) -> list[PartStatus]:
    """Every part, alive or dead."""
    lab.settings()
    alive = process.running(lab)
    return [
        PartStatus(part.name, part.name in alive, alive[part.name][0].pid if part.name in alive else None)
        for part in all_parts(lab)
    ]


def applications(lab: Lab) -> list[argocd.AppStatus] | None:
    """Every Application, and of each that is not well what its own pods say; None before Argo CD has any.

    Raises ClusterError.
    """
    cluster = Cluster(lab.kubeconfig)
    try:
        return argocd.explained(cluster, argocd.applications(cluster)) or None
    except ClusterError as error:
        if error.status in (404, 503):  # its definitions are not there, or the API server starts
            return None
        raise


def lacking(lab: Lab, apps: Collection[argocd.AppStatus]) -> list[Fault]:
    """What the lab should have and has not: Applications that its origin's main asks for, and nodes.

    Raises ClusterError.
    """
    there = {app.name for app in apps}
    absent = [name for name in origin.applications(lab) if name not in there]
    faults = []
    if absent:
        what = f"{counted(len(absent), 'Application is', 'Applications are')} not there: {', '.join(absent)}"
        faults.append(Fault(what, fix=f"wait for them, or hear why they do not come: {lab.command('up')}"))
    nodes = bootstrap.missing_nodes(Cluster(lab.kubeconfig), lab.settings().nodes_per_zone)
    if nodes:
        what = f"{counted(len(nodes), 'node is', 'nodes are')} missing: {', '.join(sorted(nodes))}"
        faults.append(Fault(what, fix=f"bring them back: {lab.command('up')}"))
    return faults


def push(lab: Lab, progress: Progress, *, seconds: float | None = None) -> Pushed:
    """Send the working copy's commit to the origin and wait until every Application has it.

    Raises NotHealthyError that names each Application that does not come to it, and why: at once where waiting does not
    help.
    """
    check_up(lab)
    before = origin.main(lab)
    commit = origin.push(lab)
    if commit == before and _whole(lab, lab.settings().nodes_per_zone):
        return Pushed(commit, new=False)
    cluster, touched = Cluster(lab.kubeconfig), origin.touched(lab, before, commit)
    if touched:
        what = f"{printable.counted(len(touched), 'Application')} at {commit[:12]}"
        with progress.step(what, note=_counter(cluster, touched, commit)):
            argocd.wait_for(
                cluster,
                touched,
                seconds=seconds or SYNC_SECONDS,
                revision=commit,
                alive=lambda: check_alive(lab),
            )
    wait_synced(lab, progress, seconds=seconds, patience=1.0)
    return Pushed(commit, new=commit != before)


def select_parts(name: str | None) -> list[str]:
    """The part of a name, or every part. Raises InputError for one that does not exist."""
    if name is None:
        return list(PARTS)
    if name not in PARTS:
        raise unknown("part", name, PARTS)
    return [name]


def push_one_line(lab: Lab, overlay: Overlay, value: str, *, seconds: float = 120) -> float:
    """Push a one-line change of an overlay to the origin and wait until its Application runs it.

    The line is an annotation of the pods, so they are all replaced. Returns the seconds from push to Healthy.
    """
    from gitops.lab.origin import LAB
    from gitops.repository.git import Repo

    work = lab.folder / "demo"
    shutil.rmtree(work, ignore_errors=True)
    with Repo.clone_from(str(lab.origin), work) as repo:
        file = work / overlay.kustomization
        lines = [line for line in file.read_text().splitlines() if not line.startswith("commonAnnotations:")]
        file.write_text("\n".join([*lines, f"commonAnnotations: {{example.com/revision: {value}}}", ""]))
        repo.git.add("--all")
        commit = repo.index.commit(f"{overlay}: {value}", author=LAB, committer=LAB)
        repo.git.push("origin", "HEAD:refs/heads/main")
    return argocd.wait_for(
        Cluster(lab.kubeconfig),
        [overlay.application],
        seconds=seconds,
        revision=commit.hexsha,
        alive=lambda: check_alive(lab),
    )
