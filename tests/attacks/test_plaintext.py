"""Plain values that a member commits in another form than gitleaks or a reader of lines knows. The control is the gate
without its rules on what files have.
"""

from __future__ import annotations

import base64
import json

import pytest

from gitops.check import plaintext, seals
from gitops.ground.checkout import Checkout
from gitops.secrets import seal
from tests.attacks import Door, Guard, attack, sample
from tests.attacks.gate_world import findings, refusal, write

pytestmark = pytest.mark.bots

UNIT = "overlays/mogle/prod"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slack"}, "stringData": {"token": "changeme"}}
BLOCK = "apiVersion: v1\nkind: Secret\nmetadata: {name: slack}\nstringData: {token: changeme}\n"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
LIST = {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "List", "items": [SECRET]}]}
# Where it is written, what stands there, and on which line it is a Secret.
FILES: dict[str, tuple[str, str, int]] = {
    "JSON": (f"{UNIT}/notes.json", json.dumps(SECRET, indent=1), 3),
    "JSON on one line": (f"{UNIT}/notes.yaml", json.dumps(SECRET), 1),
    "flow style": (f"{UNIT}/notes.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: slack}, data: {}}", 1),
    "quotes": (f"{UNIT}/notes.yaml", BLOCK.replace("kind: Secret", "\"kind\":   'Secret' # so"), 2),
    "letters by their numbers": (f"{UNIT}/notes.yaml", BLOCK.replace("Secret", '"\\x53ecret"'), 2),
    "a list in a list": (f"{UNIT}/notes.yaml", json.dumps(LIST, indent=1), 11),
    "the second document": (f"{UNIT}/notes.yaml", f"{MAP}---\n{BLOCK}", 6),
    "an alias": (f"{UNIT}/notes.yaml", f"{MAP}x: &x Secret\n---\n{BLOCK}", 7),
    "a name without an ending": (f"{UNIT}/notes", BLOCK, 2),
    "a text in a ConfigMap": (
        f"{UNIT}/notes.yaml",
        f"{MAP}data:\n  a: |\n    {BLOCK.replace(chr(10), chr(10) + '    ')}",
        5,
    ),
    "a file that is no YAML": (f"{UNIT}/notes.yaml", f"{BLOCK}\t- x: [\n", 2),
    "the folder of another": ("overlays/mogle/notes.yaml", BLOCK, 2),
    "a cluster's folder": ("clusters/seoul/notes.yaml", BLOCK, 2),
    "Argo CD's folder": ("apps/notes.yaml", BLOCK, 2),
}


