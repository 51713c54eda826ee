"""`gitops cluster up` to its end: from an empty account, and an empty cluster, to Argo CD in charge and all Healthy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gitops.clients import argocd
from gitops.lab import origin
from tests.cluster_world import WRITTEN
from tests.conftest import commit_all, gitops
from tests.forward import forward
from tests.lab.eks_world import EksWorld, eks_world


@pytest.fixture(scope="module")
def eks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EksWorld]:
    with eks_world(tmp_path_factory.mktemp("eks")) as world:
        world.define(**WRITTEN)
        commit_all(world.checkout, "Write whose it is")
        world.merge()
        yield world


def test_from_an_empty_account_to_every_application_healthy(eks: EksWorld) -> None:
    first = eks.up()
    assert first.code == 1, first.err
    assert "sealing key is new" in first.err
    assert "gitops secrets pin --cluster seoul" in first.err
    commit_all(eks.checkout, "Write down what AWS gave seoul")
    with forward(eks.lab, "sealed-secrets") as url:
        pinned = gitops(eks.checkout, "secrets", "pin", "--cluster", "seoul", GITOPS_SEALED_SECRETS_URL=url)
    assert pinned.code == 0, pinned.err
    # What it lists, a person seals anew, each from its value.
    origin.seal_all(eks.lab, eks.checkout.root)
    commit_all(eks.checkout, "Seal for the new cluster")
    eks.merge()
    second = eks.up()
    assert second.code == 0, second.err
    apps = argocd.applications(eks.cluster)
    assert [app.name for app in apps if not app.good] == []
    assert {"root", "platform", "argocd", "cluster", "sealed-secrets", "mogle-prod"} <= {app.name for app in apps}
    assert eks.account.api
    assert eks.account.api.refusals == []
