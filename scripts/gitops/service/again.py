"""The commands by which a service is begun again under another name, each whole, with the commit of what it writes."""

from __future__ import annotations

import itertools
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import sealedsecret, secret, yamlfile
from gitops.manifests.overlay import Overlay
from gitops.manifests.sealedsecret import ISSUER, Sealed
from gitops.repository import revision, services
from gitops.repository.services import OverlaySummary, Service
from gitops.service import scale, secretlike, workload
from gitops.service.change import COMPONENTS, FIRST_ENVIRONMENTS, TEMPLATES, in_staging
from gitops.service.draft import OverlayDraft
from gitops.service.workload import Workload

_PORT, _HEALTH = 8080, "/healthz"
# By which a service may call others: an address of one is refused before it.
_CALLS, _ADDRESS = "internal-client", ".svc.cluster.local"
# Where it is told how a component or a file is begun.
_PAGE = "docs/runbooks/services.md"
_PAGES = {"oauth-42": "docs/runbooks/secrets.md", scale.FILE: "gitops service scale"}
_PAGES |= dict.fromkeys(("bucket", "database", "volume"), "docs/runbooks/data.md")
# Their certificate and key are checked against each other, so they are given at once.
_AT_ONCE = (secret.TLS,)
# What the commands make of an overlay's files.
_MADE = {"kustomization.yaml", "ingress.yaml", "contract.yaml", "hold.yaml", "oauth-42.yaml"}
_MADE |= {"deployment.yaml", "horizontalpodautoscaler.yaml"}


