"""The API server's English, turned into findings. It says what is wrong in no other way; only this module reads it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from gitops.clients.kubernetes import ClusterError
from gitops.ground import printable
from gitops.ground.errors import ExternalError
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import MERGE_KEYS, Object, value_at
from gitops.manifests.pods import template
from gitops.manifests.quantity import is_quantity

_DENIED = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)", re.DOTALL)
_AT = re.compile(r"^at (\S+): (.*)", re.DOTALL)
# A merge that the server cannot make: '...: .spec.containers[name="app"].env: duplicate entries for key ...'
_TYPED = re.compile(r"typed patch object .*?: \.(\S+): (duplicate entries .*)")
# Fields whose keys are a person's own.
_KEYED = (("labels",), ("annotations",), ("matchLabels",), ("selector",), ("nodeSelector",))
# What it quotes before it says what is wrong with it: a whole container, at times.
_VALUE = re.compile(r'(?<=Invalid value: )(\{.*\}|\[.*\]|"(?:[^"\\]|\\.)*")(?=: )', re.DOTALL)
_LONGEST_VALUE, _LONGEST = 80, 2000
# Two things that do not go together: the server names one of them, which may be the base's.
_TOGETHER = re.compile(r"may not (be )?specif|cannot be (both|set)|both set|Duplicate value|must be (greater|less)")
_UNKNOWN = re.compile(r'unknown field "([^"]+)"')


@dataclass(frozen=True)
class Denial:
    """A policy that refused an object, and its words."""

    policy: str
    text: str


def decisive(text: str) -> str:
    """The API server's words on one line, all of them: only the value that it was given, which is known, is cut."""
    return printable.elided(_VALUE.sub(lambda value: printable.elided(value[0], _LONGEST_VALUE), text), _LONGEST)


def denial(error: ClusterError) -> Denial | None:
    """Which policy a refusal comes from; None where it is the API server's own."""
    denied = _DENIED.search(error.reason)
    return Denial(denied[1], denied[2].strip()) if denied else None


def refusal(unit: Unit, item: Object, error: ClusterError, prefix: tuple[str, ...]) -> Iterator[Finding]:
    """What a refusal says is wrong, each at its field. `prefix`: of the pod's template, where a pod was asked for.

    Raises ExternalError where it is no verdict on the object: the server could not be reached, or broke.
    """
    if denied := denial(error):
        match = _AT.match(denied.text)
        path = _policy_path(item, match[1]) if match else ()
        fix = "write what it asks for; what must break it for a while is a file in policies/exceptions"
        if "metadata.annotations[" in denied.text:
            fix = "take it out: what no program of this cluster reads, or what is not a service's, changes nothing here"
        finding = unit.finding("policy", item, path, denied.text, fix, policy=denied.policy)
        # A base's image has a name for an overlay's entry alone.
        if "image" in path[-2:] and finding.place.of_base:
            fix = f"give the base's image its name, tag and digest in images of {unit.places.top.file}"
            finding = replace(finding, place=unit.places.field("images") or unit.places.top, fix=fix)
        yield finding
        return
    rule = "pod" if prefix else "api-server"
    word = "its pods: " if prefix else ""
    # What it cannot even decode (a quantity that is none, an item twice) it calls its own error.
    if error.status == 0 or (error.status >= 500 and not error.reason.startswith("failed to ")):
        raise ExternalError(f"the API server: {error.reason or error}")
    if "quantities must match" in error.reason:
        for path in _no_quantities(item):
            yield unit.finding(rule, item, path, f"{word}no quantity", "write one such as 50m, 128Mi or 1Gi")
        return
    if "violates PodSecurity" in error.reason:
        for path, what in _pod_security(item, error.reason):
            yield unit.finding(rule, item, path, f"{word}Pod Security (restricted): {what}", "leave it as base/ has it")
        return
    unknown, typed = _UNKNOWN.findall(error.reason), _TYPED.search(error.reason)
    if typed:
        field = re.sub(r'\[\w+="?([^"\]]*)"?\]', r"[\1]", typed[1])
        yield unit.finding(
            rule, item, (*prefix, *field_path(item, field)), f"{word}{field}: {typed[2]}", "take one of them out"
        )
        return
    causes = [(field.lstrip("."), f"unknown field {field}") for field in unknown] or list(error.causes)
    for field, message in causes or [("", error.reason)]:
        path = (*prefix, *_deepened(value_at(item, prefix), field, message))
        if ("lifecycle", "preStop") in itertools.pairwise(path):
            path = _shorter_grace(unit, item, path)
        if _TOGETHER.search(message):
            path = _own_beside(unit, item, path, message)
        yield unit.finding(
            rule,
            item,
            path,
            f"{word}{field + ': ' if field else ''}{decisive(message)}",
            "write what the API server asks for",
        )


