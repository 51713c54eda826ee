"""Starting parts of a lab and waiting for them, and its control plane alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from gitops.lab import pki, process
from gitops.lab.layout import Lab, check_free
from gitops.lab.part import Part
from gitops.lab.parts import PARTS, READY_SECONDS, all_parts

# What chooses other ports.
_ANEW = ("reset", "up")
_OTHER_PORTS = "end that program, or choose new ports: {}, then {}"


def start(lab: Lab, names: Collection[str]) -> None:
    """Start those of the named parts that do not run, wave after wave, and wait until each answers."""
    running = process.running(lab).keys()
    named = [part for part in all_parts(lab) if part.name in names]
    for wave in sorted({part.wave for part in named}):
        _start(lab, [part for part in named if part.wave == wave and part.name not in running])
        _ready(lab, [part for part in named if part.wave <= wave])


def control_plane(lab: Lab, *, bound: bool = False, stored: bool = False) -> None:
    """Start what answers the Kubernetes API, and nothing that acts on what it is told: etcd and kube-apiserver.

    What runs already stays. `bound`: it ends with this thread; `stored`: its data is that of one before.

    Raises MachineError (a port is taken), NotHealthyError (a part died, with its log's end).
    """
    if not lab.exists:
        lab.create(0, private=False)
    pki.write(lab)
    (lab.folder / "tmp").mkdir(exist_ok=True)
    end_where_network_died(lab)
    own = (process.NETWORK, "etcd", "kube-apiserver")
    parts = [part for part in all_parts(lab, stored=stored) if part.name in own]
    running = process.running(lab).keys()
    for part in parts:
        if part.name not in running:
            _start(lab, [part], bound=bound)
        _ready(lab, [part])


def _start(lab: Lab, parts: Iterable[Part], *, bound: bool = False) -> None:
    parts = list(parts)
    settings = lab.settings()
    for part in parts:
        # Nobody else has a port in the lab's network.
        for port in part.ports if part.name == process.NETWORK or not settings.private else ():
            check_free(
                f"{port} of lab {lab.name!r}", settings.ports[port], fix=_OTHER_PORTS.format(*map(lab.command, _ANEW))
            )
    for part in parts:
        for word in part.argv:
            if isinstance(word, Path) and word.parent == lab.checkout.tools / "bin":
                lab.checkout.tool(word.name)
        process.start(lab, part.name, part.argv, part.env, bound=bound)


def end_where_network_died(lab: Lab) -> None:
    """Nobody can follow the parts of a lab into a network whose process died, and nobody reaches them there."""
    alive = process.running(lab)
    if lab.settings().private and alive and process.NETWORK not in alive:
        end(lab)


def _ready(lab: Lab, parts: list[Part]) -> None:
    for part in parts:
        what = f"{part.name} answers"
        alive = partial(check_alive, lab, parts)
        process.wait_until(what, part.ready, seconds=READY_SECONDS, alive=alive, every=0.05)


def check_alive(lab: Lab, parts: Iterable[Part] | None = None) -> None:
    """Raise NotHealthyError that names the first dead part, with the end of its log, or says that none runs."""
    alive = process.running(lab)
    if not alive and not process.running(lab):
        raise process.is_down(lab)
    for part in parts or all_parts(lab):
        # A second look: a part that changes its namespace cannot be seen for a moment.
        if part.name not in alive and part.name not in process.running(lab):
            raise process.dead_part(lab, part.name)


def end(lab: Lab) -> int:
    """End every process of the lab and keep its state. Returns how many there were."""
    # Without its etcd the API server would not end by itself: it waits until it is killed.
    return process.end_all(lab, order=list(reversed(PARTS)), last="etcd")
