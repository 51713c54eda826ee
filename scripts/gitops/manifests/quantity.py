"""Kubernetes quantities as numbers. Its client library reads them too, and takes longer to load than a check to run."""

from __future__ import annotations

import re
from decimal import Decimal

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,3}))?", re.ASCII)
_BINARY = {unit: Decimal(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def number(text: object) -> Decimal:
    """Cores or bytes of a quantity such as 50m or 128Mi; 0 for what is none (the API server says so elsewhere)."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        return Decimal(0)
    digits, binary, decimal, exponent = match.groups()
    count = Decimal(digits)
    return count * _BINARY[binary] if binary else count.scaleb(_POWERS[decimal] if decimal else int(exponent or 0))


def is_quantity(text: object) -> bool:
    """Whether Kubernetes takes it for a quantity."""
    return _QUANTITY.fullmatch(str(text)) is not None
