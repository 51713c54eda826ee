"""Every kind of change of an image, as tests/every_change.py lists them: the bot's, and what a person does to them."""

from __future__ import annotations

import re
from datetime import timedelta

from semantic_version import Version

from gitops.manifests.image import in_ecr
from gitops.manifests.overlay import Overlay
from gitops.service.registries import allowed_registries
from tests.live_world import DAY, LiveWorld

REGISTRIES = "policies/pods/image-registry.yaml"
# A registry of packages that nobody has.
DECLARED = "ghcr.io/piled-platform/"


def registry(world: LiveWorld, *, ecr: bool) -> str:
    """A registry that the policies allow."""
    return next(prefix.rstrip("/") for prefix in allowed_registries(world.checkout) if in_ecr(prefix) == ecr)


def bumpable(world: LiveWorld) -> str:
    """The first service in ECR whose staging follows semver and whose prod takes what soaked there."""
    names: list[str] = list(dict.fromkeys(row["service"] for row in world.services()))
    return next(name for name in [*names, world.made.web_in_ecr] if _follows_semver(world, name))


def _follows_semver(world: LiveWorld, service: str) -> bool:
    policies, images = world.policies(service), world.images(service)
    if policies.keys() != {"staging", "prod"} or images.keys() != policies.keys():
        return False
    plain = policies["staging"].keys() <= {"semver", "auto-merge"} and policies["prod"].keys() == {"promote"}
    one_repository = len({image.name for image in images.values()}) == 1 and in_ecr(images["prod"].name)
    held = list((world.checkout.overlays / service).glob("*/hold.yaml"))
    newest = policies["staging"].get("semver", {}).get("range") == "*"
    return (
        plain and one_repository and newest and not held and re.match(r"\d+\.\d+\.\d+", images["prod"].tag) is not None
    )


def bump(world: LiveWorld, service: str, environment: str, *, ago: timedelta = timedelta(0)) -> None:
    """The scheduled run, and a person's merge of the pull request that it opened."""
    rows = world.rows("images", "bump", service)
    [row] = [row for row in rows if row["environment"] == environment]
    assert row["action"] == "opened", row
    world.merge(Overlay(service, environment).branch("bump"), ago=ago)


def bump_image(world: LiveWorld) -> None:
    service = world.made.bumped = bumpable(world)
    world.stock(service)
    image = world.images(service)["staging"]
    # Above all that a person may have taken back there.
    world.push(image.name, f"{Version.coerce(image.tag).major}.9999.0")
    bump(world, service, "staging", ago=365 * DAY)


def promote_image(world: LiveWorld) -> None:
    bump(world, world.made.bumped, "prod")
    images = world.images(world.made.bumped)
    assert images["prod"] == images["staging"]


def roll_back(world: LiveWorld) -> None:
    service = world.made.bumped
    world.run("images", "rollback", service, "--reason", 'logins fail: "500"', "--for", "3d")
    world.merge(Overlay(service, "prod").branch("rollback"))


def hold_again(world: LiveWorld) -> None:
    """While the first hold lasts: the image before was no better, so the newer one comes back and stays."""
    overlay = Overlay(world.made.bumped, "prod")
    newest = world.images(overlay.service)["staging"]
    words = ("--to", newest.tag, "--reason", "it was the database", "--for", "5d")
    world.run("images", "rollback", overlay.service, *words)
    world.merge(overlay.branch("rollback"))
    assert world.image(overlay) == newest
    assert f'tag: "{newest.tag}"' in world.read(overlay.file("hold.yaml"))


def end_hold(world: LiveWorld) -> None:
    """What the rollback's pull request says: delete the file to let the bot go on."""
    (world.checkout.overlays / world.made.bumped / "prod/hold.yaml").unlink()


def follow_mutable_tag(world: LiveWorld) -> None:
    """README: images.yaml says which image each environment may run."""
    path = f"overlays/{world.made.bot_in_ecr}/images.yaml"
    world.write(path, world.read(path).replace('semver: {range: "*"}', "digest: {tag: edge}"))


def bump_to_mutable_tag(world: LiveWorld) -> None:
    service = world.made.bot_in_ecr
    world.push(world.images(service)["prod"].name, "edge", "first")
    bump(world, service, "prod")


def bump_digest(world: LiveWorld) -> None:
    service = world.made.bot_in_ecr
    before = world.images(service)["prod"]
    digest = world.push(before.name, before.tag, "second")
    bump(world, service, "prod")
    assert world.images(service)["prod"].digest == digest != before.digest


def move_image(world: LiveWorld, service: str, prefix: str) -> None:
    """Each overlay of a service names its image in another registry, under the digest that it ran already."""
    for environment, image in world.images(service).items():
        path = Overlay(service, environment).kustomization
        moved = f"{prefix}{service}"
        world.write(path, world.read(path).replace(f"newName: {image.name}\n", f"newName: {moved}\n"))
        assert world.images(service)[environment].name == moved


def move_to_ecr(world: LiveWorld) -> None:
    """What moves to ECR is followed by the bot from then on: images.yaml says how, as in a service that began there."""
    move_image(world, world.made.web, f"{registry(world, ecr=True)}/piled/")
    world.write(f"overlays/{world.made.web}/images.yaml", world.read(f"overlays/{world.made.web_in_ecr}/images.yaml"))


def declare_registry(world: LiveWorld) -> None:
    """docs/runbooks/gate.md, policy: the owner of another registry is added to those of the policy."""
    text = world.read(REGISTRIES)
    world.write(REGISTRIES, text.replace("'docker.io/library/'", f"'docker.io/library/', '{DECLARED}'"))


def move_to_declared_registry(world: LiveWorld) -> None:
    move_image(world, world.made.bot, DECLARED)
