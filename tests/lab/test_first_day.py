"""docs/first-day.md is followed by someone who knows nothing else: every command of it, in its order. Then the
cluster is lost, and comes back from git and the backup of its keys.

AWS is simulated; the cluster is a real control plane that begins empty (eks_world.py).
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gitops.clients import argocd
from gitops.lab import origin
from gitops.manifests import yamlfile
from tests.conftest import GITOPS, gitops
from tests.fakes.key_vault import KeyVault
from tests.forward import forward
from tests.frozen import ROOT
from tests.lab.eks_world import EksWorld, eks_world
from tests.lab.test_loss import back_up, start, stop

# On a quiet machine three minutes; one that is not makes nodes and images wait as well.
pytestmark = [pytest.mark.lab, pytest.mark.docs, pytest.mark.timeout(1500)]

PAGE = ROOT / "docs/first-day.md"
# A fenced block of commands, or of values.
BLOCK = re.compile(r"^```(console|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXPECTED = re.compile(r"^(?P<command>.*?)(?: # exit code (?P<code>\d): (?P<words>.*))?$")
COMMANDS = {"git", "gitops"}
DOWN = "gitops cluster down"
# Requests of the API server after which a first `up` is killed: in the middle of Argo CD, before there is a root.
KILLED_AT = 60
# What `up` is killed at in the matrix: each so many requests until there is a root, and then while it waits.
EVERY, WAITING = 10, (3, 30, 90)
STANDING = (
    "/api/v1/namespaces",
    "/api/v1/services",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/bitnami.com/v1alpha1/sealedsecrets",
    argocd.APPLICATIONS,
)


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(PAGE.read_text())


def commands(text: str) -> list[tuple[str, int]]:
    """Each command of a block, and the exit code that the page says."""
    matches = [match for line in text.splitlines() if (match := EXPECTED.match(line))]
    return [(match["command"], int(match["code"] or 0)) for match in matches]


class Reader:
    """Types what the page shows, and does what it says beside."""

    def __init__(self, eks: EksWorld, controller: str) -> None:
        self.eks, self.controller = eks, controller

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com"}
        names |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in names.items()}
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.eks.checkout.root,
            env={
                **os.environ,
                **self.eks.environment(),
                **names,
                "PATH": f"{GITOPS.parent}:{os.environ['PATH']}",
                "GITOPS_SEALED_SECRETS_URL": self.controller,
            },
            capture_output=True,
            text=True,
            timeout=500,
        )

    def write(self, values: dict[str, str]) -> None:
        """What the page has written into cluster.yaml; only keys that are there."""
        file = self.eks.checkout.root / "clusters/seoul/cluster.yaml"
        document = yamlfile.read(self.eks.checkout, file)
        assert set(values) <= set(document["data"])
        document["data"] |= values
        file.write_text(yaml.safe_dump(document))

    def follow(self, command: str, code: int) -> None:
        done = self.type(command)
        assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}"
        if code == 2:  # enter the name servers where each domain is registered
            self.eks.resolver.delegate(self.eks.account)
        if command.startswith("git push"):  # open a pull request and merge it
            self.eks.merge()
        if command.startswith("gitops secrets pin"):  # seal anew what it lists
            origin.seal_all(self.eks.lab, self.eks.checkout.root)


@pytest.fixture(scope="module")
def eks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EksWorld]:
    with eks_world(tmp_path_factory.mktemp("eks")) as world:
        yield world


@pytest.fixture(scope="module")
def reader(eks: EksWorld) -> Iterator[Reader]:
    with forward(eks.lab, "sealed-secrets") as url:
        yield Reader(eks, url)


@pytest.fixture
def vault() -> Iterator[KeyVault]:
    vault = KeyVault()
    yield vault
    vault.close()


def killed(eks: EksWorld, request: int) -> None:
    """`up`, ended with -9 at one of its requests to the cluster."""
    api = eks.account.api
    assert api
    with eks.begun("up", "seoul", "--yes", alone=True) as process:
        seen = len(api.calls)
        api.before = lambda number: os.killpg(process.pid, 9) if number - seen == request else None
        assert process.wait(timeout=300) == -9
    api.before = lambda number: None


def in_charge(eks: EksWorld) -> bool:
    """Whether Argo CD has its root."""
    return eks.cluster.find(f"{argocd.APPLICATIONS}/root") is not None


def objects(eks: EksWorld, path: str) -> list[tuple[str, str, str]]:
    """A kind's path, and the namespace and name of each object of it."""
    metadatas = [item["metadata"] for item in eks.cluster.items(path)]
    return [(path, metadata.get("namespace", ""), metadata["name"]) for metadata in metadatas]


