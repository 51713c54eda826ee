"""`gitops service domain`: the hosts of a site, held against certificates before anything is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.ground.suggest import did_you_mean
from gitops.manifests import certificates, yamlfile
from gitops.manifests.objects import Object, spec_of
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository.contents import Contents
from gitops.service import workload
from gitops.service.change import check_clean, in_staging
from gitops.service.draft import Expectation, Gate, OverlayDraft, keep
from gitops.service.site import HostRules, Site
from gitops.service.variables import EnvironmentChange

# How many lines that still name a host are told.
_MOST_LEFT = 5
_RUNBOOK = "docs/runbooks/gate.md, lb-certificate"


@dataclass(frozen=True)
class _Edit:
    """What is to become of an overlay's site. `new` and `gone` are hosts of it; empty where there is none."""

    site: Site
    new: str
    gone: str

    @property
    def overlay(self) -> Overlay:
        return self.site.draft.overlay

    def make(self) -> list[str]:
        """Have it so in the draft. Returns what is to be said. Raises InputError."""
        if not self.gone:
            self.site.add(self.new)
        elif self.new:
            self.site.move(self.gone, self.new)
        else:
            return self.site.remove(self.gone)
        return []


def hosts_in(overlay: Overlay, names: Sequence[str], environment: str | None) -> dict[str, str]:
    """What prod's hosts are in an overlay, as `service new` has it: as they are where an environment was named."""
    staged = environment is None and overlay.environment == "staging"
    return {name: in_staging(name) if staged else name for name in names}


def add(checkout: Checkout, gate: Gate, service: str, host: str, environment: str | None) -> EnvironmentChange:
    """Have a site answer for one more host. Raises as `draft.keep` does, and InputError: no certificate."""
    services.check_domain(host, [])
    return _change(checkout, gate, service, environment, new=host)


def remove(checkout: Checkout, gate: Gate, service: str, host: str, environment: str | None) -> EnvironmentChange:
    """Have a site answer for a host no more. Raises as `draft.keep` does."""
    return _change(checkout, gate, service, environment, gone=host)


def move(
    checkout: Checkout, gate: Gate, service: str, old: str, new: str, environment: str | None
) -> EnvironmentChange:
    """Have a site answer for another host in place of one. Raises as `draft.keep` does."""
    services.check_domain(new, [])
    if old == new:
        raise InputError(f"{old} and {new} are the same", expected="another host")
    return _change(checkout, gate, service, environment, new=new, gone=old)


def _change(
    checkout: Checkout, gate: Gate, service: str, environment: str | None, *, new: str = "", gone: str = ""
) -> EnvironmentChange:
    overlays = services.chosen(checkout, service, environment)
    # A canary has a host of its own, or none: docs/runbooks/services.md.
    overlays = [overlay for overlay in overlays if environment or overlay.environment != "canary"] or overlays
    check_clean(checkout)
    edits: list[_Edit] = []
    known: list[str] = []
    for overlay in overlays:
        site = _site(checkout, overlay)
        known += site.hosts
        own = hosts_in(overlay, (new, gone), environment)
        if gone and own[gone] not in site.hosts:  # by prod's name, where its own was meant
            own = hosts_in(overlay, (new, gone), None)
        if not gone or own[gone] in site.hosts:
            edits.append(_Edit(site, own[new] if new else "", own[gone] if gone else ""))
    if not edits:
        raise InputError(f"{service} answers for no {gone}", fix=did_you_mean(gone, known))
    for edit in edits:
        if edit.new in edit.site.hosts and gone:
            fix = f"gitops service domain remove {service} {edit.gone} --environment {edit.overlay.environment}"
            raise InputError(f"{edit.overlay} answers for {edit.new} already", fix=fix)
    edits = [edit for edit in edits if edit.new not in edit.site.hosts]
    added = [edit.new for edit in edits if new]
    _check_new(checkout, added)
    notes: list[str] = []
    files: Contents = {}
    for edit in edits:
        notes += edit.make()
        files |= edit.site.draft.files
    notes += _outside(checkout, service, edits)
    notes += _left(checkout, [edit.gone for edit in edits if gone], files)
    expectations = {edit.overlay: _answers(edit.new, edit.gone) for edit in edits}
    return EnvironmentChange(keep(checkout, gate, files, expectations), tuple(notes))


