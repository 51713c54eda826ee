"""What a kustomization makes kustomize fetch, or read beside the repository: Argo CD's repo-server would do it too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gitops.manifests.render import build
from tests.attacks import Door, Guard, attack, sample
from tests.frozen import platform

UNIT = "overlays/mogle/prod"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
PATCH = "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\n"


@dataclass
class Listener:
    """A host that a repo-server could reach and nobody else should."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listening.asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    listening = Listener(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    yield listening
    server.shutdown()
    server.server_close()


def one(field: str, entry: str) -> dict[str, str]:
    return {"kustomization.yaml": f"resources: [a.yaml]\n{field}: [{entry}]\n"}


# By what names the address: the files of an overlay. URL is the address, HOST its host and port.
DOORS = {
    "resources": {"kustomization.yaml": "resources: [URL/x]\n"},
    "bases": one("bases", "URL/x"),
    "components": one("components", "'URL/x//y?ref=v1'"),
    "crds": one("crds", "URL/x"),
    "configurations": one("configurations", "URL/x"),
    "patches.path": one("patches", "{path: URL/x, target: {kind: ConfigMap}}"),
    "Path of patches": one("patches", "{Path: URL/x}"),
    "patchesJson6902.path": one("patchesJson6902", "{path: URL/x, target: {kind: ConfigMap, version: v1, name: a}}"),
    "patchesStrategicMerge": one("patchesStrategicMerge", "URL/x"),
    "replacements.path": one("replacements", "{path: URL/x}"),
    "openapi.path": {"kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: URL/x}\n"},
    "configMapGenerator.files": one("configMapGenerator", "{name: b, files: [a=URL/x]}"),
    "configMapGenerator.envs": one("configMapGenerator", "{name: b, envs: [URL/x]}"),
    "configMapGenerator.env": one("configMapGenerator", "{name: b, env: URL/x}"),
    "secretGenerator.files": one("secretGenerator", "{name: b, files: [URL/x]}"),
    "secretGenerator.envs": one("secretGenerator", "{name: b, envs: [URL/x]}"),
    "generators": one("generators", "URL/x"),
    "a generator in itself": {
        "kustomization.yaml": "generators:\n- |\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n"
        "  metadata: {name: b}\n  files: [a=URL/x]\n"
    },
    "a transformer on one line": one(
        "transformers", '"{apiVersion: builtin, kind: PatchTransformer, metadata: {name: a}, path: URL/x}"'
    ),
    "a transformer's file": {**one("transformers", "t.yaml"), "t.yaml": f"{PATCH}path: URL/x\n"},
    "a transformer's second document": {
        **one("transformers", "t.yaml"),
        "t.yaml": f"{PATCH}patch: '{{kind: ConfigMap, metadata: {{name: a}}}}'\n---\n"
        f"{PATCH.replace('name: a', 'name: b')}path: URL/x\n",
    },
    "a transformer's PATH": {**one("transformers", "t.yaml"), "t.yaml": f"{PATCH}PATH: URL/x\n"},
    "a List of transformers": {
        **one("transformers", "t.yaml"),
        "t.yaml": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: builtin, kind: PatchTransformer, "
        "metadata: {name: a}, path: URL/x}\n",
    },
    "a folder of transformers": {
        **one("transformers", "t"),
        "t/kustomization.yaml": "resources: [t.yaml]\npatches:\n- target: {kind: PatchTransformer}\n"
        "  patch: |\n    - {op: replace, path: /path, value: URL/x}\n",
        "t/t.yaml": f"{PATCH}path: a.yaml\n",
    },
    "a merge of paths": {
        **one("transformers", "t.yaml"),
        "t.yaml": "apiVersion: builtin\nkind: PatchStrategicMergeTransformer\nmetadata: {name: a}\npaths: [URL/x]\n",
    },
    "a plugin's replacements": {
        **one("transformers", "t.yaml"),
        "t.yaml": "apiVersion: builtin\nkind: ReplacementTransformer\nmetadata: {name: a}\n"
        "replacements: [{path: URL/x}]\n",
    },
    "validators": one("validators", f'"{PATCH.encode().decode()!s}"'.replace("\n", "\\n")[:-1] + 'path: URL/x"'),
    "HTTP://": {"kustomization.yaml": "resources: ['HTTP://HOST/x']\n"},
    "Resources:": {"kustomization.yaml": "Resources: [URL/x]\n"},
    "a long s": {"kustomization.yaml": "re\u017fources: [URL/x]\n"},
    "two keys resources": {"kustomization.yaml": "resources: [URL/x]\nRESOURCES: [URL/y]\nresources: [URL/z]\n"},
    "!!binary": {"kustomization.yaml": "resources: [!!binary BASE64]\n"},
    "a merged mapping": {"kustomization.yaml": "<<: {resources: [URL/x]}\n"},
    "an alias": {"kustomization.yaml": "nameSuffix: &a URL/x\nresources: [*a]\n"},
    "an escaped text": {"kustomization.yaml": 'resources: ["\\x68ttp://HOST/x"]\n'},
    "a text over two lines": {"kustomization.yaml": 'resources: ["http:\\\n    //HOST/x"]\n'},
    "JSON": {"kustomization.yaml": '{"resources": ["URL/x"]}'},
    "a first document of two": {"kustomization.yaml": "resources: [URL/x]\n---\nresources: [a.yaml]\n"},
    "kustomization.yml": {"kustomization.yml": "resources: [URL/x]\n"},
    "Kustomization": {"Kustomization": "resources: [URL/x]\n"},
    "a component's own": {
        **one("components", "c"),
        "c/kustomization.yaml": "kind: Component\nconfigMapGenerator: [{name: b, files: [URL/x]}]\n",
    },
    "a base's base": {
        "kustomization.yaml": "resources: [b]\n",
        "b/kustomization.yaml": "resources: [c]\n",
        "b/c/kustomization.yaml": "resources: [URL/x]\n",
    },
    "git::": {"kustomization.yaml": "resources: ['git::URL/x//y']\n"},
    "_git": {"kustomization.yaml": "resources: [URL/org/_git/x/y]\n"},
    ".git": {"kustomization.yaml": "resources: [URL/org/x.git/y]\n"},
    "GitHub.com/": {"kustomization.yaml": "resources: [GitHub.com/org/repo]\n"},
    "github.com/ over a folder of that name": {
        "kustomization.yaml": "resources: [github.com/org/repo]\n",
        "github.com/org/repo/kustomization.yaml": "resources: [a.yaml]\n",
        "github.com/org/repo/a.yaml": MAP,
    },
    "git@": {"kustomization.yaml": "resources: ['git@127.0.0.1:org/repo']\n"},
    "any@": {"kustomization.yaml": "resources: ['any@127.0.0.1:org/repo']\n"},
    "ssh://": {"kustomization.yaml": "resources: ['ssh://127.0.0.1/org/repo']\n"},
}


