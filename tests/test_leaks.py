"""Where a value could get out of a process that holds it: its environment, its memory, what it prints where it is sent
to, and the words of libraries that could not use it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from secrets import token_hex

import pytest
import yaml
from pydantic import SecretStr

from gitops import cli
from gitops.clients.aws.session import AwsSession
from gitops.clients.github import Hub
from gitops.clients.github.settings import RepositorySettings
from gitops.clients.intra42 import Api
from gitops.clients.kubernetes import Cluster
from gitops.clients.slack import Slack
from gitops.ground import credentials, hidden, printable
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError, told
from gitops.manifests import yamlfile
from tests import leaks
from tests.conftest import GITOPS, commit_all
from tests.fakes.server import Server, answer
from tests.frozen import ROOT
from tests.oauth_world import RotationWorld
from tests.secret_world import CANARY, Seal

PATTERNS = leaks.patterns([CANARY])
UNSENDABLE = [f"{CANARY}\nX-Other: 1", f"{CANARY}\u20ac", f"\u201c{CANARY}\u201d", f"{CANARY}\x00"]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last guard would hide what the test looks for; each test that asks for it fills it itself."""
    monkeypatch.setattr(hidden, "_forms", set())
    monkeypatch.setattr(hidden, "_kept", {})


def assert_clean(text: str | bytes) -> None:
    content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    assert leaks.search("text", content, PATTERNS) == []


# -- the process itself

# In a process of its own: what it takes, what is left of it, and whether another may look into it.
_TAKES = """
import ctypes, json, os, resource, subprocess, sys
from pathlib import Path
from gitops.ground import credentials, settings
taken = credentials.take_credentials()
child = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
print(json.dumps({
    "taken": {name: value.get_secret_value() == os.environ["EXPECTED"][::-1] for name, value in taken.items()},
    "token": settings.read().github_token.get_secret_value() == os.environ["EXPECTED"][::-1],
    "own": Path("/proc/self/environ").read_bytes().decode(errors="replace"),
    "child": child,
    "dumpable": ctypes.CDLL(None).prctl(3),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
}))
"""


def test_what_was_taken_is_nowhere_in_the_environment_any_more() -> None:
    names = [*credentials.CREDENTIALS, "GITHUB_TOKEN"]
    environment = {**os.environ, **dict.fromkeys(names, CANARY), "EXPECTED": CANARY[::-1], "AFTER": "stays"}
    done = subprocess.run([sys.executable, "-c", _TAKES], env=environment, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert (seen["taken"], seen["token"]) == (dict.fromkeys(credentials.CREDENTIALS, True), True)
    assert_clean(done.stdout + done.stderr)
    assert "AFTER=stays" in seen["own"], "no other variable is touched"
    assert (seen["dumpable"], seen["core"]) == (0, [0, 0])


def may_dump(process: int) -> bool:
    """Whether a process may write a core dump."""
    limits = Path(f"/proc/{process}/limits").read_text().splitlines()
    [core] = [line.split() for line in limits if line.startswith("Max core file size")]
    return core[4:6] != ["0", "0"]


def test_another_process_reads_no_password_of_the_running_command(pinned: Checkout, tmp_path: Path) -> None:
    """It waits for a value to seal, for as long as the test looks. Nothing of it is on the disk afterwards."""
    value = f"canary-{token_hex(24)}"
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, **dict.fromkeys(credentials.CREDENTIALS, CANARY), "GITHUB_TOKEN": CANARY}
    environment |= {"TMPDIR": str(tmp_path / "tmp")}
    words = [str(GITOPS), "secrets", "seal", "notice-bot", "kakao", "--key", "token"]
    process = subprocess.Popen(words, cwd=pinned.root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        file = Path(f"/proc/{process.pid}/environ")
        deadline = time.monotonic() + 60
        # The limit comes last; before the program is in place its environment is empty.
        while leaks.search("environ", content := leaks._environment(process.pid), PATTERNS) or may_dump(process.pid):
            assert time.monotonic() < deadline, "the environment still has it, or a dump would"
            time.sleep(0.02)
        assert process.poll() is None
        assert os.geteuid() == 0 or not os.access(file, os.R_OK), "only root looks into it"
        assert_clean(content)
    finally:
        out, _ = process.communicate(value.encode())
    assert process.returncode == 0
    patterns = leaks.patterns([value])
    assert leaks.search("output", out, patterns) == []
    commit_all(pinned)
    for folder in (tmp_path / "tmp", pinned.root):
        assert leaks.in_files(folder, patterns) == [], "no temporary file, no file of an editor, no core dump"
    assert leaks.in_git(pinned.root / ".git", patterns) == []


def test_the_shell_that_a_step_gave_them_to_is_gone_too() -> None:
    """A step's `run` is a shell with the step's environment: `exec` puts the command in its place."""
    held: list[str] = []
    for file in sorted((ROOT / ".github/workflows").glob("*.yaml")):
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            for step in job.get("steps", []):
                given = str(step.get("env", ""))
                if ".venv/bin/gitops" in step.get("run", "") and ("secrets." in given or "outputs.token" in given):
                    held.append(step["run"])
    assert len(held) >= 5
    assert [run for run in held if not run.startswith("exec .venv/bin/gitops ")] == []


@pytest.mark.parametrize("name", [*credentials.CREDENTIALS, "GITHUB_TOKEN"])
def test_a_credential_that_cannot_be_sent_is_named_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (f"{CANARY}\x07", f"{CANARY}\n{CANARY}", f"{CANARY}\udcff"):
        monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=name) as error:
            credentials.take(name)
        assert_clean(str(error.value))
        assert name not in os.environ
    monkeypatch.setenv(name, f"{CANARY}\r\n")
    taken = credentials.take(name)
    assert taken is not None
    assert taken.get_secret_value() == CANARY
    monkeypatch.setenv(name, f"{CANARY}é")
    if name in ("SLACK_TOKEN", "GITHUB_TOKEN"):
        with pytest.raises(InputError, match="a character that no token has"):
            credentials.take(name)
    else:
        assert credentials.take(name) is not None, "a password may have any letter"