def _site(checkout: Checkout, overlay: Overlay) -> Site:
    draft, program = OverlayDraft(checkout, overlay), workload.read(checkout, overlay)
    workload.check_readable(program.unit, "Ingress")
    if not program.unit.kind("Ingress"):
        raise InputError(
            "has no domain: nothing calls it", path=overlay.path, fix="a site is made by gitops service new"
        )
    files = [file for file in draft.patches("Ingress") if HostRules(draft, file).nodes]
    if not files:
        ruled = (item for item in program.unit.kind("Ingress") if spec_of(item).get("rules"))
        place = program.unit.places.of(next(ruled, program.unit.kind("Ingress")[0]), ("spec", "rules"))
        raise InputError(
            "the hosts stand in a form that no verb edits",
            path=place.file,
            line=place.line,
            expected=f"spec.rules in {overlay.file('ingress.yaml')}, a patch on the Ingress",
        )
    return Site(draft, files)


def _answers(new: str, gone: str) -> Expectation:
    def unmet(objects: Sequence[Object]) -> str:
        rules = [spec_of(item).get("rules") or [] for item in objects if item.get("kind") == "Ingress"]
        hosts = {rule.get("host") for rule in itertools.chain.from_iterable(rules)}
        wrong = [f"no rule for {new}"] if new and new not in hosts else []
        return ", ".join(wrong + ([f"a rule for {gone}"] if gone in hosts else []))

    return unmet


def _check_new(checkout: Checkout, hosts: Sequence[str]) -> None:
    """Raise InputError: no host name, another service's, or what no certificate of a cluster covers."""
    known, _ = services.readable(checkout)
    for host in hosts:
        services.check_domain(host, known)
    faults: list[Fault] = []
    for file in _certificate_files(checkout):
        own = certificates.read(checkout, file.parent)
        if bare := [host for host in hosts if not certificates.covers(own, host)]:
            names = ", ".join(itertools.chain.from_iterable(certificate.names for certificate in own))
            fix = f"take a host below one of these, or have the platform team add a certificate ({_RUNBOOK})"
            what = f"no certificate covers {', '.join(bare)}: browsers would refuse it"
            faults.append(Fault(what, path=checkout.relative(file), expected=f"one of {names}", fix=fix))
    if faults:
        raise InputError.several(faults)


def _certificate_files(checkout: Checkout) -> list[Path]:
    return sorted(checkout.root.glob(f"clusters/*/{certificates.FILE}"))


def _outside(checkout: Checkout, service: str, edits: Sequence[_Edit]) -> list[str]:
    """What has to be done for new hosts, and for those that go, outside of git: in DNS, and at 42."""
    new = [edit.new for edit in edits if edit.new]
    gone = [edit.gone for edit in edits if edit.gone]
    notes: list[str] = []
    for file in _certificate_files(checkout):
        cluster = file.parent
        data = yamlfile.read(checkout, cluster / "cluster.yaml").get("data") or {}
        zones = [zone.strip() for zone in str(data.get("domains") or "").split(",") if zone.strip()]
        for host in new:
            zone = max((zone for zone in zones if f".{host}".endswith(f".{zone}")), key=len, default="")
            notes.append(f"{host}: a certificate of {cluster.name} covers it. {_dns(host, zone, cluster.name)}")
    if gone:
        notes.append(
            f"whoever keeps the zone: no name leads there any more: {' '.join(gone)} (external-dns deletes no record)"
        )
    components = {summary.overlay: summary.components for summary in services.one(checkout, service).overlays}
    if new and any("oauth-42" in components[edit.overlay] for edit in edits):
        urls = ", ".join(f"https://{host}" for host in new)
        notes.append(f"42 sends users back to addresses that it knows: add those of {urls} on its application's page")
    return notes


def _left(checkout: Checkout, gone: Sequence[str], files: Contents) -> list[str]:
    """Where hosts that go are still named in what services tell their programs."""
    if not gone:
        return []
    names = re.compile("|".join(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)" for host in gone))
    notes: list[str] = []
    for file in sorted(checkout.overlays.glob("[!.]*/*/*.yaml")):
        path = checkout.relative(file)
        content = files.get(path, file.read_bytes())
        for number, line in enumerate((content or b"").decode(errors="replace").splitlines(), 1):
            if match := names.search(line):
                notes.append(f"{path}:{number}: this line still names {match[0]}")
    more = [f"and {len(notes) - _MOST_LEFT} lines more"] if len(notes) > _MOST_LEFT else []
    return notes[:_MOST_LEFT] + more


def _dns(host: str, zone: str, cluster: str) -> str:
    if zone:
        return f"DNS: nothing to do, external-dns writes it into the zone {zone} once it is merged"
    return (
        f"DNS: no hosted zone of {cluster} has it, so whoever keeps {host.partition('.')[2]} points it at the load "
        f"balancer (CNAME), or makes it a zone (`domains` of clusters/{cluster}/cluster.yaml)"
    )
