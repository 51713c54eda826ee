"""Overlays that people changed by hand: each verb edits what stands there, or says in one message where it cannot."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from gitops.ground.checkout import Checkout
from tests.conftest import commit_all
from tests.service_world import DAY, MOGLE, Given, changed

Edit = Callable[[str], str]
KUSTOMIZATION, INGRESS, DEPLOYMENT = "kustomization.yaml", "ingress.yaml", "deployment.yaml"
SET, UNSET = ("service", "set", "mogle"), ("service", "unset", "mogle", "X")
ADD = ("service", "domain", "add", "mogle", "shop.mogle.example.com")
MOVE = ("service", "domain", "move", "mogle", "more.mogle.example.com", "less.mogle.example.com")
REMOVE = ("service", "domain", "remove", "mogle", "more.mogle.example.com")
SCALE = ("service", "scale", "mogle", "--min", "4", "--max", "9")
SEAL = ("secrets", "seal", "mogle", "api", "--key", "API_TOKEN", "--as-env")
PATCHES = "patches:\n  - path: ingress.yaml\n  - path: deployment.yaml\n"
SCALER = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: web\n"
POD = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n"
X = f"{POD}      containers:\n        - name: app\n          env:\n            - name: X\n              value: old\n"
TWICE = f"{X}            - name: X\n              value: older\n"
PATHS = "paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]"
HEAD = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\nspec:\n"
RULES = f"{HEAD}  rules: [\n    {{host: mogle.example.com, http: {{{PATHS}}}}}, # one\n"
RULES += f"    {{host: more.mogle.example.com, http: {{{PATHS}}}}}  # more\n  ]\n"
# Two paths of one host, in rules of their own.
SPLIT = f"{HEAD}  rules:\n    - host: mogle.example.com\n      http: {{{PATHS}}}\n    - host: more.mogle.example.com\n"
SPLIT += (
    f"      http: {{{PATHS}}}\n    - host: more.mogle.example.com\n      http: {{{PATHS.replace('/,', '/api,')}}}\n"
)
SECOND = SPLIT.replace("name: web\nspec", "name: second\nspec", 1).replace(" mogle.example", " two.mogle.example")
TLS = "  tls:\n    - hosts: [mogle.example.com, more.mogle.example.com]\n"
JSON_PATCH = "- op: add\n  path: {}\n  value: {}\n"
ENV_PATH = "/spec/template/spec/containers/0/env/-"
BEGIN, END = "'2099-01-31T09:00:00+09:00'", '"2099-01-31T18:00:00+09:00"'
OPENING = f"# mine\n{SCALER}  annotations: {{gitops/from: '2099-01-30'}} # why\nspec:\n  maxReplicas: 9 # all\n"


def put(*pairs: tuple[str, str]) -> Edit:
    """An edit that writes each second text over the one place of its first."""

    def edit(text: str) -> str:
        for old, new in pairs:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    return edit


def listed(entry: str) -> Edit:
    """An edit of a kustomization: one entry more in its patches."""
    return put(("patches:\n", f"patches:\n{entry}"))


def written(text: str) -> Edit:
    """A file as a person wrote it."""
    return lambda _: text


def inline(text: str) -> str:
    """A patch as an entry of the list itself."""
    return "  - patch: |-\n" + "".join(f"      {line}\n" for line in text.splitlines())


def own(name: str, text: str) -> dict[str, Edit]:
    """A patch in a file of this name."""
    return {KUSTOMIZATION: listed(f"  - path: {name}\n"), name: written(text)}


# What a person did to files of prod; what is typed; the lines that go and come by that, and the files.
SHAPES: dict[str, tuple[dict[str, Edit], tuple[str, ...], list[str]]] = {
    "patches in braces": (
        {KUSTOMIZATION: put((PATCHES, "patches: [{path: ingress.yaml}, {path: deployment.yaml}] # all\n"))},
        SCALE,
        [
            "-patches: [{path: ingress.yaml}, {path: deployment.yaml}] # all",
            "+patches: [{path: ingress.yaml}, {path: deployment.yaml}, {path: horizontalpodautoscaler.yaml}] # all",
            "new horizontalpodautoscaler.yaml",
        ],
    ),
    "patches in the older form, and a list of nothing": (
        {KUSTOMIZATION: put((PATCHES, "patchesStrategicMerge: [ingress.yaml, deployment.yaml]\npatches: # none\n"))},
        SCALE,
        ["+  - path: horizontalpodautoscaler.yaml", "new horizontalpodautoscaler.yaml"],
    ),
    "hosts in a patch of the older form": (
        {KUSTOMIZATION: put((PATCHES, "patchesStrategicMerge: [ingress.yaml, deployment.yaml]\n"))},
        ADD,
        ["+    - host: shop.mogle.example.com", "+      http: *web"],
    ),
    "a patch in the kustomization": (
        {KUSTOMIZATION: put((PATCHES, f"{PATCHES}{inline(X)}"))},
        (*SET, "X=new", "COUNT=1"),
        [
            "-                    value: old",
            "+                    value: new",
            "+                  - name: COUNT",
            '+                    value: "1"',
        ],
    ),
    "a patch in the kustomization, and nothing left of it": (
        {KUSTOMIZATION: listed(inline(X))},
        UNSET,
        [f"-{line}" for line in inline(X).splitlines()],
    ),
    "hosts in the kustomization": (
        {KUSTOMIZATION: put(("  - path: ingress.yaml\n", inline(SPLIT)))},
        MOVE,
        ["-          - host: more.mogle.example.com", "+          - host: less.mogle.example.com"] * 2,
    ),
    "a patch in a folder of its own": (
        own("patches/env.yaml", X),
        (*SET, "X=new"),
        ["-              value: old", "+              value: new"],
    ),
    "a variable that is set twice": (own("env.yaml", TWICE), UNSET, ["-  - path: env.yaml", "gone env.yaml"]),
    "resources in braces": (
        {
            KUSTOMIZATION: put(
                (
                    "  - ../../../base/web\n  - oauth-42.yaml\n  - sealedsecret-oauth-42-g1.yaml\n",
                    "  [../../../base/web, oauth-42.yaml, sealedsecret-oauth-42-g1.yaml,\n",
                ),
                ("  - sealedsecret-mail.yaml\n", "   sealedsecret-mail.yaml] # all\n"),
            )
        },
        SEAL,
        [
            "+            - name: API_TOKEN",
            "+              valueFrom:",
            "+                secretKeyRef: {name: api, key: API_TOKEN}",
            "-   sealedsecret-mail.yaml] # all",
            "+   sealedsecret-mail.yaml, sealedsecret-api.yaml] # all",
            "new sealedsecret-api.yaml",
        ],
    ),
    "rules in braces, a host comes": (
        {INGRESS: written(RULES)},
        ADD,
        [
            f"-    {{host: more.mogle.example.com, http: {{{PATHS}}}}}  # more",
            f"+    {{host: more.mogle.example.com, http: {{{PATHS}}}}},  # more",
            f"+    {{host: shop.mogle.example.com, http: {{{PATHS}}}}}",
        ],
    ),
    "rules in braces, a host goes": (
        {INGRESS: written(RULES.replace("}}  # more", "}},  # more"))},
        REMOVE,
        [f"-    {{host: more.mogle.example.com, http: {{{PATHS}}}}},  # more"],
    ),
    "a host in two rules": ({INGRESS: written(SPLIT)}, REMOVE, [f"-{line}" for line in SPLIT.splitlines()[-4:]]),
    "a host in two Ingresses": (
        {
            KUSTOMIZATION: put(("resources:\n", "resources:\n  - second.yaml\n")),
            "second.yaml": written(SECOND),
            INGRESS: written(SPLIT),
        },
        MOVE,
        ["-    - host: more.mogle.example.com", "+    - host: less.mogle.example.com"] * 4,
    ),
    "hosts of a certificate's, one comes": (
        {INGRESS: put(("spec:\n", f"spec:\n{TLS}"))},
        ADD,
        [
            "-    - hosts: [mogle.example.com, more.mogle.example.com]",
            "+    - hosts: [mogle.example.com, more.mogle.example.com, shop.mogle.example.com]",
            "+    - host: shop.mogle.example.com",
            "+      http: *web",
        ],
    ),
    "hosts of a certificate's, the only one goes": (
        {INGRESS: put(("spec:\n", f"spec:\n{TLS.replace('mogle.example.com, ', '', 1)}      secretName: x\n"))},
        REMOVE,
        [
            *(f"-{line}" for line in TLS.replace("mogle.example.com, ", "", 1).splitlines()),
            "-      secretName: x",
            "-    - host: more.mogle.example.com",
            "-      http: *web",
        ],
    ),
    "an autoscaler of a target, with an anchor and another base": (
        {
            KUSTOMIZATION: listed("  - path: hpa.yaml\n    target: {kind: HorizontalPodAutoscaler}\n"),
            "hpa.yaml": written(f"{SCALER.replace('web', 'any')}spec: # why\n  maxReplicas: &most 0xa\n"),
        },
        SCALE,
        ["-  maxReplicas: &most 0xa", "+  maxReplicas: &most 9", "+  minReplicas: 4"],
    ),
    "an opening day with words of its own": (
        own("opening-day.yaml", OPENING),
        ("service", "scale", "mogle", "--min", "5", *DAY),
        [
            "-  annotations: {gitops/from: '2099-01-30'} # why",
            f"+  annotations: {{gitops/from: {BEGIN}, gitops/until: {END}}} # why",
            "+  minReplicas: 5",
        ],
    ),
}


def by_hand(checkout: Checkout, edits: dict[str, Edit]) -> None:
    for name, edit in edits.items():
        file = checkout.root / MOGLE[0] / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(edit(file.read_text() if file.exists() else ""))
    commit_all(checkout)


def lines(checkout: Checkout) -> list[str]:
    """The lines that go and come in files that stay, then the files that come or go, by their names."""
    git = ["git", "-C", str(checkout.root)]
    subprocess.run([*git, "add", "--all"], check=True)
    diff = [*git, "diff", "--cached", "--no-renames"]
    shown = subprocess.check_output([*diff, "-U0", "--diff-filter=M"], text=True).splitlines()
    named = subprocess.check_output([*diff, "--name-status", "--diff-filter=AD"], text=True).splitlines()
    words = {"A": "new", "D": "gone"}
    files = [f"{words[line[0]]} {line.rpartition('/')[2]}" for line in named]
    return [line for line in shown if line[0] in "+-" and line[:3] not in ("+++", "---")] + files


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_edited_as_it_stands(here: Checkout, given: Given, shape: str) -> None:
    edits, words, expected = SHAPES[shape]
    by_hand(here, edits)
    done = given(*words, "--environment", "prod")
    assert done.code == 0, done.err
    assert lines(here) == expected


REFUSED: dict[str, tuple[dict[str, Edit], tuple[str, ...], str]] = {
    "a variable by JSON 6902": (
        own("env.yaml", JSON_PATCH.format(ENV_PATH, "{name: X, value: old}"))
        | {KUSTOMIZATION: listed("  - path: env.yaml\n    target: {kind: Deployment}\n")},
        (*SET, "X=new"),
        "env.yaml:2: mogle/prod: X is set there already; no verb edits what stands there: change it by hand, or take",
    ),
    "hosts by JSON 6902": (
        {
            KUSTOMIZATION: put(("  - path: ingress.yaml\n", "  - path: hosts.yaml\n    target: {kind: Ingress}\n")),
            "hosts.yaml": written(
                JSON_PATCH.format("/spec/rules", f"[{{host: mogle.example.com, http: {{{PATHS}}}}}]")
            ),
        },
        ADD,
        "hosts.yaml:2: the hosts stand in a form that no verb edits; expected spec.rules in overlays/mogle",
    ),
    "a variable that is set twice": (
        own("env.yaml", TWICE),
        (*SET, "X=new"),
        "env.yaml:13: X is set there more than once; gitops service unset mogle X comes first",
    ),
    "the only rule of a second Ingress": (
        {
            KUSTOMIZATION: put(("resources:\n", "resources:\n  - second.yaml\n")),
            "second.yaml": written(
                f"{HEAD.replace('web', 'second')}  rules:\n"
                f"    - host: more.mogle.example.com\n      http: {{{PATHS}}}\n"
            ),
        },
        REMOVE,
        "second.yaml:7: more.mogle.example.com is the last domain of this Ingress",
    ),
    "a number that is a text": (
        own("hpa.yaml", f'{SCALER}spec: {{maxReplicas: "9"}}\n'),
        SCALE,
        "hpa.yaml:5: HorizontalPodAutoscaler web: spec.maxReplicas: expected a whole number, found a text",
    ),
    "an autoscaler of nothing": (
        own("hpa.yaml", f"{SCALER}spec:\n"),
        SCALE,
        "mogle/prod: its autoscaler is another's; expected Deployment web in its spec.scaleTargetRef",
    ),
    "an opening day that nothing lists": (
        {"opening-day.yaml": written(OPENING)},
        ("service", "scale", "mogle", "--min", "5", *DAY),
        "opening-day.yaml: stands there and is no patch; list it in overlays/mogle/prod/kustomization.yaml",
    ),
    "an alias of a whole list": (
        {DEPLOYMENT: put(("env:\n", "env: &all\n"), ("spec:\n  template", "x: *all\nspec:\n  template"))},
        (*SET, "X=new"),
        "deployment.yaml:",
    ),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_what_no_verb_edits_is_one_message_with_its_place(here: Checkout, given: Given, shape: str) -> None:
    edits, words, message = REFUSED[shape]
    by_hand(here, edits)
    done = given(*words, "--environment", "prod")
    assert (done.code, done.out) == (2, ""), done.err
    [said] = done.err.splitlines()
    assert message in said
    assert said.startswith(f"gitops: {MOGLE[0]}/") or "base/" in said
    assert changed(here) == []
