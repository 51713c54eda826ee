"""Bad input of the gate and of the preview: what hangs, what is fetched, hostile YAML, bad questions."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from tests.conftest import gitops
from tests.frozen import clone

pytestmark = pytest.mark.bots


def kustomization(scratch: Checkout) -> Path:
    return scratch.root / "overlays/mogle/prod/kustomization.yaml"


def add_resource(scratch: Checkout, name: str) -> None:
    file = kustomization(scratch)
    file.write_text(file.read_text().replace("  - oauth-42.yaml\n", f"  - oauth-42.yaml\n  - {name}\n"))


def test_a_kustomize_that_hangs_is_ended_and_told(scratch: Checkout) -> None:
    add_resource(scratch, "pipe.yaml")
    os.mkfifo(scratch.root / "overlays/mogle/prod/pipe.yaml")
    began = time.monotonic()
    done = gitops(scratch, "check", "--base", "HEAD", "--offline", GITOPS_RENDER_TIMEOUT="2", timeout=60)
    assert done.code == 1
    assert "overlays/mogle/prod/kustomization.yaml" in done.out
    assert "error: render-hangs: kustomize gave no result within 2 s" in done.out
    assert time.monotonic() - began < 30
    shown = gitops(scratch, "preview", "--base", "HEAD", GITOPS_RENDER_TIMEOUT="2", timeout=60)
    assert shown.code == 1
    assert "does not render: mogle-prod" in shown.err


def test_a_remote_base_is_never_fetched(scratch: Checkout) -> None:
    for entry in (
        "https://127.0.0.1:9/x//base?ref=v1",
        "github.com/example/base",
        "git@example.com:a/b",
        "ssh://example.com/a//b",
    ):
        with Repo(scratch.root) as repo:
            repo.git.checkout("--", ".")
        add_resource(scratch, entry)
        done = gitops(scratch, "check", "--base", "HEAD", "--offline", timeout=60)
        assert done.code == 1
        assert (
            f"kustomization.yaml:8: error: remote-base: refers to {entry}, which is not in this repository" in done.out
        )
        shown = gitops(scratch, "preview", "--base", "HEAD", timeout=60)
        assert shown.code == 1
        assert "is not in this repository; it is not rendered" in shown.out


def test_a_submodule_is_named(scratch: Checkout, tmp_path: Path) -> None:
    library = clone(tmp_path / "other")
    with Repo(scratch.root) as repo:
        repo.git.execute(
            [
                "git",
                "-c",
                "protocol.file.allow=always",
                "submodule",
                "--quiet",
                "add",
                str(library.root),
                "overlays/mogle/prod/vendor",
            ]
        )
    add_resource(scratch, "vendor/base/web")
    done = gitops(scratch, "check", "--base", "HEAD", "--offline")
    assert done.code == 1
    assert "kustomization.yaml:8: error: submodule: reads overlays/mogle/prod/vendor, a submodule" in done.out


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("bomb.yaml", f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: bomb}}\n{bomb()}\n"),
        ("deep.yaml", "a: " + "[" * 20_000 + "\n"),
        ("binary.yaml", "\x00\x01\xff\xfe"),
        ("kustomization.yaml", f"resources: *a29\n{bomb()}\n"),
        ("kustomization.yaml", f"{bomb()}\nresources: *a29\n"),
        ("kustomization.yaml", "resources: " + "[" * 20_000 + "\n"),
        ("kustomization.yaml", ""),
        ("kustomization.yaml", "- a\n- b\n"),
        ("kustomization.yaml", "\xff\xfe"),
        (
            "ingress.yaml",
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: 2026-13-45}\n",
        ),
    ],
)
def test_hostile_yaml_is_a_finding_and_no_end(scratch: Checkout, file: str, content: str) -> None:
    if file in ("bomb.yaml", "deep.yaml", "binary.yaml"):
        add_resource(scratch, file)
    (scratch.root / "overlays/mogle/prod" / file).write_bytes(content.encode("latin-1"))
    done = gitops(scratch, "check", "--base", "HEAD", "--offline", timeout=60)
    assert done.code == 1, done.err
    assert re.search(r"^overlays/mogle/prod/[\w.]+:\d+: error: (render|schema): ", done.out, re.MULTILINE), done.out
    assert gitops(scratch, "preview", "--base", "HEAD", timeout=60).code in (0, 1)


def test_ten_thousand_lines_are_checked(scratch: Checkout) -> None:
    add_resource(scratch, "long.yaml")
    lines = "\n".join(f"  key-{n}: value-{n}" for n in range(10_000))
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: long\ndata:\n{lines}\n"
    (scratch.root / "overlays/mogle/prod/long.yaml").write_text(text)
    done = gitops(scratch, "check", "--base", "HEAD", "--offline", timeout=60)
    assert done.code == 0, done.out
    shown = gitops(scratch, "preview", "--base", "HEAD", "--output", "markdown", timeout=60)
    assert shown.code == 0
    assert len(shown.out) <= 65_537
    (scratch.root / "overlays/mogle/prod/long.yaml").write_text(text.replace("value-7777", "[7777]"))
    done = gitops(scratch, "check", "--base", "HEAD", "--offline", timeout=60)
    assert "overlays/mogle/prod/long.yaml:7783: error: schema" in done.out


@pytest.mark.parametrize("verb", ["check", "preview"])
def test_a_bad_question_gets_one_message(scratch: Checkout, tmp_path: Path, verb: str) -> None:
    for words, message in (
        (["--base", "nope"], "'nope': git knows no such revision here; try: git fetch origin"),
        (["--base", "HEAD", "--head", "nope"], "'nope': git knows no such revision here"),
        (["--base", "HEAD", *(["--sarif"] if verb == "check" else ["--write"]), "/proc/x/y"], "/proc/x"),
        (["--base", "--all"], "'--all': git knows no such revision here"),
    ):
        done = gitops(scratch, verb, *words)
        assert done.code == 2
        assert message in done.err
        assert done.out == ""
    done = gitops(Checkout(tmp_path), verb)
    assert done.code == 2
    assert "not inside a checkout of the platform" in done.err


def test_a_platform_that_does_not_render_ends_the_check(scratch: Checkout) -> None:
    file = scratch.root / "apps/kustomization.yaml"
    file.write_text(file.read_text().replace("root.yaml", "rooot.yaml"))
    done = gitops(scratch, "check", "--base", "HEAD", "--offline")
    assert done.code in (1, 2)
    assert "rooot.yaml" in done.out + done.err
