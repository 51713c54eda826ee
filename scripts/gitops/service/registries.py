"""The registries that the policies let images come from: read from the policy itself, so that they stand once."""

from __future__ import annotations

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.image import REFERENCE

FILE = "policies/pods/image-registry.yaml"
_VARIABLE = "registries"


def allowed_registries(checkout: Checkout) -> list[str]:
    """What the name of an image may begin with, as the cluster's policy lists it.

    Raises InputError where the policy has no such list.
    """
    file = checkout.root / FILE
    policy = yamlfile.read(checkout, file)
    variables = (policy.get("spec") or {}).get("variables") or []
    expression = next((item.get("expression") for item in variables if item.get("name") == _VARIABLE), None)
    prefixes = yamlfile.strings(str(expression), FILE)
    if prefixes is None:
        raise InputError(path=FILE, expected=f"a variable {_VARIABLE} that is a plain list of names")
    return prefixes


def check_registry(checkout: Checkout, reference: str) -> None:
    """Raise InputError where the cluster would refuse an image for its registry. A malformed reference passes."""
    match = REFERENCE.fullmatch(reference)
    if match is None:
        return
    prefixes = allowed_registries(checkout)
    if not any(f"{match['name']}:".startswith(prefix) for prefix in prefixes):
        what = f"image: the policy image-registry refuses it ({FILE})"
        raise InputError(what, expected=f"one of {', '.join(prefixes)}", found=repr(reference))
