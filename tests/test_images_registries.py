"""Images beside ECR: the real command against the real registry and a GitHub with real git."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from gitops.clients.registries.distribution import Distribution
from gitops.images import edit
from gitops.manifests.image import Image
from tests.conftest import commit_all
from tests.fakes.github import GitHub
from tests.fakes.registry import INDEX, MANIFEST, Fault, Registry
from tests.frozen import ROOT
from tests.image_world import NOW, OTHERS, PROD, STAGING
from tests.sigstore_world import IDENTITY, ISSUER, MEDIA_TYPE, Sigstore
from tests.world import World

pytestmark = pytest.mark.bots


class RegistryWorld(World):
    """mogle runs 3.0.0 in both environments, from a registry that lists names alone."""

    def __init__(self, registry: Registry, github: GitHub, folder: Path) -> None:
        self.registry, self.github = registry, github
        self.name = f"{registry.host}/team/mogle"
        gone: dict[str, bytes | None] = {f"overlays/{name}/images.yaml": None for name in OTHERS}
        github.commit("main", gone, "Only mogle is bumped")
        self.first = registry.push("team/mogle", "3.0.0", created=NOW - timedelta(days=30))
        for path in (STAGING, PROD):
            text = re.sub(r"newName: .*mogle", f"newName: {self.name}", self.file(path).decode())
            content = edit.replace(text.encode(), path, Image(self.name, "3.0.0", self.first))
            github.commit("main", {path: content}, "Move", when=(NOW - timedelta(days=20)).isoformat())
        super().__init__(github, folder)

    def policy(self, **environments: Any) -> None:
        content = yaml.safe_dump(environments).encode()
        self.github.commit("main", {"overlays/mogle/images.yaml": content}, "Policy")

    def push(self, tag: str, days: int = 0, **more: Any) -> str:
        """An image that was built so many days ago."""
        return self.registry.push("team/mogle", tag, created=NOW - timedelta(days=days), **more)

    def bump(self, *, code: int = 0, env: Mapping[str, str] = MappingProxyType({})) -> dict[str, dict[str, Any]]:
        self.registry.calls.clear()
        done = self.run("images", "bump", "--output", "json", **env)
        assert done.code == code, done.err
        return {row["environment"]: row for row in json.loads(done.out)}

    def winner(self, tag: str, digest: str) -> str:
        return str(Image(self.name, tag, digest))


@pytest.fixture
def world(registry: Registry, github: GitHub, tmp_path: Path) -> RegistryWorld:
    return RegistryWorld(registry, github, tmp_path / "checkout")


def test_by_name_nothing_is_asked_but_what_runs_and_what_wins(world: RegistryWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}}, prod={"semver": {"range": "<3.1.0"}})
    for number in range(1, 12):
        world.push(f"3.0.{number}", index=False)
    new = world.push("3.10.0", 1)
    row = world.bump()["staging"]
    assert (row["action"], row["winner"]) == ("opened", world.winner("3.10.0", new))
    # What runs and what wins, of each environment.
    assert world.registry.calls["HEAD manifests"] <= 2 * 2
    assert world.registry.calls["GET tags"] == 2, "with and without a token"
    assert world.registry.calls["GET manifests"] <= 2 * 3
    body = world.github.pulls[row["pull_request"]].body
    assert "| `built` |" in body
    writes = len(world.github.writes)
    assert world.bump()["staging"]["action"] == "unchanged"
    assert len(world.github.writes) == writes


def test_what_does_not_fit_gives_way_to_the_next(world: RegistryWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}})
    world.push("3.3.0", platforms=("linux/arm64",))
    new = world.push("3.2.0", platforms=("linux/amd64/v1",), index=False)
    world.push("3.1.0")
    row = world.bump()["staging"]
    assert row["winner"] == world.winner("3.2.0", new)
    why = {image["tag"]: image["why_not"] for image in row["candidates"]}
    assert why["3.3.0"] == "not built for linux/amd64"


def test_the_newest_is_the_one_that_was_built_last(world: RegistryWorld) -> None:
    world.policy(staging={"newest": {}, "ignore": ["latest"]})
    world.push("aaaa", 3)
    new = world.push("bbbb", 1)
    world.push("cccc", 40)
    world.push("latest", 0)
    row = world.bump()["staging"]
    assert row["winner"] == world.winner("bbbb", new)
    why = {image["tag"]: image["why_not"] for image in row["candidates"]}
    assert why["cccc"] == "not newer than 3.0.0, which runs"


def test_too_many_to_be_asked_for_their_time_is_said(world: RegistryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitops.images.lookup.MOST", 2)
    world.policy(staging={"newest": {}}, prod={"newest": {}, "allow": [r"3\..*"]})
    world.push("3.1.0")
    world.push("aaaa")
    row = world.bump(code=2)
    assert "expected at most 2 tags that fit, found 3; narrow it with allow" in row["staging"]["error"]
    assert row["prod"]["winner"]


def test_an_image_that_says_no_time_is_none_of_the_newest(world: RegistryWorld) -> None:
    world.policy(staging={"newest": {}})
    world.registry.push("team/mogle", "3.1.0")
    row = world.bump()["staging"]
    assert {image["tag"]: image["why_not"] for image in row["candidates"]}["3.1.0"] == (
        "nothing tells when it was pushed or built"
    )


def test_what_runs_and_says_no_time_is_as_old_as_on_main(world: RegistryWorld) -> None:
    world.policy(staging={"newest": {}})
    silent = world.registry.push("team/mogle", "silent")
    content = edit.replace(world.file(STAGING), STAGING, Image(world.name, "silent", silent))
    world.github.commit("main", {STAGING: content}, "Pin", when=(NOW - timedelta(days=9)).isoformat())
    world.push("older", 12)
    assert world.bump()["staging"]["winner"] is None
    new = world.push("newer", 1)
    assert world.bump()["staging"]["winner"] == world.winner("newer", new)


def test_a_mutable_tag_is_followed_by_few_questions(world: RegistryWorld) -> None:
    world.policy(prod={"digest": {"tag": "edge"}})
    new = world.push("edge")
    for number in range(9):
        world.push(f"3.0.{number + 1}")
    assert world.bump()["prod"]["winner"] == world.winner("edge", new)
    # What runs and what is followed; and the two that people pinned on main, as one may have gone back.
    assert world.registry.calls["HEAD manifests"] == 4


def test_a_version_by_mistake_that_was_declined_holds_back_nothing_built_later(world: RegistryWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}})
    world.push("3.0.1", 9)
    world.push("30.1.0", 5)
    world.bump()
    world.github.pulls[1].state = "closed"
    assert world.bump()["staging"]["winner"] is None
    new = world.push("3.1.0", 1)
    row = world.bump()["staging"]
    assert row["winner"] == world.winner("3.1.0", new)


def test_a_declined_digest_comes_back_under_no_other_name(world: RegistryWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}})
    digest = world.push("3.1.0")
    world.bump()
    world.github.pulls[1].state = "closed"
    world.registry.retag("team/mogle", digest, "3.2.0")
    row = world.bump()["staging"]
    assert row["winner"] is None
    why = {image["tag"]: image["why_not"] for image in row["candidates"]}
    assert why["3.2.0"] == "held: a person took 3.1.0 back"


def test_a_promotion_goes_by_digest_and_sees_that_its_image_is_gone(world: RegistryWorld) -> None:
    world.policy(
        staging={"semver": {"range": "*"}}, prod={"promote": {"from": "staging", "soak": "1h", "health": "if-known"}}
    )
    new = world.push("3.1.0")
    content = edit.replace(world.file(STAGING), STAGING, Image(world.name, "3.1.0", new))
    world.github.commit("main", {STAGING: content}, "Pin", when=(NOW - timedelta(hours=3)).isoformat())
    assert world.bump()["prod"]["winner"] == world.winner("3.1.0", new)
    world.registry.delete("team/mogle", world.first)
    assert (
        world.bump(code=1)["prod"]["alert"] == f"the running image 3.0.0@{world.first[:19]} is gone from the registry"
    )


def test_a_tag_that_moved_and_an_image_that_is_gone_are_told(world: RegistryWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}})
    world.push("3.0.0", 1, content="other")
    assert world.bump(code=1)["staging"]["alert"] == "the tag 3.0.0 no longer names the running image"
    world.registry.delete("team/mogle", world.first)
    assert "is gone from the registry" in world.bump(code=1)["staging"]["alert"]


def test_a_registry_out_of_breath_stops_no_other(world: RegistryWorld) -> None:
    healthy = Registry()
    try:
        world.policy(staging={"semver": {"range": "*"}}, prod={"semver": {"range": "*"}})
        first = healthy.push("mogle", "3.0.0")
        text = world.file(PROD).decode().replace(world.name, f"{healthy.host}/mogle").replace(world.first, first)
        world.github.commit("main", {PROD: text.encode()}, "Move prod")
        healthy.push("mogle", "3.1.0")
        world.registry.faults = [Fault(".*", 429, headers={"Retry-After": "9999"}, times=99)]
        rows = world.bump(code=4)
        assert "is asked too often (HTTP 429)" in rows["staging"]["error"]
        assert rows["prod"]["action"] == "opened"
    finally:
        healthy.close()


def test_a_private_registry_is_read_with_the_secret_of_the_workflow(world: RegistryWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}})
    world.push("3.1.0")
    world.registry.private.add("team/mogle")
    assert "gives it to nobody without credentials" in world.bump(code=4)["staging"]["error"]
    assert world.bump(env=world.registry.environment)["staging"]["action"] == "opened"
    secret = yaml.safe_load((ROOT / ".github/workflows/images.yaml").read_text())["jobs"]["bump"]["steps"][-1]["env"]
    assert secret["REGISTRY_CREDENTIALS"] == "${{ secrets.REGISTRY_CREDENTIALS }}"


def test_a_rollback_asks_whether_it_is_still_there(world: RegistryWorld) -> None:
    new = world.push("3.1.0")
    content = edit.replace(world.file(PROD), PROD, Image(world.name, "3.1.0", new))
    world.github.commit("main", {PROD: content}, "Pin")
    done = world.run("images", "rollback", "mogle", "--reason", "x")
    assert (done.code, "back to 3.0.0" in done.out, done.err) == (0, True, "")


@pytest.fixture
def ghcr(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """What answers for ghcr.io."""

    def instead(host: str, *more: Any) -> Distribution:
        assert host == "ghcr.io"
        return Distribution(registry.host, *more)

    monkeypatch.setattr("gitops.clients.registries.choice.Distribution", instead)
    return registry


def test_the_service_of_the_readme_is_bumped(ghcr: Registry, github: GitHub, tmp_path: Path) -> None:
    [line] = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("gitops service new")]
    words = line.split()[1:]
    reference = words[words.index("--image") + 1]
    name, tag = reference.partition("@")[0].rsplit(":", 1)
    path = name.partition("/")[2]
    # The readme's digest is none of a real image.
    words[words.index("--image") + 1] = f"{name}:{tag}"
    digest = ghcr.push(path, tag)
    world = World(github, tmp_path / "checkout")
    assert world.run(*words).code == 0
    commit_all(world.checkout, "Add shop")
    files = [str(file.relative_to(world.checkout.root)) for file in (world.checkout.overlays / "shop").rglob("*.yaml")]
    github.commit("main", {file: (world.checkout.root / file).read_bytes() for file in files}, "Add shop")
    new = ghcr.push(path, "1.3.0")
    done = world.run("images", "bump", "shop", "--output", "json")
    rows = {row["environment"]: row for row in json.loads(done.out)}
    assert (rows["staging"]["runs"], rows["staging"]["winner"]) == (f"{name}:{tag}@{digest}", f"{name}:1.3.0@{new}")
    assert [pull.head for pull in github.pulls.values()] == ["bump/shop/staging"]


def test_a_minimum_age_goes_by_the_time_of_the_build(world: RegistryWorld) -> None:
    world.policy(staging={"semver": {"range": "*"}, "minimum-release-age": "2d"})
    old = world.push("3.1.0", 3)
    world.push("3.2.0", 1)
    world.registry.push("team/mogle", "3.3.0")
    row = world.bump()["staging"]
    assert row["winner"] == world.winner("3.1.0", old)
    why = {image["tag"]: image["reason"] for image in row["candidates"]}
    assert (why["3.2.0"], why["3.3.0"]) == ("too-young", "no-time")


def test_a_signature_is_found_where_the_client_left_it(world: RegistryWorld) -> None:
    """This registry cannot be asked for referrers: cosign keeps their list at a tag (OCI distribution, 1.1)."""
    registry, sigstore, name = world.registry, Sigstore(), "team/mogle"
    good = world.push("3.1.0", 2)
    world.push("3.2.0", 1)
    layer = {"mediaType": MEDIA_TYPE, **registry.blob(name, sigstore.bundle(good))}
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", **registry.blob(name, b"{}")}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": MEDIA_TYPE,
        "config": empty,
        "layers": [layer],
    }
    content = json.dumps({**manifest, "subject": {"mediaType": INDEX, "digest": good, "size": 1}}).encode()
    entry = {"mediaType": MANIFEST, "digest": registry.put(name, content), "size": len(content)}
    listed = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**entry, "artifactType": MEDIA_TYPE}]}
    registry.put(name, json.dumps(listed).encode(), good.replace(":", "-"), kind=INDEX)
    root = json.dumps(sigstore.trust_root()).encode()
    world.github.commit("main", {"overlays/mogle/trusted_root.json": root}, "Trust root")
    signer = {"identity": IDENTITY, "issuer": ISSUER, "trust-root": "trusted_root.json"}
    world.policy(staging={"semver": {"range": "*"}, "cosign-keyless": signer})
    row = world.bump()["staging"]
    assert row["winner"] == world.winner("3.1.0", good)
    assert {image["tag"]: image["why_not"] for image in row["candidates"]}["3.2.0"] == "not signed"
