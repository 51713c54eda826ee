"""Facts of the gate travel as fields: no rewording of a message changes what is decided."""

from __future__ import annotations

import itertools
from datetime import date
from pathlib import Path

import pytest

from gitops.check import report, schema
from gitops.check.report import Baseline, Known
from gitops.exceptions.files import PolicyException
from gitops.ground.checkout import Checkout
from gitops.manifests.complaints import Complaint
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place
from tests.frozen import platform

ALLOWED = PolicyException(
    Place("x", 1), "image-digest", "mogle-prod", "Deployment", "web", "community", date(2999, 1, 1)
)


@pytest.mark.parametrize("problem", ["no digest", "Deployment web: image-digest: a: b", ""])
def test_an_exception_is_matched_by_fields_and_by_no_words(problem: str) -> None:
    place, unit = Place("x.yaml", 1), "overlays/mogle/prod"
    finding = Finding("policy", place, problem, "", unit, "Deployment", "web", "image-digest")
    assert ALLOWED.covers(finding)
    for uncovered in (
        Finding("policy", place, problem, "", unit, "Deployment", "web", "host-path"),
        Finding("policy", place, problem, "", unit, "Deployment", "other", "image-digest"),
        Finding("policy", place, problem, "", "overlays/mogle/staging", "Deployment", "web", "image-digest"),
        Finding("policy", place, "Deployment web: image-digest: x", "", unit),
    ):
        assert not ALLOWED.covers(uncovered)


def test_a_finding_is_known_by_the_same_fingerprint_as_ever() -> None:
    finding = Finding("policy", Place("a.yaml", 3), "no digest", "", "overlays/mogle/prod", "Deployment", "web", "x")
    assert finding.what == "Deployment web: x: no digest"
    assert finding.fingerprint == Finding("policy", Place("a.yaml", 9), finding.what, "", finding.unit).fingerprint


def test_kustomizes_english_is_understood_in_one_place() -> None:
    text = "no resource matches strategic merge patch Id Deployment.v1.apps/web.[noNs]: file 'a/patch.yaml'"
    complaint = Complaint.of(text)
    assert complaint.objects == (("Deployment", "web"),)
    assert "patch.yaml" in complaint.words
    assert Complaint.of("json: ... Go struct field Kustomization.images.newTag of type").field == ("images", "newTag")


def test_what_a_base_says_wrong_is_one_fault_whichever_overlay_meets_it_first() -> None:
    place = Place("base/web/deployment.yaml", 9)
    first, second = (Finding("schema", place, "x", "", unit) for unit in ("overlays/a/prod", "overlays/b/prod"))
    assert first.fingerprint == second.fingerprint
    elsewhere = Finding("schema", Place("overlays/a/prod/deployment.yaml", 9), "x", "", "overlays/a/prod")
    assert elsewhere.fingerprint != first.fingerprint


OVERLAY, BASE, OTHER = "overlays/a/prod/deployment.yaml", "base/web/deployment.yaml", "overlays/b/prod/deployment.yaml"
KNOWN = Baseline(
    findings=[
        Known(rule=rule, file=file, what="x", fingerprint=f"{rule} {file}")
        for rule, file in itertools.product(("schema", "policy"), (OVERLAY, BASE, OTHER))
    ]
)


@pytest.mark.parametrize(
    ("units", "offline", "kept"),
    [
        (None, False, []),
        (None, True, ["policy base/web", "policy overlays/a", "policy overlays/b"]),
        (["overlays/a/prod"], False, ["policy base/web", "policy overlays/b", "schema base/web", "schema overlays/b"]),
        (
            ["overlays/a/prod"],
            True,
            ["policy base/web", "policy overlays/a", "policy overlays/b", "schema base/web", "schema overlays/b"],
        ),
        ([], False, sorted(f"{entry.rule} {'/'.join(entry.file.split('/')[:2])}" for entry in KNOWN.findings)),
    ],
)
def test_a_baseline_keeps_what_the_check_did_not_look_at(
    tmp_path: Path, units: list[str] | None, offline: bool, kept: list[str]
) -> None:
    others = report.not_looked_at(KNOWN, units, offline=offline)
    assert sorted(f"{entry.rule} {'/'.join(entry.file.split('/')[:2])}" for entry in others) == kept
    new = Finding("schema", Place(OVERLAY, 3), "y", "", "overlays/a/prod")
    file = tmp_path / report.BASELINE
    assert report.write_baseline(file, [new, new], others) == len(others) + 1
    written = report.read_baseline(Checkout(tmp_path), file).findings
    assert {entry.fingerprint for entry in written} == {new.fingerprint, *(entry.fingerprint for entry in others)}


def test_definitions_that_were_read_once_are_the_same_and_known_by_their_bytes(tmp_path: Path) -> None:
    share, kept = platform().tools / "share", tmp_path / "definitions.json"
    files = tuple(sorted(share.glob("argocd/manifests/crds/*-crd.yaml")))
    prepared = schema._prepared.__wrapped__
    read = prepared(kept, files)
    assert len(read) == len(files) > 2
    assert kept.exists()
    assert prepared(kept, files) == read
    another = tmp_path / "other.yaml"
    another.write_text("kind: Other\n")
    assert prepared(kept, (another,)) == [{"kind": "Other"}], "what is kept is of another files"
    kept.write_text("[1")
    assert prepared(kept, files) == read
