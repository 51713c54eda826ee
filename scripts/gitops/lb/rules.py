"""The rules of a listener: what a request must be to meet one, and which of them no request meets.

Source: the controller's pkg/ingress/model_build_listener_rules.go and rule_optimizer.go.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gitops.lb import globs
from gitops.lb.actions import RedirectTo
from gitops.lb.conditions import Condition
from gitops.lb.sources import GroupObject
from gitops.lb.targets import TargetGroup
from gitops.manifests.findings import Unit
from gitops.manifests.lines import Place
from gitops.manifests.objects import FieldPath, Object


@dataclass(frozen=True)
class Answer:
    """What a rule does with a request.

    `to`: target groups by the controller's names, a status, or where a redirect leads. `groups`: the target groups.
    """

    to: tuple[str, ...] = ()
    groups: tuple[TargetGroup, ...] = ()
    redirect: RedirectTo | None = None


@dataclass(frozen=True)
class ListenerRule:
    """One rule of the listener: the first that matches answers.

    `hosts` and `paths`: patterns, one of each must match, any where there is none; their expressions: the same as
    regular expressions. `others`: further conditions. `location`: where its path entry stands in the Ingress.
    """

    source: GroupObject
    host: str
    path: str
    path_type: str
    service: str
    port: str
    location: FieldPath
    answer: Answer
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    host_expressions: tuple[str, ...] = ()
    path_expressions: tuple[str, ...] = ()
    others: tuple[Condition, ...] = ()

    @property
    def unit(self) -> Unit:
        """The folder that has its Ingress."""
        return self.source.unit

    @property
    def item(self) -> Object:
        """Its Ingress."""
        return self.source.item

    @property
    def ingress(self) -> str:
        """Its Ingress as namespace/name."""
        return self.source.full_name

    @property
    def namespace(self) -> str:
        """Its Ingress' namespace."""
        return self.source.namespace

    @property
    def patterns(self) -> tuple[str, ...]:
        """All its patterns."""
        return (*self.hosts, *self.paths)

    @property
    def condition_values(self) -> int:
        """How many condition values it has, of which the load balancer takes five."""
        expressions = len(self.host_expressions) + len(self.path_expressions)
        others = sum(len(condition.values) + len(condition.expressions) for condition in self.others)
        return len(self.patterns) + expressions + others

    @property
    def wildcards(self) -> int:
        """How many wildcards its conditions have."""
        texts = [*self.patterns]
        for condition in self.others:
            texts += condition.values if condition.field in ("http-header", "query-string") else ()
        return sum(map(globs.wildcards, texts))

    @property
    def host_location(self) -> FieldPath:
        """Where its host stands in the Ingress."""
        return (*self.location[:3], "host")

    @property
    def path_location(self) -> FieldPath:
        """Where its path stands in the Ingress."""
        return (*self.location, "path")

    @property
    def place(self) -> Place:
        """The line of its path."""
        return self.unit.places.of(self.item, self.path_location)

    @property
    def address(self) -> str:
        """What it answers for, as a person writes it."""
        return f"{self.host or '*'}{self.path}"

    @property
    def is_asked_for_more(self) -> bool:
        """Whether host and path alone do not say that a request meets it."""
        return bool(self.others)

    def matches(self, host: str, path: str) -> bool:
        """Whether a request for host and path meets this rule, as far as these two say. A host has no case."""
        hosts = tuple(pattern.lower() for pattern in self.hosts)
        return _met(hosts, self.host_expressions, host.lower()) and _met(self.paths, self.path_expressions, path)

    def shadows(self, later: ListenerRule) -> bool:
        """Whether every request of `later` meets this rule first."""
        if self.others or self.host_expressions or self.path_expressions:
            return False
        return _all_covered(self.hosts, later.hosts) and _all_covered(self.paths, later.paths)

    def shares_host(self, rule: ListenerRule) -> bool:
        """Whether a host meets both rules. Without one a rule has every host, which is said of it alone."""
        return any(itertools.starmap(globs.overlap, itertools.product(self.hosts, rule.hosts)))


def _met(patterns: Sequence[str], expressions: Sequence[str], text: str) -> bool:
    if not patterns and not expressions:
        return True
    return any(globs.matches(pattern, text) for pattern in patterns) or any(
        _is_met(expression, text) for expression in expressions
    )


def _is_met(expression: str, text: str) -> bool:
    try:
        return re.search(expression, text) is not None
    except (re.error, RecursionError):
        return False


def _all_covered(patterns: Sequence[str], later: Sequence[str]) -> bool:
    if not patterns:
        return True
    return bool(later) and all(_is_covered(patterns, text) for text in later)


def _is_covered(patterns: Sequence[str], narrower: str) -> bool:
    return any(globs.covers(pattern, narrower) for pattern in patterns)


def path_patterns(path: str, path_type: str) -> tuple[str, ...]:
    """The patterns that the controller writes for a path; none where there is no path."""
    if path_type != "Prefix" or not path:
        return (path,) if path else ()
    return ("/*",) if path == "/" else (path.removesuffix("/"), f"{path.removesuffix('/')}/*")


def rank(path: Object) -> tuple[int, int]:
    """The place of a path in its rule: Exact, then Prefix by length in bytes, the longest first, then the others."""
    kind = path.get("pathType")
    length = len(str(path.get("path") or "").encode(errors="replace"))
    return (0, 0) if kind == "Exact" else (1, -length) if kind == "Prefix" else (2, 0)


def effective(
    rules: Iterable[ListenerRule],
    port: int,
    protocol: str,
    left_out: Callable[[ListenerRule, ListenerRule | None], None],
) -> list[ListenerRule]:
    """The rules without those that the controller leaves out: redirects to themselves, and what a redirect hides.

    `left_out` is told of each, with the redirect that hides it, None for one that leads to itself.
    """
    kept: list[ListenerRule] = []
    for rule in rules:
        if _leads_to_itself(rule, port, protocol):
            left_out(rule, None)
            continue
        hiding = next((first for first in kept if first.answer.redirect and _is_superset(first, rule)), None)
        if hiding:
            left_out(rule, hiding)
        else:
            kept.append(rule)
    return kept


def _leads_to_itself(rule: ListenerRule, port: int, protocol: str) -> bool:
    to = rule.answer.redirect
    if to is None or rule.path_expressions:
        return False
    sides = (
        (to.host, {"#{host}", *rule.hosts}),
        (to.path, {"/#{path}", *rule.paths}),
        (to.port, {"#{port}", str(port)}),
        (to.protocol, {"#{protocol}", protocol}),
        (to.query, {"#{query}"}),
    )
    return all(text is None or text in same for text, same in sides)


def _is_superset(first: ListenerRule, rule: ListenerRule) -> bool:
    """As the controller compares them: by the texts of the patterns."""
    if first.others:
        return False
    hosts = not first.hosts or (bool(rule.hosts) and set(first.hosts) >= set(rule.hosts))
    texts = {*first.paths, *first.path_expressions}
    paths = {*rule.paths, *rule.path_expressions}
    return hosts and (not texts or "/*" in texts or (bool(paths) and texts >= paths))
