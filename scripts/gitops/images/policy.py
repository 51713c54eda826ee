"""What may run: overlays/<service>/images.yaml, one policy for each environment."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    WithJsonSchema,
    model_validator,
)
from semantic_version import NpmSpec

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images.entry import MAIN
from gitops.manifests import yamlfile

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


def _range(text: str) -> str:
    try:
        NpmSpec(text)
    except ValueError:
        raise ValueError("not a semver range; expected one such as '>=1.2.0 <2.0.0', '^1.4.0' or '1.x'") from None
    return text


def duration(value: object) -> timedelta:
    """A span such as 90m, 24h or 3d, short enough that there is a date so far from now. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,5})([mhd])", value) if isinstance(value, str) else None
    if not match:
        raise ValueError(
            "not a duration; expected minutes, hours or days, such as 90m, 24h or 3d (five digits at most)"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def spell(span: timedelta) -> str:
    """As a policy writes it: whole days, hours or minutes."""
    minutes = int(span.total_seconds() // 60)
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes and minutes % size == 0:
            return f"{minutes // size}{unit}"
    return f"{minutes}m"


Regex = Annotated[str, AfterValidator(_regex)]
Range = Annotated[str, AfterValidator(_range)]
Duration = Annotated[
    timedelta, BeforeValidator(duration), WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,5}[mhd]$"})
]


# A repository on GitHub: where release notes are read.
SOURCE = r"https://github\.com/([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]*[A-Za-z0-9_-])"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Semver(_Strict):
    """The highest version in a range. Only whole versions count: `v` or nothing, then MAJOR.MINOR.PATCH."""

    range: Range = "*"
    prereleases: bool = False


class Pattern(_Strict):
    """Tags that a regular expression matches whole, by the order of one of its groups."""

    match: Regex
    order: Literal["semver", "numerical", "alphabetical"]
    group: int | str = 0

    @model_validator(mode="after")
    def _has_group(self) -> Pattern:
        compiled = re.compile(self.match)
        known: list[int | str] = [*range(compiled.groups + 1), *compiled.groupindex]
        if self.group not in known:
            raise ValueError(f"match has no group {self.group!r}; it has {known}")
        return self


class Newest(_Strict):
    """The image that was pushed last."""


class Digest(_Strict):
    """Whatever a mutable tag points to."""

    tag: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")


class Promote(_Strict):
    """The very image that another environment ran for at least `soak`, Synced and Healthy.

    That one may promote too (staging, canary, prod): each stage has its own soak and health. What a person took back in
    one goes no further.
    `health`: what to do where nothing tells of its health. `required` waits, `if-known` goes by the time alone.
    `prereleases`: whether one may go on, such as 1.3.0-rc.1, which the other environment may take to try it.
    """

    from_: str = Field(alias="from")
    soak: Duration
    health: Literal["required", "if-known"] = "required"
    prereleases: bool = False


class Keyless(_Strict):
    """Signed without a key: by the certificate of exactly this identity, as exactly this issuer says.

    `trust-root`: Sigstore's trusted_root.json, a file beside this one; nothing is asked of Sigstore.
    """

    identity: str = Field(min_length=1)
    issuer: str = Field(pattern=r"^https://\S+$")
    trust_root: str = Field(alias="trust-root", min_length=1)


Select = Semver | Pattern | Newest | Digest | Promote


class Policy(_Strict):
    """How one environment's image is chosen. Exactly one of semver, pattern, newest, digest and promote.

    `minimum-release-age`: how long ago an image was pushed before it is taken (Renovate's minimumReleaseAge).
    `source`: the repository on GitHub whose release notes a pull request quotes, where the image's label does not say.
    `majors`: `by-hand` proposes a new major version and leaves its merge to a person, `never` proposes none.
    """

    semver: Semver | None = None
    pattern: Pattern | None = None
    newest: Newest | None = None
    digest: Digest | None = None
    promote: Promote | None = None
    allow: tuple[Regex, ...] = ()
    ignore: tuple[Regex, ...] = ()
    platforms: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$")], ...] = ("linux/amd64",)
    cosign_key: str | None = Field(default=None, alias="cosign-key")
    cosign_keyless: Keyless | None = Field(default=None, alias="cosign-keyless")
    source: str | None = Field(default=None, pattern=f"^{SOURCE}$")
    minimum_release_age: Duration | None = Field(default=None, alias="minimum-release-age")
    majors: Literal["allow", "by-hand", "never"] = "allow"
    auto_merge: bool = Field(default=False, alias="auto-merge")

    @model_validator(mode="after")
    def _one_way(self) -> Policy:
        ways = [name for name in ("semver", "pattern", "newest", "digest", "promote") if getattr(self, name)]
        if len(ways) != 1:
            raise ValueError(
                f"expected exactly one of semver, pattern, newest, digest, promote; found {ways or 'none'}"
            )
        if self.cosign_key and self.cosign_keyless:
            raise ValueError("an image is signed by a key or without one: cosign-key or cosign-keyless, not both")
        if self.promote and (self.allow or self.ignore):
            raise ValueError("promote takes what the other environment runs: allow and ignore belong there")
        if self.promote and self.minimum_release_age is not None:
            raise ValueError("promote has a soak: minimum-release-age belongs to the environment that it promotes from")
        return self

    @property
    def select(self) -> Select:
        """The one way that is set."""
        return next(way for way in (self.semver, self.pattern, self.newest, self.digest, self.promote) if way)


# The name of an entry of `images:`, which is in the names of branches and files.
EntryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,63}$")]


