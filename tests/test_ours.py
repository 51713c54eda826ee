"""What a bot's commit on a branch may change, by the branch's name and the owners of that commit's parent."""

from __future__ import annotations

import subprocess
from typing import cast

import pytest

from gitops.repository import ours
from gitops.repository.history import History

OWNERS = {
    "mogle": b"team: community\n",
    "umbrella": b"{team: 'community', contact: x}",
    "benefit": b"team: student life",
}
PIN, HOLD = "kustomization.yaml", "hold_migrate.yaml"


class Owners:
    """A history whose services have these owners at the commit `then`, and nobody else's at any other."""

    def content(self, commit: str, path: str) -> bytes | None:
        service = path.split("/")[1]
        assert path == f"overlays/{service}/owner.yaml"
        return OWNERS.get(service, b"team: [\n") if commit == "then" else None


@pytest.mark.parametrize(
    ("branch", "path", "expected"),
    [
        ("bump/mogle/prod", f"overlays/mogle/prod/{PIN}", True),
        ("bump/mogle/prod", f"overlays/mogle/staging/{PIN}", False),
        ("bump/mogle/prod", f"overlays/mogle2/prod/{PIN}", False),
        ("bump/mogle/prod", f"overlays/mogle/prod/below/{PIN}", False),
        ("bump/mogle/prod", "overlays/mogle/prod/ingress.yaml", False),
        ("bump/mogle/prod", "README.md", False),
        ("bump/mogle/prod_migrate", f"overlays/mogle/prod/{HOLD}", True),
        ("bump/mogle/_auto", f"overlays/mogle/staging/{PIN}", True),
        ("bump/mogle/_auto", "overlays/mogle/images.yaml", False),
        ("bump/mogle/_auto", f"overlays/umbrella/staging/{PIN}", False),
        ("bump/_community/_auto", f"overlays/mogle/prod/{HOLD}", True),
        ("bump/_community/_by-hand", f"overlays/umbrella/staging/{PIN}", True),
        ("bump/_community/_auto", f"overlays/benefit/staging/{PIN}", False),
        ("bump/_community/_auto", "overlays/mogle/owner.yaml", False),
        ("bump/_community/_auto", "overlays/mogle/staging/ingress.yaml", False),
        ("bump/_student_20life/_auto", f"overlays/benefit/staging/{PIN}", True),
        ("bump/_community/_auto", f"overlays/broken/staging/{PIN}", False),
        ("bump/_/_auto", f"overlays/broken/staging/{PIN}", False),
        ("rollback/mogle/prod", "overlays/mogle/prod/deployment.yaml", False),
        ("oauth/mogle/prod", "overlays/mogle/prod/sealedsecret-oauth-42-g3.yaml", True),
        ("oauth/mogle/prod", "overlays/mogle/staging/oauth-42.yaml", False),
        ("bump", f"overlays/mogle/prod/{PIN}", False),
        ("", f"overlays/mogle/prod/{PIN}", False),
    ],
)
def test_what_a_branch_may_change(branch: str, path: str, expected: bool) -> None:
    assert ours.may_change(cast(History, Owners()), branch)("then", path) is expected


def test_a_team_is_asked_of_the_commits_own_parent() -> None:
    """A move of a service to another team on main makes no person of the bot."""
    allows = ours.may_change(cast(History, Owners()), "bump/_community/_auto")
    assert allows("then", f"overlays/mogle/prod/{PIN}")
    assert not allows("before", f"overlays/mogle/prod/{PIN}")


@pytest.mark.parametrize("name", ["1.1.0", "v1.2-rc.1", "2027.01.31", "UPPER_case", "1.0+build=7"])
def test_what_git_takes_stands_in_a_branch_as_it_is(name: str) -> None:
    assert ours.readable(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "1.1.0",
        "a..b",
        "a...b",
        "x.lock",
        ".x",
        "x.",
        "a~b^c:d?e*f[g\\h i",
        "@{1}",
        "\u314e",
        "a/b",
        "-x",
        "$(id)",
        "x.lock.",
    ],
)
def test_a_readable_name_is_the_end_of_a_branch(name: str) -> None:
    branch = f"back-mogle-prod-{ours.readable(name)}"
    subprocess.run(["git", "check-ref-format", "--branch", branch], check=True, capture_output=True)
    subprocess.run(["git", "check-ref-format", f"refs/heads/seal/mogle/prod/{ours.readable(name)}"], check=True)
    assert branch == subprocess.check_output(["bash", "-c", f"printf %s {branch}"], text=True), "nothing to be quoted"
