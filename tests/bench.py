"""Measurements: `make bench`, or one part with `make bench BENCH=lab`. They print and never fail for being slow."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from git import Repo

from gitops.ground.command import run
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from gitops.lab import process
from gitops.lab.layout import Lab
from tests.bench_gate import gate
from tests.bench_images import images
from tests.bench_oauth import oauth
from tests.conftest import TEST, clone, commit_all, gitops

DIGEST = "sha256:" + "a" * 64
UP_LIMIT, PUSH_LIMIT, MEMORY_LIMIT = 60.0, 15.0, 3 * 2**30
SIZES = (10, 50, 100)
ROUNDS = 3


def lab() -> None:
    """The lab's start, a push against the same apply by hand, and how cost grows with the number of services."""
    with tempfile.TemporaryDirectory() as folder:
        target = Lab(clone(Path(folder) / "clone"), "bench")
        try:
            _start_and_push(target)
            _growth(target)
        finally:
            labs.down(target)


def _start_and_push(target: Lab) -> None:
    began = time.monotonic()
    labs.up(target, Progress())
    _line("lab-up", time.monotonic() - began, UP_LIMIT, 1.0, "s to all Healthy, tools built / its limit of 60 s")
    _line("lab-memory", process.memory(target), MEMORY_LIMIT, 1.0, "bytes of all parts / its limit of 3 GiB")
    pushes = [labs.push_one_line(target, "mogle", "staging", f"bench-{n}") for n in range(ROUNDS)]
    floors = [_floor(target, n) for n in range(ROUNDS + 1)][1:]
    took = statistics.median(pushes)
    _line("push", took, PUSH_LIMIT, 1.0, "s from push to Synced and Healthy / its limit of 15 s")
    floor = statistics.median(floors)
    what = "s from push to Healthy / kubectl apply -k until available; the bound is 15 s"
    _line("push-floor", took, floor, round(PUSH_LIMIT / floor, 1), what)


def _floor(target: Lab, number: int) -> float:
    """The same one-line change by hand, in a namespace that Argo CD does not know."""
    kubectl: list[str | Path] = [target.checkout.tool("kubectl"), "--kubeconfig", target.kubeconfig]
    source = target.folder / "seed/overlays/mogle/staging"
    copy = source.parent / "floor"
    copy.mkdir(exist_ok=True)
    for file in source.iterdir():
        text = file.read_text().replace("namespace: mogle-staging", "namespace: bench-floor")
        if file.name == "kustomization.yaml":
            text += f"commonAnnotations: {{example.com/revision: floor-{number}}}\n"
        (copy / file.name).write_text(text)
    if number == 0:
        run([*kubectl, "create", "namespace", "bench-floor"], timeout=30)
        values = [f"--from-literal=client-secret={number}"]
        run([*kubectl, "-n", "bench-floor", "create", "secret", "generic", "mogle-oauth-42-g1", *values], timeout=30)
    began = time.monotonic()
    run([*kubectl, "apply", "--server-side", "--force-conflicts", "-k", copy], timeout=60)
    run([*kubectl, "-n", "bench-floor", "rollout", "status", "deployment/web", "--timeout=90s"], timeout=100)
    return time.monotonic() - began


def _growth(target: Lab) -> None:
    made = 0
    for size in SIZES:
        for number in range(made, size):
            name = f"bench-{number:03d}"
            words = ["--image", f"registry.example.com/app:1.0@{DIGEST}", "--domain", f"{name}.example.com"]
            done = gitops(target.checkout, "service", "new", name, *words)
            assert done.code == 0, done.err
            with Repo(target.checkout.root) as repo:
                repo.git.add(f"overlays/{name}", ".github/CODEOWNERS")
                repo.index.commit(f"Add {name}", author=TEST, committer=TEST)
        made = size
        commit_all(target.checkout)
        began = time.monotonic()
        labs.push(target, Progress(), seconds=1800)
        seconds, memory = time.monotonic() - began, process.memory(target)
        print(f"growth: services={size} seconds={seconds:.1f} memory={memory / 2**20:.0f} MiB", flush=True)


def _line(name: str, value: float, against: float, bound: float, what: str) -> None:
    print(
        f"bench: {name} ratio={value / against:.2f} bound={bound:g} ({what}; {value:.4g} / {against:.4g})", flush=True
    )


PARTS: dict[str, Callable[[], None]] = {
    "lab": lab,
    "images": partial(images, _line),
    "oauth": partial(oauth, _line),
    "gate": partial(gate, _line),
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        sys.exit(f"bench: no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    for name in wanted:
        PARTS[name]()


if __name__ == "__main__":
    main()
