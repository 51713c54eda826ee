"""On which processors the pods of an overlay land, against what its images are built for.

The bot takes an image only where it is built for the `platforms` of images.yaml; here pods are held to the same list.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.pods import template

LABEL = "kubernetes.io/arch"
# What an image is built for where its images.yaml says nothing, or there is none (images/policy.py).
_DEFAULT = ("linux/amd64",)


def check(unit: Unit, checkout: Checkout) -> Iterator[Finding]:
    """Pods that may land on any processor, or on one that nobody says their image is built for."""
    if unit.overlay is None:
        return
    file = checkout.overlays / unit.overlay.service / "images.yaml"
    policies = yamlfile.read(checkout, file) if file.exists() else {}
    policy = policies.get(unit.overlay.environment)
    platforms = (policy.get("platforms") if isinstance(policy, dict) else None) or _DEFAULT
    for item in unit.objects:
        pods = template(item)
        if pods is None:
            continue
        asked = (pods.spec.get("nodeSelector") or {}).get(LABEL)
        path = (*pods.path, "spec", "nodeSelector", LABEL)
        if asked is None:
            what = "its pods may land on a processor that their image is not built for"
            yield unit.finding("architecture", item, path, what, f"nodeSelector: {{{LABEL}: amd64}}, as base/ has it")
        elif f"linux/{asked}" not in platforms:
            what = f"its pods run on {asked}; its images are taken for {', '.join(platforms)}"
            fix = f"build them for linux/{asked} and write it into platforms of {checkout.relative(file)}"
            yield unit.finding("architecture", item, path, what, fix)