@pytest.fixture
def gate(scratch: Checkout, guard: Guard | None, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    if guard is None:
        monkeypatch.setattr(plaintext, "check", lambda *_: iter(()))
        monkeypatch.setattr(plaintext, "check_files", lambda *_: iter(()))
        monkeypatch.setattr(seals, "check", lambda *_: iter(()))
    return scratch


@attack(Door.MEMBER, "a plain Secret as {how}", Guard.GATE)
@pytest.mark.parametrize("how", sample(FILES, "JSON", "a list in a list"))
def test_a_secret_that_nothing_renders(gate: Checkout, how: str, guard: Guard | None) -> str | None:
    path, text, _ = FILES[how]
    write(gate, {path: text})
    return refusal(gate)


def _listed(checkout: Checkout, entry: str, more: str = "") -> None:
    file = checkout.root / UNIT / "kustomization.yaml"
    text = file.read_text().replace("  - oauth-42.yaml\n", f"  - oauth-42.yaml\n  - {entry}\n")
    file.write_text(text.replace("patches:\n", f"patches:\n{more}"))


@attack(Door.MEMBER, "a plain Secret that a patch takes away", Guard.GATE)
def test_a_secret_that_is_patched_away(gate: Checkout, guard: Guard | None) -> str | None:
    write(gate, {f"{UNIT}/notes.yaml": BLOCK})
    patch = "      $patch: delete\n      apiVersion: v1\n      kind: Secret\n      metadata: {name: slack}\n"
    _listed(gate, "notes.yaml", f"  - target: {{kind: Secret}}\n    patch: |\n{patch}")
    return refusal(gate)


@attack(Door.MEMBER, "a plain Secret that a cluster renders", Guard.GATE)
def test_a_secret_of_a_cluster(gate: Checkout, guard: Guard | None) -> str | None:
    file = gate.root / "clusters/seoul/kustomization.yaml"
    file.write_text(f"{file.read_text()}secretGenerator:\n  - name: slack\n    literals: [token=changeme]\n")
    return refusal(gate)


def _sealed(value: str, more: str = "") -> str:
    head = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: slack\nspec:\n"
    template = "  template:\n    metadata:\n      name: slack\n"
    return f"{head}  encryptedData:\n    token: {value}\n{template}{more}"


def _form(length: int, rest: int) -> str:
    return base64.b64encode(length.to_bytes(2, "big") + b"x" * (length + rest)).decode()


VALUES = {
    "base64 of it": base64.b64encode(b"changeme").decode(),
    "it as it is": "changeme",
    "the form of a seal of a short key": _form(128, 32),
    "a seal without a value": _form(512, 15),
    "a seal that is cut off": _form(512, -1),
}


@attack(Door.MEMBER, "a SealedSecret that is {what}", Guard.GATE)
@pytest.mark.parametrize("what", sample(VALUES, "base64 of it"))
@pytest.mark.parametrize("file", sample(["sealedsecret-slack.yaml", "slack.yaml"], "slack.yaml"))
def test_a_value_that_is_not_sealed(gate: Checkout, what: str, file: str, guard: Guard | None) -> str | None:
    write(gate, {f"{UNIT}/{file}": _sealed(VALUES[what])})
    _listed(gate, file)
    return refusal(gate)


BESIDE = {
    "an annotation": _sealed(_form(512, 20)).replace(
        "  name: slack\nspec", f"  name: slack\n  annotations:\n    a: {_form(512, 0)}\nspec"
    ),
    "a text": _sealed(_form(512, 20)).replace("spec:\n", f"note: |\n  a: {_form(512, 0)}\nspec:\n", 1),
    "another document": f"{_sealed(_form(512, 20))}---\n{MAP}data:\n  a: {_form(512, 0)}\n",
    "another kind": f"{MAP}data:\n  a: {_form(512, 0)}\n",
}


@attack(Door.MEMBER, "something in {what} of a file in which gitleaks looks for no seal", Guard.GATE)
@pytest.mark.parametrize("what", sample(BESIDE, "another kind"))
def test_what_stands_beside_a_seal(gate: Checkout, what: str, guard: Guard | None) -> str | None:
    write(gate, {f"{UNIT}/sealedsecret-slack.yaml": BESIDE[what]})
    _listed(gate, "sealedsecret-slack.yaml")
    return refusal(gate)


@pytest.mark.parametrize("how", FILES)
def test_the_line_of_the_kind_is_named(scratch: Checkout, how: str) -> None:
    path, text, line = FILES[how]
    write(scratch, {path: text})
    places = [(finding.rule, finding.place.file, finding.place.line) for finding in findings(scratch)]
    assert places == [("plain-secret", path, line)]


NAMES = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx: {kind: Secret, name: b}\n"


QUOTED = json.dumps({"a": BLOCK})
for _ in range(10):
    QUOTED = json.dumps({"a": QUOTED})
# A text and nothing else, and texts in texts: neither is looked at for ever.
WORDS = "A Secret, it says\nand no more than { that\n"


@pytest.mark.parametrize(
    "text", [WORDS, QUOTED, NAMES, "# kind: Secret\n", "a: SealedSecret\n", "text: 'kind: Secret is what I mean'\n"]
)
def test_the_name_of_a_secret_is_none(scratch: Checkout, text: str) -> None:
    write(scratch, {f"{UNIT}/notes.yaml": text})
    assert findings(scratch) == []


def test_the_form_of_a_seal() -> None:
    assert seal.is_sealed(_form(512, 16))
    assert not seal.is_sealed("")
    assert not seal.is_sealed("AA==")
