"""The table of decisions, docs/images-decisions.md: what the code itself makes of each situation, in its own words.

What is chosen is asked of the planner alone (tests/image_planner.py). What becomes of a pull request is done by the
bot's own run against the fakes (tests/decision_world.py).

python -m tests.decisions       renders it again
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from gitops.ground.printable import code
from gitops.images import memory, policy, status, wording
from gitops.images.report import BumpReport
from gitops.images.target import ImagePlan
from gitops.manifests.image import Image
from gitops.repository.freeze import Freeze
from gitops.repository.versions import Version
from tests import decision_cases as direct
from tests import decision_more as more
from tests import decision_pulls as pulls
from tests import decision_stages as stages
from tests import decision_world
from tests.decision_cases import Case
from tests.decision_world import Told
from tests.frozen import ROOT
from tests.image_planner import NAME, NOW, SERVICE, plans
from tests.memory import work_in_memory
from tests.sigstore_world import Sigstore

DOCUMENT = ROOT / "docs/images-decisions.md"
SECTIONS = {
    "By version": direct.VERSIONS,
    "By what an image is": direct.IMAGES,
    "By what people said": direct.PEOPLE,
    "By age and major version": direct.WAITS,
    "By a pattern": direct.PATTERNS,
    "By the push, and by a tag that moves": direct.MOMENTS,
    "Promoted from staging": stages.PROMOTIONS,
    "Three stages": stages.STAGES,
}
RUNS = {
    "What becomes of its pull request": pulls.MERGES,
    "When its reason is gone": pulls.TAKEN_AWAY,
    "When it is closed": pulls.CLOSED,
    "Freezes and limits": pulls.WAITS,
    "Several images in one pull request": more.GROUPS,
    "More than one image in an overlay": more.FURTHER,
    "One fault, and the others": more.FAULTS,
    "By hand": more.BY_HAND,
    "Entries that are not whole: `gitops images adopt`": more.ADOPTED,
}
# Half of a run is waiting: for its GitHub, and for git.
_RUNS_AT_ONCE = 4
RUNS_HEAD = f"""
# What becomes of a pull request

Each row is a run of the bot at {NOW:%Y-%m-%d %H:%M} UTC on a GitHub that says no where the real one does. mogle has
run 3.0.0 for 30 days, the registry has 3.1.0, and where nothing else is said an earlier run has proposed that as #1.
The policy is staging's or, where two stand there, that of each.
"""
HEAD = f"""# Which image is proposed when

Written by `python -m tests.decisions` from what the code itself answers; a test holds it to that. What an
environment ran and what the registry has stand in each row as `tag age`: how long before {NOW:%Y-%m-%d %H:%M} UTC
main got it, or it was pushed. `tag=X` is a tag whose digest goes by the name X, `-` an image without a tag. Where
nothing else is said, Argo CD called it Healthy all the time, and the registry has what is promoted.
"""
# By what is so: the case, and what its report has beside the plan.
STATUSES: dict[str, tuple[Case, dict[str, Any]]] = {
    "soaks": (stages.prod("", f"{direct.FIRST}, 3.1.0 6h"), {}),
    "is held": (direct.direct("", direct.SEMVER, direct.NEWER, held=("3.0.0", direct.DAY)), {}),
    "was declined": (direct.direct("", direct.SEMVER, direct.NEWER, declined="3.1.0"), {}),
    "waits for the end of a freeze": (
        direct.direct("", direct.SEMVER, direct.NEWER),
        {"frozen": "frozen: exam until 2026-12-01 00:00:00 Asia/Seoul"},
    ),
    "is too young": (direct.direct("", direct.AGED, "3.1.0 1h"), {}),
    "is proposed": (direct.direct("", direct.SEMVER, direct.NEWER), {"pull": 7}),
    "will be proposed": (direct.direct("", direct.SEMVER, direct.NEWER), {}),
}
WINDOWS = {
    "its end in the hour that autumn repeats": ("2026-10-25T01:00", "2026-10-25T02:30", "Europe/Paris"),
    "its start in the hour that autumn repeats": ("2026-10-25T02:30", "2026-10-25T09:00", "Europe/Paris"),
    "its start in the hour that spring leaves out": ("2027-03-28T02:30", "2027-03-28T09:00", "Europe/Paris"),
    "its end in the hour that spring leaves out": ("2027-03-27T20:00", "2027-03-28T02:30", "Europe/Paris"),
    "all of it in that hour": ("2027-03-28T02:10", "2027-03-28T02:50", "Europe/Paris"),
    "a zone without such hours": ("2026-12-11T08:00", "2026-12-12T02:00", "Asia/Seoul"),
}
# What an overlay ran, oldest first.
ROLLBACKS = ("A B", "A B C", "A B A", "A B C B", "A B C A", "A")


def rows() -> Iterator[tuple[str, Case, ImagePlan]]:
    """Every case, by section, with the plan that is made."""
    work_in_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _key(folder)
        for section, cases in SECTIONS.items():
            for case in cases:
                yield section, case, plans(case.situation, folder)[case.environment]


def _key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    service = folder / "overlays" / SERVICE
    service.mkdir(parents=True)
    service.joinpath("cosign.pub").write_bytes(pem)
    service.joinpath("trusted_root.json").write_text(json.dumps(Sigstore().trust_root()))


def proposal(plan: ImagePlan) -> str:
    """The tag that is proposed, and who merges it."""
    if plan.winner is None or plan.target is None:
        return "nothing"
    who = "the bot merges" if plan.target.merges_itself(plan.winner) else "a person merges"
    return f"{plan.winner.tag}; {who}"


def why(case: Case, plan: ImagePlan) -> str:
    """What is said about it: that something is wrong, why nothing is proposed, and why the case's tag is not."""
    told = [
        str(plan.error or ""),
        wording.alert(plan.alert),
        wording.no_change(plan.no_change),
        wording.no_change(plan.waits),
    ]
    told += [
        f"{case.about}: {wording.rejection(own.rejection)}"
        for own in plan.assessments
        if case.about and own.image.tag == case.about and own.rejection
    ]
    return "; ".join(dict.fromkeys(filter(None, told)))


