"""A page of an application, made of a style: the shapes of tests/oauth_pages.py.

What public readers of 42's page expect, beside the elements with `data-copy`: a block of dates for each secret, or one
for all; a next secret that is a dash, plain text, or not there; a date from which it is accepted; plain `<pre>` under a
heading.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

ID, OTHER = "41002", "41003"
LABELS = {"uid": "UID", "secret": "SECRET", "next-secret": "NEXT SECRET"}
NONE = "-"


@dataclass(frozen=True)
class App:
    """An application as 42 knows it."""

    number: str
    values: dict[str, str]
    until: date
    next_from: date | None
    next_until: date | None


@dataclass(frozen=True)
class Style:
    """How a page shows it. Each field is a feature that some reader of the page expects, or that any page may have."""

    value: str  # clipboard, both, text, pre, credential
    next_shown: str  # value, dash, dash-text, absent
    dates: str  # one-end, one-start, one-middle, nested, after, before, ordered
    written: str = "d/m/Y"  # d/m/Y, short, iso
    tag: str = "div"
    classes: str = "copy"
    label: str = "inside"  # inside, outside, none
    extras: tuple[str, ...] = ()
    neighbour: str = "none"  # none, after, before, sections
    heading: str = "h4"  # and dt, label, strong, th
    wrapped: str = "{}"  # how a date is marked up
    trailing: str = ""  # what stands behind a date
    block: str = "rotation-actions"  # the class of a block of dates


def digits(rng: random.Random) -> str:
    return f"{rng.getrandbits(256):064x}"


def make_app(rng: random.Random, now: datetime, number: str = ID) -> App:
    values = {"uid": f"u-s4t2{rng.choice(['ud', 'af'])}-{digits(rng)}"}
    values |= {name: f"s-s4t2{rng.choice(['ud', 'af'])}-{digits(rng)}" for name in ("secret", "next-secret")}
    until = now.date() + timedelta(days=rng.randrange(1, 15))
    since = rng.choice([None, until - timedelta(days=rng.randrange(0, 3))])
    after = rng.choice([None, until + timedelta(days=14)])
    return App(number, values, until, since, after)


def make_style(rng: random.Random) -> Style:
    value = rng.choice(["clipboard", "clipboard", "both", "text", "pre", "credential"])
    style = Style(
        value=value,
        next_shown=rng.choice(["value", "value", "value", "dash", "dash-text", "absent"]),
        dates=rng.choice(["one-end", "one-start", "one-middle", "nested", "after", "before", "ordered", "buttons"]),
        written=rng.choice(["d/m/Y", "d/m/Y", "short", "iso"]),
        tag=rng.choice(["div", "div", "button", "span"]),
        classes=rng.choice(["copy", "copy", "copy btn", "clip", "credential-copy"]),
        label="inside" if value in ("pre", "credential") else rng.choice(["inside", "outside", "none"]),
        neighbour=rng.choice(["none", "none", "after", "before", "sections"]),
    )
    style = replace(
        style,
        heading=rng.choice(["h4", "h4", "dt", "label", "strong", "th"]),
        wrapped=rng.choice(["{}", "{}", "<b>{}</b>", '<time class="day">{}</time>']),
        trailing=rng.choice(["", "", " (in some days)", " 10:00", "."]),
        block=rng.choice(["rotation-actions", "rotation-actions", "rotation-actions row", "validity"]),
    )
    extras = [
        "attribute",
        "comment",
        "menu",
        "modal",
        "script",
        "banner",
        "owner",
        "quotes",
        "space",
        "nbsp",
        "again",
        "data",
    ]
    style = replace(style, extras=tuple(rng.sample(extras, rng.randrange(4))))
    if style.value in ("pre", "credential"):
        style = replace(style, neighbour="none", label=rng.choice(["inside", "outside"]))  # nothing names applications
    if style.neighbour == "sections" and style.dates in ("one-end", "one-start"):
        return style
    if style.neighbour != "none" and style.dates in ("one-middle", "before", "buttons"):
        return replace(style, dates="after")
    return style


def per_secret(style: Style) -> bool:
    return style.dates in ("nested", "after", "before", "ordered")


def written(style: Style, day: date) -> str:
    if style.written == "iso":
        return day.isoformat()
    return f"{day.day}/{day.month}/{day.year}" if style.written == "short" else f"{day:%d/%m/%Y}"


def _day(style: Style, day: date) -> str:
    return style.wrapped.format(written(style, day))


def _until(style: Style, app: App, buttons: str = "") -> str:
    return f'<div class="{style.block}">Valid until {_day(style, app.until)}{style.trailing} {buttons}</div>'


def _next_period(style: Style, app: App) -> str:
    words = f"Valid from {_day(style, app.next_from)}" if app.next_from else ""
    if app.next_until:
        words += f"{' ' if words else 'Valid '}until {_day(style, app.next_until)}"
    return f'<div class="{style.block}">{words} {_buttons(app)}</div>'


def _buttons(app: App) -> str:
    return (
        f'<a href="/oauth/applications/{app.number}/replace" data-method="post">Replace now</a> '
        f'<a href="/oauth/applications/{app.number}/generate" data-method="post">Generate now</a>'
    )


def shown(style: Style, app: App, name: str, value: str, inner: str = "") -> str:
    label = f"<{style.heading}>{LABELS[name]}</{style.heading}>" if style.label != "none" else ""
    more = f' title="Copy" data-original-title="" id="c{len(name)}"' if "attribute" in style.extras else ""
    comment = "<!-- copied by clipboard.js -->" if "comment" in style.extras else ""
    mark = f'data-copy="[data-app-{name}-{app.number}]"'
    shown = {
        "clipboard": f'<{style.tag} class="{style.classes}" {mark} data-clipboard-text="{value}"{more}>{comment}'
        f"<span>{value[:12]}</span></{style.tag}>",
        "both": f'<{style.tag} class="{style.classes}" {mark}{more} data-clipboard-text="{value}">{comment}'
        f"<code>{value}</code></{style.tag}>",
        "text": f'<{style.tag} {mark} class="{style.classes}"{more}>{value}{comment}</{style.tag}>',
        "pre": f"<pre{more}>{value}</pre>{comment}",
        "credential": f"<p{more}>{comment}{value}</p>",
    }[style.value]
    if style.label == "outside":
        return f'{label}<div class="credential">{shown}{inner}</div>\n'
    return f'<div class="credential">{label}{shown}{inner}</div>\n'


def _dash(style: Style, app: App, inner: str) -> str:
    """A next secret that is none: as the others are shown, or as a dash alone."""
    if style.next_shown == "dash" or style.label == "none":
        return shown(style, app, "next-secret", NONE, inner)
    if style.label == "outside":
        return f'<{style.heading}>NEXT SECRET</{style.heading}><div class="credential">-{inner}</div>\n'
    return f'<div class="credential"><{style.heading}>NEXT SECRET</{style.heading}><span>-</span>{inner}</div>\n'


def _block(style: Style, app: App) -> str:
    """All of one application."""
    both = style.next_shown == "value"
    until, following = (
        _until(style, app),
        _next_period(style, app) if both else f'<div class="rotation-actions">{_buttons(app)}</div>',
    )
    nested = style.dates == "nested"
    uid = shown(style, app, "uid", app.values["uid"])
    secret = shown(style, app, "secret", app.values["secret"], until if nested else "")
    inner = following if nested else ""
    upcoming = ""
    if both:
        upcoming = shown(style, app, "next-secret", app.values["next-secret"], inner)
    elif style.next_shown != "absent":
        upcoming = _dash(style, app, inner)
    one = _until(style, app, _buttons(app))
    gone = not upcoming
    return {
        "one-end": f"{uid}{secret}{upcoming}{one}",
        "one-start": f"{one}{uid}{secret}{upcoming}",
        "one-middle": f"{uid}{secret}{one}{upcoming}",
        "nested": f"{uid}{secret}{upcoming}",
        "after": f"{uid}{secret}{until}{upcoming}{'' if gone else following}",
        "before": f"{uid}{until}{secret}{'' if gone else following}{upcoming}",
        "ordered": f"{uid}{secret}{upcoming}{until}{'' if gone else following}",
        "buttons": f'{uid}{secret}{until}<div class="rotation-actions">{_buttons(app)}</div>{upcoming}',
    }[style.dates]


def make_page(rng: random.Random, now: datetime, app: App, style: Style) -> str:
    block = _block(style, app)
    if style.neighbour != "none":
        beside = _block(replace(style, next_shown="value"), make_app(rng, now, OTHER))
        if style.neighbour == "sections":
            parts = [f'<section class="app">{part}</section>' for part in (block, beside)]
            rng.shuffle(parts)
            block = "".join(parts)
        else:
            block = f"{block}{beside}" if style.neighbour == "after" else f"{beside}{block}"
    top = {
        "menu": '<nav><div class="menu" data-copy="[page]">Profile</div></nav>',
        "modal": '<div id="flashModal"><div class="modal-header"><button class="close">x</button></div></div>',
        "script": f"<script>var shown = '{app.values['secret'][:20]}...';</script>",
        "banner": f'<div class="alert">Maintenance on {now.day}/{now.month}/{now.year}</div>',
        "owner": '<div class="application-info"><span>An app</span> by <a href="/users/jdoe">jdoe</a></div>',
        "again": f'<div class="modal"><input type="text" readonly value="{app.values["secret"]}"></div>',
        "data": f'<div class="apps-root" data=\'[{{"id":{app.number},"uid":"{app.values["uid"]}"}}]\'></div>',
    }
    head = "".join(text for name, text in top.items() if name in style.extras)
    html = (
        '<!DOCTYPE html>\n<html>\n<head><title>Application</title><meta name="csrf-token" content="t"></head>\n<body>\n'
        f'{head}<h1>Application</h1>\n<div class="credentials">\n{block}</div>\n<footer>42</footer>\n</body>\n</html>\n'
    )
    if "quotes" in style.extras:
        html = html.replace('"', "'")
    if "nbsp" in style.extras:
        html = html.replace("Valid until ", "Valid until&nbsp;")
    return html.replace("Valid until", "Valid\n  until") if "space" in style.extras else html
