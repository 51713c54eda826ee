"""The one noun: an overlay is a folder is an Application is a namespace. Its names, and the rules that they keep."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitops.ground.errors import InputError
from gitops.ground.suggest import unknown

# Every environment that there is, in the order of promotion: their one home. What has to name them as well (the
# ApplicationSet, its AppProject, the policy on namespaces) is held to this by the gate's rule `environments`.
ENVIRONMENTS = ("staging", "canary", "prod")
# Kubernetes keeps names with this prefix for itself.
RESERVED_PREFIX = "kube-"
# Services of these names would pass for a part of the cluster.
RESERVED_SERVICES = ("argocd", "default", "sealed-secrets")
# RFC 1123.
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST_LABEL = 63
# A service's longest namespace is a label too.
LONGEST_SERVICE = LONGEST_LABEL - max(len(f"-{environment}") for environment in ENVIRONMENTS)


@dataclass(frozen=True, order=True)
class Overlay:
    """A service in an environment.

    No two legal overlays share a namespace: an environment has no hyphen, so the last hyphen parts both names.
    """

    service: str
    environment: str

    @classmethod
    def of_path(cls, path: str) -> Overlay | None:
        """The overlay that a path of the repository is, or lies in; None for every other path.

        Says nothing of whether the names are legal: what reads a tree must be able to name what is wrong in it.
        """
        parts = path.split("/")
        if len(parts) < 3 or parts[0] != "overlays" or not parts[1] or not parts[2]:
            return None
        return cls(parts[1], parts[2])

    @property
    def path(self) -> str:
        """Its folder in the repository."""
        return f"overlays/{self.service}/{self.environment}"

    def file(self, name: str) -> str:
        """The path of one of its files in the repository."""
        return f"{self.path}/{name}"

    @property
    def kustomization(self) -> str:
        """The path of its kustomization in the repository."""
        return self.file("kustomization.yaml")

    @property
    def namespace(self) -> str:
        """The namespace that it runs in."""
        return f"{self.service}-{self.environment}"

    @property
    def application(self) -> str:
        """The name of its Argo CD Application."""
        return self.namespace

    def branch(self, kind: str) -> str:
        """The one branch of its pull requests of a kind, such as bump/mogle/prod."""
        return f"{kind}/{self}"

    def __str__(self) -> str:
        return f"{self.service}/{self.environment}"

    def check_names(self) -> None:
        """Raise InputError unless both names are legal."""
        check_service(self.service)
        check_environment(self.environment)


def check_service(name: str) -> None:
    """Raise InputError unless `name` can be a service's."""
    if not DNS_LABEL.fullmatch(name):
        expected = "lower-case letters, digits and hyphens, beginning and ending with a letter or digit"
        raise InputError(f"service name {name!r}: not a DNS label", expected=expected)
    if len(name) > LONGEST_SERVICE:
        longest = Overlay(name, max(ENVIRONMENTS, key=len)).namespace
        expected = f"at most {LONGEST_SERVICE} characters, as its namespace {longest} may have {LONGEST_LABEL}"
        raise InputError(f"service name {name!r}", expected=expected, found=str(len(name)))
    if name in RESERVED_SERVICES or f"{name}-".startswith(RESERVED_PREFIX):
        reserved = ", ".join([f"{RESERVED_PREFIX}*", *RESERVED_SERVICES])
        what = f"service name {name!r}: reserved for the cluster's own parts ({reserved})"
        raise InputError(what, fix="choose another name")


def check_environment(name: str) -> None:
    """Raise InputError unless `name` is an environment."""
    if name not in ENVIRONMENTS:
        raise unknown("environment", name, ENVIRONMENTS)
