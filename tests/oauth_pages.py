"""Pages of applications as 42 may show them: what several public readers expect of its page, in every combination.

Each variant knows what it shows, and whether a person could read it in one way only. Read must be what it shows or
nothing: `make matrix` prints how many were, `make test` holds a sample to it.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from gitops.oauth import page
from gitops.oauth.blocks import LayoutError
from tests import figures
from tests import oauth_page_shapes as shapes
from tests.oauth_page_shapes import ID, App, Style

VARIANTS = 300


@dataclass(frozen=True)
class Variant:
    """A page. `fault`: what is done to it so that it cannot be read in one way alone; empty where it can."""

    seed: int
    now: datetime
    app: App
    style: Style
    html: str
    fault: str = ""

    @property
    def readable(self) -> bool:
        """Whether a person could read it in one way only."""
        return not self.fault


def variants(count: int = VARIANTS) -> list[Variant]:
    """So many pages, always the same."""
    return [_variant(seed) for seed in range(count)]


def result(variant: Variant) -> str:
    """`read`, `refused` or `wrong`: other values than it shows, or a reading of what has none alone."""
    try:
        reading = page.read(variant.html, ID, variant.now)
    except LayoutError:
        return "refused"
    if reading.otherwise is not None:
        return "refused"  # as the bot does, unless 42's token tells which it is
    app, style = variant.app, variant.style
    shown = app.values["next-secret"] if style.next_shown == "value" else None
    right = (
        reading.uid == app.values["uid"]
        and reading.current is not None
        and reading.current.get_secret_value() == app.values["secret"]
        and (reading.next.get_secret_value() if reading.next else None) == shown
        and reading.valid_until == _first(app.until)
        and (not shown or not shapes.per_secret(style) or _right_dates(reading, app))
    )
    return "read" if right and variant.readable else "wrong"


def _right_dates(reading: page.Reading, app: App) -> bool:
    """A date of the next secret that could be m/d/Y as well may be left out, never be another one."""
    pairs = ((reading.next_from, app.next_from), (reading.next_until, app.next_until))
    return all(read is None or (shown is not None and read == _first(shown)) for read, shown in pairs)


def _first(day: date) -> datetime:
    """When a day begins in the first place on Earth."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=14)


# -- making them


def _variant(seed: int) -> Variant:
    rng = random.Random(seed)
    now = datetime(2026, 1, 1, 9, tzinfo=UTC) + timedelta(days=rng.randrange(730), hours=rng.randrange(12))
    app, style = shapes.make_app(rng, now), shapes.make_style(rng)
    html = shapes.make_page(rng, now, app, style)
    variant = Variant(seed, now, app, style, html, "" if _one_order(app, style, now, html) else "m/d/Y could be meant")
    if rng.random() < 0.35:
        return _faulty(rng, variant)
    return variant


def _one_order(app: App, style: Style, now: datetime, html: str) -> bool:
    """Whether the date of the secret cannot be m/d/Y: by itself, or as another secret's on the page shows."""
    if style.written == "iso" or app.until.day > 12 or app.until.day == app.until.month:
        return True
    swapped = date(app.until.year, app.until.day, app.until.month)
    meant = timedelta(days=-2) <= _first(swapped) - now <= timedelta(days=60)
    text = re.sub(r"<[^>]*>|&nbsp;", " ", html)
    written = re.findall(r"(?:from|until)\s+(\d+)/", text)
    return not meant or any(int(day) > 12 for day in written)


# -- what makes a page one that cannot be read in one way alone

Fault = Callable[[random.Random, Variant], str]


def _another(rng: random.Random, variant: Variant) -> str:
    return f"s-s4t2ud-{shapes.digits(rng)}"


def two_values(rng: random.Random, variant: Variant) -> str:
    """A second block of the same credential with another value."""
    name = rng.choice(["uid", "secret"])
    second = variant.app.values[name][:9] + shapes.digits(rng)
    again = shapes.shown(replace(variant.style, label="inside"), variant.app, name, second)
    return variant.html.replace("<footer>", f"{again}<footer>")


def changed_to(rng: random.Random, variant: Variant) -> str:
    day = variant.app.until
    later = shapes.written(variant.style, day + timedelta(days=7))
    return variant.html.replace(
        shapes.written(variant.style, day), f"{shapes.written(variant.style, day)} changed to {later}"
    )


def too_far(rng: random.Random, variant: Variant) -> str:
    return _redated(variant, variant.now.date() + timedelta(days=rng.randrange(63, 500)))


def in_the_past(rng: random.Random, variant: Variant) -> str:
    return _redated(variant, variant.now.date() - timedelta(days=rng.randrange(4, 500)))


