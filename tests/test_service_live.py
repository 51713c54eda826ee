"""`gitops service status|events|logs`: what runs, by a real API server; and whatever is no such server."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitops.check.control_plane import control_plane, prepare
from gitops.clients.workloads import SIMULATED
from gitops.ground.checkout import Checkout
from gitops.lab.layout import Lab
from gitops.service.running import PodStatus, by_images
from tests.conftest import Ran
from tests.frozen import clone
from tests.live_cluster import COMMIT, IMAGE, MISSING, WAITING, LiveCluster, kubeconfig, stub
from tests.world import run_here

Ask = Callable[..., Ran]
VERBS = ("status", "events", "logs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """A cluster that runs the frozen platform's mogle, of which staging cannot start."""
    checkout = clone(tmp_path_factory.mktemp("live") / "clone")
    with control_plane(checkout, None) as server:
        prepare(server, [], {"mogle-prod": {}, "mogle-staging": {}})
        world = LiveCluster(server)
        try:
            world.node(kwok=False)
            world.application("mogle-prod")
            world.application("mogle-staging", health="Degraded")
            world.pod("mogle-prod", "web-a")
            world.pod("mogle-prod", "web-b", restarts=2)
            world.pod("mogle-staging", "web-c", state=WAITING)
            world.event("mogle-staging", "web-c", "Failed", f"Error: {MISSING}", "2026-11-26T10:00:00Z")
            world.event("mogle-staging", "web-c", "Pulled", "image is there", "2026-11-26T09:00:00Z")
            yield world
        finally:
            world.close()


@pytest.fixture
def away(scratch: Checkout, tmp_path: Path) -> Ask:
    """The command where nobody has a kubeconfig; variables change that."""
    return lambda *words, **env: run_here(scratch.root, ("service", *words), None, {"HOME": str(tmp_path), **env})


@pytest.fixture
def ask(away: Ask, live: LiveCluster) -> Ask:
    return lambda *words, **env: away(*words, KUBECONFIG=str(live.kubeconfig), **env)


@pytest.mark.bots
def test_what_is_well_is_shown_with_its_pods(ask: Ask, scratch: Checkout) -> None:
    (scratch.root / "README.md").write_text("a dirty tree changes nothing of what runs")
    done = ask("status", "mogle", "--environment", "prod")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "context 'lab'"
    assert lines[2].split() == ["mogle-prod", "Synced", "Healthy", COMMIT[:8]]
    assert [line.split()[1:4] for line in lines[4:6]] == [["web-a", "1/1", "0"], ["web-b", "1/1", "2"]]
    assert lines[6:] == [f"prod runs {IMAGE} (2 pods)"]
    assert max(map(len, lines[:6])) <= 80


def test_of_pods_that_run_different_images_each_is_named() -> None:
    pods = [PodStatus(name, "1/1", 0, "", image, "") for name, image in (("a", "x:1"), ("b", "x:2"), ("c", "x:1"))]
    assert by_images(pods) == {"x:1": ["a", "c"], "x:2": ["b"]}


@pytest.mark.bots
def test_what_is_not_well_says_why_in_its_pods_own_words(ask: Ask) -> None:
    done = ask("status", "mogle")
    assert done.code == 1
    assert done.err == (
        f"gitops: mogle-staging: Synced, Degraded: pod web-c: app: CreateContainerConfigError: {MISSING}\n"
    )
    told = json.loads(ask("status", "mogle", "--output", "json").out)
    assert told["simulated"] is False
    [staging] = [one for one in told["environments"] if one["environment"] == "staging"]
    assert staging["pods"][0]["says"] == f"app: CreateContainerConfigError: {MISSING}"


@pytest.mark.bots
def test_what_is_not_merged_is_said(ask: Ask) -> None:
    done = ask("status", "umbrella", "--environment", "prod")
    assert done.code == 1
    assert done.err == "gitops: umbrella-prod: no such Application; it is not merged yet\n"


