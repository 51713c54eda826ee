"""The table of decisions, docs/images-decisions.md: what the planner makes of each situation, in its own words.

python -m tests.decisions       renders it again
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gitops.ground.printable import code
from gitops.images import hold, policy, wording
from gitops.images.target import ImagePlan
from gitops.manifests.image import Image
from gitops.repository.versions import Version
from tests import decision_cases as direct
from tests import decision_stages as stages
from tests.decision_cases import Case
from tests.frozen import ROOT
from tests.image_planner import NAME, NOW, SERVICE, plans
from tests.memory import work_in_memory

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
HEAD = f"""# Which image is proposed when

Written by `python -m tests.decisions` from what the planner itself answers; a test holds it to that. What an
environment ran and what the registry has stand in each row as `tag age`: how long before {NOW:%Y-%m-%d %H:%M} UTC
main got it, or it was pushed. `tag=X` is a tag whose digest goes by the name X, `-` an image without a tag. Where
nothing else is said, Argo CD called it Healthy all the time, and the registry has what is promoted.
"""
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
    lines = [HEAD]
    section = ""
    for title, case, plan in rows():
        if title != section:
            section = title
            lines += [f"## {title}\n", "| when | policy | what is so | proposed | why |", "|---|---|---|---|---|"]
        cells = [_short(case.policy), facts(case), proposal(plan), why(case, plan)]
        lines.append(f"| {case.says} | {' | '.join(map(_cell, cells))} |")
        lines += [""] if case is SECTIONS[section][-1] else []
    lines += [
        "## Back to what ran\n",
        "| what an environment ran, oldest first | `gitops images rollback` goes to |",
        "|---|---|",
    ]
    lines += [f"| {code(ran)} | {code(former(ran))} |" for ran in ROLLBACKS]
    return "\n".join(lines) + "\n"


def former(ran: str) -> str:
    """Where a rollback goes, if the registry still has it; what failed before is no way back."""
    version = Version("", NOW, "", "", b"")
    past = [hold.PastImage(version, Image(NAME, tag, tag)) for tag in ran.split()]
    images = hold.former_images(past[::-1])
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
    print(f"{DOCUMENT.relative_to(ROOT)}: {sum(map(len, SECTIONS.values()))} situations")
