"""A preview as Markdown for a pull request, as HTML, and as lines for a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import partial

from gitops.ground.printable import code, counted, fence, html, table
from gitops.preview.lines import DiffLine, LineKind, diff_lines, object_line, object_lines
from gitops.preview.model import ApplicationChange, ObjectChange, Preview, Resources

# GitHub's limit of a comment, in characters.
LIMIT = 65_536
MARKER = "<!-- gitops: preview -->"
_SIGN = {"added": "+", "changed": "~", "removed": "-", "broken": "!"}
_MIB = 2**20


def headline(preview: Preview) -> str:
    """In one line what happens."""
    counts = preview.counts()
    apps = sum(max(1, len(app.clusters)) for app in preview.applications)
    if not apps:
        return f"nothing changes ({counted(preview.looked, 'Application')} rendered on both sides)"
    broken = sum(app.action == "broken" for app in preview.applications)
    objects = [f"{count} {action}" for action, count in counts.items() if count]
    left = sum(len(app.objects) for app in preview.applications if app.stays)
    objects += [f"{left} left behind"] if left else []
    objects += [f"{broken} no longer rendered"] if broken else []
    return f"{apps} of {preview.looked} rendered Applications change: {', '.join(objects) or 'no object'}"


def delta(preview: Preview) -> str | None:
    """The change in requested CPU and memory and in cost, None where there is none."""
    sides = [(app.before, app.after) for app in preview.applications]
    low, high = (_delta(sides, prefix) for prefix in ("", "most_"))
    if not low and not high:
        return None
    if low == high:
        return f"{low} at any scale"
    return f"{low or 'the same'} at the smallest scale, {high or 'the same'} at the largest"


def _delta(sides: list[tuple[Resources, Resources]], prefix: str) -> str:
    """What is more or less by an amount that one can read; empty where all is the same."""

    def total(what: str) -> float:
        return sum((getattr(new, prefix + what) or 0) - (getattr(old, prefix + what) or 0) for old, new in sides)

    texts = []
    if cpu := round(total("cpu"), 3):
        texts.append(f"CPU {f'{cpu:+.3f}'.rstrip('0').rstrip('.')} cores")
    if memory := round(total("memory") / _MIB):
        texts.append(f"memory {memory:+d} MiB")
    if round(cost := total("cost"), 2):
        texts.append(f"about {cost:+.2f} USD a month")
    return ", ".join(texts)


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
    without = "\n".join(itertools.chain.from_iterable(map(partial(_details, whole=False), preview.applications)))
    why = f"Too long for a comment with all of what comes and goes.{where}"
    if len(folded := f"{head}\n\n{why}\n\n{without}\n{foot}\n") <= LIMIT:
        return folded
    counts = [(app.name, app.action, str(len(app.objects))) for app in preview.applications]
    first, rule, *rows = table(("Application", "", "objects"), counts)
    short = f"\n\nToo long for a comment.{where}\n\n{first}\n{rule}\n"
    while len(head) + len(short) + sum(len(row) + 1 for row in rows) + len(foot) > LIMIT - 200 and rows:
        rows.pop()
    if len(head) > LIMIT // 2 and not rows:
        head = head[: LIMIT // 2].rpartition("\n")[0] + "\n- ..."
    left = len(preview.applications) - len(rows)
    return f"{head}{short}" + "\n".join(rows) + (f"\n\n... and {left} more" if left else "") + f"\n{foot}\n"


def _details(app: ApplicationChange, *, whole: bool = True) -> Iterator[str]:
    """Folded; what comes and what goes is folded in it once more. Not `whole`: without all that these have."""
    extent = f"({app.action}, {counted(len(app.objects), 'object')})"
    # HTML, so as code: in text GitHub would still see mentions.
    yield f"<details><summary>{_SIGN[app.action]} <code>{html(app.name)}</code> {extent}</summary>\n"
    folded = [item for item in app.objects if item.content and whole]
    if app.error:
        yield from fence([line.text for line in diff_lines(app)], "diff")
    elif listed := list(itertools.chain.from_iterable(_lines(item) for item in app.objects if item not in folded)):
        yield from fence(listed, "diff")
    for item in folded:
        first, *rest = object_lines(item)
        yield f"\n<details><summary><code>{html(first.text)}</code></summary>\n"
        yield from fence([line.text for line in rest], "diff")
        yield "</details>"
    yield "</details>\n"


def _lines(item: ObjectChange) -> Iterator[str]:
    if item.content:
        yield object_line(item).text
    else:
        yield from (line.text for line in object_lines(item))


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


def _block(lines: Iterable[DiffLine]) -> str:
    text = "\n".join(f"<span class={_CLASSES[line.kind]}>{html(line.text)}</span>" for line in lines)
    return f"<pre>{text}</pre>"


def _object(item: ObjectChange) -> str:
    """What comes and what goes is folded."""
    if not item.content:
        return _block(object_lines(item))
    first, *rest = object_lines(item)
    return f"<details><summary><code>{html(first.text)}</code></summary>{_block(rest)}</details>"


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
        if app.error:
            parts.append(_block(diff_lines(app)))
        parts += map(_object, app.objects)
        parts.append("</details>")
    return "\n".join(parts) + "\n</html>\n"
