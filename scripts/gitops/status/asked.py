"""A question whose answer may take a while, or for ever: who waits says how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gitops.ground.errors import ExternalError, UnexpectedError

Reply = TypeVar("Reply")


@dataclass
class Question(Generic[Reply]):
    """`ask` in a thread of its own, begun at once. A process that ends does not wait for it."""

    who: str
    ask: Callable[[], Reply]
    _told: list[Reply] = field(default_factory=list)
    _error: list[Exception] = field(default_factory=list)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._told.append(self.ask())
        except Exception as error:  # of whatever type: it is told by whoever waits
            self._error.append(error)

    def answer(self, until: float) -> Reply:
        """The answer, waited for until a moment of the monotonic clock. Raises what `ask` raised, or ExternalError."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._error:
            raise UnexpectedError.of(self._error[0]) from None
        if not self._told:
            raise ExternalError(f"no answer within {time.monotonic() - self._began:.1f} s")
        return self._told[0]
