"""Quantities, held to Kubernetes' own client library."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from kubernetes.utils.quantity import parse_quantity

from gitops.manifests.quantity import is_quantity, number

NUMBERS = ("0", "1", "50", "1.5", ".5", "2.", "-3", "+4", "0.001")
UNITS = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2", "e+1")


@pytest.mark.parametrize("text", list(map("".join, itertools.product(NUMBERS, UNITS))))
def test_a_quantity_is_what_the_client_library_reads(text: str) -> None:
    assert is_quantity(text)
    assert number(text) == Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("value", [1, 0.5, 250, 1e-7])
def test_a_number_is_a_quantity(value: float) -> None:
    assert is_quantity(value)
    assert number(value) == Decimal(str(value))


@pytest.mark.parametrize(
    "text",
    ["", "Mi", "1 Gi", "1Kib", "1K", "1mi", "1,5", "0x1", "1e", "1e9999", "--1", "nan", "inf", None, [], {}, True],
)
def test_what_is_no_quantity_counts_as_none(text: object) -> None:
    assert not is_quantity(text)
    assert number(text) == 0
