"""Making a new service, and handing one over. Either all files are written or none."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template

from git import Repo
from git.exc import GitError

from gitops.clients.registry import resolve
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import kustomize, yamlfile
from gitops.manifests.image import Image, in_ecr
from gitops.repository import services as model

TEMPLATES = Path(__file__).parent / "templates"
ENVIRONMENTS = {"web": ("staging", "prod"), "bot": ("prod",)}
HEALTH_ANNOTATION = "alb.ingress.kubernetes.io/healthcheck-path"


@dataclass(frozen=True)
class Wanted:
    """What a new service is to be. `domains` are prod's hosts; staging gets shop.staging.example.com for
    shop.example.com, so that one certificate covers all that are not yet open.

    `port` and `health` only where the image does not listen on $PORT (8080) or answers its probes on another path
    than /healthz and /readyz.
    """

    name: str
    image: str
    domains: Sequence[str]
    shape: str
    team: str
    port: int | None = None
    health: str | None = None

    @property
    def hosts(self) -> dict[str, list[str]]:
        """The hosts of each environment."""
        return {
            env: [host if env == "prod" else _in_staging(host) for host in dict.fromkeys(self.domains)]
            for env in ENVIRONMENTS[self.shape]
        }


def _in_staging(host: str) -> str:
    first, _, rest = host.partition(".")
    return f"{first}.staging.{rest}" if "." in rest else f"staging.{host}"


def new(checkout: Checkout, wanted: Wanted) -> list[Path]:
    """Write overlays/<name> and CODEOWNERS; every overlay is rendered before anything is kept.

    Returns the files that changed. Raises InputError (all faults at once) or ExternalError (the registry), and then
    nothing is written.
    """
    existing, known, name = model.services(checkout), model.teams(checkout), wanted.name
    checks: list[Callable[[], None]] = [
        lambda: _check_shape(wanted),
        lambda: model.check_name(name, existing),
        lambda: model.check_team(wanted.team, known),
        *(partial(model.check_domain, host, existing) for hosts in wanted.hosts.values() for host in hosts),
    ]
    faults: list[Fault] = []
    for check in checks:
        try:
            check()
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError.several(faults)
    check_clean(checkout)
    pinned = resolve(wanted.image)

    folder = checkout.overlays / name
    for killed in checkout.overlays.glob(f".{name}.*"):
        shutil.rmtree(killed)
    draft = Path(tempfile.mkdtemp(dir=checkout.overlays, prefix=f".{name}."))
    try:
        _write(draft, wanted, known[wanted.team].contact, pinned)
        for env in ENVIRONMENTS[wanted.shape]:
            kustomize.build(checkout, draft / env)
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    checkout.codeowners_file.write_text(model.codeowners(checkout))
    return [*sorted(path for path in folder.rglob("*") if path.is_file()), checkout.codeowners_file]


def _check_shape(wanted: Wanted) -> None:
    if wanted.shape == "web" and not wanted.domains:
        raise InputError("a web service needs at least one --domain")
    if wanted.shape == "bot" and wanted.domains:
        raise InputError("a bot has no domain: no one calls it; leave --domain out, or use --shape web")
    if wanted.port is not None and not 1024 <= wanted.port <= 65535:
        raise InputError(f"port {wanted.port}: expected 1024 to 65535; an image that is not root has no lower ones")
    if wanted.health is not None and not re.fullmatch(r"/[\w./~%-]*", wanted.health):
        raise InputError(f"health {wanted.health!r}: expected a path such as /status")


def _write(folder: Path, wanted: Wanted, contact: str, image: Image) -> None:
    values = {"name": wanted.name, "shape": wanted.shape, "team": wanted.team, "contact": contact}
    values |= {"image": image.name, "tag": image.tag, "digest": image.digest}
    (folder / "owner.yaml").write_text(_fill("owner.yaml", values))
    if in_ecr(image.name):  # the registry that the bot reads
        (folder / "images.yaml").write_text(_fill(f"images-{wanted.shape}.yaml", {}))
    contract = _contract(wanted)
    for env, domains in wanted.hosts.items():
        overlay = folder / env
        overlay.mkdir()
        patches = ""
        if domains:
            health = f"\n  annotations:\n    {HEALTH_ANNOTATION}: {wanted.health}" if wanted.health else ""
            rest = "".join(f"    - host: {host}\n      http: *web\n" for host in domains[1:])
            more = {"first": domains[0], "rest": rest, "health": health}
            (overlay / "ingress.yaml").write_text(_fill("ingress.yaml", more))
            patches += "  - path: ingress.yaml\n"
        if contract:
            (overlay / "contract.yaml").write_text(contract)
            patches += "  - path: contract.yaml\n"
        staging = "components:\n  - ../../../base/components/staging\n" if env == "staging" else ""
        more = {"namespace": f"{wanted.name}-{env}", "components": staging}
        more["patches"] = f"patches:\n{patches}" if patches else ""
        (overlay / "kustomization.yaml").write_text(_fill("kustomization.yaml", values | more))


def _contract(wanted: Wanted) -> str:
    """A patch of the base's port and probes; empty where the image follows the base."""
    if not (wanted.port or wanted.health):
        return ""
    lines = []
    if wanted.port:
        lines += ["env:", f'  - {{name: PORT, value: "{wanted.port}"}}', "ports:", "  - $patch: replace"]
        lines += [f"  - {{name: http, containerPort: {wanted.port}}}"]
    if wanted.health:
        probes = ("startupProbe", "readinessProbe", "livenessProbe")
        lines += [f"{probe}: {{httpGet: {{path: {wanted.health}}}}}" for probe in probes]
    values = {"shape": wanted.shape, "lines": "".join(f"          {line}\n" for line in lines)}
    return _fill("contract.yaml", values)


