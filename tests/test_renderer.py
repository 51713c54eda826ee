"""The gate's renderer: byte for byte what `kustomize build` prints, and one clear error for whatever ends it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from gitops.manifests.graph import Graph
from gitops.manifests.render import build, in_parallel
from tests import generated
from tests.frozen import platform

RENDERER = platform().tool("kustomize-render")
HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
# A list of a custom kind: merged by its key where a schema says so, replaced where none does.
MESH = """
apiVersion: example.com/v1
kind: Mesh
metadata: {name: mesh}
spec: {routes: [{name: a, to: one}, {name: b, to: two}]}
"""
PATCH = """
apiVersion: example.com/v1
kind: Mesh
metadata: {name: mesh}
spec: {routes: [{name: b, to: three}]}
"""
SCHEMA = """
definitions:
  v1.Mesh:
    properties:
      spec:
        properties:
          routes:
            items: {properties: {name: {type: string}, to: {type: string}}, type: object}
            type: array
            x-kubernetes-patch-merge-key: name
            x-kubernetes-patch-strategy: merge
    x-kubernetes-group-version-kind: [{group: example.com, kind: Mesh, version: v1}]
"""


@pytest.fixture
def renders() -> Iterator[kustomize.Renderer]:
    with kustomize.renderer(platform()) as programs:
        yield programs


def _bare(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """kustomize's own command as Argo CD's repo-server calls it: without an option."""
    argv = [str(platform().tool("kustomize")), "build", str(folder)]
    return subprocess.run(argv, capture_output=True, timeout=60, env={**os.environ, "GOGC": "off"})


def bare(folder: Path) -> bytes:
    done = _bare(folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bare_error(folder: Path) -> bytes:
    return _bare(folder).stderr.removeprefix(b"Error: ").strip()


def write(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def meshes(root: Path) -> dict[str, Path]:
    """Folders that differ by the schema alone: their own, kustomize's of a version, kustomize's own."""
    own = {"mesh.yaml": MESH, "patch.yaml": PATCH, "schema.yaml": SCHEMA}
    text = f"{HEAD}resources: [mesh.yaml]\npatches: [{{path: patch.yaml}}]\n"
    openapi = {"own": "openapi: {path: schema.yaml}\n", "version": "openapi: {version: v1.21.2}\n", "none": ""}
    return {name: write(root / name, {**own, "kustomization.yaml": text + more}) for name, more in openapi.items()}


def test_the_frozen_platform_is_rendered_byte_for_byte(renders: kustomize.Renderer) -> None:
    graph = Graph(platform())
    rendered = in_parallel(lambda unit: build(renders, platform().root, unit, graph.reach(unit)), graph.units)
    assert len(rendered) > 12
    assert [rendering.text for rendering in rendered] == in_parallel(
        bare, [platform().root / unit for unit in graph.units]
    )


def test_every_way_through_kustomize_is_rendered_byte_for_byte(tmp_path: Path, renders: kustomize.Renderer) -> None:
    checkout = generated.repository(tmp_path / "repository", 20)
    folders = sorted(path for path in checkout.root.glob("overlays/*/*") if path.is_dir())
    rendered = in_parallel(lambda folder: renders.text(checkout, folder), folders)
    assert rendered == in_parallel(bare, folders)


def test_a_schema_stays_with_the_folder_that_names_it(tmp_path: Path, renders: kustomize.Renderer) -> None:
    folders = meshes(tmp_path)
    expected = {name: bare(folder) for name, folder in folders.items()}
    assert expected["own"] != expected["none"], "the schema decides how the list is patched"
    for order in itertools.permutations(folders):
        for name in (*order, *reversed(order)):
            assert renders.text(Checkout(tmp_path), folders[name]) == expected[name], (order, name)


def test_schemas_do_not_meet_where_much_is_rendered_at_once(tmp_path: Path, renders: kustomize.Renderer) -> None:
    folders = meshes(tmp_path)
    expected = {name: bare(folder) for name, folder in folders.items()}
    names = list(folders) * 12
    texts = in_parallel(lambda name: renders.text(Checkout(tmp_path), folders[name]), names)
    assert texts == [expected[name] for name in names]


BROKEN = {
    "a name twice": {"kustomization.yaml": f"{HEAD}resources: [a.yaml, b.yaml]\n", "a.yaml": MESH, "b.yaml": MESH},
    "a file that is not there": {"kustomization.yaml": f"{HEAD}resources: [gone.yaml]\n"},
    "an unknown field": {"kustomization.yaml": f"{HEAD}resorces: []\n"},
    "no YAML": {"kustomization.yaml": f"{HEAD}resources: [a.yaml]\n", "a.yaml": "a: [\n"},
    "a patch for nobody": {
        "kustomization.yaml": f"{HEAD}resources: [a.yaml]\npatches: [{{path: b.yaml}}]\n",
        "a.yaml": MESH,
        "b.yaml": PATCH.replace("name: mesh", "name: other"),
    },
    "an empty kustomization": {"kustomization.yaml": ""},
    "a version that kustomize has no schema of": {"kustomization.yaml": f"{HEAD}openapi: {{version: v9}}\n"},
}


def test_a_broken_folder_says_what_kustomize_says_and_stops_no_other(
    tmp_path: Path, renders: kustomize.Renderer
) -> None:
    folders = [write(tmp_path / name.replace(" ", "-"), files) for name, files in BROKEN.items()]
    sound = meshes(tmp_path / "sound")["own"]
    for folder in folders:
        with subprocess.Popen([RENDERER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{folder}\0{sound}\0".encode())
            process.stdin.flush()
            said, printed = bare_error(folder), bare(sound)
            answers = b"error %d\n%sok %d\n%s" % (len(said), said, len(printed), printed)
            assert process.stdout.read(len(answers)) == answers, "the next folder is answered"


def double(tmp_path: Path, script: str) -> Checkout:
    """A checkout whose renderer is a program of ours."""
    tool = tmp_path / "double/.tools/bin/kustomize-render"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/usr/bin/env python3\nimport os, signal, sys, time\n" + textwrap.dedent(script))
    tool.chmod(0o755)
    return Checkout(tmp_path / "double")


DYING = {
    "dies": ("sys.exit(3)", "kustomize exited with 3 and said nothing", False),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "kustomize exited with -9 and said nothing", False),
    "says why": ("print('no room', file=sys.stderr); sys.exit(1)", "no room", False),
    "panics": ("print('panic: index', file=sys.stderr); sys.exit(2)", "kustomize needs more memory than", False),
    "dies half-way": (
        "sys.stdin.buffer.read(1); print('ok 100\\nhalf', flush=True); sys.exit(5)",
        "kustomize exited with 5",
        False,
    ),
    "prints too much": (
        "sys.stdin.buffer.read(1); print('ok 99999999999', flush=True); time.sleep(60)",
        "prints more than",
        False,
    ),
    "talks nonsense": ("print('hello', flush=True); time.sleep(60)", "kustomize exited with -9", False),
    "hangs": ("time.sleep(60)", "kustomize gave no result within 3 s", True),
}


@pytest.mark.parametrize("case", DYING)
def test_a_renderer_that_ends_is_one_clear_error_and_the_next_folder_gets_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    script, words, hangs = DYING[case]
    # Time enough for it to start and to say that it was asked.
    monkeypatch.setenv("GITOPS_RENDER_TIMEOUT", "3" if hangs else "30")
    folder = meshes(tmp_path)["own"]
    good = "sys.stdin.buffer.read(1); print('ok 2\\nok', end='', flush=True); sys.stdin.read()"
    once = f"if os.path.exists('{tmp_path}/asked'):\n    {good}\nopen('{tmp_path}/asked', 'w')\n{script}\n"
    with kustomize.renderer(double(tmp_path, once)) as renders:
        with pytest.raises(kustomize.RenderError) as caught:
            renders.text(Checkout(tmp_path), folder)
        assert words in caught.value.complaint
        assert caught.value.timed_out == hangs
        assert str(tmp_path) not in str(caught.value)
        monkeypatch.setenv("GITOPS_RENDER_TIMEOUT", "60")
        assert renders.text(Checkout(tmp_path), folder) == b"ok"


def test_a_renderer_that_is_not_built_says_how_it_is(tmp_path: Path) -> None:
    folder = meshes(tmp_path)["own"]
    with kustomize.renderer(Checkout(tmp_path)) as renders, pytest.raises(Exception, match="make tools"):
        renders.text(Checkout(tmp_path), folder)


def test_an_ended_renderer_leaves_no_process(tmp_path: Path) -> None:
    with kustomize.renderer(platform()) as renders:
        renders.text(Checkout(tmp_path), meshes(tmp_path)["own"])
        [own] = [process for process in psutil.Process().children() if process.name() == "kustomize-render"]
    assert not own.is_running()


def test_a_renderer_whose_gate_was_killed_ends_by_itself(tmp_path: Path) -> None:
    """In the middle of a build too: here of a file that nobody ever writes to."""
    os.mkfifo(tmp_path / "kustomization.yaml")
    gate = f"import subprocess, time; p = subprocess.Popen(['{RENDERER}'], stdin=subprocess.PIPE); "
    gate += f"p.stdin.write(b'{tmp_path}\\0'); p.stdin.flush(); print(p.pid, flush=True); time.sleep(60)"
    with subprocess.Popen(["python3", "-c", gate], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        orphan = psutil.Process(int(killed.stdout.readline()))
        assert orphan.is_running()
        os.kill(killed.pid, signal.SIGKILL)
    psutil.wait_procs([orphan], timeout=20)
    assert not orphan.is_running()
