"""What stands under overlays/: services, their owners, environments, images and domains."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, faults_of
from gitops.ground.suggest import did_you_mean, unknown
from gitops.manifests import yamlfile
from gitops.manifests.overlay import DNS_LABEL, LONGEST_LABEL, Overlay, check_service


class Team(BaseModel):
    """A team that can own services (.github/teams.yaml)."""

    model_config = ConfigDict(extra="forbid")

    github: str = Field(pattern=r"^@[\w-]+(/[\w.-]+)?$")
    contact: str = Field(min_length=1)


class Teams(RootModel[dict[str, Team]]):
    """Every team by its name."""


class Owner(BaseModel):
    """Who answers for a service (overlays/<service>/owner.yaml)."""

    model_config = ConfigDict(extra="forbid")

    team: str
    contact: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rotation: Literal["automatic", "by-hand"] = Field(
        default="automatic",
        description="Who merges the pull request with a new secret of 42 once its checks passed: the bot, or a person.",
    )

    @property
    def merges_by_itself(self) -> bool:
        """Whether the bot merges rotations once their checks passed."""
        return self.rotation == "automatic"


@dataclass(frozen=True)
class ImageEntry:
    """An entry of `images:` as it stands; `tag` and `digest` are empty where it names none."""

    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name}{self.tag and f':{self.tag}'}{self.digest and f'@{self.digest}'}"

    @property
    def short(self) -> str:
        """Without registry and digest, such as mogle:2.14.0."""
        return f"{self.name.rpartition('/')[2]}{self.tag and f':{self.tag}'}"


@dataclass(frozen=True)
class OverlaySummary:
    """What an overlay says that others ask for: its images, its domains, and the opt-ins of base/components."""

    overlay: Overlay
    images: tuple[ImageEntry, ...]
    domains: tuple[str, ...]
    components: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Service:
    """A folder under overlays/; `broken`: its overlays that cannot be read, and why."""

    name: str
    folder: Path
    owner: Owner
    overlays: tuple[OverlaySummary, ...]
    broken: Mapping[Overlay, InputError] = field(default_factory=dict)


def teams(checkout: Checkout) -> dict[str, Team]:
    """Every team that can own a service."""
    return yamlfile.read_model(checkout, checkout.teams_file, Teams).root


def services(checkout: Checkout) -> list[Service]:
    """Every service, by name. Raises InputError where a file cannot be read, all faults at once."""
    known, faults = listed(checkout)
    if faults:
        raise InputError.several(faults)
    return known


def listed(checkout: Checkout) -> tuple[list[Service], list[Fault]]:
    """Every service whose owner can be read, and each fault of what cannot be: for whoever shows the rest."""
    known, broken = readable(checkout)
    faults = faults_of(broken.values())
    for service in known:
        faults += faults_of(service.broken.values())
    return known, faults


def _raise_all(errors: Iterable[InputError]) -> None:
    if faults := faults_of(errors):
        raise InputError.several(faults)


def one(checkout: Checkout, name: str) -> Service:
    """The service of a name, whatever is wrong with others. Raises InputError: none, or one that cannot be read."""
    known, broken = readable(checkout)
    if name in broken:
        raise broken[name]
    names = {service.name: service for service in known}
    if name not in names:
        raise unknown("service", name, names)
    _raise_all(names[name].broken.values())
    return names[name]


def chosen(checkout: Checkout, name: str, environment: str | None) -> list[Overlay]:
    """The overlays of a service: all, or that of one environment. Raises InputError where there is none."""
    return _fitting([summary.overlay for summary in one(checkout, name).overlays], name, environment)


def by_folders(checkout: Checkout, name: str, environment: str | None) -> list[Overlay]:
    """The same by the names of folders alone: for whoever asks a cluster, whatever this working copy's files say."""
    folders = {folder.name: folder for folder in checkout.service_folders}
    if name not in folders:
        raise unknown("service", name, folders)
    own = sorted(folder.name for folder in folders[name].iterdir() if folder.is_dir())
    return _fitting([Overlay(name, folder) for folder in own], name, environment)


def _fitting(overlays: Sequence[Overlay], name: str, environment: str | None) -> list[Overlay]:
    fitting = [overlay for overlay in overlays if environment in (None, overlay.environment)]
    if not fitting:
        raise _no_environment(name, environment or "", overlays)
    return fitting


def readable(checkout: Checkout, names: Collection[str] | None = None) -> tuple[list[Service], dict[str, InputError]]:
    """Every service whose owner can be read, by name, and why the others cannot: one slip stops nothing else.

    `names`: no other folder is looked at.
    """
    known: list[Service] = []
    broken: dict[str, InputError] = {}
    for folder in checkout.service_folders:
        if names is not None and folder.name not in names:
            continue
        try:
            known.append(_service(checkout, folder, yamlfile.read_model(checkout, folder / "owner.yaml", Owner)))
        except InputError as error:
            broken[folder.name] = error
    return known, broken


def _service(checkout: Checkout, folder: Path, owner: Owner) -> Service:
    summaries: list[OverlaySummary] = []
    broken: dict[Overlay, InputError] = {}
    for file in sorted(folder.glob("*/kustomization.yaml")):
        try:
            summaries.append(_summary(checkout, file.parent))
        except InputError as error:
            broken[Overlay(folder.name, file.parent.name)] = error
    return Service(folder.name, folder, owner, tuple(summaries), broken)


