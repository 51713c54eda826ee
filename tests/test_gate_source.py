"""What a change touches: the graph of files, the revisions, and where a rendered field stands in the source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.places import Places
from gitops.manifests.render import build
from gitops.repository import revision
from tests.conftest import commit_all
from tests.frozen import platform

CHECKOUT = platform()
UNITS = Graph(CHECKOUT).units


@pytest.mark.bots
@pytest.mark.parametrize("unit", UNITS)
def test_an_overlay_is_made_of_its_reach_and_nothing_else(unit: str, tmp_path: Path) -> None:
    reach = Graph(CHECKOUT).reach(unit)
    assert (reach.unsure, reach.refusals) == ([], [])
    for file in reach.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT.root / file, tmp_path / file)
    alone, whole = build(CHECKOUT, tmp_path, unit), build(CHECKOUT, CHECKOUT.root, unit)
    assert whole.error is None
    assert alone == whole


@pytest.mark.bots
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.startswith("overlays/")])
def test_every_file_of_an_overlays_reach_is_needed(unit: str, tmp_path: Path) -> None:
    files = Graph(CHECKOUT).reach(unit).files
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT.root / file, tmp_path / file)
    for file in sorted(file for file in files if file.startswith(unit)):
        (tmp_path / file).rename(tmp_path / "away")
        assert build(CHECKOUT, tmp_path, unit).error, f"{unit} renders without {file}"
        (tmp_path / "away").rename(tmp_path / file)


def test_a_change_affects_what_reads_it_and_no_other() -> None:
    graph = Graph(CHECKOUT)
    assert graph.affected({"overlays/mogle/prod/ingress.yaml"}) == ["overlays/mogle/prod"]
    assert graph.affected({"README.md", "overlays/mogle/owner.yaml"}) == []
    bots = graph.affected({"base/bot/deployment.yaml"})
    assert bots == ["overlays/jobs-bot/prod", "overlays/notice-bot/prod"]
    staging = graph.affected({"base/components/staging/horizontalpodautoscaler.yaml"})
    assert staging == [unit for unit in UNITS if unit.endswith("/staging")]
    assert graph.affected({"base/workload/limitrange.yaml"}) == [unit for unit in UNITS if unit.startswith("overlays/")]
    assert graph.affected({"apps/services.yaml"}) == ["clusters/lab", "clusters/seoul"]
    assert graph.affected({"overlays/oauth-watch/prod/watch.py"}) == ["overlays/oauth-watch/prod"]
    assert graph.affected({"scripts/tools/kustomize/go.mod"}) == UNITS
    # A file that would be read in another one's place.
    assert graph.affected({"overlays/mogle/prod/kustomization.yml"}) == ["overlays/mogle/prod"]


KUSTOMIZATION = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: new-prod
resources: [configmap.yaml, ../../../base/bot]
components: [more]
patches:
  - path: patch.yaml
  - target: {kind: Deployment}
    path: ops.yaml
replacements:
  - path: replacement.yaml
configMapGenerator:
  - name: files
    files: [a.txt, key=b.txt]
    envs: [c.env]
transformers: [labels.yaml]
configurations: [names.yaml]
openapi: {path: schema.json}
crds: [crd.json]
"""


def test_every_field_that_names_a_file_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "overlays/new/prod"
    (folder / "more").mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(KUSTOMIZATION)
    (folder / "more/kustomization.yaml").write_text("kind: Component\npatchesStrategicMerge: [p.yaml]\n")
    reach = Graph(Checkout(tmp_path)).reach("overlays/new/prod")
    names = {
        "a.txt",
        "b.txt",
        "c.env",
        "configmap.yaml",
        "crd.json",
        "kustomization.yaml",
        "labels.yaml",
        "more/kustomization.yaml",
        "more/p.yaml",
        "names.yaml",
        "ops.yaml",
        "patch.yaml",
        "replacement.yaml",
        "schema.json",
    }
    assert {file.removeprefix("overlays/new/prod/") for file in reach.files} >= names


