"""The Applications that an ApplicationSet comes to, as Argo CD's own code decides it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitops.manifests import globs, gotemplate
from gitops.manifests.applicationset import FINALIZER, applications, directories, generate, top_of
from gitops.manifests.appproject import permits_destination, permits_kind, permits_source
from gitops.manifests.objects import Object

FOLDERS = ["overlays", "overlays/a", "overlays/a/prod", "overlays/a/staging", "overlays/b", "overlays/b/prod", "base"]
NAME = "{{ index .path.segments 1 }}-{{ index .path.segments 2 }}"


def applicationset(directories: list[Object], **spec: Any) -> Object:
    template = {
        "metadata": {"name": NAME, "labels": {"{{ .path.basename }}": "yes"}},
        "spec": {"project": "services", "source": {"path": "{{ .path.path }}"}, "destination": {"namespace": NAME}},
    }
    whole = {"goTemplate": True, "goTemplateOptions": ["missingkey=error"], "template": template, **spec}
    return {"kind": "ApplicationSet", "spec": {"generators": [{"git": {"directories": directories}}], **whole}}


# Rows of path.Match in Go's own tests (path/match_test.go) and of ours, each with what Go 1.27 answers.
PATHS = [
    ("abc", "abc", True), ("*", "abc", True), ("*c", "abc", True), ("a*", "a", True), ("a*", "ab/c", False),
    ("a*/b", "abc/b", True), ("a*/b", "a/c/b", False), ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
    ("a*b?c*x", "abxbbxdbxebxczzx", True), ("a*b?c*x", "abxbbxdbxebxczzy", False), ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True), ("ab[e-g]", "abc", False), ("ab[^c]", "abc", False), ("ab[^e-g]", "abc", True),
    ("a\\*b", "a*b", True), ("a\\*b", "ab", False), ("a?b", "a☺b", True), ("a[^a]b", "a☺b", True),
    ("a???b", "a☺b", False),
    ("[a-z]*", "b", True), ("*[b-z]", "A", False), ("a?b", "a/b", False), ("a*b", "a/b", False),
    ("[\\]a]", "]", True),
    ("[]a]", "]", False), ("[", "a", False), ("a[", "a", False), ("a\\", "a", False), ("*x", "xxx", True),
    ("overlays/*/prod", "overlays/a/prod", True), ("overlays/**/prod", "overlays/a/b/prod", False),
    ("overlays/*", "overlays/a/prod", False), ("overlays/**", "overlays/a/prod", False),
    ("", "", True), ("", "a", False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "matches"), PATHS)
def test_folders_are_matched_as_go_does(pattern: str, path: str, matches: bool) -> None:
    assert globs.path_matches(pattern, path) is matches


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not globs.path_matches("*a" * 200 + "b", "a" * 400)


GLOBS = [
    ("*", "any/thing", "/", True), ("https://x/*", "https://x/a", "/", True),
    ("https://x/*", "https://x/a/b", "/", False), ("https://x/**", "https://x/a/b", "/", True),
    ("*-prod", "a-prod", "", True), ("*-{prod,staging}", "a-staging", "", True),
    ("*-{prod,staging}", "a-dev", "", False), ("[!a]b", "ab", "", False), ("!a", "b", "", True), ("!a", "a", "", False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text", "separator", "matches"), GLOBS)
def test_what_a_project_allows_is_matched_as_argo_cd_does(
    pattern: str, text: str, separator: str, matches: bool
) -> None:
    assert globs.allows(pattern, text, separator) is matches


CHOICES: dict[str, tuple[list[Object], list[str]]] = {
    "all": ([{"path": "overlays/*/*"}], ["overlays/a/prod", "overlays/a/staging", "overlays/b/prod"]),
    "one environment": ([{"path": "overlays/*/prod"}], ["overlays/a/prod", "overlays/b/prod"]),
    "an exclusion after it": (
        [{"path": "overlays/*/*"}, {"path": "overlays/a/*", "exclude": True}],
        ["overlays/b/prod"],
    ),
    "an exclusion before it": (
        [{"path": "overlays/a/*", "exclude": True}, {"path": "overlays/*/*"}],
        ["overlays/b/prod"],
    ),
    "what is excluded comes back by nothing": (
        [{"path": "overlays/a/prod"}, {"path": "overlays/*/prod", "exclude": True}],
        [],
    ),
    "exclusions alone": ([{"path": "overlays/*/prod", "exclude": True}], []),
    "a malformed pattern": ([{"path": "overlays/[/prod"}], []),
}


@pytest.mark.parametrize("what", CHOICES)
def test_a_generator_chooses_folders(what: str) -> None:
    entries, chosen = CHOICES[what]
    assert [one.folder for one in generate(applicationset(entries), FOLDERS).applications] == chosen


def test_an_application_is_filled_from_its_folder() -> None:
    [one] = generate(applicationset([{"path": "overlays/b/*"}]), FOLDERS).applications
    assert (one.name, one.namespace) == ("b-prod", "b-prod")
    assert one.item["metadata"]["labels"] == {"prod": "yes"}
    assert one.item["metadata"]["finalizers"] == [FINALIZER]
    assert one.reads("overlays/b/prod")
    kept = applicationset([{"path": "overlays/b/*"}], syncPolicy={"preserveResourcesOnDeletion": True})
    assert "finalizers" not in generate(kept, FOLDERS).applications[0].item["metadata"]


def test_without_go_templates_names_are_replaced() -> None:
    template = {"metadata": {"name": "{{path[1]}}-{{ path.basename }}-{{unknown}}"}, "spec": {}}
    item = applicationset([{"path": "overlays/b/*"}], goTemplate=False, template=template)
    assert [one.name for one in generate(item, FOLDERS).applications] == ["b-prod-{{unknown}}"]


FAULTS: dict[str, tuple[Object, str]] = {
    "no generator": ({"generators": []}, "no generator"),
    "another generator": ({"generators": [{"clusters": {}}]}, "clusters"),
    "a matrix": ({"generators": [{"matrix": {"generators": []}}]}, "matrix"),
    "a choice among them": ({"generators": [{"git": {"directories": []}, "selector": {}}]}, "selector"),
    "files": ({"generators": [{"git": {"files": [{"path": "x"}]}}]}, "directories"),
    "a template of its own": ({"generators": [{"git": {"directories": [], "template": {}}}]}, "git.template"),
    "a missing key": ({"template": {"metadata": {"name": "{{ .path.bsename }}"}}}, "no entry for key bsename"),
    "an index out of range": ({"template": {"metadata": {"name": "{{ index .path.segments 9 }}"}}}, "out of range"),
    "a function that is not known": ({"template": {"metadata": {"name": "{{ now | date }}"}}}, "now"),
    "braces that are left open": ({"template": {"metadata": {"name": "{{ .path.path"}}}, "without"),
    "two of one name": ({"template": {"metadata": {"name": "{{ .path.basename }}"}}}, "make one Application, prod"),
    "nonsense": ({"template": None}, "make one Application"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_argo_cd_refuses_or_nobody_can_follow_is_a_fault(what: str) -> None:
    spec, words = FAULTS[what]
    made = generate(applicationset([{"path": "overlays/*/*"}], **spec), FOLDERS)
    assert made.applications == ()
    assert any(words in fault.problem for fault in made.faults), made.faults


TEXTS = {
    "{{ .path.path }}": "overlays/a/prod",
    "{{.path.basename}}": "prod",
    "{{ index .path.segments 1 | upper }}": "A",
    '{{ replace "/" "-" .path.path }}': "overlays-a-prod",
    '{{ .path.path | replace "/" "_" | normalize }}': "overlays-a-prod",
    '{{ trimPrefix "overlays/" (.path.path) }}': "a/prod",
    '{{ join "-" .path.segments }}': "overlays-a-prod",
    "x {{- .path.basename -}} y": "xprody",
    "x {{/* nothing */}}y": "x y",
    "{{ `a` }}{{ 3 }}": "a3",
}


@pytest.mark.parametrize("template", TEXTS)
def test_a_template_is_filled_as_go_does(template: str) -> None:
    own = {"path": "overlays/a/prod", "basename": "prod", "segments": ["overlays", "a", "prod"]}
    assert gotemplate.filled(template, {"path": own}, ["missingkey=error"]) == TEXTS[template]


def test_a_missing_key_is_said_in_the_name_without_the_option() -> None:
    assert gotemplate.filled("a-{{ .nothing }}", {}) == "a-<no value>"


def test_hidden_folders_are_none(tmp_path: Path) -> None:
    for folder in ("overlays/a/prod", "overlays/.draft/prod", "other/x"):
        (tmp_path / folder).mkdir(parents=True)
    item = applicationset([{"path": "overlays/*/*"}])
    assert directories(tmp_path, top_of(item)) == ["overlays", "overlays/a", "overlays/a/prod"]
    assert [one.name for one in applications([item], tmp_path)[0]] == ["a-prod"]


def test_a_project_allows_as_argo_cd_decides() -> None:
    server = "https://kubernetes.default.svc"
    anywhere = {"destinations": [{"server": "*", "namespace": "*"}], "sourceRepos": ["*"]}
    assert permits_destination(anywhere, {"server": server, "namespace": "a-prod"})
    assert permits_destination(anywhere, {"name": "in-cluster", "namespace": "a-prod"})
    but = {"destinations": [{"server": server, "namespace": "*"}, {"server": server, "namespace": "!kube-system"}]}
    assert permits_destination(but, {"server": server, "namespace": "a-prod"})
    assert not permits_destination(but, {"server": server, "namespace": "kube-system"})
    assert not permits_destination({}, {"server": server, "namespace": "a-prod"})
    assert not permits_destination(
        {"destinations": [{"server": server, "namespace": "*-stagging"}]}, {"server": server, "namespace": "a-staging"}
    )
    assert permits_source(anywhere, "https://example.com/a.git")
    assert permits_source({"sourceRepos": ["https://example.com/a"]}, "https://Example.com/a.git")
    assert not permits_source({"sourceRepos": ["*", "!https://example.com/*"]}, "https://example.com/a")
    everything = {"namespaceResourceWhitelist": [{"group": "*", "kind": "*"}]}
    assert permits_kind(everything, "apps", "Deployment", "web", namespaced=True)
    assert not permits_kind(everything, "", "Namespace", "a", namespaced=False)
    assert permits_kind({}, "apps", "Deployment", "web", namespaced=True)
    refused = {**everything, "namespaceResourceBlacklist": [{"group": "rbac.authorization.k8s.io", "kind": "Role*"}]}
    assert not permits_kind(refused, "rbac.authorization.k8s.io", "RoleBinding", "x", namespaced=True)
    named = {"clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "*-prod"}]}
    assert permits_kind(named, "", "Namespace", "a-prod", namespaced=False)
    assert not permits_kind(named, "", "Namespace", "a-dev", namespaced=False)
