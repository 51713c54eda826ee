"""What CloudFormation makes of a template: its functions answered, as far as the platform's templates use them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from typing import Any

REGION, ACCOUNT = "ap-northeast-2", "210987654321"
PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws"}
_VARIABLE = re.compile(r"\$\{([\w:.]+)\}")

Attribute = Callable[[str, str], str]


def resolve(value: Any, names: Mapping[str, Any], attribute: Attribute) -> Any:
    """A value with every function answered. `names`: what Ref gives; `attribute`: what Fn::GetAtt gives.

    Raises KeyError for a name that is not there, as CloudFormation refuses it.
    """
    if isinstance(value, list):
        return [resolve(item, names, attribute) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(function, argument)] = value.items()
        if function == "Ref":
            return names[argument]
        if function.startswith("Fn::"):
            return _FUNCTIONS[function](argument, names, attribute)
    return {key: resolve(item, names, attribute) for key, item in value.items()}


def _sub(argument: Any, names: Mapping[str, Any], attribute: Attribute) -> str:
    text, own = argument if isinstance(argument, list) else (argument, {})
    names = {**names, **resolve(own, names, attribute)}

    def one(match: re.Match[str]) -> str:
        name, _, rest = match[1].partition(".")
        return str(attribute(name, rest) if rest else names[match[1]])

    return _VARIABLE.sub(one, text)


def _join(argument: Any, names: Mapping[str, Any], attribute: Attribute) -> str:
    separator, items = argument
    return str(separator).join(resolve(items, names, attribute))


def _select(argument: Any, names: Mapping[str, Any], attribute: Attribute) -> Any:
    index, items = argument
    return resolve(items, names, attribute)[int(index)]


def _cidr(argument: Any, names: Mapping[str, Any], attribute: Attribute) -> list[str]:
    block, count, bits = resolve(argument, names, attribute)
    subnets = IPv4Network(block).subnets(new_prefix=32 - int(bits))
    return [str(next(subnets)) for _ in range(int(count))]


_FUNCTIONS: dict[str, Callable[[Any, Mapping[str, Any], Attribute], Any]] = {
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Cidr": _cidr,
    "Fn::GetAtt": lambda argument, _, attribute: attribute(*argument),
    "Fn::GetAZs": lambda *_: [f"{REGION}{zone}" for zone in "abcd"],
}


def parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """What Ref gives for each parameter. Raises KeyError for one that is not given."""
    declared: dict[str, Any] = template.get("Parameters", {})
    values = {name: given.get(name, parameter.get("Default")) for name, parameter in declared.items()}
    for name, value in values.items():
        if value is None:
            raise KeyError(name)
    lists = {name for name, parameter in declared.items() if "List" in parameter["Type"]}
    return {name: str(value).split(",") if name in lists else value for name, value in values.items()}


def resolved(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every resource of a template with its properties answered; each reference is the resource's logical id."""
    names = {**PSEUDO, **parameters(template, given), **{name: name for name in template["Resources"]}}
    resources: dict[str, dict[str, Any]] = resolve(template["Resources"], names, lambda name, what: f"{name}.{what}")
    return resources
