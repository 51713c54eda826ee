"""Every change by a verb that edits overlays, as tests/every_change.py lists them."""

from __future__ import annotations

from tests.live_world import DOMAIN, LiveWorld

_DIGEST = f"sha256:{'b' * 64}"
_DAY = ("--from", "2099-01-31T09:00", "--to", "2099-01-31T18:00", "--time-zone", "Asia/Seoul")


def set_variable(world: LiveWorld) -> None:
    world.run("service", "set", world.made.web, "MENU_URL=https://menu.example.com")


def unset_variable(world: LiveWorld) -> None:
    world.run("service", "unset", world.made.web, "MENU_URL")


def seal_for_the_program(world: LiveWorld) -> None:
    world.run("secrets", "seal", world.made.bot, "api", "--key", "API_TOKEN", "--as-env", stdin="a value of nobody")


def remove_secret(world: LiveWorld) -> None:
    world.run("secrets", "remove", world.made.bot, "api")


def add_domain(world: LiveWorld) -> None:
    world.run("service", "domain", "add", world.made.web, f"more.{DOMAIN}")


def remove_domain(world: LiveWorld) -> None:
    world.run("service", "domain", "remove", world.made.web, f"more.{DOMAIN}")


def scale(world: LiveWorld) -> None:
    world.run("service", "scale", world.made.web, "--min", "4", "--max", "20")


def scale_for_a_day(world: LiveWorld) -> None:
    world.run("service", "scale", world.made.web, "--min", "5", "--max", "20", *_DAY)


def end_the_day(world: LiveWorld) -> None:
    world.run("service", "scale", world.made.web, "--end")


def set_image(world: LiveWorld) -> None:
    world.run("images", "set", world.made.bot, f"1.2.4@{_DIGEST}")


def remove_service(world: LiveWorld) -> None:
    world.run("service", "remove", world.made.web)
