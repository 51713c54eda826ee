"""Making a new service. Either all files are written or none."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import TYPE_CHECKING

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.ground.printable import counted
from gitops.manifests import certificates, kustomize, names
from gitops.manifests.graph import Graph
from gitops.manifests.image import Image
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import in_parallel
from gitops.repository import contents
from gitops.repository import services as model
from gitops.repository.git import GitError, Repo
from gitops.service.registries import check_registry

if TYPE_CHECKING:
    from gitops.clients.registries import Registry

TEMPLATES = Path(__file__).parent / "templates"
# The environments that a new service of each shape begins with.
FIRST_ENVIRONMENTS = {"web": ("staging", "prod"), "bot": ("prod",)}
# What of base/components needs nothing beside itself.
COMPONENTS = ("arm64", "burst", "internal-client")
HEALTH_ANNOTATION = "alb.ingress.kubernetes.io/healthcheck-path"


@dataclass(frozen=True)
class NewService:
    """What a new service is to be. `domains` are prod's hosts; staging gets shop.staging.example.com for
    shop.example.com, so that one certificate covers all that are not yet open.

    `contact`: who is told of it, if not its team's channel. `port` and `health` only where the image does not listen
    on $PORT (8080) or answers its probes on another path than /healthz and /readyz. `components`: of COMPONENTS.
    """

    name: str
    image: str
    domains: Sequence[str]
    shape: str
    team: str
    port: int | None = None
    health: str | None = None
    contact: str | None = None
    components: Sequence[str] = ()

    @property
    def overlays(self) -> list[Overlay]:
        """Those that it begins with."""
        return [Overlay(self.name, environment) for environment in FIRST_ENVIRONMENTS[self.shape]]

    def hosts(self, overlay: Overlay) -> list[str]:
        """The hosts of one of them."""
        hosts = list(dict.fromkeys(self.domains))
        return hosts if overlay.environment == "prod" else [in_staging(host) for host in hosts]


def in_staging(host: str) -> str:
    """Prod's host in staging: shop.staging.example.com for shop.example.com."""
    first, _, rest = host.partition(".")
    return f"{first}.staging.{rest}" if "." in rest else f"staging.{host}"


def new(checkout: Checkout, request: NewService, registry: Registry) -> list[Path]:
    """Write overlays/<name> and CODEOWNERS; every overlay is rendered before anything is kept.

    Returns the files that changed. Raises InputError (all faults at once) or ExternalError (the registry), and then
    nothing is written.
    """
    teams = model.teams(checkout)
    _check_request(checkout, request, teams)
    check_clean(checkout)
    # A fifth of a second of AWS's client, that no other verb needs.
    from gitops.clients.registries import resolve

    image = resolve(request.image, registry)

    for killed in checkout.overlays.glob(f".{request.name}.*"):
        shutil.rmtree(killed, ignore_errors=True)
    try:
        files = _rendered(checkout, request, image)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}; nothing was", path="overlays") from None
    owners = checkout.relative(checkout.codeowners_file)
    files[owners] = model.codeowners(checkout, given={request.name: request.team}).encode()
    contents.write_all(checkout, files)
    return [checkout.root / path for path in files]


def _rendered(checkout: Checkout, request: NewService, image: Image) -> contents.Contents:
    """The files of a new service, once each of its overlays renders. Raises InputError, OSError."""
    draft = Path(tempfile.mkdtemp(dir=checkout.overlays, prefix=f".{request.name}."))
    try:
        _write(draft, request, contact_of(checkout, request), image)
        for overlay in request.overlays:
            kustomize.build(checkout, draft / overlay.environment)
        files = sorted(file for file in draft.rglob("*") if file.is_file())
        return {f"overlays/{request.name}/{file.relative_to(draft)}": file.read_bytes() for file in files}
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def contact_of(checkout: Checkout, request: NewService) -> str:
    """Who is told of a new service: whom its maker named, or its team. Raises InputError."""
    return request.contact or model.teams(checkout)[request.team].contact


def uncovered(checkout: Checkout, request: NewService) -> list[str]:
    """The hosts of a new service that no certificate covers: the gate would refuse them (lb-certificate).

    None where no cluster declares certificates. Raises InputError.
    """
    clusters = sorted(file.parent for file in (checkout.root / "clusters").glob(f"*/{certificates.FILE}"))
    known = list(itertools.chain.from_iterable(certificates.read(checkout, cluster) for cluster in clusters))
    hosts = itertools.chain.from_iterable(request.hosts(overlay) for overlay in request.overlays)
    return [host for host in hosts if not certificates.covers(known, host)] if clusters else []


def _check_request(checkout: Checkout, request: NewService, teams: dict[str, model.Team]) -> None:
    existing = model.services(checkout)
    checks: list[Callable[[], None]] = [
        partial(_check_shape, request),
        partial(model.check_name, request.name, existing),
        partial(model.check_team, request.team, teams),
        partial(check_registry, checkout, request.image),
    ]
    graph = Graph(checkout)
    # Where a cluster's Applications and AppProjects stand.
    folders = {*graph.clusters, *(f"{cluster}/platform" for cluster in graph.clusters)}.intersection(graph.units)
    builds = in_parallel(lambda folder: kustomize.build(checkout, checkout.root / folder), sorted(folders))
    platform = list(itertools.chain.from_iterable(builds))
    for overlay in request.overlays:
        checks.append(partial(_check_own_name, overlay, graph.units, platform))
    checks += [partial(_check_domain, domain, existing, request) for domain in dict.fromkeys(request.domains)]
    faults: list[Fault] = []
    for check in checks:
        try:
            check()
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError.several(faults)


