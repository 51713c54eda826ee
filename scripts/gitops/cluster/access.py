"""The way into a cluster: a kubeconfig that asks `gitops cluster token` each time, so that it holds no secret."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from gitops.clients.aws import tokens
from gitops.clients.aws.session import AwsSession
from gitops.cluster.world import ClusterWorld
from gitops.ground.errors import NotHealthyError

_API = "client.authentication.k8s.io/v1"


def credential(name: str, region: str, role: str) -> str:
    """What kubectl wants to read of a program that makes tokens: an ExecCredential, in JSON."""
    made = tokens.token(AwsSession(region), name, role)
    expires = made.expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"token": made.text, "expirationTimestamp": expires}
    return json.dumps({"apiVersion": _API, "kind": "ExecCredential", "status": status})


def kubeconfig(world: ClusterWorld) -> dict[str, Any]:
    """The kubeconfig of a cluster that is there. Raises NotHealthyError where it is not."""
    name = world.definition.name
    cluster = world.account.cluster(name)
    if cluster is None or not cluster.endpoint:
        what = f"{cluster.status}" if cluster else "none"
        raise NotHealthyError(f"cluster {name} cannot be reached", found=what, fix=f"gitops cluster up {name}")
    words = ["cluster", "token", name, "--region", world.definition.region, "--role", world.definition.admin_role]
    program = {
        "apiVersion": _API,
        "command": str(Path(sys.prefix) / "bin/gitops"),
        "args": words,
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": cluster.endpoint, "certificate-authority-data": cluster.authority}}
        ],
        "users": [{"name": name, "user": {"exec": program}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "argocd"}}],
    }


@contextmanager
def kubeconfig_file(world: ClusterWorld) -> Iterator[Path]:
    """It as a file, while one is inside."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kubeconfig"
        with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as stream:
            yaml.safe_dump(kubeconfig(world), stream)
        yield file
