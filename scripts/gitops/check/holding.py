"""Whether every policy holds: it is there, it is bound, it denies, and it refuses what it must (known_bad.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from gitops.check import answers
from gitops.check.answers import Denial
from gitops.check.argo import Platform, expected_labels
from gitops.check.dry_run import MANAGER, POLICY_KINDS, Server
from gitops.check.known_bad import PLACE, KnownBad, known_bad
from gitops.clients.kubernetes import ClusterError
from gitops.manifests.differences import differences
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.objects import FieldPath, Object, name, selects, value_at
from gitops.manifests.reach import kustomization
from gitops.manifests.render import in_parallel

RULE = "policy-holds"
_POLICY, _BINDING = POLICY_KINDS
_FIX = "restore it: what a policy no longer refuses may run in every service's namespace"
# What each policy and each binding must say, and what it says of itself.
_SAID: dict[str, tuple[tuple[FieldPath, str], ...]] = {
    _POLICY: ((("spec", "failurePolicy"), "Fail"),),
    _BINDING: ((("spec", "validationActions"), "Deny"), (("spec", "paramRef", "parameterNotFoundAction"), "Deny")),
}
# What the API server says of an expression that broke down.
_EVALUATED = re.compile(r"expression '(.*)' resulted in error: (.*)", re.DOTALL)
# CEL's own words, after which it repeats the expression.
_CEL = re.compile(r"compilation failed: ERROR: <input>:\d+:\d+: (.*?)(?: \| |$)")


def check(platforms: Sequence[Platform]) -> Iterator[Finding]:
    """What can be seen without a cluster: a policy that is not there, not bound, or that does not deny."""
    expected = sorted({bad.policy for bad in known_bad()})
    faults: list[_Fault] = []
    for platform in platforms:
        unit = _unit(platform)
        rules = {(str(item["kind"]), name(item)): item for item in platform.kind(*POLICY_KINDS)}
        if not any(kind == _POLICY for kind, _ in rules):
            yield _none(platform)
            continue
        bound = {str(value_at(item, ("spec", "policyName"))) for item in platform.kind(_BINDING)}
        for policy in expected:
            item = rules.get((_POLICY, policy))
            if item is None:
                place = _line(unit, "policies/kustomization.yaml", "resources:")
                faults.append(_Fault(place, "is not there", policy, _FIX, unit.name))
            elif policy not in bound:
                place = _line(unit, "policies/bindings.yaml", "")
                faults.append(_Fault(place, "has no binding, and is nowhere in force", policy, _FIX, unit.name))
        for (kind, policy), item in rules.items():
            faults += [*_unsaid(unit, kind, policy, item), *_unbound(unit, policy, item)]
            if kind == _POLICY and policy not in expected:
                what, fix = "no object is known that it must refuse", "add one to scripts/gitops/check/known_bad.py"
                faults.append(_Fault(unit.places.of(item, ("metadata", "name")), what, policy, fix, unit.name))
    yield from _together(faults)
    yield from _elsewhere(platforms)


class _Fault:
    """One policy that does not hold."""

    def __init__(self, place: Place, problem: str, policy: str, fix: str, unit: str) -> None:
        self.place, self.problem, self.policy, self.fix, self.unit = place, problem, policy, fix, unit


def _together(faults: Iterable[_Fault]) -> Iterator[Finding]:
    """One finding for each cause: what stands on one line is said of all policies at once."""
    groups: dict[tuple[Place, str], list[_Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.place, fault.problem), []).append(fault)
    for (place, problem), group in groups.items():
        policies = list(dict.fromkeys(fault.policy for fault in group))
        more = f" and {len(policies) - 3} more" if len(policies) > 3 else ""
        what = f"{', '.join(policies[:3])}{more}: {problem}"
        yield Finding(RULE, place, what, group[0].fix, group[0].unit)


def _unit(platform: Platform) -> Unit:
    """The folder that brings a cluster's policies."""
    return platform.holder(_POLICY)


def folder(platform: Platform) -> str:
    """The folder that brings a cluster's policies: a change that does not concern it leaves them as they were."""
    return _unit(platform).name


