"""Another user of the machine against a running `gitops check`, and against a stand-in of the tests."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gitops.check.control_plane import control_plane
from gitops.lab.layout import Lab, find_labs
from tests.attacks import Door, Guard, attack
from tests.attacks.intruder import (
    API_PATHS,
    Target,
    as_nobody,
    bearer,
    blind,
    etcd_deed,
    needs_root,
    opened,
)
from tests.fakes.github import TOKEN, GitHub
from tests.frozen import clone


@pytest.fixture(scope="module")
def checking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The control plane that `gitops check` starts, in a checkout of its own."""
    checkout = clone(tmp_path_factory.mktemp("checking") / "clone")
    with control_plane(checkout, None):
        [lab] = find_labs(checkout)
        yield lab


@attack(Door.MACHINE, "reads {what} of a check's {port}", Guard.LOCK)
@pytest.mark.parametrize(("port", "what"), [("etcd", "every Secret"), ("etcd-peer", "the members")])
@pytest.mark.bots
@needs_root
def test_etcd_of_a_check(checking: Lab, port: str, what: str, guard: Guard | None) -> str | None:
    return as_nobody(etcd_deed(checking, port, guard), folder=checking.folder.parent)


@attack(Door.MACHINE, "asks a check's API server for {path}", Guard.LOCK)
@pytest.mark.parametrize("path", API_PATHS)
@pytest.mark.bots
@needs_root
def test_api_server_of_a_check(checking: Lab, path: str, guard: Guard | None) -> str | None:
    deed = Target.of(checking, "api").ask(path, tls=blind(), headers=bearer(checking, guard))
    return as_nobody(deed, folder=checking.folder.parent)


@attack(Door.MACHINE, "reads {file} of a check", Guard.SYSTEM)
@pytest.mark.parametrize("file", ["lab.json", "kubeconfig", "pki/etcd-client.key"])
@pytest.mark.bots
@needs_root
def test_files_of_a_check(checking: Lab, file: str, guard: Guard | None) -> str | None:
    def deed() -> None:
        os.close(os.open(f"{checking.name}/{file}", os.O_RDONLY))

    with ExitStack() as stack:
        if guard is None:
            stack.enter_context(opened(checking.folder / file, checking.folder))
        return as_nobody(deed, folder=checking.folder.parent)


@attack(Door.MACHINE, "pushes to the stand-in for GitHub whose workflows `make demo` runs", Guard.LOCK)
@pytest.mark.bots
@needs_root
def test_stand_in_for_github(github: GitHub, guard: Guard | None, tmp_path: Path) -> str | None:
    token = "ghs-fake-token" if guard is Guard.LOCK else TOKEN
    headers = {"Authorization": f"Basic {b64encode(f'x-access-token:{token}'.encode()).decode()}"}
    path = f"/{github.name}.git/info/refs?service=git-receive-pack"
    deed = Target(int(github.url.rpartition(":")[2])).ask(path, headers=headers)
    return as_nobody(deed, folder=tmp_path)
