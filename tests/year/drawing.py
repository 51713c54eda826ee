"""The year as a picture: for each overlay its generations, what hindered them and what Slack heard; above, what was
away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

from tests.year.clock import DAY
from tests.year.cluster import Held
from tests.year.conditions import Message
from tests.year.plan import Plan
from tests.year.score import Window

LEFT, TOP, ROW, WIDTH = 190, 150, 44, 1200
COLOURS = {
    "42": "#d9480f",
    "GitHub": "#495057",
    "Actions": "#868e96",
    "ECR": "#1971c2",
    "Argo CD": "#7048e8",
    "42's layout": "#e8590c",
}
GENERATIONS = ("#2b8a3e", "#8ce99a")


@dataclass(frozen=True)
class Row:
    """One overlay: what its pods held, what 42 showed, the spans in which it was hindered, the seconds without."""

    name: str
    held: Sequence[Held]
    issued: Sequence[Window]
    hindered: Sequence[tuple[datetime, datetime, str]]
    states: Sequence[tuple[datetime, str]]
    without: float


class Picture:
    """An SVG of a plan's span."""

    def __init__(self, plan: Plan, rows: Sequence[Row], messages: Sequence[Message], line: str) -> None:
        self.plan, self.rows, self.messages = plan, rows, messages
        width = LEFT + WIDTH + 30
        height = TOP + ROW * (len(rows) + 1) + 40
        self.bottom = height - 40
        size = {"width": f"{width:.0f}", "height": f"{height:.0f}", "viewBox": f"0 0 {width:.0f} {height:.0f}"}
        style = {"font-family": "sans-serif", "font-size": "11"}
        self.root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **style})
        self._box(0, 0, width, height, "#ffffff")
        self._text(10, 20, line, size="13")
        self._months()
        self._outages()
        for number, row in enumerate(rows):
            self._row(TOP + ROW * number, row)
        self._alerts(TOP + ROW * len(rows))

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(self.root).write(file, encoding="utf-8", xml_declaration=True)

    def _x(self, moment: datetime) -> float:
        inside = min(max(moment, self.plan.begin), self.plan.end)
        return LEFT + (inside - self.plan.begin) / (self.plan.end - self.plan.begin) * WIDTH

    def _months(self) -> None:
        day = self.plan.begin
        while day < self.plan.end:
            if day.day == 1 or day == self.plan.begin:
                self._box(self._x(day), TOP - 14, 0.6, self.bottom - TOP + 14, "#ced4da")
                self._text(self._x(day) + 2, TOP - 4, f"{day:%b}")
            day += DAY

    def _outages(self) -> None:
        for number, (what, colour) in enumerate(COLOURS.items()):
            y = 34 + 13 * number
            self._text(10, y + 9, f"{what} changed" if "layout" in what else f"{what} away", colour=colour)
            for outage in self.plan.outages:
                if outage.what == what:
                    self._span(outage.begin, outage.end, y, 10, colour, f"{what}: {outage.hours:.0f} h")
        self._text(10, 34 + 13 * len(COLOURS) + 9, "freeze", colour="#0b7285")
        for freeze in self.plan.freezes:
            self._span(freeze.begin, freeze.end, 34 + 13 * len(COLOURS), 10, "#66d9e8", "freeze")

    def _row(self, y: float, row: Row) -> None:
        self._text(10, y + 18, row.name)
        self._text(10, y + 32, f"without: {row.without:.0f} s", colour="#c92a2a" if row.without else "#868e96")
        for number, period in enumerate(row.held):
            until = row.held[number + 1].since if number + 1 < len(row.held) else self.plan.end
            self._span(period.since, until, y + 6, 16, GENERATIONS[number % 2], period.secret)
        for window in row.issued:
            self._box(self._x(window.shown), y + 2, 0.8, 24, "#1864ab", "42 shows the next secret")
            if window.switch:
                self._box(self._x(window.switch), y + 2, 0.8, 24, "#c92a2a", "42 refuses the one before")
        for begin, end, what in row.hindered:
            self._span(begin, end, y + 24, 4, "#f08c00", what)
        for moment, state in row.states:
            self._dot(self._x(moment), y + 33, 1.6, _shade(state), state)

    def _alerts(self, y: float) -> None:
        self._text(10, y + 18, "Slack")
        for message in self.messages:
            self._dot(
                self._x(message.moment),
                y + 15,
                2,
                _urgency(message.text),
                f"{message.moment:%Y-%m-%d %H:%M} {message.text}"[:300],
            )

    # -- what it is drawn with

    def _span(self, begin: datetime, end: datetime, y: float, height: float, colour: str, title: str) -> None:
        self._box(self._x(begin), y, max(0.8, self._x(end) - self._x(begin)), height, colour, title)

    def _box(self, x: float, y: float, width: float, height: float, colour: str, title: str = "") -> None:
        place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}", "fill": colour}
        self._titled(ElementTree.SubElement(self.root, "rect", place), title)

    def _dot(self, x: float, y: float, radius: float, colour: str, title: str) -> None:
        place = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:.1f}", "fill": colour}
        self._titled(ElementTree.SubElement(self.root, "circle", place), title)

    def _text(self, x: float, y: float, text: str, *, colour: str = "#212529", size: str = "11") -> None:
        place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": colour, "font-size": size}
        ElementTree.SubElement(self.root, "text", place).text = text

    def _titled(self, element: ElementTree.Element, title: str) -> None:
        if title:
            ElementTree.SubElement(element, "title").text = title


def _shade(state: str) -> str:
    if state in ("BLOCKED", "AT_RISK", "EXPIRED"):
        return "#c92a2a"
    return "#f59f00" if state in ("DUE", "PR_OPEN", "MERGED", "SYNCED", "WAITING", "SCHEDULED") else "#adb5bd"


def _urgency(text: str) -> str:
    """The colour of a message by its sign: an emergency, a warning, or news."""
    return "#c92a2a" if ":rotating_light:" in text else "#f59f00" if ":warning:" in text else "#adb5bd"
