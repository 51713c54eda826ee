"""A finding: one form for everything that is found, whoever found it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place
from gitops.manifests.objects import FieldPath, Object, name
from gitops.manifests.overlay import Overlay
from gitops.manifests.places import Places
from gitops.manifests.render import Rendered
from gitops.manifests.shape import Malformation, MalformedError

Severity = Literal["error", "warning"]
# Characters of the reason for which something may break a rule for a while.
SHORTEST_REASON = 10


@dataclass(frozen=True)
class Rule:
    """What must be true, and why. Its name stays: baselines and GitHub know findings by it."""

    name: str
    why: str
    severity: Severity = "error"


def _rules(*rules: tuple[str, str] | tuple[str, str, Severity]) -> dict[str, Rule]:
    return {rule[0]: Rule(*rule) for rule in rules}


RULES = _rules(
    # The sources.
    ("render", "Argo CD renders exactly this; an overlay that does not render cannot be deployed."),
    ("render-hangs", "Argo CD gives up on a render that takes this long, and shows the old state for ever."),
    ("remote-base", "What is elsewhere changes without a pull request here, and Argo CD would ask any host for it."),
    ("outside", "Argo CD refuses repositories with files that lead out of them."),
    ("submodule", "A submodule's files are not in this repository's pull requests."),
    ("override", "Argo CD takes parameters from it that nobody here renders: other charts, patches, addresses."),
    ("unmatched", "kustomize passes by what meets nothing, in silence: what it was written for is not done."),
    ("unlisted", "Only what a kustomization lists is rendered: this file is not deployed, whatever it says."),
    ("conflict", "A merge that was not finished: neither side's text is what anybody meant."),
    (
        "image-pin",
        "The digest decides what runs. Under another tag the old image restarts, and nobody sees that it is.",
    ),
    ("manifest-paths", "Argo CD renders again only for these folders; a change elsewhere would never be deployed."),
    # Argo CD.
    ("names", "A folder is an Application and a namespace: policies, quotas and people know it by its name alone."),
    (
        "environments",
        "Declared in manifests/overlay.py alone: elsewhere, one more is unguarded and one less is not deployed.",
    ),
    ("applications", "Argo CD makes and unmakes Applications by this alone; what none reads is not deployed."),
    (
        "orphan-folder",
        "The ApplicationSet looks at overlays/<service>/<environment> alone; this would never be deployed.",
    ),
    ("removed-folder", "Argo CD deletes the Application of a folder that is gone, and nobody watches what ran there."),
    ("namespace", "A folder is an Application is a namespace; AppProject `services` allows nothing else."),
    ("project", "A templated or foreign project lets a folder choose its own rights."),
    ("project-kind", "AppProject `services` refuses the whole sync for one object of another kind."),
    (
        "source",
        "Argo CD reads this repository as the gate rendered it, and of others what a tool here is built from.",
    ),
    (
        "syncing",
        "What is merged reaches the cluster by this alone, and what somebody changed there goes by this alone.",
    ),
    ("waits", "A sync that waits for what never turns Healthy holds every later commit, also the one that mends it."),
    ("preserve", "Without it a renamed folder deletes all that the service runs."),
    # The API.
    ("schema", "The API server refuses or, worse, drops what it does not know."),
    ("api-removed", "The API server no longer answers for it, or will not after the next upgrade."),
    ("api-server", "The cluster's own answer: this change would not be applied."),
    ("api-warning", "The API server warns today of what it refuses tomorrow."),
    (
        "immutable",
        "The API server refuses the change of this field on what runs; the sync fails until the object goes.",
    ),
    ("pod", "The workload is accepted and its pods are not: it would run nothing, and say so only in events."),
    ("object-size", "The API server's store refuses it; a dry run does not get that far."),
    # References.
    ("service-port", "Traffic would meet no one."),
    ("service-selector", "A Service without pods answers nobody."),
    (
        "ingress-service",
        "The load balancer answers 503, or, at a port that is not there, its controller stops for all.",
    ),
    ("hpa-target", "Nothing would be scaled."),
    ("pdb-selector", "A budget that selects nothing protects nothing."),
    ("pdb-overlap", "Kubernetes evicts no pod that two budgets select: its node is never drained."),
    ("service-address", "An address of one's own choice may be one that others call, or are given next."),
    ("secret-key", "The pod would wait for ever in CreateContainerConfigError."),
    ("configmap-key", "The pod would wait for ever in CreateContainerConfigError."),
    ("service-account", "No pod would be created."),
    ("network-policy-selector", "A policy that selects nothing opens or closes nothing."),
    ("internal-address", "The name does not resolve, or the network is closed between the two."),
    ("selector", "A Deployment that does not select its own pods is refused."),
    ("quota-room", "The namespace's quota or LimitRange would refuse it, or its pods at its largest scale."),
    ("probe-port", "A probe on a port that is not there never succeeds; the pods never serve."),
    ("variable", "Kubernetes replaces $(NAME) where NAME is set before it, and leaves the very letters elsewhere."),
    ("mount", "What is mounted by a path that is not there is an empty folder, and the program looks for a file."),
    ("architecture", "On another processor an image does not start; an autoscaler takes the cheapest node it may."),
    # Availability.
    ("replicas", "Each sync would set it again: an autoscaler's pods go, or a bot says everything twice."),
    ("budget", "A budget that lets nothing go holds a node for ever; without one a drain ends all pods at once."),
    ("probes", "Without the program's own answer a rollout goes on, and requests are sent to what cannot serve."),
    ("rollout", "A rollout must come to its end, with no fewer pods of a site than it needs, and no two of a bot."),
    ("spread", "A lost zone must not take all of a service, and must not stop its pods elsewhere."),
    ("grace", "A program that is killed before it has answered drops what people asked of it."),
    ("node-room", "No node takes the pod: it waits for ever, and the rollout with it."),
    ("quantity", "A suffix in small letters is a thousandth: the container is killed at once, or the disk is none."),
    # What is kept.
    ("state-pending", "The pods would look for it where nothing is, and never be ready."),
    ("volume", "A disk is in one zone and on one node: a second pod waits for it for ever, and the rollout with it."),
    # Policies: the very same in the cluster.
    ("policy", "The cluster refuses it (policies/)."),
    ("policy-holds", "A policy that refuses nothing protects nobody, and nothing says so in the cluster."),
    ("exception", "An exception holds for what it names, for a reason, with an owner, until a day."),
    ("exception-ends", "On that day the gate closes for this object.", "warning"),
    # The repository alone.
    ("plain-secret", "A Secret in git is known to all who can read it, and replaces what sealed-secrets made."),
    ("readable-secret", "What is in git is known to all who can read it, also after it was taken out: it is sealed."),
    ("opaque-file", "What cannot be read is not reviewed, and hides a secret from every search."),
    ("leaked-secret", "What was pushed is known. Replace it where it comes from, then remove it here."),
    ("guard-rails", "Quota, LimitRange and the closed network protect all the other services from this one."),
    ("network-ranges", "Too narrow a range is an outage of every service, too wide a one admits every pod."),
    ("namespace-labels", "The namespace's labels are its pod security and its place on the network."),
    ("secret-names", "Kubernetes would refuse the Secret that the controller makes of it, and the pods wait for ever."),
    ("sealed-elsewhere", "A seal opens under the namespace and the name that it was made for, and nowhere else."),
    ("application-shared", "42 replaces one application's secret once: the second overlay would sign in no more."),
    ("declared", "Bots and people go by these files; what they cannot read, nobody follows."),
    ("sealed-scope", "A seal opens in one namespace under one name alone."),
    # The load balancer.
    ("lb-duplicate", "Two services cannot answer for one address: the first in the controller's order wins."),
    (
        "lb-host-shared",
        "Who answers for a part of a host reads the cookies of all of it, and may say anything in its name.",
    ),
    ("lb-shadowed", "An earlier rule takes every request that this one is for."),
    ("lb-quota", "The controller's whole group stops at a quota of the load balancer: nobody's change is applied."),
    ("lb-forecast", "A quota of the load balancer is nearly used up.", "warning"),
    ("lb-certificate", "Browsers refuse a host that no certificate covers."),
    ("lb-redirect", "A person who types a name without https:// sees an error in place of the site."),
    ("lb-annotation", "One Ingress that the controller cannot read freezes the whole group."),
    ("lb-network", "The pods' network takes the load balancer's requests by none of their other ports: they time out."),
    ("lb-health", "A health check of what is not there takes every target out."),
    ("lb-path", "The controller refuses the path, and with it the whole group."),
    ("lb-host", "A rule without a host answers for every service's address, a host without paths nobody answers for."),
    ("lb-default", "The load balancer has one default backend; at a second its controller stops for all Ingresses."),
)


# One cause is said once: what these rules find on a line goes without saying where one of those finds something there.
_SAID_BY = {
    # What the workload was refused for its pods would be refused for too.
    "pod": ("api-server", "policy", "unmatched"),
    # What is there by mistake lacks more than one thing.
    "api-server": ("unmatched", "lb-host", "selector"),
    "quota-room": ("node-room", "quantity"),
    # An annotation that does harm to the load balancer is one that a service may not write besides.
    "policy": ("lb-annotation", "lb-health", "unmatched"),
    "api-warning": ("quantity",),
    "budget": ("policy",),
    "readable-secret": ("leaked-secret",),
}


@dataclass(frozen=True)
class Finding:
    """What is wrong, where, and how to fix it. Why it matters is the rule's.

    `problem`: the complaint alone. `unit`: the rendered folder that has it, empty where no one has. `kind` and `name`:
    the object at fault, empty where it is none's; `policy`: the name of the policy that refused it. `more`: how many
    others have it by the same cause.
    """

    rule: str
    place: Place
    problem: str
    fix: str
    unit: str = ""
    kind: str = ""
    name: str = ""
    policy: str = ""
    more: int = 0

    @property
    def what(self) -> str:
        """The complaint as a person reads it: of which object, by which policy, and of how many others."""
        return f"{self._alone} (and {self.more} more by the same cause)" if self.more else self._alone

    @property
    def _alone(self) -> str:
        return ": ".join(part for part in (f"{self.kind} {self.name}".strip(), self.policy, self.problem) if part)

    @property
    def overlay(self) -> Overlay | None:
        """The overlay that has it, if one has."""
        return Overlay.of_path(self.unit)

    @property
    def severity(self) -> Severity:
        """The rule's."""
        return RULES[self.rule].severity

    @property
    def why(self) -> str:
        """The rule's."""
        return RULES[self.rule].why

    @property
    def fingerprint(self) -> str:
        """The same for the same fault on another line.

        The text is part of it: the same field with another value is another fault, that nobody has taken yet. The unit
        is none: what a base says wrong is one fault, whichever overlay meets it first.
        """
        parts = (self.rule, self.place.file, self._alone)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Unit:
    """One rendered folder: its objects, and where each of their fields stands.

    `partial`: some of its objects were refused already and are not among these; `malformed`: those that have not the
    form that rules read.
    """

    name: str
    objects: tuple[Object, ...]
    places: Places
    partial: bool = False
    malformed: tuple[Malformation, ...] = ()

    @classmethod
    def of(cls, graph: Graph, rendered: Rendered) -> Unit:
        """A rendered folder. Raises InputError where it does not render, or kustomize printed what is no object."""
        places = Places(graph.checkout, rendered.unit, graph.reach(rendered.unit))
        try:
            return cls(rendered.unit, tuple(rendered.objects()), places)
        except MalformedError as error:
            return cls(rendered.unit, error.sound, places, partial=True, malformed=error.malformations)

    @property
    def malformations(self) -> list[Finding]:
        """What is wrong with the objects that no rule can read."""
        return [self.finding("schema", fault.item, fault.path, fault.problem, fault.fix) for fault in self.malformed]

    def finding(self, rule: str, item: Object, path: FieldPath, problem: str, fix: str, *, policy: str = "") -> Finding:
        """A finding about a field of one of its objects."""
        place = self.places.of(item, path)
        return Finding(rule, place, problem, fix, self.name, str(item.get("kind")), name(item), policy)

    def kind(self, *kinds: str) -> list[Object]:
        """The objects of these kinds."""
        return [item for item in self.objects if item.get("kind") in kinds]

    @property
    def overlay(self) -> Overlay | None:
        """The overlay that it is, None for a cluster's folder."""
        return Overlay.of_path(self.name)

    @property
    def namespace(self) -> str:
        """The namespace of its objects: an overlay's own; of the platform's the one that they name, or Argo CD's."""
        if self.overlay:
            return self.overlay.namespace
        named = (item["metadata"].get("namespace") for item in self.objects)
        return next(filter(None, named), "argocd")


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Each once, by file and line. What a base says wrong is said once, not for each overlay that has it."""
    once: dict[tuple[str, Place, str], Finding] = {}
    for finding in findings:
        once.setdefault((finding.rule, finding.place, finding.what), finding)
    rules: dict[Place, set[str]] = {}
    for finding in once.values():
        rules.setdefault(finding.place, set()).add(finding.rule)
    told = {finding.place.file for finding in once.values() if finding.rule != "unlisted"}
    kept = [one for one in once.values() if not rules[one.place].intersection(_SAID_BY.get(one.rule, ()))]
    # A file that is wrong in itself, or a secret, has to be dealt with first.
    kept = [one for one in kept if not (one.rule == "unlisted" and one.place.file in told)]
    # An Application that reads the wrong folder leaves the right one unread.
    misled = tuple("/".join(finding.unit.split("/")[:2]) for finding in once.values() if finding.rule == "source")
    kept = [one for one in kept if not (one.rule == "applications" and one.unit.startswith(misled))]
    return sorted(kept, key=lambda finding: (finding.place.file, finding.place.line, finding.rule, finding.what))