@pytest.mark.parametrize(
    "text",
    [
        "helmCharts: [{name: x}]\n",
        "somethingNew: [x.yaml]\n",
        "resources: [",
        "resources: [{a: b}]\n",
        "resources: [.]\n",
    ],
)
def test_an_overlay_that_is_not_understood_is_affected_by_everything(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "overlays/new/prod"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(text)
    graph = Graph(Checkout(tmp_path))
    reach = graph.reach("overlays/new/prod")
    assert reach.unsure or reach.refusals
    assert graph.affected({"base/web/service.yaml"}) == ["overlays/new/prod"]
    assert graph.affected(set()) == []


# -- revisions


def status(checkout: Checkout) -> str:
    with Repo(checkout.root) as repo:
        index = subprocess.run(
            ["git", "-C", checkout.root, "ls-files", "--stage"], capture_output=True, check=True
        ).stdout
        return f"{repo.git.status('--porcelain')}\n{repo.head.reference}\n{index!r}\n{repo.git.stash('list')}"


@pytest.mark.bots
def test_two_revisions_are_compared_without_touching_the_working_copy(scratch: Checkout) -> None:
    base = Repo(scratch.root).head.commit.hexsha
    (scratch.root / "overlays/mogle/prod/ingress.yaml").write_text("changed: true\n")
    head = commit_all(scratch)
    (scratch.root / "README.md").write_text("not committed\n")
    (scratch.root / "new.txt").write_text("not even known\n")
    hook = scratch.root / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    before = status(scratch)
    with revision.compare(scratch, base, head) as change:
        assert change.files == {"overlays/mogle/prod/ingress.yaml"}
        assert change.base is not None
        assert "mogle.example.com" in (change.base.root / "overlays/mogle/prod/ingress.yaml").read_text()
        assert (change.head.root / "overlays/mogle/prod/ingress.yaml").read_text() == "changed: true\n"
        assert not (change.head.root / "overlays/mogle/staging/ingress.yaml").exists()
        folders = [change.base.root, change.head.root]
    with revision.compare(scratch, head, None) as change:
        assert change.files == {"README.md", "new.txt"}
        assert change.head is scratch
    assert status(scratch) == before
    assert not any(folder.exists() for folder in folders)
    assert not list(scratch.root.rglob("hooked"))
    with Repo(scratch.root) as repo:
        assert len(repo.git.worktree("list").splitlines()) == 1


@pytest.mark.bots
def test_what_main_gained_meanwhile_is_no_part_of_a_change(scratch: Checkout) -> None:
    with Repo(scratch.root) as repo:
        fork = repo.head.commit
        (scratch.root / "ours.txt").write_text("ours\n")
        ours = commit_all(scratch)
        repo.head.reference = repo.create_head("other", fork)
        repo.head.reset(index=True, working_tree=True)
        (scratch.root / "theirs.txt").write_text("theirs\n")
        theirs = commit_all(scratch)
    with revision.compare(scratch, theirs, ours) as change:
        assert change.files == {"ours.txt"}


@pytest.mark.bots
def test_bad_revisions_are_named(scratch: Checkout, tmp_path: Path) -> None:
    for bad in ("nope", "--all", "HEAD:README.md", ""):
        with (
            pytest.raises(InputError, match="git knows no such revision"),
            revision.compare(scratch, "HEAD", bad or "-"),
        ):
            pass
    plain = tmp_path / "plain"
    shutil.copytree(scratch.root, plain, ignore=shutil.ignore_patterns(".git"), symlinks=True)
    with pytest.raises(InputError, match="not a git repository"), revision.compare(Checkout(plain), None, None):
        pass
    Repo.init(plain, initial_branch="trunk").close()
    with (
        pytest.raises(InputError, match="the branch trunk has no commit yet"),
        revision.compare(Checkout(plain), None, None),
    ):
        pass
    commit_all(Checkout(plain))
    with (
        pytest.raises(InputError, match="no origin/main and no main to compare with"),
        revision.compare(Checkout(plain), None, None),
    ):
        pass
    with Repo(scratch.root) as repo:
        repo.git.fetch(str(plain), "trunk:foreign")
        with pytest.raises(InputError, match="have no common ancestor"), revision.compare(scratch, "foreign", None):
            pass


@pytest.mark.bots
def test_a_shallow_clone_says_what_to_do(scratch: Checkout, tmp_path: Path) -> None:
    with Repo(scratch.root) as repo:
        fork = repo.head.commit
        commit_all(scratch, "main goes on")
        repo.create_head("student", fork)
        repo.head.reference = repo.heads["student"]
        (scratch.root / "x").write_text("x")
        commit_all(scratch, "student")
    words = [
        "git",
        "clone",
        "--quiet",
        "--depth=1",
        "--no-single-branch",
        f"file://{scratch.root}",
        str(tmp_path / "shallow"),
    ]
    subprocess.run(words, check=True, capture_output=True)
    with (
        pytest.raises(InputError, match=r"a shallow clone does not reach .*fetch-depth: 0"),
        revision.compare(Checkout(tmp_path / "shallow"), "origin/main", "origin/student"),
    ):
        pass


# -- places


def place(unit: str, kind: str, name: str, *path: str | int) -> str:
    rendered = build(CHECKOUT, CHECKOUT.root, unit)
    whole = Unit(unit, tuple(rendered.objects()), Places(CHECKOUT, unit, Graph(CHECKOUT).reach(unit)))
    item = next(item for item in whole.kind(kind) if item["metadata"]["name"] == name)
    source = whole.places.of(item, path)
    line = (CHECKOUT.root / source.file).read_text().splitlines()[source.line - 1].strip()
    return f"{source.file}: {line}"


POD = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("unit", "kind", "name", "path", "expected"),
    [
        (
            "overlays/mogle/prod",
            "Deployment",
            "web",
            ("spec", "revisionHistoryLimit"),
            "base/workload/deployment.yaml: revisionHistoryLimit: 3",
        ),
        (
            "overlays/mogle/prod",
            "Deployment",
            "web",
            (*POD, "containers", 0, "image"),
            "overlays/mogle/prod/kustomization.yaml: digest: sha256:",
        ),
        (
            "overlays/mogle/prod",
            "Deployment",
            "web",
            (*POD, "containers", 0, "image", "tag"),
            'overlays/mogle/prod/kustomization.yaml: newTag: "',
        ),
        (
            "overlays/mogle/prod",
            "Deployment",
            "web",
            (*POD, "terminationGracePeriodSeconds"),
            "base/web/deployment.yaml: terminationGracePeriodSeconds: 60",
        ),
        (
            "overlays/mogle/prod",
            "Ingress",
            "web",
            ("spec", "rules", 1, "host"),
            "overlays/mogle/prod/ingress.yaml: - host: www.mogle.example.com",
        ),
        (
            "overlays/mogle/prod",
            "Ingress",
            "web",
            ("spec", "ingressClassName"),
            "base/web/ingress.yaml: ingressClassName: platform",
        ),
        (
            "overlays/mogle/prod",
            "Ingress",
            "web",
            ("metadata", "namespace"),
            "overlays/mogle/prod/kustomization.yaml: namespace: mogle-prod",
        ),
        (
            "overlays/mogle/staging",
            "HorizontalPodAutoscaler",
            "web",
            ("spec", "minReplicas"),
            "base/components/staging/horizontalpodautoscaler.yaml: minReplicas: 2",
        ),
        (
            "overlays/evaluation-metrics/prod",
            "HorizontalPodAutoscaler",
            "web",
            ("spec", "maxReplicas"),
            "base/components/burst/horizontalpodautoscaler.yaml: maxReplicas: 30",
        ),
        (
            "overlays/oauth-watch/prod",
            "CronJob",
            "cron",
            ("spec", "schedule"),
            'overlays/oauth-watch/prod/cronjob.yaml: schedule: "41 */6 * * *"',
        ),
    ],
)
def test_a_rendered_field_is_found_where_it_was_set_last(
    unit: str, kind: str, name: str, path: tuple[str | int, ...], expected: str
) -> None:
    assert place(unit, kind, name, *path).startswith(expected)


