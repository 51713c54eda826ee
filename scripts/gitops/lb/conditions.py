"""What a rule asks of a request beside host and path (annotations `conditions.<service>`), and `transforms.<service>`.

Source: the controller's pkg/ingress/config_types.go, and AWS's API reference (RuleCondition).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitops.lb import values
from gitops.lb.sources import mapping

# The field of each kind's configuration, and whether it may be a regular expression as well.
_KINDS = {
    "host-header": ("hostHeaderConfig", True),
    "path-pattern": ("pathPatternConfig", True),
    "http-header": ("httpHeaderConfig", True),
    "http-request-method": ("httpRequestMethodConfig", False),
    "query-string": ("queryStringConfig", False),
    "source-ip": ("sourceIPConfig", False),
}
_TRANSFORMS = {"url-rewrite": "urlRewriteConfig", "host-header-rewrite": "hostHeaderRewriteConfig"}


@dataclass(frozen=True)
class Condition:
    """One condition: its values, or the regular expressions in place of them."""

    field: str
    values: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()


def read(text: str) -> tuple[Condition, ...]:
    """The conditions of an annotation. Raises ValueError with what is expected where the controller cannot use one."""
    return tuple(_condition(entry) for entry in _entries(text))


def _entries(text: str) -> list[dict[str, Any]]:
    listed = values.json(text)
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ValueError("a list in JSON: [{...}]")
    return listed


def _condition(entry: dict[str, Any]) -> Condition:
    kind = entry.get("field")
    if kind not in _KINDS:
        raise ValueError(f"a field among {', '.join(_KINDS)}")
    config_name, by_expression = _KINDS[kind]
    config = mapping(entry.get(config_name.lower()))
    listed = _texts(config.get("values"), kind)
    expressions = _texts(config.get("regexvalues"), kind) if by_expression else ()
    if bool(listed) == bool(expressions):
        either = "values or regexValues, and not both," if by_expression else "values"
        raise ValueError(f"{either} in {config_name} of {kind}")
    return Condition(kind, listed, expressions)


def _texts(listed: object, kind: str) -> tuple[str, ...]:
    """The values of a condition; of a query string each has a value and perhaps a key."""
    if listed is None:
        return ()
    if kind == "query-string" and isinstance(listed, list):
        listed = [mapping(pair).get("value") or None for pair in listed]
    if not isinstance(listed, list) or not all(isinstance(value, str) for value in listed):
        raise ValueError(f"a list of texts for {kind}")
    return tuple(listed)


def check_transforms(text: str) -> None:
    """Raises ValueError with what is expected in place of a transform that the controller stops at."""
    for entry in _entries(text):
        config_name = _TRANSFORMS.get(str(entry.get("type")))
        if config_name is None:
            raise ValueError(f"a type among {', '.join(_TRANSFORMS)}")
        if not mapping(entry.get(config_name.lower())).get("rewrites"):
            raise ValueError(f"rewrites in {config_name}")
