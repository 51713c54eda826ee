"""The time that a run has: a job that is ended from outside can tell nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gitops.ground.errors import ExternalError
from gitops.ground.printable import counted


class NotReachedError(ExternalError):
    """A run's time was over before this one's turn (exit 4)."""


@dataclass
class Budget:
    """`seconds` from now on, by `clock` (seconds, never backwards)."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _ended: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def left(self) -> float:
        """Seconds that are left; 0 once it is over."""
        return 0.0 if self._ended else max(0.0, self._began + self.seconds - self.clock())

    def end(self, why: str) -> None:
        """It is over now, for the reason `why`: what comes yet would only fail likewise."""
        self._ended = self._ended or why

    def check(self) -> None:
        """Raise NotReachedError where it is over."""
        if self._ended:
            raise NotReachedError(f"not reached: {self._ended}", fix="run it again later")
        if not self.left:
            minutes = counted(round(self.seconds / 60), "minute")
            fix = "run it again; the log says who answered late"
            raise NotReachedError(f"not reached: the {minutes} of this run were over", fix=fix)
