"""100 services with 1,000 tags each: what the bump takes beyond the calls and renders that nothing can avoid. And the
choice among 50,000 tags of one repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from botocore.config import Config
from git import Repo
from moto.ecr.models import Image as MotoImage
from moto.ecr.models import ecr_backends

from gitops.clients.registries import ListedImage, Registries
from gitops.ground.checkout import Checkout
from gitops.images import bump, plan
from gitops.images.policy import Policy
from gitops.images.select import select
from gitops.images.target import Declines, ImagePlan, Sources
from gitops.manifests import kustomize
from gitops.manifests.overlay import Overlay
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from gitops.repository.pulls import Proposal
from tests.bench_report import Report
from tests.fakes.aws import ACCOUNT, INDEX, REGION, Ecr
from tests.frozen import TEST, clone

API_BOUND, EDIT_BOUND = 1.5, 1.3
SELECT_LIMIT = 0.3  # seconds
MINUTE = timedelta(minutes=1)
# What Argo CD Image Updater was reported to ask for one repository of 700 tags (its issue 313).
UPDATER_CALLS = 5000


@dataclass(frozen=True)
class Size:
    """How many services, tags of each, and rounds; and how many tags of one large repository."""

    services: int
    tags: int
    rounds: int
    large: int


FULL, SMALLEST = Size(100, 1000, 3, 50_000), Size(2, 3, 1, 200)


def measure(size: Size, report: Report) -> None:
    """The registry calls and the edits of one run, each against what nothing can avoid."""
    ecr = Ecr()
    try:
        with patch.dict(os.environ, ecr.environment), tempfile.TemporaryDirectory() as folder:
            newest = _fill(ecr, size)
            checkout = _repository(Path(folder), size)
            mine, bare, edits, builds, calls = [], [], [], [], 0
            for _ in range(size.rounds):
                bare.append(_bare(newest))
                registry, began = Registries(), time.monotonic()
                history = History(checkout.root)
                history.fetch(None)
                with main_files(checkout, history) as base:
                    targets, _ = plan.targets(base, ())
                    # Nothing is declined, and nothing is promoted: GitHub is not asked.
                    sources = Sources(base, history, registry, datetime.now(UTC), lambda _: Declines(), lambda *_: ())
                    plans = plan.make(sources, targets)
                    mine.append(time.monotonic() - began)
                    calls = registry.calls
                    assert {made.winner and made.winner.tag for made in plans} == {f"1.0.{size.tags - 1}"}
                    builds.append(_builds(base))
                    edits.append(_edits(base, history, plans))
            took, floor = statistics.median(mine), statistics.median(bare)
            total = size.services * size.tags
            what = f"s to find {size.services} newer images among {total} / the same calls made bare, 8 at once"
            report.ratio("images-detect", took, floor, API_BOUND, what)
            report.ratio(
                "images-calls",
                calls,
                2 * size.services,
                1.0,
                "registry calls / one page and one winner for each service",
            )
            report.ratio(
                "images-calls-peer",
                calls / size.services,
                UPDATER_CALLS,
                1.0,
                "calls a service / as reported of a peer",
            )
            what = "s to edit every overlay, check the renders and be ready to commit / bare kustomize builds"
            report.ratio("images-edit", statistics.median(edits), statistics.median(builds), EDIT_BOUND, what)
            report.keep(services=size.services, tags=size.tags, large=size.large)
    finally:
        ecr.close()
    what = f"s to choose among {size.large} tags of one repository, all newer / the limit"
    report.ratio(
        "images-select",
        statistics.median(map(_selects, range(size.rounds), repeat(size.large))),
        SELECT_LIMIT,
        1.0,
        what,
    )


def _selects(seed: int, tags: int) -> float:
    """The seconds of one choice, from a listing in no order."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    listing = [
        ListedImage(
            f"{number // 2500}.{number // 50 % 50}.{number % 50}", _sha256(str(number)), began + number * MINUTE
        )
        for number in range(1, tags)
    ]
    random.Random(seed).shuffle(listing)
    runs = ListedImage("0.0.0", _sha256("0"), began)
    policy = Policy.model_validate({"semver": {"range": ">=0.0.1"}})
    start = time.monotonic()
    chosen = select(policy, [runs, *listing], tag=runs.tag, digest=runs.digest)
    took = time.monotonic() - start
    assert len(chosen.ranked) == tags - 1
    assert chosen.ranked[0].pushed == began + (tags - 1) * MINUTE
    return took


