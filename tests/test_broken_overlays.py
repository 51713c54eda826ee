"""What one broken file stops: its own answer alone, and every command names its file and line in the same words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from tests.conftest import Ran, commit_all
from tests.frozen import clone
from tests.world import run_here

KUSTOMIZATION, INGRESS = "overlays/mogle/prod/kustomization.yaml", "overlays/mogle/prod/ingress.yaml"
SEAL = "overlays/mogle/prod/sealedsecret-oauth-42-g1.yaml"
# A file, what stands in it, and how it is said to be none.
BROKEN = {
    "a bracket that is open": (
        KUSTOMIZATION,
        b"resources: [\n",
        2,
        "not valid YAML: did not find expected node content",
    ),
    "a tab": (INGRESS, b"kind: Ingress\nspec:\n\trules: []\n", 3, "not valid YAML: found character that cannot start"),
    "a colon too many": (SEAL, b"kind: SealedSecret\nspec: a: b\n", 2, "not valid YAML: mapping values are not"),
    "no UTF-8": (SEAL, b"kind: SealedSecret\nspec: \xff\n", 2, "not UTF-8 (byte 25)"),
}
LISTS = {
    "service list": {KUSTOMIZATION, INGRESS},
    "lb show": {KUSTOMIZATION, INGRESS, SEAL},
    "secrets list": {SEAL},
    "secrets status": {SEAL},
}


@pytest.fixture
def here(tmp_path: Path) -> Checkout:
    return clone(tmp_path / "clone")


def run(checkout: Checkout, command: str) -> Ran:
    return run_here(checkout.root, command.split(), None, {})


@pytest.mark.parametrize("kind", BROKEN)
def test_a_list_shows_all_else_and_names_what_is_broken(here: Checkout, kind: str) -> None:
    file, content, line, words = BROKEN[kind]
    (here.root / file).write_bytes(content)
    for command, concerned in LISTS.items():
        done = run(here, command)
        assert "benefit" in done.out
        assert done.code == (1 if file in concerned else 0), (command, done.err)
        if file in concerned:
            [said] = done.err.splitlines()
            assert said.startswith(f"gitops: {file}:{line}: {words}"), command
            assert "; " in said, "what to do"
            known = json.loads(run(here, f"{command} --output json").out)
            assert "mogle-staging" in str(known) or "'environment': 'staging'" in str(known), "its other environment"


@pytest.mark.parametrize("kind", BROKEN)
def test_who_answers_is_said_with_what_is_not_in_the_answer(here: Checkout, kind: str) -> None:
    file, content, line, words = BROKEN[kind]
    (here.root / file).write_bytes(content)
    done = run(here, "lb route staging.mogle.example.com")
    assert (done.code, "in namespace mogle-staging" in done.out) == (1, True)
    [said] = done.err.splitlines()
    assert said.startswith(f"gitops: {file}:{line}: not in this answer: {words}")
    answer = run(here, "lb route staging.mogle.example.com --output json")
    assert (answer.code, json.loads(answer.out)["namespace"]) == (1, "mogle-staging")
    nobody = run(here, "lb route nowhere.example.com")
    assert (nobody.code, nobody.out) == (1, "")
    assert [text.partition(": ")[2][:20] for text in nobody.err.splitlines()] != []
    assert "no rule matches" in nobody.err
    assert f"{file}:{line}: not in this answer: " in nobody.err


def test_what_reads_main_shows_all_else_and_ends_as_its_help_says(here: Checkout, tmp_path: Path) -> None:
    file = here.root / "overlays/mogle/staging/oauth-42.yaml"
    file.write_text("kind: ConfigMap\ndata: [\n")
    commit_all(here)
    Repo.clone_from(here.root, tmp_path / "origin", bare=True).close()
    with Repo(here.root) as repo:
        repo.remotes.origin.set_url(str(tmp_path / "origin"))
    done = run(here, "oauth status")
    assert (done.code, "umbrella" in done.out) == (2, True)
    assert "gitops: overlays/mogle/staging/oauth-42.yaml:3: not valid YAML: " in done.err


@pytest.mark.parametrize("kind", BROKEN)
def test_every_command_says_it_in_the_same_words_and_once(here: Checkout, kind: str) -> None:
    file, content, line, words = BROKEN[kind]
    (here.root / file).write_bytes(content)
    commit_all(here)
    for command in ("lb show", "service set mogle A=1", "preview --base HEAD~1"):
        done = run(here, command)
        assert done.code in (1, 2)
        assert f"{file}:{line}: {words}" in done.out + done.err, command
        assert "kustomize" not in done.err
        assert "does not render: trouble" not in done.out
    checked = run(here, "check --offline --base HEAD~1")
    findings = [text for text in checked.out.splitlines() if words in text]
    assert [text.partition(": error: ")[0] for text in findings] == [f"{file}:{line}"]
    assert "unlisted" not in checked.out


# What is YAML and does not render: a file, what stands in it, the place, what is said of it, and what to write.
UNRENDERED = {
    "a file that is not there": (
        KUSTOMIZATION,
        "resources:\n  - nothere.yaml\n",
        f"{KUSTOMIZATION}:2",
        f"resources from 'nothere.yaml': {Path(KUSTOMIZATION).parent}/nothere.yaml: no such file or directory",
        "; name what is there",
    ),
    "a patch that is a list of texts": (
        INGRESS,
        "- a\n",
        f"{KUSTOMIZATION}:",
        "unable to parse SM or JSON patch from",
        "; write apiVersion, kind and metadata.name of the object that it changes, or a list of operations",
    ),
    "a target that nothing meets": (
        KUSTOMIZATION,
        "namespace: mogle-prod\nresources:\n  - ../../../base/web\nreplicas:\n  - name: wep\n    count: 2\n",
        f"{KUSTOMIZATION}:5",
        "resource with name wep does not match",
        "",
    ),
}


@pytest.mark.parametrize("kind", UNRENDERED)
def test_every_command_says_why_a_folder_does_not_render_with_its_line(here: Checkout, kind: str) -> None:
    file, content, place, words, fix = UNRENDERED[kind]
    (here.root / file).write_text(content)
    commit_all(here)
    # A verb that edits refuses a file of another form before anything is rendered.
    editing = ["service set mogle A=1"] if file == KUSTOMIZATION else []
    for command in ("lb show", "lb route mogle.example.com", "preview --base HEAD~1", *editing):
        done = run(here, command)
        assert done.code in (1, 2)
        [said] = [text for text in (done.out + done.err).splitlines() if words in text]
        assert place in said, command
        assert said.endswith(fix), command
        assert "accumulation err" not in said
    checked = run(here, "check --offline --base HEAD~1")
    [finding] = [text for text in checked.out.splitlines() if words in text]
    assert finding.startswith(place)


def test_a_base_that_is_no_yaml_is_said_once_for_all_that_stand_on_it(here: Checkout) -> None:
    file = "base/web/ingress.yaml"
    (here.root / file).write_text("kind: Ingress\nspec: 'a\n")
    done = run(here, "lb show")
    [said] = done.err.splitlines()
    assert said.startswith(f"gitops: {file}:")
    assert "close the quote" in said


def test_a_broken_owner_is_named_beside_all_other_services(here: Checkout) -> None:
    (here.root / "overlays/mogle/owner.yaml").write_text("team: nobody\ncontact: x\n")
    done = run(here, "service list")
    assert done.code == 1
    assert "umbrella" in done.out
    assert (
        done.err
        == "gitops: overlays/mogle/owner.yaml: description: Field required; found {'team': 'nobody', 'contact': 'x'}\n"
    )


def test_codeowners_and_an_emergency_need_no_other_overlay(here: Checkout) -> None:
    (here.root / KUSTOMIZATION).write_text("x: [\n")
    assert run(here, "service codeowners").code == 0
    assert run(here, "secrets leaked benefit benefit-oauth-42-g1").code == 0


def test_an_exception_that_is_no_yaml_is_named_with_its_line(here: Checkout) -> None:
    name = "policies/exceptions/image-digest.mogle-prod.Deployment.web.yaml"
    (here.root / name).write_text("reason: x\nuntil: [\n")
    done = run(here, "exceptions --output json")
    assert done.code == 1
    [state] = json.loads(done.out)
    assert (state["file"], state["state"]) == (name, "wrong: not valid YAML: did not find expected node content")
