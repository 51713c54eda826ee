"""One cause is one finding, at the line that a person edits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from gitops.check import answers, causes
from gitops.clients.kubernetes import ClusterError
from gitops.manifests.findings import Finding, Unit, in_order
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, line_of
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import build
from tests.frozen import clone

UNIT = "overlays/mogle/prod"
FILE = f"{UNIT}/kustomization.yaml"
# As the API server of 1.36 says it.
LABEL = 'Invalid value: "not valid!": a valid label must be an empty string or consist of alphanumeric characters'
KEY = 'Invalid value: "te am": name part must consist of alphanumeric characters'
GRACE = "Invalid value: 20: must be greater than 0 and less than terminationGracePeriodSeconds (5)"
PRE_STOP = "spec.template.spec.containers[0].lifecycle.preStop.sleep.seconds"
PINNED = (
    "x is forbidden: ValidatingAdmissionPolicy 'image-digest' with binding 'services' denied request: "
    "at containers[app].image: app is not pinned"
)


def changed(folder: Path, change: Callable[[str], str], **files: str) -> Unit:
    """The overlay, with its kustomization changed and files added."""
    checkout = clone(folder / "clone")
    file = checkout.root / FILE
    file.write_text(change(file.read_text()))
    for name, text in files.items():
        (checkout.root / UNIT / f"{name}.yaml").write_text(text)
    return Unit.of(Graph(checkout), build(checkout, checkout.root, UNIT))


def line(unit: Unit, file: str, word: str) -> Place:
    number = line_of((unit.places.root / file).read_text(), word)
    assert number
    return Place(file, number)


def refused(unit: Unit, item: Object, reason: str, *details: tuple[str, str]) -> list[Finding]:
    return list(answers.refusal(unit, item, ClusterError("PATCH x", 422, reason, details), ()))


@pytest.mark.parametrize(("pair", "message"), [("team: not valid!", LABEL), ("te am: community", KEY)])
def test_a_label_of_all_is_told_once_with_a_count_on_its_line(tmp_path: Path, pair: str, message: str) -> None:
    unit = changed(tmp_path, lambda text: text.replace("team: community", pair))
    findings = list(chain.from_iterable(refused(unit, item, "", ("metadata.labels", message)) for item in unit.objects))
    assert len(findings) == len(unit.objects) > 10
    [finding] = causes.joined(findings, 1)
    assert finding.place == line(unit, FILE, pair)
    assert finding.what.endswith(f"(and {len(unit.objects) - 1} more by the same cause)")
    # The count is none of the fault's identity.
    assert finding.fingerprint == findings[0].fingerprint


def test_an_image_that_no_entry_names_is_told_in_the_kustomization(tmp_path: Path) -> None:
    unit = changed(tmp_path, lambda text: text.replace("- name: app\n", "- name: app2\n"))
    [item] = unit.kind("Deployment")
    [finding] = refused(unit, item, PINNED)
    assert finding.place == line(unit, FILE, "images:")
    assert FILE in finding.fix
    assert "exception" not in finding.fix
    # Where the entry that meets nothing is told, this is what follows.
    unmatched = Finding("policy", line(unit, FILE, "app2"), "meets nothing", "", UNIT)
    object.__setattr__(unmatched, "rule", "unmatched")
    assert causes.joined([unmatched, finding], 1) == [unmatched]


def test_a_grace_period_that_was_shortened_is_told_where_it_stands(tmp_path: Path) -> None:
    patch = "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n"
    unit = changed(
        tmp_path,
        lambda text: text.replace("patches:\n", "patches:\n  - path: end.yaml\n"),
        end=f"{patch}      terminationGracePeriodSeconds: 5\n",
    )
    [item] = unit.kind("Deployment")
    [finding] = refused(unit, item, "", (PRE_STOP, GRACE))
    assert finding.place == line(unit, f"{UNIT}/end.yaml", "terminationGracePeriodSeconds")


def test_what_every_overlay_has_alike_is_one_finding_with_a_count() -> None:
    def of(service: str) -> Finding:
        overlay = Overlay(service, "prod")
        place = Place(overlay.kustomization, 1)
        return Finding("source", place, f"{overlay.namespace} is read by nobody", "", overlay.path)

    services = [f"shop-{letter}" for letter in "abcdefghij"]
    [finding] = causes.joined([of(service) for service in services], len(services))
    assert finding.more == 9
    # A few that have it are each at fault.
    assert len(causes.joined([of(service) for service in services[:4]], len(services))) == 4
    assert len(causes.joined([of(service) for service in services[:6]], len(services))) == 6


def test_two_faults_on_one_line_are_two() -> None:
    place = Place("overlays/a/prod/kustomization.yaml", 3)
    findings = [
        Finding("api-server", place, f"spec.x: {word}", "", "overlays/a/prod", "Service", "web") for word in "ab"
    ]
    assert in_order(causes.joined(findings, 1)) == findings


def test_a_private_key_in_a_secret_is_told_once() -> None:
    file = "overlays/a/prod/secret.yaml"
    plain = Finding("plain-secret", Place(file, 4), "a plain Secret", "", "overlays/a/prod", "Secret", "key")
    leaked = Finding("leaked-secret", Place(file, 7), "looks like a secret: private-key", "")
    elsewhere = Finding("plain-secret", Place("overlays/a/prod/other.yaml", 4), "a plain Secret", "", "overlays/a/prod")
    assert causes.joined([plain, leaked, elsewhere], 1) == [leaked, elsewhere]
