from __future__ import annotations

import ast
import io
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.clients.workloads import SIMULATED
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import InputError, MachineError
from gitops.ground.progress import Progress
from gitops.lab import cli as lab_cli
from gitops.lab import process
from gitops.lab.layout import PORTS, Lab, check_free
from gitops.manifests.pods import Template
from gitops.tools import build, pins
from tests.conftest import Ran, gitops
from tests.frozen import ROOT


def test_every_tool_has_a_pinned_version_and_a_key(checkout: Checkout) -> None:
    tools = {tool.name: tool for tool in pins.load(checkout)}
    assert tools["kubernetes"].module == "k8s.io/kubernetes"
    assert tools["argocd"].module == "github.com/argoproj/argo-cd/v3"
    assert "gitVersion=v1.36.3" in tools["kubernetes"].ldflags
    assert len({tool.key for tool in tools.values()}) == len(tools)


def test_a_tool_with_a_main_of_ours_has_the_version_of_what_it_is_made_of(scratch: Checkout) -> None:
    [before] = [tool for tool in pins.load(scratch) if tool.name == "registry"]
    assert before.module == "github.com/distribution/distribution/v3"
    assert f"{before.module} v{before.version}\n" in (before.folder / "go.mod").read_text()
    with (before.folder / "main.go").open("a") as file:
        file.write("// another\n")
    [after] = [tool for tool in pins.load(scratch) if tool.name == "registry"]
    assert after.key != before.key, "or the cache would keep what was built of the old one"


def test_a_corrupt_tool_cache_is_named_with_its_fix(checkout: Checkout, tmp_path: Path) -> None:
    source = (checkout.tools / "bin/kustomize").resolve().parent.parent
    cached = tmp_path / source.name
    shutil.copytree(source, cached)
    build.verify(cached)
    with (cached / "bin/kustomize").open("r+b") as binary:
        binary.seek(1000)
        binary.write(b"corrupt")
    with pytest.raises(
        MachineError, match=r"bin/kustomize: the tool cache is corrupt; expected sha256:\w+, found sha256"
    ) as raised:
        build.verify(cached)
    assert f"rm -rf {cached} && make tools" in str(raised.value)
    (cached / "bin/kustomize").unlink()
    with pytest.raises(MachineError, match="found no file"):
        build.verify(cached)