@dataclass(frozen=True)
class TypedStep:
    """A command, and the commit of what it writes."""

    command: str
    paths: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Again:
    """A service that is to be begun again. `hosts`: prod's of the new one; `same`: whether they are the old one's."""

    checkout: Checkout
    service: Service
    new: str
    hosts: Sequence[str]
    same: bool

    @property
    def prod(self) -> OverlaySummary:
        """What it is in prod, or where it is at all."""
        return prod_of(self.service)

    @property
    def shape(self) -> str:
        """Which base a new one stands on."""
        return "web" if self.hosts else "bot"

    @property
    def begun(self) -> Sequence[str]:
        """The environments that a new one begins with."""
        return FIRST_ENVIRONMENTS[self.shape]

    @property
    def made(self) -> list[Overlay]:
        """The overlays that it has, of those that a new one begins with."""
        overlays = [summary.overlay for summary in self.service.overlays]
        return [overlay for overlay in overlays if overlay.environment in self.begun]

    def steps(self) -> Iterator[TypedStep]:
        """All of them, in their order. Raises InputError where no verb begins such a program."""
        programs = {overlay: workload.read(self.checkout, overlay) for overlay in [*self.made, self.prod.overlay]}
        program = programs[self.prod.overlay]
        if program.kind != "Deployment":
            raise InputError(
                f"{self.service.name} is a {program.kind}, which no verb begins",
                path=self.prod.overlay.path,
                fix=f"write overlays/{self.new} by hand as this one is, with its own name, namespace and owner",
            )
        yield self._begun(program)
        yield from self._images()
        yield from self._staging_hosts()
        yield from self._variables(programs)
        yield from self._secrets(programs)
        yield from self._bounds()

    def _step(self, words: Iterable[str], message: str) -> TypedStep:
        return TypedStep(shlex.join(["gitops", *words]), (f"overlays/{self.new}",), message)

    def _begun(self, program: Workload) -> TypedStep:
        owner = self.service.owner
        words = ["gitops", "service", "new", self.new, "--image", str(program.app.get("image")), "--owner", owner.team]
        words += [] if self.hosts else ["--shape", self.shape]
        for component in self._components:
            words += ["--component", component]
        for host in self.hosts:
            words += ["--domain", host]
        if owner.contact != services.teams(self.checkout)[owner.team].contact:
            words += ["--contact", owner.contact]
        paths = (f"overlays/{self.new}", self.checkout.relative(self.checkout.codeowners_file))
        return TypedStep(shlex.join([*words, *_contract(program)]), paths, f"Add {self.new}")

    @property
    def _components(self) -> list[str]:
        """What it has of base/components that a new one may begin with."""
        return [component for component in COMPONENTS if component in self.prod.components]

    def _images(self) -> Iterator[TypedStep]:
        """Which images it may run, where that is not what a new one begins with."""
        file = self.service.folder / "images.yaml"
        if not file.is_file() or not self._is_everywhere(overlay.environment for overlay in self.made):
            return
        policies = yamlfile.read(self.checkout, file)
        begun = yamlfile.parse_all(
            (TEMPLATES / f"images-{self.shape}.yaml").read_text().replace("$$", "$"), "images.yaml"
        )
        if [policies] != begun and set(policies) <= set(self.begun):
            with revision.open_repository(self.checkout) as repo:
                commit = repo.head.commit.hexsha[:12]
            command = f"git show {commit}:{self.checkout.relative(file)} > overlays/{self.new}/images.yaml"
            yield TypedStep(command, (f"overlays/{self.new}",), f"{self.new}: run what {self.service.name} may run")

    def _staging_hosts(self) -> Iterator[TypedStep]:
        """Staging's hosts where they are not those that a new one has."""
        own = [summary.domains for summary in self.service.overlays if summary.overlay.environment == "staging"]
        if not (self.same and own and own[0]):
            return
        begun = [in_staging(host) for host in self.hosts]
        gone = [host for host in begun if host not in own[0]]
        come = [host for host in own[0] if host not in begun]
        where = ["--environment", "staging"]
        for old, host in zip(gone, come, strict=False):
            yield self._step(
                ["service", "domain", "move", self.new, old, host, *where], f"{self.new}: {host} for {old}"
            )
        for host in come[len(gone) :]:
            yield self._step(["service", "domain", "add", self.new, host, *where], f"{self.new}: answer for {host}")
        for host in gone[len(come) :]:
            yield self._step(["service", "domain", "remove", self.new, host, *where], f"{self.new}: no more {host}")

    def _variables(self, programs: Mapping[Overlay, Workload]) -> Iterator[TypedStep]:
        """The variables of its own, in the environments that a new one begins with."""
        without = "" if _CALLS in self._components else _ADDRESS
        own = {overlay.environment: _variables(programs[overlay], without) for overlay in self.made}
        if self._is_everywhere(own) and len(set(map(tuple, own.values()))) == 1:
            own = {"": next(iter(own.values()))}
        for environment, entries in own.items():
            words = ["service", "set", self.new, *entries, *(["--environment", environment] if environment else [])]
            names = " ".join(entry.partition("=")[0] for entry in entries if entry != "--public")
            if names:
                yield self._step(words, f"{'/'.join(filter(None, [self.new, environment]))}: set {names}")

    def _is_everywhere(self, environments: Iterable[str]) -> bool:
        return set(environments) == set(self.begun)

    def _secrets(self, programs: Mapping[Overlay, Workload]) -> Iterator[TypedStep]:
        """Its sealed secrets, each key as its program reads it; of 42's the bot makes the first."""
        sealed, _ = sealedsecret.readable(self.checkout, [self.service.name])
        own = [one for one in sealed if one.overlay in programs and not secret.is_generation(one.name)]
        for name in sorted({one.name for one in own}):
            there = {one.overlay: one for one in own if one.name == name}
            groups: dict[tuple[str, ...], list[str]] = {}
            for overlay, one in there.items():
                for words in _readings(programs[overlay], one):
                    groups.setdefault(words, []).append(overlay.environment)
            for words, environments in groups.items():
                wired = {"--as-env", "--as-file"}.intersection(words)
                everywhere = wired and self._is_everywhere(environments)
                for environment in [""] if everywhere else environments:
                    where = ["--environment", environment] if environment else []
                    yield self._step(["secrets", "seal", self.new, name, *words, *where], f"{self.new}: seal {name}")

    def _bounds(self) -> Iterator[TypedStep]:
        """Between how many pods it is kept, where its overlays say so."""
        for overlay in self.made:
            draft = OverlayDraft(self.checkout, overlay)
            own = [file for file in draft.patches(scale.KIND) if not file.endswith(f"/{scale.FILE}")]
            for file in own[-1:]:
                [document] = yamlfile.parse_all(draft.text(file), file)
                spec = document.get("spec") or {}
                fields = {"--min": spec.get("minReplicas"), "--max": spec.get("maxReplicas")}
                pairs = [(option, str(value)) for option, value in fields.items() if value]
                words = list(itertools.chain.from_iterable(pairs))
                if words:
                    where = ["--environment", overlay.environment]
                    yield self._step(["service", "scale", self.new, *words, *where], f"{self.new}: as many pods")

    def remark(self) -> str:
        """What no command above does, as a shell's comment; empty where that is nothing."""
        opted = frozenset[str]().union(*(summary.components for summary in self.service.overlays)) - {"staging"}
        left = opted.difference(self._components)
        parts = [f"base/components/{name} ({_PAGES.get(name, _PAGE)})" for name in sorted(left)]
        folder = self.checkout.root / self.prod.overlay.path
        names = {file.name for file in folder.iterdir() if file.is_file()} - _MADE - {f"{name}.yaml" for name in opted}
        own = sorted(name for name in names if not name.startswith("sealedsecret-"))
        parts += [f"{name} ({_PAGES[name]})" if name in _PAGES else name for name in own]
        return f"# by hand, in overlays/{self.new}, what is its own: {', '.join(parts)}" if parts else ""


def prod_of(service: Service) -> OverlaySummary:
    """What a service is in prod, or where it is at all."""
    return next(iter([one for one in service.overlays if one.overlay.environment == "prod"] or service.overlays))


def _contract(program: Workload) -> list[str]:
    """The options of an image that has a port or a health check of its own."""
    ports = [port.get("containerPort") for port in program.app.get("ports") or []]
    health = ((program.app.get("livenessProbe") or {}).get("httpGet") or {}).get("path", _HEALTH)
    words = ["--port", str(ports[0])] if ports and ports[0] != _PORT else []
    return [*words, *(["--health", health] if health != _HEALTH else [])]


