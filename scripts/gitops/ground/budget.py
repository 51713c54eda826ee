"""The time that a run has: a job that is ended from outside can tell nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gitops.ground.errors import ExternalError


class NotReachedError(ExternalError):
    """A run's time was over before this one's turn (exit 4)."""


@dataclass
class Budget:
    """`seconds` from now on, by `clock` (seconds, never backwards)."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def left(self) -> float:
        """Seconds that are left; 0 once it is over."""
        return max(0.0, self._began + self.seconds - self.clock())

    def check(self) -> None:
        """Raise NotReachedError where it is over."""
        if not self.left:
            minutes = f"{self.seconds / 60:.0f} minutes"
            fix = "run it again; the log says who answered late"
            raise NotReachedError(f"not reached: the {minutes} of this run were over", fix=fix)
