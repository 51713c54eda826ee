"""Facts of the gate travel as fields: no rewording of a message changes what is decided."""

from __future__ import annotations

from datetime import date

import pytest

from gitops.check.render_faults import Complaint
from gitops.exceptions.files import PolicyException
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place

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