def test_a_tool_is_read_once_and_again_as_soon_as_it_is_another(
    scratch: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [tool] = [tool for tool in pins.load(scratch) if tool.name == "kustomize"]
    source = (ROOT / ".tools/bin/kustomize").resolve().parent.parent
    cached = tmp_path / "cache" / f"{tool.name}-{tool.key}"
    shutil.copytree(source, cached)
    monkeypatch.setenv("GITOPS_TOOL_CACHE", str(cached.parent))
    # Links of its own: the project's, that every test beside this one starts, would lead to the corrupt copy.
    (scratch.root / ".tools").unlink()
    read: list[str] = []
    sha256 = build._sha256

    def watched(file: Path) -> str:
        read.append(file.name)
        return sha256(file)

    monkeypatch.setattr(build, "_sha256", watched)
    for _ in range(2):
        build.ensure(scratch, Progress(quiet=True), ["kustomize"])
        assert sorted(read) == ["kustomize", "kustomize-render"], "once"
    binary = cached / "bin/kustomize"
    about = binary.stat()
    with binary.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"corrupt")
    os.utime(binary, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(MachineError, match="the tool cache is corrupt"):
        build.ensure(scratch, Progress(quiet=True), ["kustomize"])
    (cached.parent / "known.json").write_text("[")
    with pytest.raises(MachineError, match="the tool cache is corrupt"):
        build.ensure(scratch, Progress(quiet=True), ["kustomize"])
    assert (ROOT / ".tools/bin/kustomize").resolve().parent.parent == source


def test_a_cache_is_cleared_of_what_no_pin_names(
    scratch: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITOPS_TOOL_CACHE", raising=False)
    named = [f"{tool.name}-{tool.key}" for tool in pins.load(scratch)]
    (scratch.root / ".tools").unlink()
    for name in (*named, "kustomize-0123456789abcdef", "go"):
        (scratch.tools / "cache" / name).mkdir(parents=True)
    done = gitops(scratch, "tools", "--prune")
    assert (done.code, done.err) == (0, "removed go\nremoved kustomize-0123456789abcdef\n")
    assert sorted(file.name for file in scratch.tool_cache.iterdir()) == sorted([*named, "lock"])
    shared = gitops(scratch, "tools", "--prune", GITOPS_TOOL_CACHE=str(tmp_path / "shared"))
    assert shared.code == 2
    assert "shared: other checkouts may share it" in shared.err
    assert gitops(scratch, "tools", "--prune", "kustomize").code == 2


@pytest.mark.parametrize("words", [["tools"], ["check", "--offline"], ["lb", "show"]])
def test_a_tool_cache_that_cannot_be_is_said_in_one_line(scratch: Checkout, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    done = gitops(scratch, *words, GITOPS_TOOL_CACHE=str(tmp_path / "file"))
    assert done.code == 3
    assert done.err.splitlines()[-1].startswith(f"gitops: {tmp_path}/file: the tool cache cannot be written: ")


def test_a_cache_that_is_not_there_yet_has_nothing_to_clear(scratch: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITOPS_TOOL_CACHE", raising=False)
    (scratch.root / ".tools").unlink()
    assert gitops(scratch, "tools", "--prune") == Ran(0, "", "")


def test_a_missing_system_program_is_said_before_anything_else(tmp_path: Path) -> None:
    for program in ("bash", "env", "git"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    done = subprocess.run(
        [ROOT / "scripts/preflight"], env={"PATH": str(tmp_path), "PYTHON": "no-python"}, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "this machine lacks:" in done.stderr
    assert "Python 3.11 or newer" in done.stderr
    assert "unshare (apt: util-linux)" in done.stderr
    assert "- git" not in done.stderr


def test_a_taken_port_is_named_with_its_owner(scratch: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=rf"port {port} \(api\) is taken by process {os.getpid()}"):
            check_free("api", port, fix="end it")
        done = gitops(scratch, "lab", "up", "--api-port", str(port))
    assert done.code == 3
    assert f"port {port} (api) is taken" in done.err
    assert "; end that program" in done.err
    assert not (scratch.labs / "default/lab.json").exists()


def test_two_labs_get_different_ports_and_keep_their_own(scratch: Checkout) -> None:
    one, two = Lab(scratch, "one").create(2), Lab(scratch, "two").create(2)
    assert set(one.ports) == set(PORTS)
    assert not set(one.ports.values()) & set(two.ports.values())
    assert Lab(scratch, "one").settings() == one
    assert (scratch.labs / "one/lab.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["up", "--nodes", "3"], "gitops: lab 'default' has 2 nodes in each zone; gitops lab reset forgets that\n"),
        (["up", "--api-port", "1025"], "gitops: lab 'default' has its API server on port {api}; gitops lab reset"),
        (["down", "--all", "--name", "default"], "gitops: --all and --name default; expected one of them"),
    ],
)
def test_an_option_that_would_say_nothing_is_refused(scratch: Checkout, words: list[str], message: str) -> None:
    lab = Lab(scratch, "default")
    settings = lab.create(2)
    done = gitops(scratch, "lab", *words)
    assert done.code == 2
    assert done.out in ("", f"lab 'default': {SIMULATED}\n")
    assert done.err.startswith(message.format_map(settings.ports)), done.err
    assert done.err.count("\n") == 1
    assert process.running(lab) == {}


@pytest.mark.parametrize("verb", ["status", "push", "up", "demo"])
def test_that_no_image_was_run_is_said_before_anything_else(scratch: Checkout, verb: str) -> None:
    """Each verb ends soon: the lab is down, and has too few tools for another start."""
    (scratch.root / ".tools").unlink()
    Lab(scratch, "mine").create(2)
    done = gitops(scratch, "lab", verb, "--name", "mine", GITOPS_TOOL_CACHE="/proc/none", GOPROXY="off")
    assert done.code != 0
    assert done.out.splitlines()[0] == f"lab 'mine': {SIMULATED}"
    assert "no image was run" in SIMULATED
    if verb == "status":
        told = gitops(scratch, "lab", verb, "--name", "mine", "--output", "json")
        assert json.loads(told.out)["simulated"] is True


def test_all_labs_end_whatever_lab_the_environment_names(scratch: Checkout) -> None:
    Lab(scratch, "one").create(2)
    done = gitops(scratch, "lab", "down", "--all", GITOPS_LAB_NAME="two")
    assert (done.code, done.out) == (0, "lab 'one': nothing runs\n"), done.err


def test_a_lab_that_never_was_is_said(scratch: Checkout) -> None:
    for verb in ("status", "logs", "push"):
        done = gitops(scratch, "lab", verb, "--name", "never")
        assert done.code == 2
        assert "lab 'never': never started; run: gitops lab up" in done.err
        named = gitops(scratch, "lab", verb, "--name", "never", GITOPS_LAB_NAME="another")
        assert named.err.endswith("run: gitops lab up --name never\n")
    with pytest.raises(InputError, match="a lab's name is"):
        Lab(scratch, "../up")


def test_a_part_is_seen_while_it_starts_another_program(scratch: Checkout) -> None:
    target = Lab(scratch, "exec")
    script = "import os, sys; n = int(sys.argv[2]); n or os.execv('/bin/sleep', ['sleep', '60']); "
    script += "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], sys.argv[1], str(n - 1)])"
    try:
        process.start(target, "part", [sys.executable, "-c", script, script, "20"], {})
        deadline = time.monotonic() + 10
        looks, name = 0, ""
        while name != "sleep" and time.monotonic() < deadline:
            looks += 1
            [part] = process.running(target)["part"]
            name = part.name()
        assert name == "sleep"
        assert looks > 1
    finally:
        assert process.end_all(target) == 1
    assert process.running(target) == {}


def test_references_are_what_a_kubelet_waits_for() -> None:
    pod: dict[str, Any] = {
        "spec": {
            "containers": [
                {
                    "env": [
                        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "maybe", "key": "k", "optional": True}}},
                    ],
                    "envFrom": [{"configMapRef": {"name": "c"}}],
                }
            ],
            "volumes": [
                {"secret": {"secretName": "v"}},
                {"projected": {"sources": [{"configMap": {"name": "p"}}, {"secret": {"name": "q"}}]}},
            ],
        }
    }
    assert [(r.kind, r.name, r.key) for r in Template(pod, (), pod).references()] == [
        ("Secret", "s", "k"),
        ("ConfigMap", "c", None),
        ("Secret", "v", None),
        ("ConfigMap", "p", None),
        ("Secret", "q", None),
    ]


class Terminal(io.StringIO):
    """A stream that calls itself a terminal, as a CI's log may."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("ci", [True, False])
def test_progress_is_a_live_line_on_a_terminal_and_plain_lines_in_ci(monkeypatch: pytest.MonkeyPatch, ci: bool) -> None:
    monkeypatch.setenv("CI", "true" if ci else "")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Progress(stream).step("a step"):
        deadline = time.monotonic() + 10
        while not ci and "\x1b" not in stream.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert ("\x1b" in stream.getvalue()) is not ci
    assert stream.getvalue().endswith(" s\n")


def test_commands_fail_with_their_own_words_and_in_time() -> None:
    with pytest.raises(CommandError, match=r"^sh exited with 3\nbad$") as failed:
        run(["/bin/sh", "-c", "echo bad >&2; exit 3"], timeout=5)
    assert (failed.value.command, failed.value.returncode) == ("sh", 3)
    with pytest.raises(CommandError, match=r"^sh gave no answer within 0\.2 s$"):
        run(["sh", "-c", "sleep 60 & wait"], timeout=0.2)
    with pytest.raises(MachineError, match="no-such-program: not found"):
        run(["no-such-program"], timeout=1)


@pytest.mark.parametrize("script", ["kill -INT {}", "sleep 60 & kill -INT {}", "kill -INT {}; sleep 60"])
def test_an_interrupt_ends_a_command_and_all_that_it_started(script: str) -> None:
    """Also one that ends by itself at that very moment. What is left of it would hold its output open."""
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", script.format(os.getpid())], timeout=50)
    assert time.monotonic() - began < 40


def test_the_error_of_a_command_tells_no_argument_and_how_its_output_ends() -> None:
    for script in ("seq 1000 >&2; exit 1", "seq 1000 >&2; sleep 60"):
        with pytest.raises(CommandError) as failed:
            run(["sh", "-c", script, "sh", "--password", "hunter2"], timeout=0.5)
        assert "hunter2" not in repr(failed.value) + str(failed.value) + repr(vars(failed.value))
        assert str(failed.value).splitlines()[1:] == [str(number) for number in range(961, 1001)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"service unavailable\n", "503 service unavailable"),
        (b'{"kind": "Status", "message": "not yet"}', "503 not yet"),
        (b"[1]", r"503 \[1\]"),
    ],
)
def test_an_error_of_the_api_keeps_its_status_whatever_its_body(tmp_path: Path, body: bytes, said: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        named = {"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        user = {"name": "x", "user": {}}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump({"clusters": [named], "contexts": [context], "users": [user], "current-context": "x"})
        )
        with pytest.raises(ClusterError, match=said) as caught:
            Cluster(kubeconfig).get("/apis/metrics.k8s.io/v1beta1/pods")
        assert caught.value.status == 503
        server.shutdown()


def test_what_a_lab_is_good_for_and_where_to_look_is_said_in_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lab, "url", lambda *_: "https://127.0.0.1:20001")
    progress = Progress(quiet=True)
    with progress.step("a push", gain="you deployed: one line was pushed to git"), progress.step("no gain"):
        pass
    lab_cli.print_gains(progress.steps)
    lab_cli.say_next(Lab(Checkout(tmp_path / "my own (folder)"), "other"))
    text = capsys.readouterr().out
    assert re.search(r"^\d+\.\d +you deployed: one line was pushed to git$", text, re.MULTILINE)
    assert "a bare listing: its web pages are in no Go module" in text
    assert ".tools/bin/argocd login 127.0.0.1:20001 --server-crt " in text
    assert "argocd-initial-admin-secret -o jsonpath='{.data.password}' | base64 -d" in text
    assert "where to look next (in .venv/bin): gitops lab status --name other" in text
    assert "gitops lab down --name other" in text
    assert max(map(len, text.splitlines())) < 400
    typed = re.findall(r"^(?:kubectl|  then|  sign in|  password): +(.*)$", text, re.MULTILINE)
    assert len(typed) == 5
    for command in typed:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_every_phase_of_the_demo_says_what_one_has_by_it() -> None:
    """Of both halves: the lab's own start, and the loops behind it."""
    for file, phases in (("tests/loops.py", 5), ("scripts/gitops/lab/lab.py", 5)):
        calls = [node for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.Call)]
        steps = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "step"]
        given = list(itertools.chain.from_iterable(step.keywords for step in steps))
        named = [keyword for keyword in given if keyword.arg == "gain"]
        assert len(named) == phases
