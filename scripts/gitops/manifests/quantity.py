"""Kubernetes quantities as numbers."""

from __future__ import annotations

from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity


def number(text: object) -> Decimal:
    """Cores or bytes of a quantity such as 50m or 128Mi; 0 for what is none (the API server says so elsewhere)."""
    try:
        return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, ArithmeticError):
        return Decimal(0)


def is_quantity(text: object) -> bool:
    """Whether Kubernetes takes it for a quantity."""
    try:
        parse_quantity(text)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, ArithmeticError):
        return False
    return True
