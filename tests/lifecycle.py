"""Take up a new version of Kubernetes: python -m tests.lifecycle

Renews scripts/gitops/check/apis.yaml, scripts/gitops/manifests/lists.yaml (tests/list_types.py), and the version in
every schema line of a YAML file.

Reads when each API ends from the k8s.io/api module that belongs to the pinned Kubernetes: there it stands beside each
type (zz_generated.prerelease-lifecycle.go), and kube-apiserver takes its own warnings from it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import yaml
from git import Repo

from gitops.ground.command import run
from gitops.tools.pins import go_binary
from tests import list_types
from tests.frozen import ROOT

TABLE = ROOT / "scripts/gitops/check/apis.yaml"
_SCHEMA = re.compile(r"(kubernetes-json-schema/master/v)(\d+\.\d+\.\d+)")
_METHOD = re.compile(r"func \(in \*(\w+)\) APILifecycle(Deprecated|Removed)\(\).*?return (\d+), (\d+)", re.DOTALL)
_USE = re.compile(
    r"func \(in \*(\w+)\) APILifecycleReplacement\(\).*?"
    r'GroupVersionKind\{Group: "([^"]*)", Version: "([^"]*)", Kind: "([^"]*)"\}',
    re.DOTALL,
)


def api_version() -> str:
    """The version of k8s.io/api that the pinned Kubernetes is built with."""
    match = re.search(r"k8s.io/api => k8s.io/api (v\S+)", (ROOT / "scripts/tools/kubernetes/go.mod").read_text())
    assert match
    return match[1]


def kubernetes_version() -> str:
    """The version of the pinned Kubernetes, such as 1.36.3."""
    pinned = re.search(
        r"^\s*k8s.io/kubernetes v(\S+)", (ROOT / "scripts/tools/kubernetes/go.mod").read_text(), re.MULTILINE
    )
    assert pinned
    return pinned[1]


def _schema_versions(text: str) -> set[str]:
    return {match[1] for match in _SCHEMA.findall(text)}


def schema_versions() -> dict[Path, set[str]]:
    """The versions of Kubernetes that the schema lines of each tracked or new file name."""
    with Repo(ROOT) as repo:
        names = repo.git.ls_files("--cached", "--others", "--exclude-standard", "--", "*.yaml").splitlines()
    files = [ROOT / name for name in names if (ROOT / name).is_file()]
    versions = {file: _schema_versions(file.read_text()) for file in files}
    return {file: named for file, named in versions.items() if named}


def renew_schema_lines() -> None:
    """Write the pinned version into every schema line."""
    for file in schema_versions():
        file.write_text(_SCHEMA.sub(rf"\g<1>{kubernetes_version()}", file.read_text()))


def table(module: Path) -> dict[str, dict[str, str]]:
    lives: dict[str, dict[str, str]] = {}
    for file in sorted(module.glob("*/*/zz_generated.prerelease-lifecycle.go")):
        group = re.search(r'GroupName = "([^"]*)"', (file.parent / "register.go").read_text())
        assert group
        group_version = "/".join(filter(None, [group[1], file.parent.name]))
        text = file.read_text()
        for kind, what, major, minor in _METHOD.findall(text):
            if not kind.endswith("List"):
                lives.setdefault(f"{group_version} {kind}", {})[what.lower()] = f"{major}.{minor}"
        for kind, use_group, version, use_kind in _USE.findall(text):
            if f"{group_version} {kind}" in lives:
                lives[f"{group_version} {kind}"]["use"] = f"{'/'.join(filter(None, [use_group, version]))} {use_kind}"
    return lives


def main() -> None:
    version = api_version()
    env = {"GOMODCACHE": os.environ.get("GOMODCACHE") or str(ROOT / ".tools/cache/go/mod"), "GOTOOLCHAIN": "local"}
    env["GOFLAGS"] = "-modcacherw"
    out = run([go_binary(), "mod", "download", "-json", f"k8s.io/api@{version}"], timeout=300, env=env)
    head = "# When each API of Kubernetes ends, as its own k8s.io/api says. Written by python -m tests.lifecycle.\n"
    document = {"version": version, "apis": table(Path(json.loads(out)["Dir"]))}
    TABLE.write_text(head + yaml.safe_dump(document, width=120))
    list_types.renew()
    renew_schema_lines()


if __name__ == "__main__":
    main()
