"""Repositories of any size for measurements and comparisons: overlays over the real bases, each with its add-on.

The same seed gives the same bytes. Every overlay takes another way through what kustomize can do.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from tests.conftest import commit_all
from tests.frozen import platform

# What a YAML writer or reader could take for something else.
VALUES = (
    "yes",
    "no",
    "0012",
    "1e3",
    "1.10",
    "null",
    "~",
    "true",
    "0x1F",
    "2026-11-25",
    "",
    " lead",
    "trail ",
    "a: b",
    "- a",
    "#x",
    "ünïcödé ✓",
    'quo"te',
    "quo'te",
    "tab\tin",
    "line\nline\n",
    "line\n\n  indented\n",
    "{}",
    "[a]",
    "*a",
    "&a",
    "!x",
    "%d",
    "@at",
    "`x`",
    "---",
    "---\na: b\n",
    "very " * 60,
)


def repository(folder: Path, count: int, *, seed: int = 42) -> Checkout:
    """A committed checkout with `count` generated overlays in place of the frozen ones."""
    frozen = platform()
    for name in ("apps", "base", "clusters", "policies", "scripts/tools", ".github"):
        shutil.copytree(frozen.root / name, folder / name)
    shutil.copyfile(frozen.root / ".gitleaks.toml", folder / ".gitleaks.toml")
    (folder / ".gitignore").write_text(".tools\n.lab\n")
    (folder / ".tools").symlink_to(frozen.tools.resolve())
    for number in range(count):
        overlay(folder, number, seed=seed)
    (folder / ".github/CODEOWNERS").write_text(services.codeowners(Checkout(folder)))
    from git import Repo

    Repo.init(folder, initial_branch="main").close()
    commit_all(Checkout(folder), f"{count} overlays")
    return Checkout(folder)


def overlay(root: Path, number: int, *, seed: int = 42) -> Path:
    """Write the overlay of this number."""
    chance = random.Random(f"{seed}/{number}")
    name, environment = f"gen-{number:03d}", chance.choice(["staging", "prod"])
    folder = root / "overlays" / name / environment
    folder.mkdir(parents=True)
    _write(folder.parent / "owner.yaml", {"team": "community", "contact": f"#{name}", "description": f"Service {name}"})
    shape = chance.choice(["web", "web", "web", "bot"])
    content: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": Overlay(name, environment).namespace,
        "resources": [f"../../../base/{shape}", "configmap.yaml", "addon"],
        "components": [],
        "patches": [],
        "labels": [{"pairs": {"app.kubernetes.io/name": name}, "includeTemplates": True}],
        "images": [
            {
                "name": "app",
                "newName": f"111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/{name}",
                "newTag": f"1.{number}.0",
                "digest": f"sha256:{chance.randbytes(32).hex()}",
            }
        ],
    }
    if chance.random() < 0.5:
        content["components"].append("../../../base/components/internal-client")
    if shape == "web":
        if chance.random() < 0.3:
            content["components"].append("../../../base/components/burst")
        rules = [
            {"host": f"{part}{name}.example.com", "http": _paths(chance)}
            for part in ("", "www-", "api-")[: chance.randint(1, 3)]
        ]
        _write(
            folder / "ingress.yaml",
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "web"},
                "spec": {"rules": rules},
            },
        )
        content["patches"].append({"path": "ingress.yaml"})
    if environment == "staging":
        content["components"].append("../../../base/components/staging")
    data = {f"key-{n}": chance.choice(VALUES) for n in range(chance.randint(1, 6))}
    _write(
        folder / "configmap.yaml",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data},
    )
    _more(chance, folder, content, shape)
    _addon(chance, folder / "addon", name)
    _write(folder / "kustomization.yaml", {key: value for key, value in content.items() if value})
    return folder


def _paths(chance: random.Random) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"name": "http"}}}
    paths = chance.sample(["/", "/api", "/static/files"], chance.randint(1, 3))
    return {
        "paths": [{"path": path, "pathType": chance.choice(["Prefix", "Exact"]), "backend": backend} for path in paths]
    }


def _more(chance: random.Random, folder: Path, content: dict[str, Any], shape: str) -> None:
    """Some of what else a kustomization can say."""
    if chance.random() < 0.5:
        (folder / "settings.txt").write_text("".join(f"{chance.choice(VALUES)}\n" for _ in range(4)))
        entry = {"name": "files", "files": ["settings.txt"], "literals": [f"word={chance.choice(['a', 'b', '1'])}"]}
        content["configMapGenerator"] = [entry]
        pod = {"spec": {"containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": "files"}}]}]}}
        _write(
            folder / "deployment.yaml",
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": shape}, "spec": {"template": pod}},
        )
        content["patches"].append({"path": "deployment.yaml"})
    if chance.random() < 0.4:
        patch = [
            {"op": "add", "path": "/metadata/annotations", "value": {"example.com/note": chance.choice(VALUES) or "-"}}
        ]
        content["patches"].append({"target": {"kind": "ServiceAccount"}, "patch": yaml.safe_dump(patch)})
    if chance.random() < 0.3:
        content["commonAnnotations"] = {"example.com/owner": chance.choice(["a", "1.0", "true"])}
    if chance.random() < 0.3:
        source = {"kind": "ConfigMap", "name": "settings", "fieldPath": "metadata.namespace"}
        target = {
            "select": {"kind": "ServiceAccount"},
            "fieldPaths": ["metadata.labels.space"],
            "options": {"create": True},
        }
        content["replacements"] = [{"source": source, "targets": [target]}]
    if chance.random() < 0.2:
        _write(
            folder / "labels.yaml",
            {
                "apiVersion": "builtin",
                "kind": "LabelTransformer",
                "metadata": {"name": "more"},
                "labels": {"more": "yes"},
                "fieldSpecs": [{"path": "metadata/labels", "create": True}],
            },
        )
        content["transformers"] = ["labels.yaml"]


def _addon(chance: random.Random, folder: Path, name: str) -> None:
    """A cache beside the service, in plain kustomize."""
    folder.mkdir()
    labels = {"app.kubernetes.io/component": "cache"}
    container = {
        "name": "cache",
        "image": f"docker.io/library/redis:7.{chance.randint(0, 9)}@sha256:{'c' * 64}",
        "ports": [{"name": "redis", "containerPort": 6379}],
        "readinessProbe": {"tcpSocket": {"port": "redis"}},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    zones = {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    pod = {
        "automountServiceAccountToken": False,
        "topologySpreadConstraints": [{**zones, "labelSelector": {"matchLabels": labels}}],
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "securityContext": security,
        "containers": [container],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    _write(
        folder / "deployment.yaml",
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cache"}, "spec": spec},
    )
    ports = [{"name": "redis", "port": 6379, "targetPort": "redis"}]
    _write(
        folder / "service.yaml",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "cache"},
            "spec": {"selector": labels, "ports": ports},
        },
    )
    (folder / "redis.conf").write_text(
        f"# {name}\nmaxmemory {chance.choice(['32mb', '48mb'])}\nmaxmemory-policy allkeys-lru\n"
    )
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["deployment.yaml", "service.yaml"],
        "configMapGenerator": [{"name": "cache", "files": ["redis.conf"]}],
    }
    _write(folder / "kustomization.yaml", kustomization)


class _Quoted(yaml.SafeDumper):
    """Quotes what another reader of YAML could take for a number: PyYAML's own rules are YAML 1.1's."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if value in VALUES else None)


_Quoted.add_representer(str, _text)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.dump(content, Dumper=_Quoted, sort_keys=False, allow_unicode=True))