def standing(eks: EksWorld) -> list[tuple[str, str, str]]:
    """What the cluster has."""
    return sorted(itertools.chain.from_iterable(objects(eks, path) for path in STANDING))


def come_back(eks: EksWorld, vault: KeyVault, reader: Reader) -> None:
    """What docs/runbooks/loss.md says of a lost cluster: up, the keys from their backup, up."""
    lost = eks.up()
    assert lost.code == 1, lost.err
    assert "sealing key is new" in lost.err
    # The account's keys and buckets are moto's here, and its bucket has another name.
    away = {**eks.environment(), "AWS_ENDPOINT_URL_S3": vault.url, "AWS_ENDPOINT_URL_KMS": vault.url}
    outputs = eks.checkout.root / "clusters/seoul/outputs.yaml"
    text = outputs.read_text()
    outputs.write_text(re.sub(r"BackupsBucket: \S+", f"BackupsBucket: {vault.bucket}", text))
    made = reader.type("gitops cluster kubeconfig seoul > seoul.kubeconfig")
    assert made.returncode == 0, made.stderr
    words = ("secrets", "restore", "--cluster", "seoul", "--kubeconfig", "seoul.kubeconfig")
    restored = gitops(eks.checkout, *words, timeout=120, **away)
    assert restored.code == 0, restored.err
    outputs.write_text(text)
    stop(eks)
    start(eks)
    back = eks.up()
    assert back.code == 0, back.err
    assert [app.name for app in argocd.applications(eks.cluster) if not app.good] == []


@pytest.fixture(scope="module")
def followed(eks: EksWorld, reader: Reader) -> None:
    """The page was followed to the end of its way up, with one `up` killed on it."""
    for kind, text in blocks():
        if DOWN in text:
            break
        if kind == "yaml":
            reader.write(yaml.safe_load(text))
            continue
        if "kubeconfig" in text:
            killed(eks, KILLED_AT)
            assert not in_charge(eks)
        for command, code in commands(text):
            reader.follow(command, code)


@pytest.mark.usefixtures("followed")
def test_the_page_leads_from_an_empty_account_to_every_application_healthy(eks: EksWorld, reader: Reader) -> None:
    apps = argocd.applications(eks.cluster)
    assert [app.name for app in apps if not app.good] == []
    assert {"root", "platform", "argocd", "cluster", "sealed-secrets", "mogle-prod"} <= {app.name for app in apps}
    assert eks.account.api
    assert eks.account.api.refusals == []
    kubectl = [eks.checkout.tool("kubectl"), "--kubeconfig", "seoul.kubeconfig", "get", "namespace", "mogle-prod"]
    assert reader.type(" ".join(map(str, kubectl))).returncode == 0


@pytest.mark.usefixtures("followed")
def test_a_lost_cluster_comes_back_from_git_and_the_backup(
    eks: EksWorld, vault: KeyVault, tmp_path: Path, reader: Reader
) -> None:
    done = back_up(eks, vault, tmp_path)
    assert done.code == 0, done.err
    eks.lose_the_cluster()
    began = time.monotonic()
    come_back(eks, vault, reader)
    print(f"a lost cluster, from empty to all Healthy: {time.monotonic() - began:.0f} s")


@pytest.mark.matrix
@pytest.mark.usefixtures("followed")
def test_up_killed_anywhere_of_its_hand_over_ends_alike(
    eks: EksWorld, vault: KeyVault, tmp_path: Path, reader: Reader
) -> None:
    whole = standing(eks)
    done = back_up(eks, vault, tmp_path)
    assert done.code == 0, done.err
    eks.lose_the_cluster()
    points = 0
    while not in_charge(eks):
        killed(eks, 1 + points * EVERY)
        points += 1
    assert points >= 20, "of the hand-over itself"
    for number in WAITING:
        killed(eks, number)
    come_back(eks, vault, reader)
    assert standing(eks) == whole


@pytest.mark.usefixtures("followed")
def test_the_page_takes_the_cluster_down_again(eks: EksWorld, reader: Reader) -> None:
    [text] = [text for _, text in blocks() if DOWN in text]
    for command, code in commands(text):
        reader.follow(command, code)
    assert not eks.account.stacks.of("seoul-cluster")
    assert eks.account.stacks.of("seoul-foundation")


def test_the_page_has_all_commands_and_no_other_programs() -> None:
    texts = [text for kind, text in blocks() if kind == "console"]
    shown = [command for command, _ in commands("".join(texts))]
    verbs = {command.split()[2] for command in shown if command.startswith("gitops cluster")}
    assert verbs == {"adopt", "cost", "doctor", "plan", "up", "status", "kubeconfig", "down"}
    assert {command.split()[0] for command in shown} == COMMANDS