def write(root: Path, files: dict[str, str], url: str) -> None:
    from base64 import b64encode

    host, coded = url.removeprefix("http://"), b64encode(f"{url}/x".encode()).decode()
    for name, text in {"a.yaml": MAP, **files}.items():
        file = root / UNIT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("URL", url).replace("HOST", host).replace("BASE64", coded))


FETCHED = sample(
    DOORS,
    "resources",
    "patches.path",
    "configMapGenerator.files",
    "a generator in itself",
    "HTTP://",
    "!!binary",
    "GitHub.com/",
    "any@",
)


@attack(Door.MEMBER, "has an address fetched by {door}", Guard.GATE)
@pytest.mark.parametrize("door", FETCHED)
def test_remote(door: str, guard: Guard | None, listener: Listener, tmp_path: Path) -> str | None:
    write(tmp_path, DOORS[door], listener.url)
    tools = platform()
    if guard:
        rendered = build(tools, tmp_path, UNIT)
        assert not listener.asked
        return str(rendered.error) if rendered.error else None
    # GitHub's own name and ssh lead to the listener, too.
    env = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{listener.url}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "GIT_SSH_COMMAND": f"git ls-remote {listener.url}/ssh #",
        "GIT_TERMINAL_PROMPT": "0",
    }
    argv = [str(tools.tool("kustomize")), "build", str(tmp_path / UNIT)]
    done = subprocess.run(argv, env=env, capture_output=True, timeout=60)
    return None if listener.asked else f"nothing was asked for: {done.stderr.decode()}"


