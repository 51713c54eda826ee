"""The situations of docs/images-decisions.md, in the words of tests/image_planner.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.image_planner import Situation

Policy = dict[str, Any]
FIRST = "3.0.0 30d"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """One row. `environment`: whose decision it is; `about`: a tag of the registry whose rejection is told."""

    says: str
    environment: str
    situation: Situation
    about: str = ""

    @property
    def policy(self) -> Mapping[str, Any]:
        """The policy that decides."""
        return self.situation.policies[self.environment]


def direct(says: str, own: Policy, registry: str, ran: str = FIRST, *, about: str = "", **facts: Any) -> Case:
    """A policy that takes images from the registry, in staging, whose image the registry still has.

    `facts`: by what they are, of staging.
    """
    return gone(says, own, f"{ran.split(', ')[-1].removesuffix(' bot')}, {registry}", ran, about=about, **facts)


def gone(
    says: str,
    own: Policy,
    registry: str,
    ran: str = FIRST,
    *,
    about: str = "",
    platforms: Mapping[str, str] | None = None,
    broken: tuple[str, ...] = (),
    fault: str = "",
    names_alone: bool = False,
    **facts: Any,
) -> Case:
    """The same where the registry has nothing but what is said."""
    of_staging = {name: {"staging": value} for name, value in facts.items()}
    situation = Situation(
        policies={"staging": own},
        registry=registry,
        ran={"staging": ran},
        platforms=platforms or {},
        broken=broken,
        fault=fault,
        names_alone=names_alone,
        held=of_staging.get("held", {}),
        declined=of_staging.get("declined", {}),
    )
    return Case(says, "staging", situation, about)


SEMVER: Policy = {"semver": {}}
RC: Policy = {"semver": {"prereleases": True}}
NEWER = "3.1.0 2d"
AGED: Policy = {"semver": {}, "minimum-release-age": "2d"}
TAKEN = "3.0.0 30d, 3.1.0 9d, 3.0.0 8d"

VERSIONS = [
    direct("a newer version", SEMVER, NEWER),
    direct("a newer version, in a registry that lists names alone", SEMVER, NEWER, names_alone=True),
    direct("the highest is not the last of the alphabet", SEMVER, "3.0.9 9d, 3.0.63 8d, 3.0.7 1d"),
    direct("a short SHA of digits alone", SEMVER, "4815162 1d", about="4815162"),
    direct("two numbers", SEMVER, "3.10 1d", about="3.10"),
    direct("leading zeros", SEMVER, "3.01.0 1d", about="3.01.0"),
    direct("a leading v", SEMVER, "v3.1.0 1d"),
    direct("a pre-release that nobody opted in to", SEMVER, "3.1.0-rc.1 1d", about="3.1.0-rc.1"),
    direct("a pre-release that was opted in to", RC, "3.1.0-rc.1 1d"),
    direct("a release above its pre-release", RC, "3.1.0 3d, 3.1.0-rc.1 1d"),
    direct(
        "a pre-release of the version that the range ends before",
        {"semver": {"range": "<4.0.0", "prereleases": True}},
        "4.0.0-rc.1 1d",
        about="4.0.0-rc.1",
    ),
    direct("one above the range, one in it", {"semver": {"range": "^3.0.0"}}, "3.9.0 3d, 4.0.0 1d", about="4.0.0"),
    direct("nothing newer", SEMVER, "2.9.0 1d", about="2.9.0"),
    gone("nothing that fits, not even what runs", {"semver": {"range": ">=5.0.0"}}, "latest 1d", about="latest"),
    gone("the registry shows nothing at all", SEMVER, ""),
    gone("the registry does not answer", SEMVER, "", fault="ECR answered ServerException"),
    gone("what runs is gone, a newer one is there", SEMVER, "3.1.0 1d"),
    gone("what runs is gone, only older ones are there", SEMVER, "2.9.0 40d"),
    gone("the tag that runs was pushed again", SEMVER, "3.0.0=other 1d, -=3.0.0 30d"),
    gone("the policy allows no longer what runs", {"semver": {"range": "<3.0.0"}}, "2.9.0 40d, 3.0.0 30d"),
    direct("a tag that is ignored", {"semver": {}, "ignore": [r"3\.1\..*"]}, NEWER, about="3.1.0"),
    direct("a tag that is in no allow list", {"semver": {}, "allow": [r"3\.0\..*"]}, NEWER, about="3.1.0"),
    direct("signatures, attestations and caches", SEMVER, "3.1.0.att 1d, buildcache 1d", about="3.1.0.att"),
]

KEYLESS: Policy = {
    "semver": {},
    "cosign-keyless": {
        "identity": "https://github.com/ft/mogle/.github/workflows/build.yaml@refs/heads/main",
        "issuer": "https://token.actions.githubusercontent.com",
        "trust-root": "trusted_root.json",
    },
}

IMAGES = [
    direct(
        "the newest lacks a platform", SEMVER, "3.1.0 2d, 3.2.0 1d", platforms={"3.2.0": "linux/arm64"}, about="3.2.0"
    ),
    direct(
        "built for linux/arm64 with the variant v8",
        {"semver": {}, "platforms": ["linux/arm64"]},
        NEWER,
        platforms={"3.1.0": "linux/arm64/v8"},
    ),
    direct("its manifest is gone", SEMVER, NEWER, broken=("3.1.0",), about="3.1.0"),
    direct("an identity is named, and it is not signed", KEYLESS, NEWER, about="3.1.0"),
    direct("a key is named, and it is not signed", {"semver": {}, "cosign-key": "cosign.pub"}, NEWER, about="3.1.0"),
]

PEOPLE = [
    direct("a person went back on main", SEMVER, NEWER, TAKEN, about="3.1.0"),
    direct("a person went back, and something newer came", SEMVER, f"{NEWER}, 3.1.1 1d", TAKEN),
    direct("went back, brought again, and one more came", SEMVER, f"{NEWER}, 3.2.0 1d", f"{TAKEN}, 3.1.0 7d"),
    direct("a person declined its pull request", SEMVER, NEWER, declined="3.1.0", about="3.1.0"),
    direct("declined, and something newer came", SEMVER, f"{NEWER}, 3.2.0 1d", declined="3.1.0"),
    direct(
        "a version by mistake was declined, a lower one was pushed after it",
        SEMVER,
        "30.1.0 3d, 3.1.0 1d",
        declined="30.1.0",
        about="30.1.0",
    ),
    direct(
        "a version by mistake was declined, a lower one was there already",
        SEMVER,
        "3.1.0 4d, 30.1.0 3d",
        declined="30.1.0",
        about="3.1.0",
    ),
    direct("held", SEMVER, NEWER, held=("3.0.0", DAY)),
    direct("the hold is over", SEMVER, NEWER, held=("3.0.0", -DAY)),
    direct("held on a tag that does not run", SEMVER, NEWER, held=("2.9.0", DAY)),
    direct("a policy that may merge by itself", {"semver": {}, "auto-merge": True}, NEWER),
]

WAITS = [
    direct("pushed a moment ago", AGED, "3.1.0 1h", about="3.1.0"),
    direct("pushed a moment ago, an older one is newer than what runs", AGED, "3.1.0 3d, 3.2.0 1h", about="3.2.0"),
    direct("pushed long enough ago", AGED, NEWER),
    direct("the registry tells no times", AGED, NEWER, names_alone=True, about="3.1.0"),
    direct("a new major version", {"semver": {}, "auto-merge": True}, "4.0.0 1d"),
    direct("a new major version, by hand", {"semver": {}, "auto-merge": True, "majors": "by-hand"}, "4.0.0 1d"),
    direct("a minor version, majors by hand", {"semver": {}, "auto-merge": True, "majors": "by-hand"}, "3.1.0 1d"),
    direct("a new major version, never", {"semver": {}, "majors": "never"}, "4.0.0 1d", about="4.0.0"),
    direct("a new major version, never, and a minor one", {"semver": {}, "majors": "never"}, "3.1.0 2d, 4.0.0 1d"),
]

NUMBERS: Policy = {"pattern": {"match": r"main-(\d+)-[0-9a-f]+", "order": "numerical", "group": 1}}
ALPHABET: Policy = {"pattern": {"match": ".*", "order": "alphabetical"}}
NAMED: Policy = {"pattern": {"match": "rel-(.*)", "order": "semver", "group": 1}}

PATTERNS = [
    direct("numbers by their size", NUMBERS, "main-9-ab 2d, main-10-cd 1d", "main-8-ef 9d"),
    direct("a tag that does not match", NUMBERS, "dev-11-ab 1d", "main-8-ef 9d", about="dev-11-ab"),
    direct("a group that is a version", NAMED, "rel-1.10.0 2d, rel-1.9.0 1d", "rel-1.8.0 9d"),
    direct("a group that is none", NAMED, "rel-next 1d", "rel-1.8.0 9d", about="rel-next"),
    direct("dates by the alphabet", ALPHABET, "2026-02 2d, 2025-12 1d", "2026-01 9d"),
    direct(
        "one date was declined, the next came", ALPHABET, "2026-02 3d, 2026-03 1d", "2026-01 9d", declined="2026-02"
    ),
    direct(
        "a word behind all dates was declined, the next date came",
        ALPHABET,
        "hotfix 3d, 2026-02 1d",
        "2026-01 9d",
        declined="hotfix",
    ),
]

NEWEST: Policy = {"newest": {}}
EDGE: Policy = {"digest": {"tag": "stable"}}

MOMENTS = [
    direct("another push", NEWEST, "b 1d", "a 9d"),
    direct("CI pushes latest as well", NEWEST, "sha-2 1d, latest=sha-2 1d", "sha-1 9d"),
    gone("latest runs, and CI pushed once more", NEWEST, "sha-1 9d, sha-2 1d, latest=sha-2 1d", "latest=sha-1 9d"),
    direct("another tag of what runs", NEWEST, "b=a 9d", "a 9d"),
    direct("a tag was moved to an old image", NEWEST, "a 9d, c=a 9d", "b 1d"),
    gone("what runs is gone, an older one is there", NEWEST, "a 9d", "b 2d"),
    direct("what runs is not allowed, an older one is", {"newest": {}, "allow": ["a"]}, "a 9d", "b 2d"),
    direct("what runs is not allowed, a newer one is", {"newest": {}, "allow": ["a"]}, "a 1d", "b 2d"),
    gone("a person went back to what never ran here", NEWEST, "a 9d, b 5d", "b 5d, a 1d", about="b"),
    direct("pushed in one moment", NEWEST, "0.0.9 1d, 0.0.10 1d", "0.0.8 9d"),
    direct("the newest was declined, a newer one came", NEWEST, "b 3d, c 1d", "a 9d", declined="b"),
    gone("the followed tag was moved", EDGE, "stable=B 1d, -=A 9d", "stable=A 9d"),
    gone("the followed tag stands where it stood", EDGE, "stable=A 9d", "stable=A 9d", about="stable"),
    gone("the followed tag is gone", EDGE, "edge=B 1d, -=A 9d", "stable=A 9d", about="edge"),
    gone("its digest was declined", EDGE, "stable=B 1d, -=A 9d", "stable=A 9d", declined="stable=B", about="stable"),
    gone(
        "CI moves it to and fro, and the bot follows",
        EDGE,
        "stable=B 1d, -=A 9d",
        "stable=A 9d, stable=B 8d bot, stable=A 7d bot",
    ),
    gone(
        "a person took its digest back",
        EDGE,
        "stable=B 1d",
        "stable=A 9d, stable=B 8d bot, stable=A 7d",
        about="stable",
    ),
    gone("it was moved a moment ago", {**EDGE, "minimum-release-age": "2d"}, "stable=B 1h, -=A 9d", "stable=A 9d"),
]
