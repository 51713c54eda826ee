"""The API server of a check: a lab's control plane alone (etcd and kube-apiserver), with the cluster's definitions and
policies in force. No controller runs, so nothing acts.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from gitops.check import rules
from gitops.check.answers import Denial, denial
from gitops.check.dry_run import POLICY_KINDS, Server
from gitops.check.rules import Rules
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground import jsontext, settings
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, Fault, InputError, MachineError, NotHealthyError
from gitops.lab.layout import Lab
from gitops.manifests.objects import Object
from gitops.manifests.render import in_parallel

_ERRORS = {error.__name__: error for error in (InputError, MachineError, NotHealthyError)}


@contextmanager
def control_plane(checkout: Checkout, lab_name: str | None) -> Iterator[Server]:
    """A control plane for one check, that no other has written to; or that of a lab, started where it is not and left
    running.

    Raises MachineError (a port is taken), NotHealthyError (a part died, with the end of its log).
    """
    # Here: a check that asks no API server need not load what starts one.
    from gitops.lab import control

    if lab_name is not None:
        lab = Lab(checkout, lab_name)
        control.control_plane(lab)
        yield Server(checkout, Cluster(lab.kubeconfig))
        return
    with ExitStack() as stack:
        name = _standing_by(checkout, stack) or _booted(checkout, stack)
        yield Server(checkout, Cluster(Lab(checkout, name).kubeconfig))


def _standing_by(checkout: Checkout, stack: ExitStack) -> str | None:
    """The control plane that an earlier check's keeper has ready; None where there is none for this check."""
    from gitops.check import standby
    from gitops.lab.parts import READY_SECONDS

    with suppress(OSError, ValueError, KeyError):
        asked = standby.Home(checkout).door(connect=True)
        asked.settimeout(READY_SECONDS)
        answer = _answer(asked)
        if answer.get("key") == rules.key(checkout):
            stack.enter_context(asked)
            return str(answer["lab"])
        asked.close()
    return None


def _booted(checkout: Checkout, stack: ExitStack) -> str:
    """One that is started now. Its keeper ends it however this process ends."""
    own, theirs = socket.socketpair()
    words = [sys.executable, "-m", "gitops.check.standby", str(checkout.root)]
    with theirs:
        # Of a session of its own: what a terminal sends to the run does not reach it.
        keeper = subprocess.Popen(
            words, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
    if not settings.read().keeps:
        # Nothing of it is left afterwards.
        stack.callback(keeper.wait)
    stack.enter_context(own)
    answer = _answer(own)
    if "error" in answer:
        faults = [Fault(**fault | {"steps": tuple(fault["steps"])}) for fault in answer["faults"]]
        raise _ERRORS.get(answer["error"], ExternalError).several(faults)
    if not answer:
        raise ExternalError("the keeper of the check's control plane ended", fix="try again, or --offline")
    return str(answer["lab"])


def _answer(asked: socket.socket) -> dict[str, Any]:
    """What a keeper says; empty where it ended."""
    with asked.makefile("rb") as stream:
        content: dict[str, Any] = jsontext.parse(stream.readline() or b"{}")
        return content


def admitting(objects: Iterable[Object]) -> list[Object]:
    """What of a cluster's own objects an API server admits others by: policies, and the priorities that pods name."""
    return [item for item in objects if item["kind"] in (*POLICY_KINDS, "PriorityClass")]


def prepare(
    server: Server, policies: Sequence[Object], namespaces: Mapping[str, Mapping[str, str]]
) -> dict[str, Denial]:
    """Bring the definitions, the policies and the namespaces, and wait until the policies are in force.

    Returns the namespaces that a policy refuses: these are not there.
    """
    in_parallel(lambda namespace: _apply_namespace(server, namespace, {}), ("argocd", "kube-system"))
    # Where policies are in force already they refuse all without their exceptions.
    for item in policies:
        if item["kind"] not in POLICY_KINDS:
            server.apply(item)
    rules.bring(server, Rules.of(server.checkout, policies))
    denials = in_parallel(lambda namespace: _apply_namespace(server, *namespace), namespaces.items())
    return {namespace: denied for namespace, denied in zip(namespaces, denials, strict=True) if denied}


def _apply_namespace(server: Server, name: str, labels: Mapping[str, str]) -> Denial | None:
    try:
        server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}})
    except ClusterError as error:
        if denied := denial(error):
            return denied
        raise
    # Which in a cluster a controller makes.
    account = {"name": "default", "namespace": name}
    server.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    return None
