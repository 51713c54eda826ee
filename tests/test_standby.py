"""A check's control plane: one that nobody wrote to, ready before it is asked for, and gone however its check ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gitops.check import rules
from gitops.check.control_plane import control_plane, prepare
from gitops.check.dry_run import Server
from gitops.check.standby import Home
from gitops.clients.kubernetes import ClusterError
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.lab import process
from gitops.lab.layout import find_labs
from gitops.manifests.objects import Object

pytestmark = pytest.mark.bots

ADMISSION = "admissionregistration.k8s.io/v1"
ACCOUNT = "/api/v1/namespaces/shop-prod/serviceaccounts/left"


def refusing(what: str) -> list[Object]:
    """A policy that takes no ConfigMap of a name."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    body: Object = {
        "matchConstraints": {"resourceRules": [{**rule, "resourceNames": [what]}]},
        "validations": [{"expression": "false", "message": f"no {what}"}],
    }
    policy = {"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "no"}, "spec": body}
    bound = {"policyName": "no", "validationActions": ["Deny"]}
    return [policy, {**policy, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound}]


def is_refused(server: Server, what: str) -> bool:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": what, "namespace": "default"}}
    try:
        server.cluster.ask("POST", "/api/v1/namespaces/default/configmaps", item)
    except ClusterError as error:
        return f"no {what}" in error.reason
    return False


def processes(checkout: Checkout) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(checkout.root) in " ".join(process.info["cmdline"] or [])
    ]


def until(what: str, check: Callable[[], bool], seconds: float = 120) -> None:
    process.wait_until(what, check, seconds=seconds)


def keep(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """As on a laptop: a runner keeps none, whatever is set, and CI is one."""
    monkeypatch.setenv("GITOPS_CHECK_KEEP", str(seconds))
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def kept(scratch: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """A checkout whose checks leave a control plane for the next."""
    keep(monkeypatch, 300)
    yield scratch
    # Without the checkout's labs a keeper has nothing to stand by for.
    shutil.rmtree(scratch.labs, ignore_errors=True)
    until("its keepers ended", lambda: not processes(scratch))


def name(server: Server, checkout: Checkout) -> str:
    [lab] = [lab for lab in find_labs(checkout) if process.running(lab)]
    return lab.name


def test_the_next_check_finds_one_ready_that_nobody_wrote_to(kept: Checkout) -> None:
    with control_plane(kept, None) as server:
        prepare(server, refusing("one"), {"shop-prod": {}})
        assert is_refused(server, "one")
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        server.apply({**account, "metadata": {"name": "left", "namespace": "shop-prod"}})
        assert server.cluster.find(ACCOUNT)
        first = name(server, kept)
    home = Home(kept)
    until("one stands by", (home.folder / "door").exists)
    keepers = {process.pid for process in processes(kept) if "gitops.check.standby" in process.cmdline()}
    with control_plane(kept, None) as server:
        assert {process.pid for process in processes(kept) if "gitops.check.standby" in process.cmdline()} == keepers
        assert name(server, kept) != first
        assert is_refused(server, "one"), "the policies of the last check are in force from the first moment"
        assert server.cluster.find("/api/v1/namespaces/shop-prod") is None
        # Another check meanwhile gets its own, and a policy that was changed is the new one at once.
        with control_plane(kept, None) as beside:
            assert not is_refused(beside, "two")
            prepare(beside, refusing("two"), {"shop-prod": {}})
            assert (is_refused(beside, "one"), is_refused(beside, "two")) == (False, True)
            assert beside.cluster.find(ACCOUNT) is None
        assert (is_refused(server, "one"), is_refused(server, "two")) == (True, False)
    for file in (home.folder, kept.labs):
        assert not file.stat().st_mode & 0o022
    assert home.folder.stat().st_mode & 0o777 == 0o700


def test_what_stands_by_for_other_definitions_is_not_taken(kept: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    with control_plane(kept, None) as server:
        prepare(server, [], {})
    until("one stands by", (Home(kept).folder / "door").exists)
    monkeypatch.setattr(rules, "key", lambda checkout: "others")
    before = len(processes(kept))
    with control_plane(kept, None) as server:
        assert server.cluster.get("/version")
        assert len(processes(kept)) > before


def test_it_ends_by_itself(scratch: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, 1)
    with control_plane(scratch, None) as server:
        prepare(server, [], {})
    until("its keeper ended", lambda: not processes(scratch))
    assert find_labs(scratch) == []


CHECK = """
import sys, time
from pathlib import Path
from gitops.check.control_plane import control_plane
from gitops.ground.checkout import Checkout
with control_plane(Checkout(Path(sys.argv[1])), None):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("killed", ["the check", "its keeper"])
def test_nothing_outlives_a_kill(scratch: Checkout, killed: str) -> None:
    words = [sys.executable, "-c", CHECK, str(scratch.root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as check:
        assert check.stdout
        assert check.stdout.readline() == "ready\n"
        keeper = next(process for process in processes(scratch) if "gitops.check.standby" in process.cmdline())
        os.kill(check.pid if killed == "the check" else keeper.pid, signal.SIGKILL)
        parts = ("etcd", "kube-apiserver")
        until("its parts ended", lambda: not any(process.name() in parts for process in processes(scratch)), 20)
        check.kill()
    if killed == "the check":
        until("its keeper ended", lambda: not processes(scratch))
    else:
        assert len(find_labs(scratch)) == 1, "a killed keeper leaves its files"
        Home(scratch).make()
        Home(scratch).sweep()
    assert find_labs(scratch) == []


def test_a_tool_that_is_missing_is_one_error(scratch: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    (tools / "bin").mkdir(parents=True)
    for tool in ("share", "cache"):
        (tools / tool).symlink_to((scratch.tools / tool).resolve())
    (tools / "bin/etcd").symlink_to(scratch.tool("etcd").resolve())
    (scratch.root / ".tools").unlink()
    (scratch.root / ".tools").symlink_to(tools)
    with pytest.raises(InputError, match=r"^\.tools/bin/kube-apiserver: not built yet; run: make tools$"):
        control_plane(scratch, None).__enter__()
    until("its keeper ended", lambda: not processes(scratch))
