"""GitHub's published description of its API: completes what the fake answers, and refuses what GitHub would not say."""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from graphql import GraphQLSchema, build_schema
from openapi_schema_validator import OAS30Validator

PACKAGES = Path(__file__).parents[2] / ".tools/github-schema/node_modules/@octokit"
_SIMPLE: dict[str, Any] = {"string": "x", "integer": 1, "number": 1, "boolean": False}
_FORMATS = {"uri": "https://example.com/", "date-time": "2026-01-01T00:00:00Z", "email": "x@example.com"}


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((PACKAGES / "openapi/generated/api.github.com.json").read_text())
    return document


@cache
def graphql_schema() -> GraphQLSchema:
    """GitHub's whole GraphQL schema."""
    return build_schema((PACKAGES / "graphql-schema/schema.graphql").read_text(), assume_valid=True)


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        node: Any = _document()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    return schema


@cache
def operation(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The description of a call: the template of its path, and what it says of it. Raises LookupError."""
    for slashes in (False, True):  # only a ref may hold slashes, and only where nothing else fits
        for template, methods in _document()["paths"].items():
            pattern = re.sub(r"\{(\w+)\}", lambda m: ".+" if slashes and m[1] == "ref" else "[^/]+", template)  # noqa: B023
            if method.lower() in methods and re.fullmatch(pattern, path):
                return template, methods[method.lower()]
    raise LookupError(f"GitHub has no {method} {path}")


def answer(method: str, path: str, status: int, value: Any) -> Any:
    """`value` with all that GitHub would say besides, checked against its description.

    Raises AssertionError where GitHub never answers this call so.
    """
    template, described = operation(method, path)
    responses = described["responses"]
    assert str(status) in responses, f"{method} {template} never answers {status}, but {sorted(responses)}"
    response = _resolve(responses[str(status)])
    if "content" not in response:
        return None
    schema = response["content"]["application/json"]["schema"]
    full = _complete(schema, value)
    described_item, items = (schema["items"], full) if isinstance(full, list) else (schema, [full])
    for item in items:
        _check(json.dumps(described_item), json.dumps(item))
    return full


@lru_cache(maxsize=20_000)
def _check(schema: str, value: str) -> None:
    """Raises AssertionError. What is in a list today was in it yesterday, and a check takes milliseconds."""
    _validator(schema).validate(json.loads(value))


def check_request(method: str, path: str, body: Any) -> None:
    """Raises AssertionError where GitHub would not take this body."""
    template, described = operation(method, path)
    if template.endswith("/labels") and isinstance(body, list):
        # PyGithub sends the bare list of names, which GitHub took first and takes still.
        body = {"labels": body}
    schema = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema:
        errors = [error.message for error in _validator(json.dumps(schema)).iter_errors(body)]
        assert not errors, f"{method} {path}: GitHub would refuse this body: {errors[:3]}"


@cache
def _validator(schema: str) -> OAS30Validator:
    return OAS30Validator({**json.loads(schema), "components": _document()["components"]})


def _complete(schema: dict[str, Any], value: Any) -> Any:
    schema = _resolve(schema)
    if value is None:
        return None
    for several in ("allOf", "anyOf", "oneOf"):
        if several in schema:
            chosen = schema[several] if several == "allOf" else schema[several][:1]
            for part in chosen:
                value = _complete(part, value)
            return value
    if isinstance(value, list):
        return [_complete(schema.get("items", {}), item) for item in value]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        done = {key: _complete(properties.get(key, {}), field) for key, field in value.items()}
        for key in schema.get("required", []):
            if key not in done:
                done[key] = _minimal(properties.get(key, {}))
        return done
    return value


def _minimal(schema: dict[str, Any]) -> Any:
    schema = _resolve(schema)
    if schema.get("nullable"):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("allOf", "anyOf", "oneOf"):
        if several in schema:
            if several != "allOf":
                return _minimal(schema[several][0])
            merged: dict[str, Any] = {}
            for part in schema[several]:
                merged.update(_minimal(part))
            return merged
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "array":
        return []
    if kind == "object":
        return _complete(schema, {})
    return _FORMATS.get(schema.get("format", ""), _SIMPLE[kind])
