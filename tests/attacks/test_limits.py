"""A member's overlay takes the memory, the disk or the time of the machine that renders it. The guard is what the
operating system holds kustomize to; the control gives it more than the attack takes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from gitops.ground.checkout import Checkout
from gitops.ground.command import Limits
from gitops.manifests import kustomize
from gitops.manifests.render import build
from tests.attacks import Door, Guard, attack, sample
from tests.frozen import platform

pytestmark = pytest.mark.bots

UNIT = "overlays/a/prod"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
# Dropped before anything is printed.
LOCAL = MAP.replace("name: a", "name: a, annotations: {config.kubernetes.io/local-config: 'true'}")
DOUBLED = (
    "- source: {kind: ConfigMap, name: a, fieldPath: data.x}\n  targets:\n  - select: {kind: ConfigMap, name: a}\n"
    "    fieldPaths: [data.x]\n    options: {delimiter: ':', index: 99}\n"
)
TREES = {
    "2 GiB of memory with 7 KB": {
        "kustomization.yaml": f"resources: [a.yaml]\nreplacements:\n{DOUBLED * 20}",
        "a.yaml": f"{LOCAL}data: {{x: {'y' * 1_000}}}\n",
    },
    "6 MB of output with 200 KB": {
        "kustomization.yaml": f"resources: [a.yaml]\ncommonAnnotations: {{a: {'y' * 200_000}}}\n",
        "a.yaml": "".join(f"---\n{MAP}".replace("name: a", f"name: a{n}") for n in range(30)),
    },
}
PLENTY = Limits(memory=64 * 2**30, output=2**30)


def _render(root: Path, files: dict[str, str]) -> str | None:
    folder = root / UNIT
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    with kustomize.renderer(platform()) as renders:
        rendered = build(renders, Checkout(root).root, UNIT)
    return None if rendered.error is None else str(rendered.error)


@attack(Door.MEMBER, "a render that takes {what}", Guard.SYSTEM)
@pytest.mark.parametrize("what", sample(TREES, "6 MB of output with 200 KB"))
def test_more_than_the_machine_gives(
    tmp_path: Path, what: str, guard: Guard | None, monkeypatch: pytest.MonkeyPatch
) -> str | None:
    if guard is None:
        monkeypatch.setattr(kustomize, "LIMITS", PLENTY)
    stopped = _render(tmp_path, TREES[what])
    assert stopped is None or "needs more memory than it is given, or prints more than 4 MiB" in stopped
    return stopped and "kustomize is ended"


@attack(Door.MEMBER, "a render that waits for somebody", Guard.SYSTEM)
def test_more_time_than_there_is(tmp_path: Path, guard: Guard | None, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """It gets what it waits for after 4 s: more than the guard gives it, less than the control."""
    monkeypatch.setenv("GITOPS_RENDER_TIMEOUT", "2" if guard else "60")
    pipe = tmp_path / UNIT / "a.yaml"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)

    def feed() -> None:
        time.sleep(4)
        stream = os.open(pipe, os.O_RDWR)
        os.write(stream, MAP.encode())
        time.sleep(1)
        os.close(stream)

    feeder = Thread(target=feed)
    feeder.start()
    (pipe.parent / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    rendered = build(platform(), tmp_path, UNIT)
    feeder.join()
    return None if rendered.error is None else str(rendered.error)
