"""A real podman of the distribution's packages, with a storage of its own, and an image that it is given."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitops.tools.pins import go_binary
from tests.frozen import ROOT

IMAGE = "localhost/trial:1"
# What a sandbox of processes (CI's, this test's) need not allow: more open files than it has itself.
_LIMITS = '["nofile=1024:1024", "nproc=1024:1024"]'


@dataclass(frozen=True)
class Podman:
    """podman as it is here. `environment`: where it keeps what, for it and for what starts it."""

    environment: Mapping[str, str]

    def run(self, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, **self.environment}
        return subprocess.run(["podman", *words], input=stdin, env=environment, capture_output=True, timeout=120)

    def left(self) -> list[str]:
        """The containers that there still are."""
        return self.run("ps", "--all", "--format", "{{.Names}}").stdout.decode().split()


def make(folder: Path) -> Podman:
    """podman with an image, where it can run here; skips the test where it is not installed or may not."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (apt: podman, runc)")
    podman = Podman(_environment(folder))
    done = podman.run("import", "--change", 'ENTRYPOINT ["/app"]', "-", IMAGE, stdin=_image(folder))
    assert done.returncode == 0, done.stderr
    tried = podman.run("run", "--rm", "--memory", "64m", "--env", "BREAK=variable", IMAGE)
    if b"MENU_URL is not set" not in tried.stderr:
        pytest.skip(f"podman starts no container here: {tried.stderr.decode()[-300:]}")
    return podman


def _environment(folder: Path) -> dict[str, str]:
    # runc starts containers on machines with cgroups of both versions, crun does not.
    runtime = f'runtime = "{shutil.which("runc")}"\n' if shutil.which("runc") else ""
    state = folder / "state"
    (folder / "containers.conf").write_text(
        f"[containers]\ndefault_ulimits = {_LIMITS}\n[engine]\n{runtime}"
        f'cgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "{state}"\nstatic_dir = "{folder}/static"\n'
        f'volume_path = "{folder}/volumes"\n[network]\nnetwork_config_dir = "{folder}/net"\n'
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


def _image(folder: Path) -> bytes:
    """The program of fixtures/trial as the one file of an image, beside the folder that the cluster mounts."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    environment["GOCACHE"] = os.environ.get("GOCACHE") or str((ROOT / ".tools/cache").resolve() / "go/build")
    words = [str(go_binary()), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(folder / "app"), "."]
    subprocess.run(words, cwd=ROOT / "tests/fixtures/trial", env=environment, check=True, timeout=300)
    pile = io.BytesIO()
    with tarfile.open(fileobj=pile, mode="w") as archive:
        archive.add(folder / "app", "app")
        for name in ("tmp", "var/cache"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
    return pile.getvalue()