@pytest.mark.bots
def test_events_the_newest_last(ask: Ask) -> None:
    done = ask("events", "mogle")
    assert done.code == 0
    assert [line.split()[6] for line in done.out.splitlines()[2:]] == ["Pulled", "Failed"]
    assert done.out.splitlines()[-1].endswith(f"3      Error: {MISSING}")
    assert "nothing: the cluster keeps events for an hour" in ask("events", "mogle", "--environment", "prod").out
    assert [event["count"] for event in json.loads(ask("events", "mogle", "--output", "json").out)] == [3, 3]


@pytest.mark.bots
def test_logs_of_every_container_and_why_one_has_none(ask: Ask, live: LiveCluster) -> None:
    done = ask("logs", "mogle", "--lines", "7")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "==> mogle-prod/web-a app",
        "web-a listens",
        "web-a serves",
        "==> mogle-prod/web-b app",
        "web-b listens",
        "web-b serves",
        f"==> mogle-staging/web-c app: app: CreateContainerConfigError: {MISSING}",
    ]
    assert live.kubelet.asked[-1] == {"tailLines": ["7"]}
    assert ask("logs", "mogle", "--environment", "prod", "--previous").code == 0
    assert live.kubelet.asked[-1]["previous"] == ["true"]
    none = ask("logs", "mogle", "--environment", "staging")
    assert none.code == 1
    assert none.err.splitlines()[-1] == (
        "gitops: no container of mogle-staging has printed anything; gitops service events mogle"
    )


@pytest.mark.bots
def test_where_pods_are_simulated_that_is_said_first_and_there_are_no_logs(ask: Ask, live: LiveCluster) -> None:
    """By the nodes themselves, whatever kubeconfig led there."""
    live.node(kwok=True)
    try:
        first = ask("status", "mogle", "--environment", "prod").out.splitlines()[0]
        assert first == f"context 'lab': {SIMULATED}"
        logs = ask("logs", "mogle")
        assert (logs.code, logs.out) == (1, "")
        [line] = logs.err.splitlines()
        assert line == f"gitops: context 'lab': {SIMULATED}; what its pods say: gitops service status mogle"
    finally:
        live.node(kwok=False)


@pytest.mark.bots
@pytest.mark.parametrize("verb", VERBS)
def test_a_cluster_of_another_platform_is_refused(ask: Ask, live: LiveCluster, verb: str) -> None:
    for name in ("mogle-prod", "mogle-staging"):
        live.application(name, repository="https://github.com/somebody/else.git")
    try:
        done = ask(verb, "mogle")
    finally:
        live.application("mogle-prod")
        live.application("mogle-staging", health="Degraded")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "gitops: context 'lab' is no cluster of this platform; expected Applications of "
        "https://github.com/ft-platform/gitops, found https://github.com/somebody/else; --context; in the lab: --lab\n"
    )


@pytest.mark.bots
def test_the_context_is_one_of_the_kubeconfigs(ask: Ask) -> None:
    assert ask("status", "mogle", "--environment", "prod", "--context", "lab").code == 0
    done = ask("status", "mogle", "--context", "lub")
    assert (done.code, done.out) == (2, "")
    assert "context 'lub': " in done.err
    assert done.err.endswith("has none of this name; did you mean lab?\n")


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_service_or_environment_is_told_before_anything_is_asked(away: Ask, verb: str) -> None:
    done = away(verb, "mogel")
    assert (done.code, done.out) == (2, "")
    assert done.err == "gitops: service 'mogel': does not exist; did you mean mogle?\n"
    done = away(verb, "mogle", "--environment", "stagging")
    assert (done.code, done.err.endswith("did you mean staging?\n")) == (2, True)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("file", ["owner.yaml", "prod/kustomization.yaml", "prod/ingress.yaml"])
def test_what_runs_is_asked_whatever_the_working_copys_files_say(
    away: Ask, scratch: Checkout, verb: str, file: str
) -> None:
    """Whoever looks has pulled the commit that broke it."""
    (scratch.root / "overlays/mogle" / file).write_text("resources: [\n")
    assert away(verb, "mogle").err.startswith("gitops: no kubeconfig names a cluster")