def _summary(checkout: Checkout, folder: Path) -> OverlaySummary:
    file, ingress = folder / "kustomization.yaml", folder / "ingress.yaml"
    kustomization = yamlfile.read(checkout, file)
    source = checkout.relative(file)
    images = tuple(_image(entry) for entry in _mappings(kustomization, "images", source))
    rules: list[dict[str, Any]] = []
    if ingress.exists():
        source = checkout.relative(ingress)
        spec = yamlfile.read(checkout, ingress).get("spec") or {}
        if not isinstance(spec, dict):
            raise InputError("spec", path=source, expected="a mapping", found=type(spec).__name__)
        rules = _mappings(spec, "rules", source)
    domains = tuple(str(rule["host"]) for rule in rules if rule.get("host"))
    components = frozenset(filter(None, map(_component, _list(kustomization, "components", source))))
    return OverlaySummary(Overlay(folder.parent.name, folder.name), images, domains, components)


def _list(mapping: dict[str, Any], key: str, source: str) -> list[Any]:
    """The list under a key, empty where there is none. Raises InputError with `source`."""
    value = mapping.get(key)
    if value is not None and not isinstance(value, list):
        raise InputError(key, path=source, expected="a list", found=type(value).__name__)
    return value or []


def _mappings(mapping: dict[str, Any], key: str, source: str) -> list[dict[str, Any]]:
    entries = _list(mapping, key, source)
    if strange := [entry for entry in entries if not isinstance(entry, dict)]:
        raise InputError(f"an entry of {key}", path=source, expected="a mapping", found=repr(strange[0])[:80])
    return entries


def _component(entry: object) -> str | None:
    """The name of an opt-in of base/components; None for every other component."""
    parts = str(entry).rstrip("/").split("/")
    return parts[-1] if parts[-3:-1] == ["base", "components"] else None


def _image(entry: dict[str, Any]) -> ImageEntry:
    name = str(entry.get("newName", entry.get("name")))
    return ImageEntry(name, str(entry.get("newTag", "")), str(entry.get("digest", "")))


def check_name(name: str, existing: list[Service]) -> None:
    """Raise InputError unless `name` can be a new service's."""
    check_service(name)
    if any(service.name == name for service in existing):
        fix = "choose another name, or edit that folder"
        raise InputError(f"service name {name!r}: exists already", path=f"overlays/{name}", fix=fix)


def check_exists(checkout: Checkout, overlay: Overlay) -> None:
    """Raise InputError unless there is such an overlay."""
    by_name = {service.name: service for service in services(checkout)}
    if overlay.service not in by_name:
        raise unknown("service", overlay.service, by_name)
    known = [own.overlay for own in by_name[overlay.service].overlays]
    if overlay not in known:
        raise _no_environment(overlay.service, overlay.environment, known)


def _no_environment(service: str, name: str, known: Sequence[Overlay]) -> InputError:
    what = f"environment {name!r}: {service} has none of this name"
    return InputError(what, fix=did_you_mean(name, [overlay.environment for overlay in known]))


def check_domain(domain: str, existing: list[Service]) -> None:
    """Raise InputError unless `domain` can be a new service's."""
    if "*" in domain:
        what = "domain: wildcards are not allowed, they would take other services' hosts"
        raise InputError(what, found=repr(domain), fix="name each host")
    if "_" in domain:
        what = "domain: underscores are not allowed in host names"
        raise InputError(what, found=repr(domain), fix="use a hyphen")
    labels = domain.split(".")
    if (
        len(domain) > 253
        or len(labels) < 2
        or labels[-1].isdigit()
        or not all(len(part) <= LONGEST_LABEL and DNS_LABEL.fullmatch(part) for part in labels)
    ):
        expected = "one such as shop.example.com, in lower case"
        raise InputError("domain: not a host name", expected=expected, found=repr(domain))
    for service in existing:
        for summary in service.overlays:
            if domain in summary.domains:
                raise InputError(
                    f"domain {domain!r}: belongs to {service.name} "
                    f"({summary.overlay.environment}; contact {service.owner.contact})"
                )


def check_team(team: str, known: dict[str, Team]) -> None:
    """Raise InputError unless the team is in .github/teams.yaml."""
    if team not in known:
        raise unknown("team", team, known)


def codeowners(checkout: Checkout, *, without: str = "", given: Mapping[str, str] = MappingProxyType({})) -> str:
    """The text of CODEOWNERS: the platform team for all, each service's team for its folder.

    `without`: a service that goes; `given`: the team of a service whose files do not say it yet. Raises InputError.
    """
    known = teams(checkout)
    lines = [
        "# Generated from .github/teams.yaml and overlays/*/owner.yaml by `gitops service`. Do not edit.",
        f"* {known['platform'].github}",
    ]
    readable_services, broken = readable(checkout)
    _raise_all(error for name, error in broken.items() if name != without)
    owners = {service.name: service.owner.team for service in readable_services if service.name != without} | {**given}
    for name, team in sorted(owners.items()):
        check_team(team, known)
        lines.append(f"/overlays/{name}/ {known[team].github}")
    return "\n".join(lines) + "\n"