def _line(unit: Unit, file: str, word: str) -> Place:
    return Place(file, line_of(read_text(unit.places.root / file), word) or 1)


def _none(platform: Platform) -> Finding:
    """That nothing brings policies/ into a cluster."""
    folder = f"{platform.unit.name}/objects"
    file = kustomization(platform.unit.places.root / folder)
    path = f"{folder}/{file.name if file else 'kustomization.yaml'}"
    what = f"no policy is in force in {platform.unit.name}: nothing brings policies/"
    place = _line(platform.unit, path, "resources:")
    return Finding(RULE, place, what, "list ../../../policies in resources", folder)


def _unbound(unit: Unit, policy: str, item: Object) -> Iterator[_Fault]:
    """A binding that leaves out namespaces of services."""
    if item["kind"] == _BINDING and not _binds(item):
        place = unit.places.of(item, ("spec", "matchResources"))
        what = "its binding leaves out a service's namespace whose environment nobody thought of"
        yield _Fault(place, what, policy, "bind it by the label `environment`, whatever that says", unit.name)


def _unsaid(unit: Unit, kind: str, policy: str, item: Object) -> Iterator[_Fault]:
    """What a policy or its binding should say, and does not."""
    for path, word in _SAID[kind]:
        if (
            path[1] == "paramRef"
            and value_at(item, path[:2]) is None
            and value_at(item, ("metadata", "labels", "exceptions")) == "none"
        ):
            continue
        value = value_at(item, path)
        if value is None and path[-1] == "failurePolicy":
            continue  # which is Fail
        if value != word and not (isinstance(value, list) and word in value):
            said = ", ".join(map(str, value)) if isinstance(value, list) else value
            what = f"{path[-1]} is {said or 'not set'}, and not {word}"
            yield _Fault(unit.places.of(item, path), what, policy, f"{path[-1]}: {word}", unit.name)


def _elsewhere(platforms: Sequence[Platform]) -> Iterator[Finding]:
    """Policies that one cluster has otherwise than the first, whose are asked."""
    first, *others = platforms
    rules = {(str(item["kind"]), name(item)): item for item in first.kind(*POLICY_KINDS)}
    for platform in others:
        own = {(str(item["kind"]), name(item)): item for item in platform.kind(*POLICY_KINDS)}
        unit = _unit(platform)
        for key in sorted(rules.keys() & own.keys()):
            change = next(iter(differences(rules[key], own[key])), None)
            if change is not None:
                what = f"{change.path} is not what {first.unit.name} has"
                yield unit.finding(RULE, own[key], change.new_path, what, "say it in policies/, for every cluster")
        for key in sorted(rules.keys() - own.keys()) if own else []:
            place = _line(platform.unit, f"{platform.unit.name}/objects/kustomization.yaml", "resources:")
            yield Finding(RULE, place, f"{' '.join(key)} is not in {platform.unit.name}", _FIX, unit.name)


def taken(server: Server, platform: Platform, objects: Sequence[Object]) -> tuple[list[Object], list[Finding]]:
    """Of a cluster's own objects those that the API server takes, and findings for the others."""

    def refusal(item: Object) -> ClusterError | None:
        try:
            server.cluster.ask("PATCH", server.path(item), item, kind="apply", fieldManager=MANAGER, force="true")
        except ClusterError as error:
            return error
        return None

    results = in_parallel(refusal, objects)
    refused = [(item, error) for item, error in zip(objects, results, strict=True) if error]
    faults: list[_Fault] = []
    unit = _unit(platform)
    for item, error in refused:
        if error.status == 0 or error.status >= 500:
            raise error
        for field, message in error.causes or [("", error.reason)]:
            path = answers.field_path(item, field)
            cel = _CEL.search(" ".join(message.split()))
            said = f"CEL: {cel[1]}" if cel else answers.decisive(message)
            problem = f"{field}: {said}" if field else said
            fix = "write what the API server asks for: it takes the whole policy or none of it"
            faults.append(_Fault(unit.places.of(item, path), problem, name(item), fix, unit.name))
    return [item for item, error in zip(objects, results, strict=True) if not error], list(_together(faults))


