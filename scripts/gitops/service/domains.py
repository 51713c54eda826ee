"""`gitops service domain`: the hosts of a site, held against certificates before anything is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.ground.suggest import did_you_mean
from gitops.manifests import certificates, yamledit, yamlfile, yamltext
from gitops.manifests.objects import Object, spec_of
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository.contents import Contents
from gitops.service import workload
from gitops.service.change import check_clean, in_staging
from gitops.service.draft import Expectation, Gate, OverlayDraft, keep
from gitops.service.variables import EnvironmentChange

_RULES = ("spec", "rules")
_ANCHOR = re.compile(r"&([^\s,\[\]{}]+)")
_RUNBOOK = "docs/runbooks/gate.md, lb-certificate"


@dataclass(frozen=True)
class _Site:
    """An overlay's draft, and its file with the rules of its Ingress."""

    draft: OverlayDraft
    file: str

    @property
    def text(self) -> str:
        return self.draft.text(self.file)

    @property
    def rules(self) -> list[yaml.Node]:
        node = yamledit.node_at(self.text, self.file, _RULES)
        return list(node.value) if isinstance(node, yaml.SequenceNode) else []

    @property
    def hosts(self) -> list[str]:
        return [str(yamltext.scalar(rule, "host")) for rule in self.rules]

    def line(self, number: int) -> int:
        return yamledit.line_of(self.text, self.file, (*_RULES, number))


_Edit = Callable[[_Site, Mapping[str, str]], list[str]]


def hosts_in(overlay: Overlay, names: Sequence[str], environment: str | None) -> dict[str, str]:
    """What prod's hosts are in an overlay, as `service new` has it: as they are where an environment was named."""
    staged = environment is None and overlay.environment == "staging"
    return {name: in_staging(name) if staged else name for name in names}


def add(checkout: Checkout, gate: Gate, service: str, host: str, environment: str | None) -> EnvironmentChange:
    """Have a site answer for one more host. Raises as `draft.keep` does, and InputError: no certificate."""
    return _change(checkout, gate, service, (host,), environment, _add, new=(host,))


def remove(checkout: Checkout, gate: Gate, service: str, host: str, environment: str | None) -> EnvironmentChange:
    """Have a site answer for a host no more. Raises as `draft.keep` does."""
    return _change(checkout, gate, service, (host,), environment, _remove, gone=(host,))


def move(
    checkout: Checkout, gate: Gate, service: str, old: str, new: str, environment: str | None
) -> EnvironmentChange:
    """Have a site answer for another host in place of one. Raises as `draft.keep` does."""

    def edit(site: _Site, names: Mapping[str, str]) -> list[str]:
        if names[old] in site.hosts:
            path = (*_RULES, site.hosts.index(names[old]), "host")
            site.draft.write(site.file, yamledit.put(site.text, site.file, path, names[new]))
        return []

    return _change(checkout, gate, service, (old, new), environment, edit, new=(new,), gone=(old,))


def _change(
    checkout: Checkout,
    gate: Gate,
    service: str,
    names: Sequence[str],
    environment: str | None,
    edit: _Edit,
    *,
    new: Sequence[str] = (),
    gone: Sequence[str] = (),
) -> EnvironmentChange:
    overlays = services.chosen(checkout, service, environment)
    # A canary has a host of its own, or none: docs/runbooks/services.md.
    overlays = [overlay for overlay in overlays if environment or overlay.environment != "canary"] or overlays
    check_clean(checkout)
    files: Contents = {}
    expectations: dict[Overlay, Expectation] = {}
    notes: list[str] = []
    added: list[str] = []
    known: list[str] = []
    for overlay in overlays:
        site, own = _site(checkout, overlay), hosts_in(overlay, names, environment)
        known += site.hosts
        if gone and own[gone[0]] not in site.hosts:  # by prod's name, where its own was meant
            own = hosts_in(overlay, names, None)
        if gone and own[gone[0]] not in site.hosts:
            continue
        added += [own[name] for name in new]
        notes += edit(site, own)
        files |= site.draft.files
        expectations[overlay] = _answers([own[name] for name in new], [own[name] for name in gone])
    if not expectations:
        raise InputError(f"{service} answers for no {gone[0]}", fix=did_you_mean(gone[0], known))
    _check_new(checkout, added)
    notes += _to_do(checkout, service, [overlay for overlay in expectations if new], added)
    return EnvironmentChange(keep(checkout, gate, files, expectations), tuple(notes))


