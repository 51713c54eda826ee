"""The situations of docs/images-decisions.md in which one environment takes what another ran."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.decision_cases import FIRST, Case, Policy
from tests.image_planner import Situation

PROMOTE: Policy = {"promote": {"from": "staging", "soak": "1d"}}
SOAKED = f"{FIRST}, 3.1.0 2d"
HELD = ("3.0.0", timedelta(days=1))
STOCK = "3.0.0 30d, 3.0.1 9d, 3.1.0 9d, 3.1.1 9d, 3.2.0 8d, 4.0.0 8d"


def prod(says: str, staging: str, ran: str = FIRST, own: Policy = PROMOTE, **facts: Any) -> Case:
    """What prod takes from staging, by what both ran."""
    given: dict[str, Any] = {"registry": STOCK, **facts}
    policies = {"staging": {"semver": {"prereleases": True}}, "prod": own}
    return Case(says, "prod", Situation(policies=policies, ran={"staging": staging, "prod": ran}, **given))


def health(*changes: str) -> dict[str, Any]:
    """What Argo CD told of staging."""
    return {"health": {"staging": ", ".join(["success 30d", *changes])}}


BY_TIME: Policy = {"promote": {"from": "staging", "soak": "1d", "health": "if-known"}}
WITH_RC: Policy = {"promote": {"from": "staging", "soak": "1d", "prereleases": True}}

PROMOTIONS = [
    prod("soaked, and Healthy all the time", SOAKED),
    prod("not yet for the soak time", f"{FIRST}, 3.1.0 6h"),
    prod("nothing is known of its health", SOAKED, health={"staging": ""}),
    prod("nothing is known, and the policy goes by the time", SOAKED, own=BY_TIME, health={"staging": ""}),
    prod("it crash-loops", SOAKED, **health("in_progress 48h", "failure 47h")),
    prod("it soaked, and is Degraded now", SOAKED, **health("success 48h", "failure 1h")),
    prod("Argo CD cannot sync it", SOAKED, **health("success 48h", "error 1h")),
    prod("it was Healthy in parts, not for long enough", SOAKED, **health("success 48h", "failure 36h", "success 6h")),
    prod("it was Healthy in parts, for long enough", SOAKED, **health("success 48h", "failure 20h", "success 2h")),
    prod("its pods are starting", SOAKED, **health("success 48h", "in_progress 5m")),
    prod("its pods are starting for a day", SOAKED, **health("success 48h", "in_progress 1d")),
    prod("it crashes again and again", SOAKED, **health("success 48h", "failure 9h", "in_progress 8m", "failure 5m")),
    prod("the newest soaks, the one before it did", f"{FIRST}, 3.1.0 9d, 3.2.0 6h"),
    prod(
        "the newest is Degraded, the one before it soaked",
        f"{FIRST}, 3.1.0 9d, 3.2.0 3d",
        **health("success 9d", "failure 3d"),
    ),
    prod(
        "the newest soaks, the one before it was Degraded to its end",
        f"{FIRST}, 3.1.0 9d, 3.2.0 6h",
        **health("failure 9d", "success 6h"),
    ),
    prod("prod got a hotfix that staging never ran", SOAKED, f"{FIRST}, 3.1.1 1d"),
    prod("staging tries a pre-release", f"{FIRST}, 3.1.0-rc.1 2d"),
    prod("staging tries a pre-release, which the policy takes", f"{FIRST}, 3.1.0-rc.1 2d", own=WITH_RC),
    prod("the pre-release that soaked is the release now", f"{FIRST}, 3.1.0-rc.1=x 2d, 3.1.0=x 1h"),
    prod(
        "the pre-release that prod runs is the release now", f"{FIRST}, 3.1.0-rc.1=x 2d, 3.1.0=x 1h", "3.1.0-rc.1=x 1d"
    ),
    prod("a person took it back in staging", f"{FIRST}, 3.1.0 9d, 3.0.0 8d"),
    prod("a person took it back in staging and brought it again", f"{FIRST}, 3.1.0 9d, 3.0.0 8d, 3.1.0 2d"),
    prod("a person took it back in prod", SOAKED, f"{FIRST}, 3.1.0 1d, 3.0.0 6h"),
    prod("a person declined its pull request", SOAKED, declined={"prod": "3.1.0"}),
    prod("prod runs it already", SOAKED, f"{FIRST}, 3.1.0 6h"),
    prod("prod is held", SOAKED, held={"prod": HELD}),
    prod("it lacks prod's platform", SOAKED, own={**PROMOTE, "platforms": ["linux/arm64"]}),
    prod("the registry lost what prod runs", f"{FIRST}, 3.1.0 6h", registry="3.1.0 9d"),
    prod("the registry lost what would be promoted", SOAKED, broken=("3.1.0",)),
    prod("a new major version soaked", f"{FIRST}, 4.0.0 2d"),
    prod("a new major version soaked, prod takes none", f"{FIRST}, 4.0.0 2d", own={**PROMOTE, "majors": "never"}),
]

CANARY: Policy = {"promote": {"from": "canary", "soak": "3d"}}
THREE = {"staging": {"semver": {}}, "canary": {**PROMOTE, "auto-merge": True}, "prod": CANARY}


def stage(says: str, environment: str, staging: str, canary: str, ran: str = FIRST, **facts: Any) -> Case:
    """What one of three stages does."""
    known = {"staging": staging, "canary": canary, "prod": ran}
    return Case(says, environment, Situation(policies=THREE, registry=STOCK, ran=known, **facts))


STAGES = [
    stage("it soaked in staging", "canary", SOAKED, FIRST),
    stage("it soaked in staging, canary has not run it", "prod", SOAKED, FIRST),
    stage("it soaks in canary", "prod", f"{FIRST}, 3.1.0 7d", f"{FIRST}, 3.1.0 2d"),
    stage("it soaked in canary", "prod", f"{FIRST}, 3.1.0 7d", f"{FIRST}, 3.1.0 4d"),
    stage("canary is Degraded", "prod", SOAKED, f"{FIRST}, 3.1.0 4d", health={"canary": "success 30d, failure 2d"}),
    stage(
        "a person took it back in staging, canary runs it", "prod", f"{FIRST}, 3.1.0 7d, 3.0.0 1d", f"{FIRST}, 3.1.0 6d"
    ),
    stage("canary got a hotfix", "canary", SOAKED, f"{FIRST}, 3.1.1 1d"),
]