def _check_domain(domain: str, existing: list[model.Service], request: NewService) -> None:
    """Raise InputError where a host cannot be had, in prod or else in staging: that one is made of it."""
    model.check_domain(domain, existing)
    if any(overlay.environment == "staging" for overlay in request.overlays):
        model.check_domain(in_staging(domain), existing)


def _check_own_name(overlay: Overlay, units: Sequence[str], platform: Sequence[Object]) -> None:
    """Raise InputError where another folder or the platform has the name that an overlay would have."""
    taken = [twin.path for twin in names.sharing(overlay, units)]
    taken += filter(None, [names.platforms(overlay, platform)])
    if taken:
        raise InputError(
            f"service name {overlay.service!r}: {overlay.path} would be {overlay.namespace}, and so is "
            f"{' and '.join(taken)}; choose another name"
        )


def _check_shape(request: NewService) -> None:
    if request.shape == "web" and not request.domains:
        raise InputError("a web service needs at least one --domain")
    if request.shape == "bot" and request.domains:
        raise InputError("a bot has no domain: no one calls it; leave --domain out, or use --shape web")
    if request.shape == "bot" and "burst" in request.components:
        raise InputError("a bot is one pod, and never two at once", fix="leave --component burst out")
    if request.port is not None and not 1024 <= request.port <= 65535:
        expected = "1024 to 65535, as an image that is not root has no lower ones"
        raise InputError("port", expected=expected, found=str(request.port))
    if request.contact is not None and not re.fullmatch(r"[^\s\"\\$]+", request.contact):
        raise InputError("contact", expected="a channel or an address, as #shop-dev", found=repr(request.contact))
    if request.health is not None and not re.fullmatch(r"/[\w./~%-]*", request.health):
        raise InputError("health", expected="a path such as /status", found=repr(request.health))


def _write(folder: Path, request: NewService, contact: str, image: Image) -> None:
    values = {"name": request.name, "shape": request.shape, "team": request.team, "contact": contact}
    values |= {"image": image.name, "tag": image.tag, "digest": image.digest}
    (folder / "owner.yaml").write_text(_fill("owner.yaml", values))
    (folder / "images.yaml").write_text(_fill(f"images-{request.shape}.yaml", {}))
    for overlay in request.overlays:
        (folder / overlay.environment).mkdir()
        _write_overlay(folder / overlay.environment, request, overlay, values)


def _write_overlay(folder: Path, request: NewService, overlay: Overlay, values: dict[str, str]) -> None:
    patches = {"ingress.yaml": _ingress(request, request.hosts(overlay)), "contract.yaml": _contract(request)}
    patches = {name: text for name, text in patches.items() if text}
    for name, text in patches.items():
        (folder / name).write_text(text)
    listing = "".join(f"  - path: {name}\n" for name in patches)
    # Staging's is the last: it changes what the others add.
    opted = [name for name in COMPONENTS if name in request.components]
    opted += ["staging"] if overlay.environment == "staging" else []
    components = "".join(f"  - ../../../base/components/{name}\n" for name in opted)
    more = {
        "namespace": overlay.namespace,
        "components": f"components:\n{components}" if opted else "",
        "patches": f"patches:\n{listing}" if listing else "",
    }
    (folder / "kustomization.yaml").write_text(_fill("kustomization.yaml", values | more))


def _ingress(request: NewService, hosts: Sequence[str]) -> str:
    """A patch of the base's Ingress; empty where the service has no host."""
    if not hosts:
        return ""
    health = f"\n  annotations:\n    {HEALTH_ANNOTATION}: {request.health}" if request.health else ""
    rest = "".join(f"    - host: {host}\n      http: *web\n" for host in hosts[1:])
    return _fill("ingress.yaml", {"first": hosts[0], "rest": rest, "health": health})


def _contract(request: NewService) -> str:
    """A patch of the base's port and probes; empty where the image follows the base."""
    if not (request.port or request.health):
        return ""
    lines = []
    if request.port:
        lines += ["env:", f'  - {{name: PORT, value: "{request.port}"}}', "ports:", "  - $patch: replace"]
        lines += [f"  - {{name: http, containerPort: {request.port}}}"]
    if request.health:
        probes = ("startupProbe", "readinessProbe", "livenessProbe")
        lines += [f"{probe}: {{httpGet: {{path: {request.health}}}}}" for probe in probes]
    values = {"shape": request.shape, "lines": "".join(f"          {line}\n" for line in lines)}
    return _fill("contract.yaml", values)


def _fill(name: str, values: dict[str, str]) -> str:
    return Template((TEMPLATES / name).read_text()).substitute(values)


def write_codeowners(checkout: Checkout, given: Mapping[str, str] = MappingProxyType({})) -> bool:
    """Write CODEOWNERS from teams.yaml and each owner.yaml. Returns whether it changed. Raises InputError.

    `given`: the team of a service whose files do not say it yet.
    """
    text, file = model.codeowners(checkout, given=given).encode(), checkout.codeowners_file
    if file.exists() and file.read_bytes() == text:
        return False
    contents.write_all(checkout, {checkout.relative(file): text})
    return True


def check_clean(checkout: Checkout) -> None:
    """Raise InputError where the working copy has uncommitted changes: what is written next is to be one change."""
    try:
        with Repo(checkout.root) as repo:
            changed = repo.git.status("--porcelain").splitlines()
    except GitError:
        raise InputError("not a git working copy", path=str(checkout.root), fix="clone the repository") from None
    if changed:
        raise InputError(
            f"the working copy has {counted(len(changed), 'uncommitted change')} (first: {changed[0][3:]})",
            fix="commit or stash them first, so that this change is a pull request of its own",
        )