def _variables(program: Workload, without: str) -> list[str]:
    """NAME=VALUE of each variable that an overlay sets by itself; --public where one looks like a secret.

    `without`: what none of them may have, where that is anything.
    """
    entries: list[str] = []
    public: list[str] = []
    for name, value in own_variables(program).items():
        if not (without and without in value):
            entries.append(f"{name}={value}")
            public += ["--public"] if secretlike.reason(name, value) else []
    return [*entries, *public[:1]]


def own_variables(program: Workload) -> dict[str, str]:
    """The variables that an overlay sets by itself, with their values."""
    own: dict[str, str] = {}
    for entry in program.app.get("env") or []:
        place = program.place("env", entry["name"])
        if place and place.file.startswith("overlays/") and entry["name"] != "PORT" and "value" in entry:
            own[entry["name"]] = str(entry["value"])
    return own


def _readings(program: Workload, sealed: Sealed) -> Iterator[tuple[str, ...]]:
    """The options by which each key of a Secret is sealed and read: as variables together, as files one by one."""
    more: tuple[str, ...] = () if sealed.kind == secret.OPAQUE else ("--type", sealed.kind)
    more += ("--issuer", sealed.annotations[ISSUER]) if sealed.annotations.get(ISSUER) else ()
    variables = _keys_of_variables(program, sealed.name)
    files = {} if sealed.kind in _AT_ONCE else dict(_files(program, sealed))
    as_env = [key for key in sorted(sealed.encrypted) if key in variables]
    if as_env:
        yield (*_options(as_env), *more, "--as-env")
    for key, path in sorted(files.items()):
        yield (*_options([key]), *more, "--as-file", path)
    if rest := [key for key in sorted(sealed.encrypted) if key not in variables and key not in files]:
        yield (*_options(rest), *more)


def _options(keys: Iterable[str]) -> list[str]:
    words: list[str] = []
    for key in keys:
        words += ["--key", key]
    return words


def _keys_of_variables(program: Workload, name: str) -> set[str]:
    sources = [(entry.get("valueFrom") or {}).get("secretKeyRef") or {} for entry in program.app.get("env") or []]
    return {str(source.get("key")) for source in sources if source.get("name") == name}


def _files(program: Workload, sealed: Sealed) -> Iterator[tuple[str, str]]:
    """(key, path) of each key of a Secret that the program has as a file."""
    mounts = {mount.get("name"): str(mount.get("mountPath")) for mount in program.app.get("volumeMounts") or []}
    for volume in program.pods.spec.get("volumes") or []:
        source = volume.get("secret") or {}
        if source.get("secretName") == sealed.name and volume.get("name") in mounts:
            whole = [{"key": key, "path": key} for key in sealed.encrypted]
            for item in source.get("items") or whole:
                yield item["key"], posixpath.join(mounts[volume["name"]], item["path"])


# -- whoever calls it


def calls(checkout: Checkout, service: Service, new: str) -> tuple[list[TypedStep], list[TypedStep], str]:
    """The steps by which others stop calling a service, those by which they call it by its new name, and a remark on
    calls that no command changes.
    """
    before: list[TypedStep] = []
    after: list[TypedStep] = []
    by_hand: list[str] = []
    address = re.compile(rf"\b(web|bot)\.{re.escape(service.name)}-({'|'.join(FIRST_ENVIRONMENTS['web'])}|canary)\b")
    for one in services.listed(checkout)[0]:
        for summary in one.overlays if one.name != service.name else ():
            lines = _calling(checkout, summary.overlay, address)
            if not lines:
                continue
            program, where = workload.read(checkout, summary.overlay), ["--environment", summary.overlay.environment]
            calling = {name: value for name, value in own_variables(program).items() if address.search(value)}
            if len(calling) < len(lines):
                by_hand += lines
                continue
            names, paths = " ".join(calling), (f"overlays/{one.name}",)
            renamed = rf"\1.{new}-\2"
            entries = [f"{name}={address.sub(renamed, value)}" for name, value in calling.items()]
            words = ["gitops", "service", "unset", one.name, *calling, *where]
            before.append(TypedStep(shlex.join(words), paths, f"{summary.overlay}: unset {names}"))
            words = ["gitops", "service", "set", one.name, *entries, *where]
            after.append(TypedStep(shlex.join(words), paths, f"{summary.overlay}: set {names}"))
    return before, after, f"# by hand, before all else: {', '.join(by_hand)}" if by_hand else ""


def _calling(checkout: Checkout, overlay: Overlay, address: re.Pattern[str]) -> list[str]:
    """The lines of an overlay's own files that have an address, as PATH:LINE."""
    places: list[str] = []
    for file in sorted((checkout.root / overlay.path).glob("*.yaml")):
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if address.search(line.partition(" #")[0]):
                places.append(f"{checkout.relative(file)}:{number}")
    return places