def facts(case: Case) -> str:
    """What is so, as the case writes it."""
    said = case.situation
    told = [f"{name} ran {text}" for name, text in said.ran.items()]
    told += [f"{name}: {text or 'nothing'}" for name, text in said.health.items()]
    told.append(f"registry: {said.registry or 'nothing'}" if said.registry != stages.STOCK else "")
    told += [f"declined: {text}" for text in said.declined.values()]
    told += [f"held on {tag}" for tag, _ in said.held.values()]
    told += [f"{tag} is built for {text}" for tag, text in said.platforms.items()]
    return "; ".join(filter(None, told))


def text() -> str:
    """The whole document."""
    return choices() + runs()


def choices() -> str:
    """What the planner answers, and what else needs no run."""
    lines = [HEAD]
    section = ""
    for title, case, plan in rows():
        if title != section:
            section = title
            lines += _head(title, "when", "policy", "what is so", "proposed", "why")
        cells = [_short(case.policy), facts(case), proposal(plan), why(case, plan)]
        lines.append(_row(case.says, *cells))
        lines += [""] if case is SECTIONS[section][-1] else []
    lines += _head("Back to what ran", "what an environment ran, oldest first", "`gitops images rollback` goes to")
    lines += [_row(code(ran), former(ran)) for ran in ROLLBACKS]
    lines += ["", *_head("Why it waits, in the words of `gitops images status`", "when", "what it says")]
    lines += [_row(says, *told) for says, told in statuses()]
    lines += ["", *_head("Windows of a freeze", "when", "window", "it is")]
    lines += [_row(says, window, kept) for says, window, kept in windows()]
    return "\n".join(lines) + "\n"


def runs() -> str:
    """What the bot's own runs did."""
    lines = [RUNS_HEAD]
    told = ran()
    for title, cases in RUNS.items():
        lines += _head(title, "when", "policy", "done", "why")
        for case in cases:
            policies = dict.fromkeys(_short(own) for own in case.policies.values())
            own = next(told)
            lines.append(_row(case.says, "; ".join(policies), own.did, own.why))
        lines.append("")
    return "\n".join(lines)


def ran() -> Iterator[Told]:
    """What each run did, in the order of RUNS: by processes, as each case has a world of its own."""
    work_in_memory()
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(_RUNS_AT_ONCE, get_context("fork")) as pool:
        template = decision_world.template_of(Path(name))
        yield from pool.map(partial(_ran, template), list(chain.from_iterable(map(_numbered, RUNS))))


def _numbered(section: str) -> list[tuple[str, int]]:
    return [(section, number) for number in range(len(RUNS[section]))]


def _ran(template: Path, case: tuple[str, int]) -> Told:
    section, number = case
    return decision_world.ran(RUNS[section][number], template)


def _head(title: str, *columns: str) -> list[str]:
    return [f"## {title}\n", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def _row(says: str, *cells: str) -> str:
    return f"| {says} | {' | '.join(map(_cell, cells))} |"


def names() -> list[str]:
    """Every situation that has a row."""
    listed = [case.says for case in chain.from_iterable(SECTIONS.values())]
    listed += [case.says for case in chain.from_iterable(RUNS.values())]
    return [*listed, *STATUSES, *WINDOWS]


def statuses() -> Iterator[tuple[str, list[str]]]:
    """What the status of an image says of each newer one."""
    with tempfile.TemporaryDirectory() as name:
        for says, (case, given) in STATUSES.items():
            plan = plans(case.situation, Path(name))[case.environment]
            own = status.of(BumpReport(overlay=plan.overlay, plan=plan, **given))
            yield says, ["; ".join(f"{waiting.tag}: {waiting.why}" for waiting in own.waiting)]


def windows() -> Iterator[tuple[str, str, str]]:
    """From when until when a window is, in the world's time."""
    for says, (start, end, zone) in WINDOWS.items():
        fields = {"name": says, "from": start, "to": end, "time-zone": zone}
        try:
            own = Freeze.model_validate(fields)
            kept = f"from {own.begins:%Y-%m-%d %H:%M} until {own.ends:%Y-%m-%d %H:%M} UTC"
        except ValidationError as error:
            kept = f"refused: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        yield says, f"from {start} to {end} {zone}", kept


def former(ran: str) -> str:
    """Where a rollback goes, if the registry still has it; what failed before is no way back."""
    version = Version("", NOW, "", "", b"")
    past = [memory.PastImage(version, Image(NAME, tag, tag)) for tag in ran.split()]
    images = memory.former_images(past[::-1])
    return images[0].tag if images else "nothing: it never ran another"


def _short(own: Mapping[str, object]) -> str:
    """A policy on one line, checked to be one."""
    policy.Policy.model_validate(own)
    written = yaml.safe_dump(dict(own), default_flow_style=True, sort_keys=False, width=1000).strip()
    return re.sub(r"^\{(.*)\}$", r"\1", written)


def _cell(text: str) -> str:
    return code(text).replace("|", r"\|")


if __name__ == "__main__":
    DOCUMENT.write_text(text())
    print(f"{DOCUMENT.relative_to(ROOT)}: {len(names())} situations")
