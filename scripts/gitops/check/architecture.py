"""On which processors the pods of an overlay land, against what its images are built for.

The bot takes an image only where it is built for the `platforms` of images.yaml; here pods are held to the same list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    platforms = _platforms(policies.get(unit.overlay.environment))
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


def _platforms(policy: object) -> Sequence[str]:
    """What every image of an environment is taken for; a further one that says nothing for what the main one is."""
    if not isinstance(policy, dict):
        return _DEFAULT
    platforms: Sequence[str] = policy.get("platforms") or _DEFAULT
    further = policy.get("images")
    for own in further.values() if isinstance(further, dict) else ():
        named = own.get("platforms") if isinstance(own, dict) else None
        platforms = [platform for platform in platforms if not named or platform in named]
    return platforms
