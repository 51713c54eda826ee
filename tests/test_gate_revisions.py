"""Which files of two revisions are laid side by side."""

from __future__ import annotations

import pytest

from gitops.ground.checkout import Checkout
from gitops.manifests.graph import Graph
from gitops.manifests.render import build
from gitops.repository import revision
from tests.conftest import commit_all
from tests.frozen import platform

CHECKOUT = platform()


@pytest.mark.bots
def test_what_is_not_laid_out_is_known_from_git(scratch: Checkout) -> None:
    (scratch.root / "overlays/mogle/prod/ingress.yaml").write_text("a: b\n")
    commit_all(scratch)
    everywhere = Graph(scratch)
    with revision.compare(scratch, "HEAD~1", "HEAD") as change:
        for side, overview in zip((change.base, change.head), change.overviews, strict=True):
            assert side is not None
            graph = Graph(side, overview)
            assert graph.units == everywhere.units
            assert graph.affected(change.files) == ["overlays/mogle/prod"]
            assert not (side.root / "overlays/benefit/prod").exists()
    with revision.compare(scratch, "HEAD~1", "HEAD", for_all=("overlays/mogle",)) as change:
        assert change.overviews == (None, None)
        assert (change.head.root / "overlays/benefit/prod/ingress.yaml").exists()


@pytest.mark.bots
def test_a_link_in_overlays_brings_all_files(scratch: Checkout) -> None:
    (scratch.root / "overlays/mogle/prod/other").symlink_to("../staging")
    add = scratch.root / "overlays/mogle/prod/kustomization.yaml"
    add.write_text(add.read_text().replace("  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - other\n"))
    commit_all(scratch)
    (scratch.root / "overlays/mogle/staging/ingress.yaml").write_text("a: b\n")
    commit_all(scratch)
    with revision.compare(scratch, "HEAD~1", "HEAD") as change:
        assert (change.head.root / "overlays/benefit/prod/ingress.yaml").exists()
        assert Graph(change.head).affected(change.files) == ["overlays/mogle/prod", "overlays/mogle/staging"]


@pytest.mark.bots
@pytest.mark.parametrize("reads", ["", "  - ../../policies\n", "  - .\\\n    ./../policies\n", "a link", "apps/x"])
def test_of_the_base_only_what_renders_is_laid_out(scratch: Checkout, reads: str) -> None:
    """Where nothing but overlays changed, and base/ surely reads nothing beside itself."""
    web = scratch.root / "base/web/kustomization.yaml"
    if reads == "a link":
        (web.parent / "policies").symlink_to("../../policies")
    elif reads.startswith(" "):
        web.write_text(web.read_text().replace("resources:\n", f"resources:\n{reads}"))
    commit_all(scratch)
    (scratch.root / "overlays/mogle/prod/ingress.yaml").write_text("a: b\n")
    if reads == "apps/x":
        (scratch.root / reads).write_text("a\n")
    commit_all(scratch)
    with revision.compare(scratch, "HEAD~1", "HEAD", renders=True) as change:
        assert change.base
        assert (change.base.root / "apps").exists() == bool(reads)
        assert (change.head.root / "apps").exists()
        assert not (change.base.root / "overlays/benefit/prod").exists()
        if not reads:
            before = build(CHECKOUT, change.base.root, "overlays/mogle/prod")
            assert before.text == build(CHECKOUT, CHECKOUT.root, "overlays/mogle/prod").text
