"""Account, region and organisation are typed in cluster.yaml alone: `gitops cluster adopt`, and who is a stranger."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from gitops.cluster import identity
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import kustomize, yamlfile
from gitops.repository import services
from gitops.service.registries import allowed_registries
from tests.cluster_world import aws_world
from tests.fakes.cloudformation_template import ACCOUNT
from tests.frozen import clone

FILE = "clusters/seoul/cluster.yaml"
EXAMPLE = "111122223333"
# The file, what a stranger's name replaces there, and which name it is.
STRANGERS = [
    ("overlays/mogle/prod/kustomization.yaml", f"{EXAMPLE}.dkr", "999988887777.dkr", "account"),
    ("overlays/mogle/prod/kustomization.yaml", "ecr.ap-northeast-2.", "ecr.us-east-1.", "region"),
    ("policies/pods/image-registry.yaml", "'ghcr.io/ft-platform/'", "'ghcr.io/stranger/'", "organisation"),
    ("policies/pods/image-registry.yaml", f"['{EXAMPLE}", "['999988887777", "account"),
    ("clusters/seoul/objects/ingressclassparams.yaml", f"2:{EXAMPLE}:", "2:999988887777:", "account"),
    (".github/CODEOWNERS", "* @ft-platform/", "* @stranger/", "organisation"),
    (".github/teams.yaml", '"@ft-platform/bots', '"@stranger/bots', "organisation"),
    ("clusters/seoul/platform/repository.yaml", "com/ft-platform/gitops.git", "com/ft-platform/fork.git", "repository"),
    (".github/aws/pushed-rule.json", "repos/ft-platform/", "repos/stranger/", "repository"),
    (".github/workflows/build.yaml", "uses: ft-platform/gitops", "uses: ft-platform/fork", "repository"),
    ("overlays/oauth-watch/prod/cronjob.yaml", "value: ft-platform/", "value: stranger/", "repository"),
]


def change(checkout: Checkout, path: str, old: str, new: str) -> None:
    file = checkout.root / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def everything(checkout: Checkout) -> dict[str, bytes]:
    files = itertools.chain.from_iterable((checkout.root / folder).rglob("*") for folder in identity.FOLDERS)
    return {checkout.relative(file): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.parametrize(("path", "old", "new", "name"), STRANGERS)
def test_a_stranger_is_found_by_file_and_line_and_one_command_mends_it(
    path: str, old: str, new: str, name: str, tmp_path: Path
) -> None:
    checkout = clone(tmp_path / "clone")
    # No AWS is asked: it is an account already.
    change(checkout, FILE, EXAMPLE, ACCOUNT)
    change(checkout, FILE, f"iam::{EXAMPLE}", f"iam::{ACCOUNT}")
    identity.adopt(checkout, "seoul")
    assert identity.faults(checkout) == []
    before = everything(checkout)
    change(checkout, path, old.replace(EXAMPLE, ACCOUNT), new)
    [fault] = identity.faults(checkout)
    line = (checkout.root / path).read_text().splitlines()[(fault.line or 0) - 1]
    assert (fault.path, fault.fix) == (path, "gitops cluster adopt seoul")
    assert fault.what == f"another {name} than cluster.yaml has"
    assert str(fault.found) in line
    assert identity.adopt(checkout, "seoul") == [checkout.root / path]
    assert everything(checkout) == before


def test_another_organisation_repository_and_region_are_carried_everywhere(tmp_path: Path) -> None:
    checkout = clone(tmp_path / "clone")
    change(checkout, FILE, "ft-platform/gitops.git", "acme/platform.git")
    change(checkout, FILE, "region: ap-northeast-2", "region: eu-west-3")
    change(checkout, FILE, EXAMPLE, ACCOUNT)
    change(checkout, FILE, f"iam::{EXAMPLE}", f"iam::{ACCOUNT}")
    before = everything(checkout)
    changed = [checkout.relative(path) for path in identity.adopt(checkout, "seoul")]
    after = everything(checkout)
    assert sorted(changed) == sorted(path for path in after if after[path] != before[path])
    registry = f"{ACCOUNT}.dkr.ecr.eu-west-3.amazonaws.com"
    assert allowed_registries(checkout)[:2] == [f"{registry}/", "ghcr.io/acme/"]
    assert registry in str(kustomize.build(checkout, checkout.overlays / "mogle/prod"))
    assert services.codeowners(checkout) == checkout.codeowners_file.read_text()
    assert services.teams(checkout)["platform"].github == "@acme/platform"
    # Nothing but the names: with them taken back, every byte is as it was.
    for path, content in after.items():
        back = content.decode().replace(registry, f"{EXAMPLE}.dkr.ecr.ap-northeast-2.amazonaws.com")
        back = back.replace(f":{ACCOUNT}:", f":{EXAMPLE}:").replace("acme/platform", "ft-platform/gitops")
        back = re.sub(r"(@|ghcr\.io/)acme/", r"\1ft-platform/", back).replace(
            "@ft-platform/gitops", "@ft-platform/platform"
        )
        back = re.sub(r"(\bg, |name: )acme\b", r"\1ft-platform", back)
        if path != FILE and path in changed:
            assert back == before[path].decode(), path
    assert identity.adopt(checkout, "seoul") == []


def test_the_account_is_asked_of_aws_and_not_typed_and_only_once(tmp_path: Path) -> None:
    with aws_world(tmp_path / "clone", written=False) as aws:
        ran = aws.run("adopt", "seoul")
        assert ran.code == 0, ran.err
        assert f"wrote {FILE}" in ran.out
        data = yamlfile.read(aws.checkout, aws.checkout.root / FILE)["data"]
        assert (data["account"], data["adminRole"].split(":")[4]) == (ACCOUNT, ACCOUNT)
        # Its comments and quotes are the person's.
        assert f'account: "{ACCOUNT}"' in (aws.checkout.root / FILE).read_text()
        calls = len(aws.account.calls)
        ran = aws.run("adopt", "seoul")
        assert (ran.code, ran.out) == (0, "")
        assert "every file says so already" in ran.err
        assert len(aws.account.calls) == calls


def test_plan_and_up_refuse_a_tree_that_names_a_stranger_and_documentations_account(tmp_path: Path) -> None:
    with aws_world(tmp_path / "clone") as aws:
        change(aws.checkout, "overlays/umbrella/prod/kustomization.yaml", ACCOUNT, "999988887777")
        for words in (["plan", "seoul"], ["up", "seoul", "--yes"]):
            ran = aws.run(*words)
            assert ran.code == 2
            assert "overlays/umbrella/prod/kustomization.yaml:" in ran.err
            assert "found 999988887777; gitops cluster adopt seoul" in ran.err
        aws.define(account=EXAMPLE, adminRole=f"arn:aws:iam::{EXAMPLE}:role/x")
        ran = aws.run("plan", "seoul")
        assert (ran.code, "an account of documentation" in ran.err) == (2, True)
        assert not aws.account.stacks.stacks


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f'account: "{EXAMPLE}"', "account: mine", "expected twelve digits, a region and"),
        ("https://github.com/ft-platform/gitops.git", "git@example.com:x.git", "expected twelve digits, a region and"),
        (f'account: "{EXAMPLE}"', "accounts: mine", "cluster 'seoul' is not one of AWS"),
    ],
)
def test_adopt_says_what_it_cannot_use_and_changes_nothing(old: str, new: str, words: str, tmp_path: Path) -> None:
    checkout = clone(tmp_path / "clone")
    change(checkout, FILE, old, new)
    change(checkout, FILE, f'account: "{EXAMPLE}"', f'account: "{ACCOUNT}"') if old.startswith("https") else None
    before = everything(checkout)
    with pytest.raises(InputError) as caught:
        identity.adopt(checkout, "seoul")
    assert words in str(caught.value)
    assert everything(checkout) == before


def test_a_second_cluster_of_another_account_is_no_stranger(tmp_path: Path) -> None:
    checkout = clone(tmp_path / "clone")
    second = checkout.root / "clusters/paris"
    second.mkdir()
    text = (checkout.root / FILE).read_text().replace(EXAMPLE, "999988887777")
    (second / "cluster.yaml").write_text(text.replace("ap-northeast-2", "eu-west-3"))
    assert identity.faults(checkout) == []
    change(
        checkout,
        "policies/pods/image-registry.yaml",
        "'docker.io",
        "'999988887777.dkr.ecr.eu-west-3.amazonaws.com/', 'docker.io",
    )
    assert identity.faults(checkout) == []