def no_day(rng: random.Random, variant: Variant) -> str:
    new = rng.choice(["31/02/2027", "tomorrow", "00/00/0000", "2027-13-01", "", "1/1/0001", "12/25/2026"])
    return variant.html.replace(shapes.written(variant.style, variant.app.until), new)


def other_words(rng: random.Random, variant: Variant) -> str:
    new = rng.choice(["Expires", "Not valid until", "Was generated on", "Valid to"])
    return variant.html.replace("Valid until", new).replace("Valid\n  until", new)


def hidden(rng: random.Random, variant: Variant) -> str:
    value = variant.app.values["secret"]
    return variant.html.replace(value, value[:12] + rng.choice(["****", "...", "", "0" * 20]))


def same_twice(rng: random.Random, variant: Variant) -> str:
    return variant.html.replace(variant.app.values["next-secret"], variant.app.values["secret"])


def unnamed_secret(rng: random.Random, variant: Variant) -> str:
    return variant.html.replace("<footer>", f"<p>Your new secret: {_another(rng, variant)}</p><footer>")


def in_a_comment(rng: random.Random, variant: Variant) -> str:
    return variant.html.replace("<footer>", f"<!-- {_another(rng, variant)} --><footer>")


def anothers(rng: random.Random, variant: Variant) -> str:
    """Another application's page."""
    return variant.html.replace(f"-{ID}]", "-49999]")


def cut_off(rng: random.Random, variant: Variant) -> str:
    return variant.html[: rng.randrange(len(variant.html) - 8)]


def new_name(rng: random.Random, variant: Variant) -> str:
    """The next secret under another name: others took that for none."""
    html = variant.html.replace("data-app-next-secret", "data-app-upcoming").replace("NEXT SECRET", "UPCOMING")
    return html if variant.style.value in ("pre", "credential") else html.replace("data-copy", "data-target")


def ends_before(rng: random.Random, variant: Variant) -> str:
    """One date more, before the current secret's: the next one's it cannot be."""
    earlier = shapes.written(variant.style, variant.app.until - timedelta(days=1))
    block = f'<div class="rotation-actions">Valid until {earlier}</div>'
    return variant.html.replace("</div>\n<footer>", f"{block}</div>\n<footer>")


FAULTS: tuple[Fault, ...] = (
    two_values, changed_to, too_far, in_the_past, no_day, other_words, hidden, same_twice, unnamed_secret, in_a_comment,
    anothers, cut_off, new_name, ends_before,
)  # fmt: skip


def _redated(variant: Variant, day: date) -> str:
    return variant.html.replace(shapes.written(variant.style, variant.app.until), shapes.written(variant.style, day))


def _faulty(rng: random.Random, variant: Variant) -> Variant:
    fits = [fault for fault in FAULTS if fault not in (same_twice, new_name) or variant.style.next_shown == "value"]
    if variant.style.value in ("pre", "credential"):
        fits.remove(anothers)  # such a page names no application: its address does
    if variant.style.neighbour != "none":
        fits.remove(ends_before)  # it may be the other application's
    fault = rng.choice(fits)
    html = fault(rng, variant)
    assert html != variant.html, f"{fault.__name__} changes nothing of variant {variant.seed}"
    return replace(variant, html=html, fault=fault.__name__)


# -- counting


@dataclass
class Tally:
    """How the pages were read. `missed`: seeds of those that a person could read and were refused."""

    results: Counter[str] = field(default_factory=Counter)
    missed: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """What the closing line says, by name."""
        readable = self.results["read"] + len(self.missed) + self.results["wrong readable"]
        return {
            "variants": self.results.total(),
            "wrong": len(self.wrong),
            "readable": readable,
            "read": self.results["read"],
        }


def tally(pages: Iterable[Variant]) -> Tally:
    """Read each of them."""
    counted = Tally()
    for variant in pages:
        outcome = result(variant)
        if outcome == "wrong":
            counted.wrong.append(variant.seed)
            outcome = "wrong readable" if variant.readable else "wrong"
        elif outcome == "refused" and variant.readable:
            counted.missed.append(variant.seed)
        counted.results[outcome] += 1
    return counted


def main() -> int:
    """Read them all. Returns the exit code."""
    counted = tally(variants())
    if counted.wrong or counted.missed:
        print(f"wrong: {counted.wrong}; readable and refused: {counted.missed}")
    counts = counted.counts
    print("pages: " + " ".join(f"{name}={count}" for name, count in counts.items()))
    figures.record("pages", counts)
    return 1 if counted.wrong or counts["read"] < 0.95 * counts["readable"] else 0


if __name__ == "__main__":
    sys.exit(main())
