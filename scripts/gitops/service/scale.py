"""`gitops service scale`: between how many pods the autoscaler keeps a site, for good or for an opening day.

An opening day is a file of its own with an end (docs/adr/0019): it holds from its merge on until it is taken away.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamledit, yamlfile, yamltext
from gitops.manifests.objects import Object, name, spec_of
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository.contents import Contents
from gitops.service import workload
from gitops.service.change import check_clean
from gitops.service.draft import Expectation, Gate, OverlayDraft, keep
from gitops.service.variables import EnvironmentChange
from gitops.service.workload import Workload

KIND = "HorizontalPodAutoscaler"
FILE = "opening-day.yaml"
FROM, UNTIL = "gitops/from", "gitops/until"
_PERMANENT = "horizontalpodautoscaler.yaml"


@dataclass(frozen=True)
class Opening:
    """When an opening day begins and ends, both with their time zone."""

    begin: datetime
    end: datetime


def opening(begin: str, end: str, zone: str, now: datetime) -> Opening:
    """An opening day of a person's words. Raises InputError."""
    try:
        where = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError("--time-zone", expected="one such as Asia/Seoul", found=repr(zone)) from None
    made = Opening(_moment("--from", begin, where), _moment("--to", end, where))
    if made.end <= made.begin:
        raise InputError("--to", expected=f"a moment after --from {begin}", found=end)
    if made.end <= now:
        raise InputError("--to", expected="a moment to come", found=end)
    return made