def _site(checkout: Checkout, overlay: Overlay) -> _Site:
    draft, program = OverlayDraft(checkout, overlay), workload.read(checkout, overlay)
    if not program.unit.kind("Ingress"):
        raise InputError(
            "has no domain: nothing calls it", path=overlay.path, fix="a site is made by gitops service new"
        )
    fitting = [file for file in draft.patches("Ingress") if _Site(draft, file).rules]
    if len(fitting) != 1:
        expected = "one file of its own with spec.rules"
        raise InputError(
            "the hosts of its Ingress", path=overlay.path, expected=expected, found=", ".join(fitting) or "none"
        )
    return _Site(draft, fitting[0])


def _answers(new: Sequence[str], gone: Sequence[str]) -> Expectation:
    def unmet(objects: Sequence[Object]) -> str:
        rules = [spec_of(item).get("rules") or [] for item in objects if item.get("kind") == "Ingress"]
        hosts = {rule.get("host") for rule in itertools.chain.from_iterable(rules)}
        wrong = [f"no rule for {host}" for host in new if host not in hosts]
        return ", ".join(wrong + [f"a rule for {host}" for host in gone if host in hosts])

    return unmet


def _add(site: _Site, names: Mapping[str, str]) -> list[str]:
    [host] = names.values()
    first = site.rules[0]
    http = yamltext.child(first, "http")
    [document] = yamlfile.parse_all(site.text, site.file)
    value: Any = yamledit.plain(document["spec"]["rules"][0].get("http"))
    if http is None or value is None:
        raise InputError("a rule without `http`", path=site.file, line=site.line(0), fix=f"add {host} by hand")
    anchor = _ANCHOR.match(site.text, http.start_mark.index)
    rule = {"host": host, "http": yamledit.Alias(anchor[1], value) if anchor else value}
    site.draft.write(site.file, yamledit.append(site.text, site.file, _RULES, rule))
    return []


def _remove(site: _Site, names: Mapping[str, str]) -> list[str]:
    [host] = names.values()
    rules, number = site.rules, site.hosts.index(host)
    if len(rules) == 1:
        what = f"{host} is the last domain of {site.draft.overlay}, and a site needs one"
        fix = f"gitops service domain move, or gitops service remove {site.draft.overlay.service}"
        raise InputError(what, path=site.file, line=site.line(number), fix=fix)
    # What others name stays where it is: it takes the host of one of these, whose own rule goes.
    http = yamltext.child(rules[number], "http")
    heirs = [
        heir
        for heir, rule in enumerate(rules)
        if heir > number and yamltext.child(rule, "http") is http and len(rule.value) == 2
    ]
    text = site.text
    if heirs:
        text = yamledit.put(text, site.file, (*_RULES, number, "host"), site.hosts[heirs[0]])
    comment = yamledit.comment_above(text, site.file, (*_RULES, number))
    site.draft.write(site.file, yamledit.remove(text, site.file, (*_RULES, heirs[0] if heirs else number)))
    return [f"{site.file}:{comment}: this comment stays; take it out if it was about {host}"] if comment else []


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


def _to_do(checkout: Checkout, service: str, overlays: Sequence[Overlay], hosts: Sequence[str]) -> list[str]:
    """What has to be done for new hosts outside of git: in DNS, and at 42."""
    notes: list[str] = []
    for file in _certificate_files(checkout):
        cluster = file.parent
        data = yamlfile.read(checkout, cluster / "cluster.yaml").get("data") or {}
        zones = [zone.strip() for zone in str(data.get("domains") or "").split(",") if zone.strip()]
        for host in hosts:
            zone = max((zone for zone in zones if f".{host}".endswith(f".{zone}")), key=len, default="")
            notes.append(f"{host}: a certificate of {cluster.name} covers it. {_dns(host, zone, cluster.name)}")
    components = {summary.overlay: summary.components for summary in services.one(checkout, service).overlays}
    if any("oauth-42" in components[overlay] for overlay in overlays):
        urls = ", ".join(f"https://{host}" for host in hosts)
        notes.append(f"42 sends users back to addresses that it knows: add those of {urls} on its application's page")
    return notes


def _dns(host: str, zone: str, cluster: str) -> str:
    if zone:
        return f"DNS: nothing to do, external-dns writes it into the zone {zone} once it is merged"
    return (
        f"DNS: no hosted zone of {cluster} has it, so whoever keeps {host.partition('.')[2]} points it at the load "
        f"balancer (CNAME), or makes it a zone (`domains` of clusters/{cluster}/cluster.yaml)"
    )
