"""A real API server that is a cluster of the platform: Applications, nodes, pods and events; no controller runs.

Its one double is the kubelet, which holds the pods' logs: an API server asks that over TLS, as here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from gitops.check.dry_run import Server
from gitops.clients.kubernetes import ClusterError
from gitops.lab import process
from gitops.lab.layout import Lab, find_labs
from gitops.manifests.objects import Object
from tests.fakes import server as http

COMMIT = "1b5231b" + "0" * 33
REPOSITORY = "https://github.com/ft-platform/gitops.git"
IMAGE = "ghcr.io/ft-platform/mogle:2.14.0"
MISSING = 'secret "mogle-mail" not found'
WAITING = {"waiting": {"reason": "CreateContainerConfigError", "message": MISSING}}


class Kubelet:
    """Serves `/containerLogs/NAMESPACE/POD/CONTAINER`. `asked`: every query, oldest first.

    Of a pod in `waiting` it says what a kubelet does: no container of it has started.
    """

    def __init__(self, lab: Lab) -> None:
        self.waiting: set[str] = set()
        self.asked: list[dict[str, list[str]]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(lab.folder / "pki/api.crt", lab.folder / "pki/api.key")
        self._server = http.Server(self._serve, tls=context)
        self.port = self._server.port

    def close(self) -> None:
        self._server.close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        _, kind, _, pod, container = url.path.split("/")
        assert (kind, container) == ("containerLogs", "app")
        self.asked.append(parse_qs(url.query))
        if pod in self.waiting:
            return http.answer(request, 400, f"a container of {pod} is waiting to start".encode(), "text/plain")
        return http.answer(request, 200, f"{pod} listens\n{pod} serves\n".encode(), "text/plain")


class LiveCluster:
    """The server, and what stands in it."""

    def __init__(self, server: Server) -> None:
        self.server, self.cluster = server, server.cluster
        [lab] = [lab for lab in find_labs(server.checkout) if process.running(lab)]
        self.kubeconfig: Path = lab.kubeconfig
        self.kubelet = Kubelet(lab)

    def close(self) -> None:
        self.kubelet.close()

    def node(self, *, kwok: bool) -> None:
        """The one node: a kubelet's, or one that kwok simulates."""
        with suppress(ClusterError):
            self.cluster.delete("/api/v1/nodes/one")
        marks = {"kwok.x-k8s.io/node": "fake"} if kwok else {}
        self._create("/api/v1/nodes", {"kind": "Node", "metadata": {"name": "one", "annotations": marks}})
        endpoint = {"kubeletEndpoint": {"Port": self.kubelet.port}}
        address = {"type": "InternalIP", "address": "127.0.0.1"}
        self._status("/api/v1/nodes/one", {"addresses": [address], "daemonEndpoints": endpoint})

    def application(self, name: str, *, health: str = "Healthy", repository: str = REPOSITORY) -> None:
        item: Object = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {
                "project": "services",
                "source": {"repoURL": repository, "path": "overlays", "targetRevision": "refs/heads/main"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
            },
            "status": {"sync": {"status": "Synced", "revision": COMMIT}, "health": {"status": health}},
        }
        self.server.apply(item)

    def pod(self, namespace: str, name: str, *, state: Object | None = None, restarts: int = 0) -> None:
        """A pod on the node; ready, or in a `state` of its container."""
        self.kubelet.waiting |= {name} if state else set()
        path = f"/api/v1/namespaces/{namespace}/pods"
        spec = {"nodeName": "one", "containers": [{"name": "app", "image": IMAGE}]}
        self._create(path, {"kind": "Pod", "metadata": {"name": name}, "spec": spec})
        ready = "False" if state else "True"
        conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
        container = {
            "name": "app", "image": IMAGE, "imageID": IMAGE, "ready": state is None, "restartCount": restarts,
            "state": state or {"running": {"startedAt": "2026-11-26T00:00:00Z"}},
        }  # fmt: skip
        phase = "Pending" if state else "Running"
        self._status(f"{path}/{name}", {"phase": phase, "conditions": conditions, "containerStatuses": [container]})

    def event(self, namespace: str, name: str, reason: str, message: str, moment: str) -> None:
        about = {"kind": "Pod", "name": name, "namespace": namespace}
        body = {
            "kind": "Event", "metadata": {"name": f"{name}.{reason.lower()}"}, "involvedObject": about,
            "type": "Warning", "reason": reason, "message": message, "count": 3, "lastTimestamp": moment,
        }  # fmt: skip
        self._create(f"/api/v1/namespaces/{namespace}/events", body)

    def _create(self, path: str, body: Object) -> None:
        self.cluster.create(path, {"apiVersion": "v1", **body})

    def _status(self, path: str, status: Object) -> None:
        self.cluster.patch(f"{path}/status", {"status": status})


def stub(status: int, body: bytes) -> http.Server:
    """What is no cluster of ours: it answers all the same."""
    handle: Callable[[BaseHTTPRequestHandler], None] = lambda request: http.answer(request, status, body)  # noqa: E731
    return http.Server(handle)


def kubeconfig(file: Path, address: str, user: Object | None = None) -> Path:
    """A kubeconfig of a person, with the context `work`."""
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "work",
                "clusters": [{"name": "work", "cluster": {"server": address}}],
                "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me"}}],
                "users": [{"name": "me", "user": user or {"token": "mine"}}],
            }
        )
    )
    return file