def _shorter_grace(unit: Unit, item: Object, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The pod's grace period, where that is what was changed: the base's own leaves room for its preStop at `path`."""
    pod = next(n for n, step in enumerate(path) if step in ("containers", "initContainers"))
    grace = (*path[:pod], "terminationGracePeriodSeconds")
    own, there = (_is_base(unit, item, field) for field in (grace, path))
    return grace if there and not own and value_at(item, grace) is not None else path


def _own_beside(unit: Unit, item: Object, path: tuple[str | int, ...], message: str) -> tuple[str | int, ...]:
    """What the overlay itself has set beside what is the base's: of two things the one that came later."""
    inner = value_at(item, path)
    named = [(*path, key) for key in inner if str(key) in message] if isinstance(inner, dict) else []
    if own := [field for field in named if not _is_base(unit, item, field)]:
        return own[0]
    if not _is_base(unit, item, path):
        return path
    for length in range(len(path) - 1, max(len(path) - 4, 0), -1):
        around = value_at(item, path[:length])
        steps = [key for key in around if key not in MERGE_KEYS] if isinstance(around, dict) else range(len(around))
        besides = [(*path[:length], step) for step in steps if not _is_base(unit, item, (*path[:length], step))]
        if besides:
            return min(besides, key=lambda beside: str(beside[-1]) not in message)
    return path


def _is_base(unit: Unit, item: Object, path: tuple[str | int, ...]) -> bool:
    return unit.places.of(item, path).of_base


def _pod_security(item: Object, reason: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each complaint of Pod Security, 'what (who must set field)', with the field in the object."""
    pods = template(item)
    if pods is None:
        return
    for what, who in re.findall(r"(?:, |: )([^,:(]+) \(((?:[^()]|\([^()]*\))*)\)", reason):
        fields = re.findall(r"securityContext[\w.]*|host\w+", who) or [what.split()[0]]
        field = fields[0].rstrip(".")
        names = re.findall(r'"([^"]+)"', who)
        owners = ["", *(f"containers[{name}]." for name in names), *(f"initContainers[{name}]." for name in names)]
        if field == "hostPath":
            owners = [f"volumes[{name}]." for name in names]
        paths = [field_path(pods.spec, f"{owner}{field}") for owner in owners]
        yield (*pods.path, "spec", *max(paths, key=partial(_there, pods.spec), default=())), f"{what} ({who})"


def _there(item: Object, path: tuple[str | int, ...]) -> int:
    """How many steps of a path are there."""
    return sum(value_at(item, path[:length]) is not None for length in range(1, len(path) + 1))


def _no_quantities(item: Object) -> list[tuple[str | int, ...]]:
    """Where a pod's resources are no quantities; the whole object where none of them is at fault."""
    pods = template(item)
    paths: list[tuple[str | int, ...]] = []
    for container_path, _ in pods.containers() if pods else ():
        values = _values(item, (*container_path, "resources"))
        paths += (path for path, value in values if not is_quantity(value))
    return paths or [()]


def field_path(item: Object, field: str) -> tuple[str | int, ...]:
    """The API server's own words for a place (spec.containers[0].image, data[key]) as a path in the object."""
    path: list[str | int] = []
    current: object = item
    for word, index in re.findall(r"([^.\[\]]+)|\[([^\]]*)\]", field):
        step: str | int = word or index
        if isinstance(current, list):
            number = _index(current, str(step))
            if number is None:
                break
            step = number
            current = current[step]
        else:
            if step in ("labels", "annotations") and isinstance(current, dict) and "metadata" in current:
                path.append("metadata")  # which the server leaves out of its own words
                current = current["metadata"]
            current = current.get(str(step)) if isinstance(current, dict) else None
        path.append(step)
    return tuple(path)


def _deepened(item: Object, field: str, message: str) -> tuple[str | int, ...]:
    """The place of a field, and in it the value that the message quotes."""
    path = field_path(item, field)
    # Of a key that is none the server quotes the key.
    if path[-1:] in _KEYED:
        quoted_key = next((key for key in value_at(item, path) or () if f'"{key}"' in message), None)
        if quoted_key is not None:
            return (*path, quoted_key)
    quoted = re.search(r'(?:value|for|limit is|request is):? "?([^":]+)"?', message)
    for steps, value in _values(item, path):
        if quoted and str(value) == quoted[1].strip():
            return steps
    return path


def _values(item: object, below: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Every value below a path, each with its own path."""
    current = value_at(item, below)
    if isinstance(current, dict):
        for key in current:
            yield from _values(item, (*below, key))
    elif isinstance(current, list):
        for number in range(len(current)):
            yield from _values(item, (*below, number))
    else:
        yield below, current


def _index(items: list[object], word: str) -> int | None:
    if word.isdigit():
        return int(word) if int(word) < len(items) else None
    for number, item in enumerate(items):
        if isinstance(item, dict) and any(str(item.get(key)) == word for key in MERGE_KEYS):
            return number
    return None


def _policy_path(item: Object, place: str) -> tuple[str | int, ...]:
    """A policy's own words for a place: from the object's root, or from its pod's spec (containers[NAME].image)."""
    if place.startswith(("metadata", "spec")):
        # An annotation's key has dots of its own.
        head, _, key = place.partition("[")
        return (*head.split("."), key.rstrip("]")) if key else field_path(item, place)
    pods = template(item)
    if pods is None:
        return ()
    return (*pods.path, "spec", *field_path(pods.spec, place))


def warning_path(item: Object, text: str) -> tuple[str | int, ...]:
    """Where a warning points: most name a field first, 'spec.x: ...'."""
    field, colon, _ = text.partition(":")
    if colon and " " not in field and "." in field:
        return field_path(item, field)
    return ("apiVersion",) if "deprecated" in text and "apiVersion" in item else ()