class EnvironmentPolicy(Policy):
    """The policy of an environment's image, which is the entry `app` of its kustomization's `images:`.

    `images`: those of further entries (sidecars, init containers) by the entry's name. Each is followed by itself, and
    promotes the same entry of another environment. Without `platforms` of its own it is taken for the environment's.
    """

    images: dict[EntryName, Policy] = {}

    @model_validator(mode="after")
    def _further(self) -> EnvironmentPolicy:
        if MAIN in self.images:
            raise ValueError(f"images: {MAIN} is the environment's own image, whose policy stands outside of images")
        return self

    @property
    def entries(self) -> dict[str, Policy]:
        """Every policy by its entry's name, the environment's own first. A pod's images run on one node."""
        same = {"platforms": self.platforms}
        further = {
            name: own if "platforms" in own.model_fields_set else own.model_copy(update=same)
            for name, own in self.images.items()
        }
        return {MAIN: self, **further}


class Policies(RootModel[dict[str, EnvironmentPolicy]]):
    """Every policy of a service by its environment."""

    @model_validator(mode="after")
    def _promotions(self) -> Policies:
        names = dict.fromkeys(itertools.chain.from_iterable(policy.entries for policy in self.root.values()))
        for entry in names:
            own = {name: policy.entries[entry] for name, policy in self.root.items() if entry in policy.entries}
            try:
                _check_promotions(own)
            except ValueError as error:
                raise error if entry == MAIN else ValueError(f"image {entry}: {error}") from None
        return self


def _check_promotions(policies: Mapping[str, Policy]) -> None:
    """Of one entry, by environment. Raises ValueError."""
    for environment, policy in policies.items():
        stages = list(_stages(policies, environment))
        if stages[-1] not in policies:
            raise ValueError(f"{stages[-2]} promotes from {stages[-1]!r}, which has no policy here")
        if stages[-1] in stages[:-1]:
            raise ValueError(f"promotes in a circle: {' from '.join(stages)}; one of them has to take its own")
        if policy.auto_merge and environment == "prod":
            raise ValueError("prod: auto-merge is never allowed there; a person merges")


def _stages(policies: Mapping[str, Policy], environment: str) -> Iterator[str]:
    """An environment and those that its image comes through, back to the first, to an unknown or to one again."""
    passed: set[str] = set()
    while True:
        yield environment
        policy = policies.get(environment)
        if policy is None or policy.promote is None or environment in passed:
            return
        passed.add(environment)
        environment = policy.promote.from_


FILE = "images.yaml"


def read(checkout: Checkout, service: Path) -> dict[str, EnvironmentPolicy]:
    """The policies of one service (empty where it has none: then nobody bumps it). Raises InputError."""
    file = service / FILE
    if not file.exists():
        return {}
    policies = yamlfile.read_model(checkout, file, Policies).root
    for environment, policy in policies.items():
        if not (service / environment / "kustomization.yaml").is_file():
            raise InputError(f"{environment}: no such overlay beside it", path=checkout.relative(file))
        for own in policy.entries.values():
            roots = own.cosign_keyless.trust_root if own.cosign_keyless else None
            for field, name in (("cosign-key", own.cosign_key), ("trust-root", roots)):
                if name and not (service / name).is_file():
                    what = f"{environment}: {field} {name!r}: no such file beside it"
                    raise InputError(what, path=checkout.relative(file))
    return policies