@pytest.mark.parametrize("verb", VERBS)
def test_no_kubeconfig_is_one_message(away: Ask, verb: str) -> None:
    done = away(verb, "mogle")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "gitops: no kubeconfig names a cluster: KUBECONFIG is not set, and ~/.kube/config not there; "
        "aws eks update-kubeconfig --name CLUSTER, or set KUBECONFIG; in the lab: --lab\n"
    )
    named = away(verb, "mogle", KUBECONFIG="/nowhere:/nor/here")
    assert named.err.startswith(
        "gitops: no kubeconfig names a cluster: no file is at /nowhere:/nor/here (KUBECONFIG); "
    )


@pytest.mark.parametrize("text", ["", "[", "[]", "contexts: 3", "current-context: work", "{contexts: [{}]}"])
def test_a_kubeconfig_that_cannot_be_used_is_one_message(away: Ask, tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    done = away("status", "mogle", KUBECONFIG=str(tmp_path / "config"))
    assert (done.code, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert line.startswith(f"gitops: {tmp_path / 'config'}: no kubeconfig that can be used")


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (401, b'{"message": "Unauthorized"}', 4, "context 'work' refuses you: Unauthorized; sign in again"),
        (403, b'{"message": "forbidden: no list"}', 4, "context 'work' refuses you: forbidden: no list"),
        (404, b"404 page not found", 4, "context 'work' does not answer"),
        (200, b"<html>a proxy</html>", 4, "context 'work' does not answer"),
        (200, b'{"items": []}', 2, "context 'work' is no cluster of this platform"),
        (503, b"not now", 4, "context 'work' does not answer: not now"),
    ],
    ids=str,
)
def test_what_is_no_cluster_of_ours_is_one_message(
    away: Ask, tmp_path: Path, status: int, body: bytes, code: int, said: str
) -> None:
    server = stub(status, body)
    try:
        done = away("status", "mogle", KUBECONFIG=str(kubeconfig(tmp_path / "config", server.url)))
    finally:
        server.close()
    assert (done.code, done.out) == (code, ""), done.err
    [line] = done.err.splitlines()
    assert line.startswith(f"gitops: {said}")


@pytest.mark.parametrize("verb", VERBS)
def test_offline_is_one_message(away: Ask, tmp_path: Path, verb: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = away(verb, "mogle", KUBECONFIG=str(kubeconfig(tmp_path / "config", f"https://127.0.0.1:{port}")))
    assert (done.code, done.out) == (4, "")
    [line] = done.err.splitlines()
    assert line.startswith("gitops: context 'work' does not answer: ")
    assert line.endswith("Connection refused; in the lab: --lab")


def test_a_login_that_fails_is_said(away: Ask, tmp_path: Path) -> None:
    script = tmp_path / "login"
    script.write_text("#!/bin/sh\necho 'the session has expired' >&2\nexit 1\n")
    script.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": str(script), "args": []}}
    file = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", user)
    done = away("status", "mogle", KUBECONFIG=str(file))
    assert (done.code, done.out) == (4, "")
    [line] = done.err.splitlines()
    assert "the login that the kubeconfig names failed: exec: process returned 1. the session has expired" in line


@pytest.mark.parametrize("verb", VERBS)
def test_a_lab_that_is_not_there_or_down_is_said(away: Ask, scratch: Checkout, verb: str) -> None:
    done = away(verb, "mogle", "--lab")
    assert (done.code, done.err) == (2, "gitops: lab 'default': never started; run: gitops lab up\n")
    lab = Lab(scratch, "default")
    lab.create(2)
    kubeconfig(lab.kubeconfig, lab.url("api"))
    done = away(verb, "mogle", "--lab")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("gitops: lab 'default' does not answer: ")
    assert done.err.endswith("; run: gitops lab up\n")
    assert away(verb, "mogle", "--lab", "--context", "x").code == 2
