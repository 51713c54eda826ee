"""Reasons are facts: what is decided does not depend on how they are worded."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from github.PullRequest import PullRequest

from gitops.clients.github import Health
from gitops.clients.registries import ListedImage
from gitops.images import reasons, wording
from gitops.images.hold import Hold
from gitops.images.memory import Declined
from gitops.images.policy import Policy
from gitops.images.reasons import Alert, NoChange, NoneNewer, Rejection, RejectionReason
from gitops.images.select import select
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository.pulls import WITHDRAWN, Marker

NOW = datetime(2026, 11, 25, tzinfo=UTC)
FIELDS = {
    "hold": Hold(tag="1.0.0", reason="it fails", until=NOW),
    "soak": timedelta(days=1),
    "health": Health.DEGRADED,
    "healthy": timedelta(hours=3),
    "since": NOW,
    "until": NOW,
    "overlay": Overlay("mogle", "staging"),
    "image": Image("shop", "1.0.0", "sha256:" + "0" * 64),
    "rejection": Rejection(RejectionReason.UNSIGNED),
    "newer": False,
    "waits": None,
}


def every(base: type) -> list[object]:
    """One of each kind."""
    kinds = [kind for _, kind in inspect.getmembers(reasons, inspect.isclass) if issubclass(kind, base)]
    return [made(kind) for kind in kinds if kind is not base]


def made(kind: type) -> object:
    """One of a kind, each field filled."""
    return kind(**{field.name: FIELDS.get(field.name, "x") for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("reason", RejectionReason)
def test_every_rejection_has_a_sentence(reason: RejectionReason) -> None:
    assert wording.rejection(Rejection(reason, "x"))


def test_every_other_reason_has_a_sentence() -> None:
    for reason in every(NoChange):
        assert isinstance(reason, NoChange)
        assert wording.no_change(reason)
    for alert in every(Alert):
        assert isinstance(alert, Alert)
        assert wording.alert(alert)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def test_a_followed_tag_that_runs_already_is_a_certain_answer() -> None:
    """So the pull request of a person who was slower is withdrawn."""
    policy = Policy.model_validate({"digest": {"tag": "stable"}})
    selection = select(policy, [ListedImage("stable", digest(1), NOW)], tag="stable", digest=digest(1))
    assert selection.no_change == NoneNewer()
    assert NoneNewer.certain


def test_a_declined_digest_is_not_read_as_a_tag() -> None:
    """sha256:... stands behind every date in the alphabet: read as a tag it would hold the overlay for ever."""
    policy = Policy.model_validate({"pattern": {"match": ".*", "order": "alphabetical"}})
    listing = [ListedImage(tag, digest(n), NOW) for n, tag in enumerate(["2026-01", "2026-02", "2026-03"])]
    declined = [Declined("2026-02", digest(1))]
    selection = select(policy, listing, tag="2026-01", digest=digest(0), declined=declined)
    assert [image.tag for image in selection.ranked] == ["2026-03"]


def test_a_marker_is_read_back_and_a_damaged_one_declines_nothing() -> None:
    """A person may edit the body of a pull request: that ends no run."""
    marker = Marker("gitops-image")

    def closed(body: str, *labels: str) -> PullRequest:
        pull = SimpleNamespace(body=body, labels=[SimpleNamespace(name=label) for label in labels])
        return cast(PullRequest, pull)

    line = marker.line({"tag": "1.0.0", "digest": digest(1)})
    assert marker.declined([closed(f"text\n{line}\n")]) == [{"tag": "1.0.0", "digest": digest(1)}]
    assert marker.declined([closed(line.replace('"', "'")), closed("no marker"), closed(line, WITHDRAWN)]) == []