def _moment(option: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = datetime.min.replace(tzinfo=UTC)
    # What a clock shows at the first and the last year's ends no other zone's shows.
    if local.tzinfo is not None or not 1970 <= local.year <= 9000:
        raise InputError(option, expected="a local time such as 2027-01-31T09:00", found=repr(text))
    moment = local.replace(tzinfo=zone)
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise InputError(option, expected="a time that there is: the clocks go forward then", found=text)
    return moment


@dataclass(frozen=True)
class Bounds:
    """The least and the most pods; None where that stays as it is."""

    least: int | None
    most: int | None

    @property
    def fields(self) -> dict[str, int]:
        """As an autoscaler has them."""
        fields = {"minReplicas": self.least, "maxReplicas": self.most}
        return {key: value for key, value in fields.items() if value is not None}


def scale(
    checkout: Checkout, gate: Gate, service: str, bounds: Bounds, environment: str | None, day: Opening | None = None
) -> EnvironmentChange:
    """Have the autoscaler keep a site between other bounds. Raises as `draft.keep` does."""
    overlays = services.chosen(checkout, service, environment)
    check_clean(checkout)

    def edit(draft: OverlayDraft, program: Workload) -> Expectation:
        scaler = _scaler(draft, program)
        _check(draft.overlay, spec_of(scaler), bounds)
        if day:
            _open(draft, name(scaler), bounds.fields, day)
        else:
            _set(draft, name(scaler), bounds.fields)
        return _has(name(scaler), bounds.fields)

    files, expectations = workload.edited(checkout, overlays, edit)
    notes = _notes(service, environment, day) if day else []
    return EnvironmentChange(keep(checkout, gate, files, expectations), tuple(notes))


def _scaler(draft: OverlayDraft, program: Workload) -> Object:
    """The autoscaler of a program. Raises InputError where there is none, or where git names a number beside it."""
    own = program.pods.item
    workload.check_readable(program.unit, KIND)
    for item in program.unit.kind(KIND):
        target = spec_of(item).get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == (program.kind, name(own)):
            if "replicas" in spec_of(own):
                place = program.unit.places.of(own, ("spec", "replicas"))
                what = f"{draft.overlay}: git and the autoscaler would both say how many pods there are"
                raise InputError(what, path=place.file, line=place.line, fix="take `replicas` out there first")
            return item
    if scalers := program.unit.kind(KIND):
        place = program.unit.places.of(scalers[0], ("spec",))
        expected = f"{program.kind} {name(own)} in its spec.scaleTargetRef"
        raise InputError(
            f"{draft.overlay}: its autoscaler is another's", path=place.file, line=place.line, expected=expected
        )
    what = f"{draft.overlay} has no autoscaler: a bot is one pod, and never two at once"
    raise InputError(what, path=draft.overlay.path, fix="its requests and limits may grow: ask the platform team")


def _check(overlay: Overlay, now: Object, bounds: Bounds) -> None:
    least = bounds.least if bounds.least is not None else int(now.get("minReplicas") or 1)
    most = bounds.most if bounds.most is not None else int(now.get("maxReplicas") or 1)
    if not 1 <= least <= most:
        expected, pair = "1 or more, and --max not below --min", bounds.least is not None and bounds.most is not None
        fix = "" if pair else "give both, as the other one stays as it is"
        raise InputError(f"{overlay}: --min and --max", expected=expected, found=f"{least} and {most}", fix=fix)


def _set(draft: OverlayDraft, scaler: str, fields: Mapping[str, int]) -> None:
    if draft.has(draft.overlay.file(FILE)):
        service = draft.overlay.service
        fix = f"gitops service scale {service} --end comes first"
        raise InputError("an opening day is there, which is above all", path=draft.overlay.file(FILE), fix=fix)
    own = draft.of(KIND, scaler)
    file = own[-1] if own else draft.add_patch(_PERMANENT, workload.filled(_PERMANENT, scaler))
    draft.write(file, _with(draft.text(file), file, ("spec",), fields))


def _with(text: str, file: str, path: tuple[str, ...], fields: Mapping[str, int | str]) -> str:
    """A text in which the mapping at a path has these fields: each written over where it stands, or added."""
    if yamledit.node_at(text, file, path) is None:
        return yamledit.add(text, file, path[:-1], path[-1], dict(fields))
    for key, value in fields.items():
        if yamltext.child(yamledit.node_at(text, file, path), key) is None:
            text = yamledit.add(text, file, path, key, value, after=("minReplicas",))
        else:
            text = yamledit.put(text, file, (*path, key), value)
    return text


def _open(draft: OverlayDraft, scaler: str, fields: Mapping[str, int], day: Opening) -> None:
    file = draft.overlay.file(FILE)
    if file not in draft.patches(KIND):
        schema, rest = workload.filled(_PERMANENT, scaler).split("\n", 1)
        words = f"# For an opening day. Once it is over: gitops service scale {draft.overlay.service} --end"
        draft.add_patch(FILE, f"{schema}\n{words}\n{rest}")
    moments = {FROM: day.begin.isoformat(), UNTIL: day.end.isoformat()}
    text = _with(draft.text(file), file, ("metadata", "annotations"), moments)
    draft.write(file, _with(text, file, ("spec",), fields))


def _has(scaler: str, fields: Mapping[str, int]) -> Expectation:
    def unmet(objects: Sequence[Object]) -> str:
        items = [spec_of(item) for item in objects if item.get("kind") == KIND and name(item) == scaler]
        pairs = itertools.product(items, fields.items())
        return ", ".join(f"{key}: {value}" for spec, (key, value) in pairs if spec.get(key) != value)

    return unmet


def _notes(service: str, environment: str | None, day: Opening) -> list[str]:
    words = f"{service}{f' --environment {environment}' if environment else ''}"
    begin, end = (moment.isoformat(timespec="minutes") for moment in (day.begin, day.end))
    return [
        f"it holds from its merge on: merge it before {begin}, and before a freeze of that day (.github/freezes.yaml)",
        f"after {end}: gitops service scale {words} --end. gitops exceptions lists it until then, and fails after",
    ]


def end(checkout: Checkout, gate: Gate, service: str, environment: str | None) -> EnvironmentChange:
    """Take the opening day of a service away. Raises as `draft.keep` does."""
    overlays = services.chosen(checkout, service, environment)
    check_clean(checkout)
    files: Contents = {}
    expectations: dict[Overlay, Expectation] = {}
    for overlay in overlays:
        draft = OverlayDraft(checkout, overlay)
        if draft.has(overlay.file(FILE)):
            draft.remove_patch(overlay.file(FILE))
            files |= draft.files
            expectations[overlay] = lambda _: ""
    if not files:
        raise InputError(f"{service} has no opening day to end", fix="gitops service scale --from --to makes one")
    return EnvironmentChange(keep(checkout, gate, files, expectations))


@dataclass(frozen=True)
class OpeningFile:
    """An overlay's opening day as it stands in git."""

    path: str
    overlay: Overlay
    until: datetime


def openings(checkout: Checkout) -> list[OpeningFile]:
    """Every opening day. Raises InputError where one does not say its end."""
    known: list[OpeningFile] = []
    for file in sorted(checkout.overlays.glob(f"[!.]*/*/{FILE}")):
        known.append(_opening_file(checkout, file))
    return known


def _opening_file(checkout: Checkout, file: Path) -> OpeningFile:
    path = checkout.relative(file)
    annotations = (yamlfile.read(checkout, file).get("metadata") or {}).get("annotations") or {}
    overlay = Overlay.of_path(path)
    try:
        until = datetime.fromisoformat(str(annotations[UNTIL]))
    except (KeyError, ValueError, TypeError):
        until = datetime.min
    if until.tzinfo is None or overlay is None:
        expected = f"{UNTIL}: a moment with its zone, as 2027-01-31T18:00:00+09:00, in metadata.annotations"
        raise InputError("an opening day without its end", path=path, expected=expected)
    return OpeningFile(path, overlay, until)