# -- what libraries say


def _slack(value: str) -> None:
    Slack(SecretStr(value), "alerts", "http://127.0.0.1:1/").post("x")


def _github(value: str) -> object:
    return Hub(RepositorySettings("a/b", SecretStr(value), "http://127.0.0.1:1"), pause=0).open_pulls()


def _intra42(value: str) -> object:
    """Its own answer is a token that no header takes."""
    body = json.dumps({"access_token": value}).encode()
    server = Server(lambda request: answer(request, 200, body))
    try:
        return Api(server.url, deadline=0.2).verify("uid", SecretStr(value))
    finally:
        server.close()


def _kubernetes(value: str, folder: Path) -> object:
    file = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": value}}],
    }
    file.write_text(yaml.safe_dump(document))
    return Cluster(file).get("/api")


def _aws(value: str, patch: pytest.MonkeyPatch) -> object:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        patch.setenv(name, value.replace("\x00", ""))
    patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    patch.setenv("AWS_MAX_ATTEMPTS", "1")
    return AwsSession("eu-west-3").call("sts", "get_caller_identity")


def _refusing(request: BaseHTTPRequestHandler) -> None:
    """A server that says again what it was told, as a proxy's page does."""
    answer(request, 400, json.dumps({"ok": False, "error": str(request.headers), "message": "no"}).encode())