def test_a_secrets_name_is_found_where_it_is_written_once() -> None:
    """kustomize copies it into the Deployment (a replacement)."""
    unit = "overlays/mogle/prod"
    rendered = build(CHECKOUT, CHECKOUT.root, unit)
    [deployment] = [item for item in rendered.objects() if item["kind"] == "Deployment"]
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    number = next(n for n, variable in enumerate(env) if variable["name"] == "OAUTH_42_CLIENT_SECRET")
    path = (*POD, "containers", 0, "env", number, "valueFrom", "secretKeyRef", "name")
    assert place(unit, "Deployment", "web", *path) == "overlays/mogle/prod/oauth-42.yaml: secret: mogle-oauth-42-g1"


@pytest.mark.bots
def test_only_what_is_surely_self_contained_is_not_looked_into(scratch: Checkout) -> None:
    """The quick answer for a change of overlays alone is the long one's."""
    changed = {"overlays/mogle/staging/ingress.yaml"}
    file = scratch.root / "overlays/mogle/prod/kustomization.yaml"
    before = file.read_text()
    for line in (
        "  - ../staging/ingress.yaml\n",
        '  - "\\x2e./staging/ingress.yaml"\n',
        "  - ../../../base/../overlays/mogle/staging/ingress.yaml\n",
        "  - {a: ../../../base/web}\n",
        '  - ".\\\n    ./staging/ingress.yaml"\n',
    ):
        file.write_text(before.replace("  - oauth-42.yaml\n", f"  - oauth-42.yaml\n{line}"))
        graph = Graph(scratch)
        assert graph.affected(changed) == [unit for unit in graph.units if graph.reach(unit).touched(changed)]
        assert "overlays/mogle/prod" in graph.affected(changed)
    file.write_text(before)
    assert Graph(scratch).affected(changed) == ["overlays/mogle/staging"]