def _fill(name: str, values: dict[str, str]) -> str:
    return Template((TEMPLATES / name).read_text()).substitute(values)


def handover(checkout: Checkout, name: str, *, team: str) -> list[Path]:
    """Give a service to another team: owner.yaml, the `team` label of each overlay, CODEOWNERS.

    Returns the files that changed (none where it already belongs to that team). Raises InputError.
    """
    known = model.teams(checkout)
    service = next((each for each in model.services(checkout) if each.name == name), None)
    if service is None:
        raise InputError(f"service {name!r}: does not exist; gitops service list shows those that do")
    model.check_team(team, known)
    check_clean(checkout)
    wanted: dict[Path, str] = {}
    owner = service.folder / "owner.yaml"
    text = owner.read_text()
    old_contact = yamlfile.read(checkout, owner)["contact"]
    text = text.replace(f"team: {service.owner.team}\n", f"team: {team}\n")
    wanted[owner] = text.replace(f'contact: "{old_contact}"', f'contact: "{known[team].contact}"')
    for deployment in service.deployments:
        file = deployment.folder / "kustomization.yaml"
        wanted[file] = file.read_text().replace(f"      team: {service.owner.team}\n", f"      team: {team}\n")
    before = {path: path.read_text() for path in wanted}
    for path, content in wanted.items():
        path.write_text(content)
    try:
        after = yamlfile.read_model(checkout, owner, model.Owner)
        if (after.team, after.contact) != (team, known[team].contact):
            raise InputError(
                f'{checkout.relative(owner)}: expected lines `team: NAME` and `contact: "..."`; edit it by hand'
            )
        wanted[checkout.codeowners_file] = model.codeowners(checkout)
        before[checkout.codeowners_file] = checkout.codeowners_file.read_text()
        checkout.codeowners_file.write_text(wanted[checkout.codeowners_file])
    except InputError:
        for path, content in before.items():
            path.write_text(content)
        raise
    return [path for path in wanted if wanted[path] != before[path]]


def check_clean(checkout: Checkout) -> None:
    """Raise InputError where the working copy has uncommitted changes: what is written next is to be one change."""
    try:
        with Repo(checkout.root) as repo:
            changed = repo.git.status("--porcelain").splitlines()
    except GitError:
        raise InputError(f"{checkout.root}: not a git working copy; clone the repository") from None
    if changed:
        raise InputError(
            f"the working copy has {len(changed)} uncommitted changes (first: {changed[0][3:]})\n"
            "fix: commit or stash them first, so that this change is a pull request of its own"
        )