def asked(server: Server, platform: Platform, policies: Sequence[Object]) -> list[Finding]:
    """Whether each policy that is in force refuses what it must. `policies`: what the server has taken."""
    unit = _unit(platform)
    # Of the others it has been said why they do not hold.
    denying = {
        str(value_at(item, ("spec", "policyName")))
        for item in policies
        if "Deny" in (value_at(item, ("spec", "validationActions")) or []) and _binds(item)
    }
    there = {name(item) for item in policies if item["kind"] == _POLICY} & denying
    bads = list(known_bad())
    refusals = in_parallel(lambda bad: _refusal(server, bad), bads)
    policies_by_name = {name(item): item for item in platform.kind(_POLICY)}
    broken = [
        unit.finding("policy", policies_by_name[refusal.policy], (), refusal.text, _FIX, policy=refusal.policy)
        for refusal in refusals
        if refusal is not None and refusal.policy in policies_by_name and _EVALUATED.search(refusal.text)
    ]
    passed = [bad for bad, refusal in zip(bads, refusals, strict=True) if refusal is None and bad.policy in there]
    faults: list[_Fault] = []
    for policy in dict.fromkeys(bad.policy for bad in passed):
        item = policies_by_name[policy]
        kinds = ", ".join(sorted(str(bad.item["kind"]) for bad in passed if bad.policy == policy))
        faults.append(_Fault(_matched(unit, item), f"does not refuse a bad {kinds}", policy, _FIX, unit.name))
    return [*broken, *_together(faults)]


def _matched(unit: Unit, item: Object) -> Place:
    """Where it is written what a policy looks at: in its own file, or in what is common to several."""
    own = unit.places.of(item, ("metadata", "name"))
    line = line_of(read_text(unit.places.root / own.file), "matchConstraints:")
    return Place(own.file, line) if line else unit.places.of(item, ("spec", "matchConstraints"))


def _binds(binding: Object) -> bool:
    """Whether a binding is for a service's namespace, whatever its environment is called."""
    selector = value_at(binding, ("spec", "matchResources", "namespaceSelector"))
    return selector is None or selects(selector, expected_labels(PLACE))


def _refusal(server: Server, bad: KnownBad) -> Denial | None:
    """What refused an object that its policy must refuse; None where that one let it pass."""
    try:
        server.cluster.ask("POST", server.path(bad.item).rpartition("/")[0], bad.item)
    except ClusterError as error:
        denied = answers.denial(error)
        # Pod Security comes before the policies: what it refuses never reaches them.
        if denied is None and bad.item["kind"] == "Pod" and "violates PodSecurity" in error.reason:
            return Denial(bad.policy, error.reason)
        # One that cannot be evaluated refuses all.
        if denied is not None and (denied.policy == bad.policy or _EVALUATED.search(denied.text)):
            return denied
    return None


def evaluated(platform: Platform, findings: Sequence[Finding]) -> list[Finding]:
    """The same findings; what a policy refused that cannot be evaluated itself is one, of the policy."""
    unit = _unit(platform)
    faults: list[_Fault] = []
    rest: list[Finding] = []
    for finding in findings:
        failed = _EVALUATED.search(finding.problem) if finding.policy else None
        item = next((one for one in platform.kind(_POLICY) if name(one) == finding.policy), None)
        if failed is None or item is None:
            rest.append(finding)
            continue
        number = _numbered(item, failed[1])
        place = unit.places.of(item, ("spec", "validations", number, "expression"))
        fix = "mend the expression: as it is, it refuses everything"
        faults.append(
            _Fault(place, f"cannot be evaluated: {answers.decisive(failed[2])}", finding.policy, fix, unit.name)
        )
    return [*rest, *_together(faults)]


def _numbered(item: Object, expression: str) -> int:
    """Which validation of a policy an expression is."""
    validations = value_at(item, ("spec", "validations")) or []
    texts = [" ".join(str(one.get("expression")).split()) for one in validations]
    text = " ".join(expression.split())
    return texts.index(text) if text in texts else 0