@pytest.mark.parametrize("value", UNSENDABLE)
def test_no_library_tells_the_header_that_it_could_not_send(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors: dict[str, Callable[[], object]] = {
        "slack": lambda: _slack(value),
        "github": lambda: _github(value),
        "42": lambda: _intra42(value),
        "kubernetes": lambda: _kubernetes(value, tmp_path),
        "aws": lambda: _aws(value, monkeypatch),
    }
    for name, door in doors.items():
        with pytest.raises(GitopsError) as error:
            door()
        assert_clean(f"{name}: {error.value} {error.value.args} {error.value!r}")


def test_no_answer_of_a_server_is_told_as_it_is() -> None:
    server = Server(_refusing)
    try:
        with pytest.raises(GitopsError) as error:
            Slack(SecretStr(CANARY), "alerts", f"{server.url}/").post("x")
    finally:
        server.close()
    assert_clean(str(error.value))
    assert told(ValueError(f"Invalid header value b'Bearer {CANARY}'")) == "ValueError"
    assert told(ConnectionRefusedError(111, CANARY)) == "Connection refused"


@pytest.mark.parametrize(
    "text", ["a: 2026-99-99 # {0}", "a: [{0}\n", '{0}: "\\q"', "a: \x01{0}", "a: &{0}\nb: {0}\n :"]
)
def test_no_part_of_a_file_that_is_no_yaml_is_told(text: str) -> None:
    with pytest.raises(InputError) as error:
        yamlfile.parse_all(text.format(CANARY), "backup.yaml")
    assert_clean(str(error.value))


def test_a_fault_of_ours_is_a_traceback_without_texts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        try:
            raise ValueError(f"Invalid header value b'Bearer {CANARY}'")
        except ValueError as error:
            raise RuntimeError(CANARY) from error

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(SystemExit) as end:
        cli.main()
    shown = capsys.readouterr()
    assert end.value.code == 70
    assert "Traceback" in shown.err, "all other tests look for the word"
    assert "RuntimeError <- ValueError" in shown.err
    assert f'File "{__file__}", line ' in shown.err
    assert_clean(shown.out + shown.err)


# -- the last guard

_FORMS: dict[str, Callable[[str], str]] = {
    "log": printable.log,
    "line": printable.line,
    "Markdown": printable.code,
    "a block": lambda text: "\n".join(printable.fence([text])),
    "a table": lambda text: "\n".join(printable.table(["a"], [[text]])),
    "HTML": printable.html,
    "Slack": printable.slack,
    "a subject": printable.subject,
    "JSON": printable.json_text,
    "a marker": lambda text: printable.marker("a", {text: [text]}),
}


@pytest.mark.parametrize("value", [CANARY, f"{CANARY}\n", f"pass wörd-{CANARY}&<>\"'\\"])
def test_whatever_is_made_printable_has_no_value(value: str) -> None:
    hidden.remember(value)
    texts = [value, repr(value), json.dumps(value), repr(f"Bearer {value}".encode())]
    for name, form in _FORMS.items():
        for text in texts:
            shown = form(f"Invalid header value {text}")
            assert_clean(shown)
            assert "Invalid header value" in shown, name


def test_a_short_or_an_open_word_is_left_as_it_is() -> None:
    hidden.remember("main")
    assert printable.line("main is main") == "main is main"


# -- what is printed where it is sent to

# Stands for the runner, which has no GITHUB_ACTIONS: a step is a shell whose output it reads by two pipes.
_RUNNER = """
import json, os, subprocess, sys
environment = {**os.environ, "GITHUB_ACTIONS": "true", **json.loads(sys.argv[2])}
done = subprocess.run(["bash", "-e", "-c", sys.argv[1]], env=environment, capture_output=True)
print(json.dumps([done.returncode, done.stdout.decode(), done.stderr.decode()]))
"""


def step(script: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """A step of a workflow, in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER, textwrap.dedent(script), json.dumps(environment)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        check=True,
    )
    code, out, err = json.loads(done.stdout)
    return code, out, err


_MASKS = "from gitops.ground.credentials import mask\nfrom pydantic import SecretStr\nmask(SecretStr('{0}'[::-1]))"
SENT = {
    "as it is": ("$run", True),
    "output to a file": ("$run > f", True),
    "output to a pipe": ("$run | cat > f", True),
    "errors to a file": ("$run 2> f", False),
    "both to a file": ("$run > f 2>&1", False),
    "errors to the runner's log, output to a file": ("$run 2>&1 > f", True),
    "both through tee": ("$run 2>&1 | tee f", False),
    "errors through tee": ("$run 2> >(tee f >&2); wait", False),
    "into a variable": ('x=$($run 2>&1); echo "$x" > f', False),
    "output into a variable": ('x=$($run); echo "$x" > f', True),
    "the whole step": ("exec > f 2>&1; $run", False),
}


@pytest.mark.parametrize("name", SENT)
def test_masks_go_where_the_runner_alone_reads(name: str, tmp_path: Path) -> None:
    script, masks = SENT[name]
    (tmp_path / "run.py").write_text(_MASKS.format(CANARY[::-1]) + "\nprint('done')\n")
    code, out, err = step(f"run='{sys.executable} run.py'\n{script}", tmp_path)
    assert code == 0, err
    if (tmp_path / "f").exists():
        assert_clean((tmp_path / "f").read_bytes())
    assert_clean(err.replace(f"::add-mask::{CANARY}\n", "") if masks else out + err)
    told_by = out if script.endswith("2>&1 > f") else err
    assert (f"::add-mask::{CANARY}\n" in told_by) is masks
    assert "add-mask" not in out or told_by is out


def test_every_command_of_42s_secrets_writes_no_value_where_it_is_redirected(known: RotationWorld) -> None:
    """As a person redirects them in a step: into files and through pipes, for a program or for a person."""
    app = known.intra.apps["41002"]
    known.intra.show_next(app.id)
    folder = known.checkout.root
    words = {name: known.environment[name] for name in known.environment}
    code, out, err = step(
        f"""
        gitops={GITOPS}
        $gitops oauth status mogle --output json > status.json
        $gitops oauth status mogle --output openmetrics | tee status.txt > /dev/null
        $gitops oauth rotate mogle --output json > rotate.json 2> rotate.log
        $gitops oauth status mogle > text.log 2>&1
        """,
        folder,
        **words,
    )
    assert code == 0, err
    values = leaks.patterns([app.current, str(app.next), *known.intra.seen])
    assert leaks.search("out", out.encode(), values) == []
    for name in ("status.json", "status.txt", "rotate.json", "rotate.log", "text.log"):
        content = (folder / name).read_bytes()
        assert content, name
        assert leaks.search(name, content, values) == []
        assert b"add-mask" not in content
    assert json.loads((folder / "status.json").read_bytes())[0]["service"] == "mogle"
    assert json.loads((folder / "rotate.json").read_bytes())[0]["state"] == "PR_OPEN"
    assert "::add-mask::" in err, "what the runner's own log would show is masked"


def test_no_command_of_sealing_prints_what_it_was_given(pinned: Checkout, inside: Seal, tmp_path: Path) -> None:
    """`inside` searches all that is printed."""
    (tmp_path / "given.env").write_text(f"password={CANARY}\n")
    assert inside("seal", "notice-bot", "kakao", "--key", "token").code == 0
    assert inside("seal", "notice-bot", "kakao", "--from-env-file", str(tmp_path / "given.env")).code == 0
    assert inside("list", "--output", "json").code == 0
    assert leaks.in_files(pinned.overlays, PATTERNS) == []