# By what leads there: the kustomization's text, and a link's target. ELSEWHERE is a folder beside the repository.
WAYS: dict[str, tuple[str, str | None]] = {
    "..": ("resources: [../../../../elsewhere]\n", None),
    "a linked folder": ("resources: [link]\n", "ELSEWHERE"),
    "a link to a linked folder": ("resources: [more]\n", "ELSEWHERE"),
    "file://": ("resources: ['file://ELSEWHERE']\n", None),
    ".git": ("resources: [../../../.git/elsewhere]\n", None),
    ".tools": ("resources: [../../../.tools/elsewhere]\n", None),
}


@attack(Door.MEMBER, "reads another repository by {way}", Guard.GATE)
@pytest.mark.parametrize("way", WAYS)
def test_outside(way: str, guard: Guard | None, tmp_path: Path) -> str | None:
    root, elsewhere = tmp_path / "repository", tmp_path / "elsewhere"
    for folder in (elsewhere, root / ".git/elsewhere", root / ".tools/elsewhere"):
        folder.mkdir(parents=True)
        (folder / "kustomization.yaml").write_text("resources: [secret.yaml]\n")
        (folder / "secret.yaml").write_text(MAP.replace("name: a", "name: stolen"))
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", elsewhere, *words], check=True, capture_output=True)
    text, link = WAYS[way]
    write(root, {"kustomization.yaml": text.replace("ELSEWHERE", str(elsewhere))}, "")
    if link:
        (root / UNIT / "link").symlink_to(elsewhere)
        (root / UNIT / "more").symlink_to("link")
    tools = platform()
    if guard:
        rendered = build(tools, root, UNIT)
        assert b"stolen" not in rendered.text
        return str(rendered.error) if rendered.error else None
    argv = [str(tools.tool("kustomize")), "build", str(root / UNIT)]
    env = {**os.environ, "GIT_ALLOW_PROTOCOL": "file"}
    done = subprocess.run(argv, capture_output=True, timeout=60, env=env)
    return None if b"stolen" in done.stdout else done.stderr.decode()


def test_the_same_paths_are_taken_in_this_repository(tmp_path: Path) -> None:
    """What is refused above is refused for where it leads, and not for its field."""
    local = {
        "kustomization.yaml": "resources: [a.yaml, b]\ncomponents: [c]\n"
        "patches: [{path: p.yaml}, "
        "{target: {kind: ConfigMap, name: a}, patch: '{kind: ConfigMap, metadata: {name: a}, data: {b: c}}'}]\n"
        "configMapGenerator: [{name: d, files: [key=a.txt, b+c (1).txt], envs: [e.env]}]\n"
        "transformers:\n- t.yaml\n- |\n  apiVersion: builtin\n  kind: LabelTransformer\n  metadata: {name: l}\n"
        "  labels: {a: https://example.com}\n  fieldSpecs: [{path: metadata/annotations, create: true}]\n",
        "b/kustomization.yaml": "resources: [b.yaml]\n",
        "b/b.yaml": MAP.replace("name: a", "name: b"),
        "c/kustomization.yaml": "kind: Component\nnameSuffix: ''\nconfigurations: []\ncommonAnnotations: {c: d}\n",
        "p.yaml": f"{MAP}data: {{url: 'https://example.com'}}\n",
        "a.txt": "https://example.com",
        "b+c (1).txt": "b",
        "e.env": "A=https://example.com\n",
        "t.yaml": f"{PATCH}path: p.yaml\n",
    }
    write(tmp_path, local, "")
    rendered = build(platform(), tmp_path, UNIT)
    assert rendered.error is None
    assert len(rendered.objects()) == 3
