"""What holds for the image updates of all services: .github/images.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile

Way = Literal["service", "team"]
FILE = ".github/images.yaml"


class WidePolicy(BaseModel):
    """.github/images.yaml: what holds for all services.

    `open-pull-requests-limit`: how many pull requests of image updates may be open at once (Dependabot's word). What is
    more waits, the one that has waited longest goes first; rollbacks and rotations are not counted.
    `group`: one pull request for all environments of a service, or for all services of a team; without it one for each
    image. What merges by itself is never in one with what a person merges.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    open_pull_requests_limit: int | None = Field(default=None, alias="open-pull-requests-limit", ge=1)
    group: Way | None = None


def read(checkout: Checkout) -> WidePolicy:
    """Read .github/images.yaml (nothing is limited where it is not there). Raises InputError."""
    file = checkout.root / FILE
    return yamlfile.read_model(checkout, file, WidePolicy) if file.exists() else WidePolicy()
