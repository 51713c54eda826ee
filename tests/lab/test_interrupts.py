"""Ctrl-C at any moment of `gitops lab up`: what is said afterwards is true, and the next `up` comes to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.lab import lab as labs
from gitops.lab import origin, process
from gitops.lab.layout import Lab
from tests.conftest import GITOPS, gitops
from tests.lab.running import Running

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(1200)]
NAME = "interrupted"
# Seconds in which a verb says that it cannot do its work.
AT_ONCE = 15.0


def has_root(lab: Lab) -> bool:
    if not lab.kubeconfig.exists():
        return False
    try:
        return Cluster(lab.kubeconfig).find(f"{argocd.APPLICATIONS}/root") is not None
    except (ClusterError, OSError):
        return False


# In their order, each as soon as it is so.
MOMENTS: dict[str, Callable[[Lab], bool]] = {
    "it has its ports": lambda lab: lab.exists,
    "its API server starts": lambda lab: "kube-apiserver" in process.running(lab),
    "all of its parts run": lambda lab: "argocd-notifications" in process.running(lab),
    "its git has a commit": origin.seeded,
}


@pytest.fixture
def second(running: Running) -> Iterator[Lab]:
    """Another lab of the checkout, that was never started; its name is in no variable."""
    lab = Lab(running.lab.checkout, NAME)
    yield lab
    labs.reset(lab)


def interrupt(lab: Lab, reached: Callable[[Lab], bool]) -> tuple[int, str]:
    """Type Ctrl-C into `up` at a moment. Returns its exit code and what it said."""
    words = [str(GITOPS), "lab", "up", "--name", NAME]
    up = subprocess.Popen(
        words, cwd=lab.checkout.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        process.wait_until("the moment", lambda: reached(lab), seconds=120, every=0.02)
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=60)
    finally:
        up.kill()
    return up.returncode, said


def test_what_an_interrupted_start_left_is_told_and_the_next_one_comes_to_its_end(second: Lab) -> None:
    for moment, reached in MOMENTS.items():
        code, said = interrupt(second, reached)
        assert code == 130, (moment, said)
        assert said.endswith("interrupted\n")
        assert f"the rest: gitops lab up --name {NAME}; its end: gitops lab down --name {NAME}" in said
        for verb in ("status", "push"):
            if has_root(second):
                continue  # from then on Argo CD goes on by itself
            began = time.monotonic()
            told = gitops(second.checkout, "lab", verb, "--name", NAME)
            assert told.code == 1, (moment, verb, told.out, told.err)
            assert f"gitops lab up --name {NAME}" in told.err, (moment, verb)
            assert time.monotonic() - began < AT_ONCE
    again = gitops(second.checkout, "lab", "up", "--name", NAME)
    assert again.code == 0, again.err
    assert "is already up" not in again.out
    status = gitops(second.checkout, "lab", "status", "--name", NAME)
    assert status.code == 0, status.err
    assert "is already up" in gitops(second.checkout, "lab", "up", "--name", NAME).out