def _fill(ecr: Ecr, size: Size) -> dict[str, str]:
    """Put the images into moto's own store (a hundred thousand pushes over HTTP would take an hour)."""
    newest = {}
    backend = ecr_backends[ACCOUNT][REGION]
    for number in range(size.services):
        name = f"bench-{number:03d}"
        ecr.client.create_repository(repositoryName=name)
        repository = backend.repositories[name]
        for tag in range(size.tags):
            child = {"digest": _sha256(f"{name}{tag}"), "mediaType": "x"}
            platform = {"platform": {"os": "linux", "architecture": "amd64"}}
            manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**child, **platform}]})
            image = MotoImage(ACCOUNT, f"1.0.{tag}", manifest, name, INDEX, _sha256(manifest))
            repository.images.append(image)
        newest[name] = image.get_image_digest()
    return newest


def _sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _repository(folder: Path, size: Size) -> Checkout:
    """A checkout with the services, each pinned to its first tag, and an origin that it was pushed to."""
    checkout = clone(folder / "checkout")
    with Repo(checkout.root) as repo:
        for service in [path for path in checkout.overlays.iterdir() if path.is_dir()]:
            repo.git.rm("-r", "--quiet", f"overlays/{service.name}")
        for number in range(size.services):
            name = f"bench-{number:03d}"
            overlay = checkout.overlays / name / "staging"
            overlay.mkdir(parents=True)
            (overlay.parent / "owner.yaml").write_text('team: platform\ncontact: "#x"\ndescription: x\n')
            (overlay.parent / "images.yaml").write_text('staging: {semver: {range: "*"}}\n')
            (overlay / "kustomization.yaml").write_text(
                f"namespace: {Overlay(name, 'staging').namespace}\nresources: [../../../base/web]\n"
                f"images:\n  - name: app\n"
                f"    newName: {ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}\n"
                f'    newTag: "1.0.0"\n    digest: {_digest(name)}\n'
            )
        repo.git.add("--all")
        repo.index.commit("bench", author=TEST, committer=TEST)
        with Repo.init(folder / "origin.git", bare=True, initial_branch="main"):
            repo.git.push("--quiet", str(folder / "origin.git"), "HEAD:refs/heads/main")
        repo.git.remote("set-url", "origin", str(folder / "origin.git"))
    return checkout


def _digest(name: str) -> str:
    repository = ecr_backends[ACCOUNT][REGION].repositories[name]
    return str(repository.images[0].get_image_digest())


def _bare(newest: dict[str, str]) -> float:
    retries: Any = {"mode": "adaptive", "max_attempts": 8}
    client = boto3.client("ecr", region_name=REGION, config=Config(retries=retries, max_pool_connections=16))

    def ask(name: str) -> None:
        pages = client.get_paginator("describe_images")
        for page in pages.paginate(repositoryName=name, PaginationConfig={"PageSize": 1000}):
            assert page["imageDetails"]
        got = client.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": newest[name]}])
        json.loads(got["images"][0]["imageManifest"])

    began = time.monotonic()
    with ThreadPoolExecutor(plan.PARALLEL) as pool:
        list(pool.map(ask, newest))
    return time.monotonic() - began


def _builds(base: Checkout) -> float:
    began = time.monotonic()
    for overlay in sorted(base.overlays.glob("*/staging")):
        kustomize.build(base, overlay)
    return time.monotonic() - began


def _edits(base: Checkout, history: History, plans: list[ImagePlan]) -> float:
    began, main = time.monotonic(), history.main()
    for made in plans:
        edited = bump.make_edit(base, made, with_diff=False)
        assert edited is not None
        assert made.target is not None
        Proposal(made.target.branch, main, "title", "body", {made.target.path: edited.content})
    return time.monotonic() - began
