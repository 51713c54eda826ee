"""Progress of long work: a live line on a terminal, plain lines elsewhere, on standard error either way."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from gitops.ground import columns, printable


@dataclass
class Step:
    """One step of the work. `seconds` is how long it took, once it is over; `note` is added to its closing line.

    `gain`: what whoever waited for it has by it, in one sentence; empty where that is nothing to tell.
    """

    name: str
    gain: str = ""
    seconds: float = 0.0
    note: str = ""


@dataclass
class Progress:
    """Collects the steps of one command and shows them as they happen."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    quiet: bool = False
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(
        self,
        name: str,
        *,
        expected: float | None = None,
        after: float = 0.0,
        note: Callable[[], str] | None = None,
        gain: str = "",
    ) -> Iterator[Step]:
        """Show `name` while the block runs, then the seconds that it took.

        `expected`: seconds that it usually takes, `after`: seconds of the steps behind it; both only feed 'left'.
        `note`: asked again and again for a word on how far the work is. `gain`: the step's.
        """
        step = Step(name, gain)
        began = time.monotonic()
        done = threading.Event()
        from gitops.ground import settings

        # In CI plain lines, whatever its log calls itself: a live line would stand before a `::add-mask::`, which
        # counts at the beginning of a line alone.
        live = columns.draws(self.stream) and not settings.read().ci

        def line() -> str:
            spent = time.monotonic() - began
            text = f"{name} {note() if note else ''}".rstrip()
            if expected is None:
                return f"{text}: {spent:.0f} s"
            far = min(99, round(100 * spent / max(expected, 0.1)))
            return f"{text}: {far} %, about {_span(max(0.0, expected - spent) + after)} left"

        def show() -> None:
            from rich.console import Console
            from rich.text import Text

            console = Console(file=self.stream, highlight=False)
            with console.status(Text(printable.line(line()))) as status:
                while not done.wait(0.25):
                    status.update(Text(printable.line(line())))

        def tell() -> None:
            while not done.wait(20):
                self._print(line())

        if not self.quiet and expected is not None and not live:
            self._print(line())
        watcher = threading.Thread(target=show if live else tell, daemon=True)
        if not self.quiet:
            watcher.start()
        try:
            yield step
        finally:
            step.seconds = time.monotonic() - began
            done.set()
            if not self.quiet:
                watcher.join()
            self.steps.append(step)
        self._print(f"{name}: {step.seconds:.1f} s{f' ({step.note})' if step.note else ''}")

    def _print(self, text: str) -> None:
        if not self.quiet:
            print(printable.log(text), file=self.stream, flush=True)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
