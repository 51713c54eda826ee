"""The rules of a site's Ingresses, where they stand in an overlay's own files: a host comes, moves and goes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gitops.ground.errors import InputError
from gitops.manifests import yamledit, yamlfile, yamltext
from gitops.manifests.objects import FieldPath
from gitops.service.draft import OverlayDraft

_RULES = ("spec", "rules")
_TLS = ("spec", "tls")
_ANCHOR = re.compile(r"&([^\s,\[\]{}]+)")
# The base's Ingress, which a host is added to where there are several.
_BASE = "web"


@dataclass(frozen=True)
class HostRules:
    """An overlay's draft, and one file of it with rules."""

    draft: OverlayDraft
    file: str

    @property
    def text(self) -> str:
        """As it is to be."""
        return self.draft.text(self.file)

    @property
    def nodes(self) -> list[yaml.Node]:
        """The rules; none where it has none."""
        node = yamledit.node_at(self.text, self.file, _RULES)
        return list(node.value) if isinstance(node, yaml.SequenceNode) else []

    @property
    def hosts(self) -> list[str]:
        """The host of each rule."""
        return [str(yamltext.scalar(rule, "host")) for rule in self.nodes]

    def line(self, number: int) -> int:
        """The line of a rule."""
        return yamledit.line_of(self.text, self.file, (*_RULES, number))

    def put(self, path: FieldPath, host: str) -> None:
        """Write a host over another one."""
        self.draft.write(self.file, yamledit.put(self.text, self.file, path, host))

    def secured_beside(self, path: FieldPath) -> list[yaml.Node]:
        """The hosts of the entry of `tls` that a path of `secured` leads into."""
        node = yamledit.node_at(self.text, self.file, path[:-1])
        return list(node.value) if isinstance(node, yaml.SequenceNode) else []

    def secured(self, host: str) -> list[tuple[str | int, ...]]:
        """Where `tls` has a host: it says for which a certificate is looked for."""
        entries = yamledit.node_at(self.text, self.file, _TLS)
        paths: list[tuple[str | int, ...]] = []
        for number, entry in enumerate(entries.value if isinstance(entries, yaml.SequenceNode) else []):
            hosts = yamltext.child(entry, "hosts")
            members = hosts.value if isinstance(hosts, yaml.SequenceNode) else []
            paths += [(*_TLS, number, "hosts", place) for place, one in enumerate(members) if one.value == host]
        return paths


@dataclass(frozen=True)
class Site:
    """An overlay's draft, and its files that have rules of an Ingress: one at least."""

    draft: OverlayDraft
    files: Sequence[str]

    @property
    def parts(self) -> list[HostRules]:
        """The rules of each file."""
        return [HostRules(self.draft, file) for file in self.files]

    @property
    def hosts(self) -> list[str]:
        """Every host of them."""
        return list(itertools.chain.from_iterable(part.hosts for part in self.parts))

    def add(self, host: str) -> None:
        """One more host, answered as the first one is. Raises InputError."""
        named = [part for part in self.parts if self.draft.name(part.file) == _BASE]
        parts = named if len(self.files) > 1 else self.parts
        if len(parts) != 1:
            files = ", ".join(self.files)
            expected = f"one of the base's Ingress ({_BASE}), which it would be added to"
            raise InputError("several files have hosts", path=self.draft.overlay.path, expected=expected, found=files)
        [part] = parts
        http = yamltext.child(part.nodes[0], "http")
        [document] = yamlfile.parse_all(part.text, part.file)
        value: Any = yamledit.plain(document["spec"]["rules"][0].get("http"))
        if http is None or value is None:
            raise InputError("a rule without `http`", path=part.file, line=part.line(0), fix=f"add {host} by hand")
        anchor = _ANCHOR.match(part.text, http.start_mark.index)
        rule = {"host": host, "http": yamledit.Alias(anchor[1], value) if anchor else value}
        secured = part.secured(part.hosts[0])
        self.draft.write(part.file, yamledit.append(part.text, part.file, _RULES, rule))
        for path in secured[:1]:
            self.draft.write(part.file, yamledit.append(part.text, part.file, path[:-1], host))

    def move(self, old: str, new: str) -> None:
        """Another host in place of one, in all rules that have it. Raises InputError."""
        for part in self.parts:
            for number in [number for number, host in enumerate(part.hosts) if host == old]:
                part.put((*_RULES, number, "host"), new)
            for path in part.secured(old):
                part.put(path, new)

    def remove(self, host: str) -> list[str]:
        """One host less. Returns what is to be said of comments. Raises InputError: a site needs one."""
        notes: list[str] = []
        if set(self.hosts) == {host}:
            [part, *_] = [part for part in self.parts if host in part.hosts]
            what = f"{host} is the last domain of {self.draft.overlay}, and a site needs one"
            fix = f"gitops service domain move, or gitops service remove {self.draft.overlay.service}"
            raise InputError(what, path=part.file, line=part.line(part.hosts.index(host)), fix=fix)
        for part in self.parts:
            while host in part.hosts:
                notes += _removed(part, host)
            while secured := part.secured(host):
                *entry, _, _ = path = secured[0]
                alone = len(part.secured_beside(path)) == 1
                self.draft.write(part.file, yamledit.remove(part.text, part.file, tuple(entry) if alone else path))
        return notes


def _removed(part: HostRules, host: str) -> list[str]:
    """Take the first rule of a host out."""
    nodes, number = part.nodes, part.hosts.index(host)
    if len(nodes) == 1:
        what = f"{host} is the last domain of this Ingress, and one without rules takes all that comes"
        fix = "take the Ingress out by hand, with its line in the kustomization"
        raise InputError(what, path=part.file, line=part.line(number), fix=fix)
    # What others name stays where it is: it takes the host of one of these, whose own rule goes.
    http = yamltext.child(nodes[number], "http")
    heirs = [
        heir
        for heir, rule in enumerate(nodes)
        if heir > number and yamltext.child(rule, "http") is http and len(rule.value) == 2
    ]
    text = part.text
    if heirs:
        text = yamledit.put(text, part.file, (*_RULES, number, "host"), part.hosts[heirs[0]])
    comment = yamledit.comment_above(text, part.file, (*_RULES, number))
    part.draft.write(part.file, yamledit.remove(text, part.file, (*_RULES, heirs[0] if heirs else number)))
    return [f"{part.file}:{comment}: this comment stays; take it out if it was about {host}"] if comment else []
