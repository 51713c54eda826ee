"""What comes when: one queue of moments, each with what is done at it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime

from tests.year.clock import Clock

Deed = Callable[[], None]


class Events:
    """`until` runs what is due, in the order of its moments; of one moment in the order in which it was said."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._queue: list[tuple[datetime, int, Deed]] = []
        self._numbers = itertools.count()

    def when(self, moment: datetime, deed: Deed) -> None:
        """Do this at `moment`, or as the next thing where that is over."""
        heapq.heappush(self._queue, (max(moment, self.clock.now), next(self._numbers), deed))

    def until(self, end: datetime, arrive: Callable[[datetime], None], see: Callable[[], None]) -> None:
        """Do all that is due before `end`. `arrive` is told of each moment first; `see` looks at what was done."""
        while self._queue and self._queue[0][0] < end:
            moment, _, deed = heapq.heappop(self._queue)
            arrive(moment)
            deed()
            see()
        arrive(end)
