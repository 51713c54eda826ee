"""A preview as Markdown for a pull request, as HTML, and as lines for a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from gitops.ground.printable import code, fence, html, table
from gitops.preview.lines import LineKind, diff_lines
from gitops.preview.model import ApplicationChange, Preview, Resources

# GitHub's limit of a comment, in characters.
LIMIT = 65_536
MARKER = "<!-- gitops: preview -->"
_SIGN = {"added": "+", "changed": "~", "removed": "-", "broken": "!"}
_MIB = 2**20


def headline(preview: Preview) -> str:
    """In one line what happens."""
    counts = preview.counts()
    apps = len(preview.applications)
    objects = ", ".join(f"{count} {action}" for action, count in counts.items() if count) or "no object"
    return f"{apps} of {preview.looked} rendered Applications change: {objects}"


def delta(preview: Preview) -> str | None:
    """The change in requested CPU and memory and in cost, None where there is none."""
    sides = [(app.before, app.after) for app in preview.applications]
    low, high = (_delta(sides, most) for most in (False, True))
    return f"at least scale {low}; at largest scale {high}" if low or high else None


def _delta(sides: list[tuple[Resources, Resources]], most: bool) -> str:
    prefix = "most_" if most else ""

    def total(what: str) -> float:
        return sum((getattr(new, prefix + what) or 0) - (getattr(old, prefix + what) or 0) for old, new in sides)

    cpu, memory, cost = total("cpu"), total("memory"), total("cost")
    if not cpu and not memory:
        return ""
    return f"CPU {cpu:+.2f} cores, memory {memory / _MIB:+.0f} MiB" + (
        f", about {cost:+.2f} USD a month" if cost else ""
    )


def markdown(preview: Preview, *, artifact: str = "") -> str:
    """The comment; over GitHub's limit only its summary, with where the whole is (`artifact`)."""
    lines = [MARKER, f"### What this change does: {headline(preview)}", ""]
    for app in preview.applications:
        lines += [f"- :warning: **{code(app.name)}**: {code(line)}" for line in app.notable]
        if app.error:
            lines.append(f"- :x: **{code(app.name)}** does not render")
    if requested := delta(preview):
        lines += ["", f"Requested: {requested}"]
    head = "\n".join(lines)
    body = "\n".join(itertools.chain.from_iterable(map(_details, preview.applications)))
    span = f"{code(preview.base[:60])}..{code(preview.head_sha[:12] or preview.head[:60])}"
    foot = f"\n<sub>{span}; values of secrets are hidden</sub>"
    whole = f"{head}\n\n{body}\n{foot}\n"
    if len(whole) <= LIMIT:
        return whole
    where = f" The whole is the artifact {artifact}." if artifact else ""
    counts = [(app.name, app.action, str(len(app.objects))) for app in preview.applications]
    first, rule, *rows = table(("Application", "", "objects"), counts)
    short = f"\n\nToo long for a comment.{where}\n\n{first}\n{rule}\n"
    while len(head) + len(short) + sum(len(row) + 1 for row in rows) + len(foot) > LIMIT - 200 and rows:
        rows.pop()
    if len(head) > LIMIT // 2 and not rows:
        head = head[: LIMIT // 2].rpartition("\n")[0] + "\n- ..."
    left = len(preview.applications) - len(rows)
    return f"{head}{short}" + "\n".join(rows) + (f"\n\n... and {left} more" if left else "") + f"\n{foot}\n"


def _details(app: ApplicationChange) -> Iterator[str]:
    extent = f"({app.action}, {len(app.objects)} objects)"
    # HTML, so as code: in text GitHub would still see mentions.
    yield f"<details><summary>{_SIGN[app.action]} <code>{html(app.name)}</code> {extent}</summary>\n"
    yield from fence([line.text for line in diff_lines(app)], "diff")
    yield "</details>\n"


_COLOURS: dict[LineKind, str] = {"added": "green", "removed": "red", "header": "cyan", "error": "red"}


def terminal(preview: Preview) -> Iterator[tuple[str, str]]:
    """For a person: the same as lines, each with its style."""
    yield headline(preview), "bold"
    if requested := delta(preview):
        yield f"requested: {requested}", ""
    for app in preview.applications:
        yield "", ""
        yield f"{_SIGN[app.action]} {app.name} ({app.action})", "bold"
        for line in app.notable:
            yield f"  ! {line}", "yellow"
        for row in diff_lines(app):
            yield f"  {row.text}", _COLOURS[row.kind]


_STYLE = (
    "body{font:15px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "pre{overflow:auto;background:#f6f8fa;padding:.7rem}"
    ".a{color:#116329}.r{color:#82071e}.c{color:#0550ae}.w{color:#9a6700}"
)
_CLASSES: dict[LineKind, str] = {"added": "a", "removed": "r", "header": "c", "error": "n"}


def page(preview: Preview) -> str:
    """One HTML file that needs nothing else."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>gitops preview</title>",
        f"<style>{_STYLE}</style><h1>{html(headline(preview))}</h1>",
    ]
    if requested := delta(preview):
        parts.append(f"<p>Requested: {html(requested)}</p>")
    for app in preview.applications:
        parts.append(f"<details open><summary><b>{html(app.name)}</b> ({app.action})</summary>")
        parts += [f"<p class=w>{html(line)}</p>" for line in app.notable]
        text = "\n".join(f"<span class={_CLASSES[line.kind]}>{html(line.text)}</span>" for line in diff_lines(app))
        parts.append(f"<pre>{text}</pre></details>")
    return "\n".join(parts) + "\n</html>\n"
