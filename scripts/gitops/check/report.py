"""How findings are told: lines for a person, JSON for a program, SARIF for GitHub; and which are known already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from gitops.ground import printable
from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile
from gitops.manifests.findings import RULES, Finding

BASELINE = "baseline.yaml"
# What the API server alone says: a check without it has not looked for these.
_OF_SERVER = {"api-server", "api-warning", "immutable", "pod", "policy"}
# Of a part of a message: comment.yaml reads no message of more than 10,000 characters.
_LONGEST = 3_000
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


class Known(BaseModel):
    """One of the baseline's findings."""

    model_config = ConfigDict(extra="forbid")

    rule: str
    file: str
    what: str
    fingerprint: str


class Baseline(BaseModel):
    """Findings that were there when the check was taken up: told, and not failing (baseline.yaml)."""

    model_config = ConfigDict(extra="forbid")

    findings: list[Known]


def read_baseline(checkout: Checkout, file: Path) -> Baseline:
    """The known findings; none where there is no file. Raises InputError."""
    return yamlfile.read_model(checkout, file, Baseline) if file.exists() else Baseline(findings=[])


def not_looked_at(baseline: Baseline, units: Sequence[str] | None, *, offline: bool) -> list[Known]:
    """The known findings that a check could not have found again. `units`: what was checked; None: all there is.

    What a base says wrong is of all its overlays: only a check of all of them can say that it is over.
    """
    entries = baseline.findings
    if units is None:
        return [entry for entry in entries if offline and entry.rule in _OF_SERVER]
    folders = tuple(f"{unit}/" for unit in units)
    return [entry for entry in entries if not entry.file.startswith(folders) or (offline and entry.rule in _OF_SERVER)]


def write_baseline(file: Path, findings: Iterable[Finding], others: Iterable[Known]) -> int:
    """Make these the known ones, with `others` that were known already. Returns how many these are."""
    known = {entry.fingerprint: entry for entry in others}
    for finding in findings:
        known[finding.fingerprint] = Known(
            rule=finding.rule, file=finding.place.file, what=finding.what, fingerprint=finding.fingerprint
        )
    entries = [entry.model_dump() for entry in sorted(known.values(), key=lambda entry: (entry.file, entry.rule))]
    head = (
        "# yaml-language-server: $schema=docs/schemas/baseline.json\n"
        "# What gitops check found when it was taken up here, and does not fail for. Take out what you put right;\n"
        "# written by gitops check --write-baseline.\n"
    )
    partial = file.with_suffix(".partial")
    partial.write_text(head + yaml.safe_dump({"findings": entries}, sort_keys=False, width=120, allow_unicode=True))
    partial.rename(file)
    return len(entries)


def as_lines(finding: Finding) -> list[str]:
    """For a person: where, what, why, how to fix it."""
    return [
        f"{finding.place.file}:{finding.place.line}: {finding.severity}: {finding.rule}: {finding.what}",
        f"    why: {finding.why}",
        f"    fix: {finding.fix}",
    ]


def as_row(finding: Finding) -> list[str]:
    """For a table: where, rule, what, how to fix it."""
    return [f"{finding.place.file}:{finding.place.line}", finding.rule, finding.what, finding.fix]


def as_dict(finding: Finding) -> dict[str, Any]:
    """For a program."""
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": finding.place.file,
        "line": finding.place.line,
        "what": finding.what,
        "why": finding.why,
        "fix": finding.fix,
        "unit": finding.unit,
        "fingerprint": finding.fingerprint,
    }


def sarif(findings: Sequence[Finding]) -> str:
    """For GitHub's code scanning (SARIF 2.1.0), which shows each beside its line in the pull request."""
    rules = [
        {
            "id": rule.name,
            "shortDescription": {"text": rule.name},
            "fullDescription": {"text": rule.why},
            "defaultConfiguration": {"level": rule.severity},
        }
        for rule in RULES.values()
    ]
    numbers = {name: number for number, name in enumerate(RULES)}
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": numbers[finding.rule],
            "level": finding.severity,
            "message": {"text": _message(finding)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": printable.uri(finding.place.file), "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": max(1, finding.place.line)},
                    }
                }
            ],
            "partialFingerprints": {"gitops/v1": finding.fingerprint},
        }
        for finding in findings
    ]
    driver = {"name": "gitops check", "informationUri": "https://github.com/ft-platform/gitops", "rules": rules}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "utf16CodeUnits"}
    return printable.json_text({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=1)


def _message(finding: Finding) -> str:
    parts = (finding.what, f"Why: {finding.why}", f"Fix: {finding.fix}")
    return "\n".join(printable.message(part)[:_LONGEST] for part in parts)
