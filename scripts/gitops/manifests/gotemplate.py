"""Go's text/template, as far as an ApplicationSet's template needs it. What is not known here is said, not guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Parameters = Mapping[str, Any]
_ACTION = re.compile(r"(?:\s*\{\{-\s|\{\{)(.*?)(?:\s-\}\}\s*|\}\})", re.DOTALL)
_TOKEN = re.compile(r'\s*("(?:\\.|[^"\\])*"|`[^`]*`|-?\d+|\||\(|\)|\.[\w.]*|\w+)')
_MISSING = "<no value>"


class TemplateError(ValueError):
    """A template that Argo CD would refuse, or that is not understood here."""


def sanitized(text: str) -> str:
    """Argo CD's `normalize`: a name that DNS takes."""
    return re.sub(r"[^-a-z0-9.]", "-", text.lower())[:253].strip("-.")


def _index(container: Any, *keys: Any) -> Any:  # noqa: ANN401 - what a template names may be anything
    for key in keys:
        if isinstance(container, list | tuple):
            if not isinstance(key, int) or not 0 <= key < len(container):
                raise TemplateError(f"index out of range: {key}")
            container = container[key]
        elif isinstance(container, Mapping):
            container = container.get(key, "")
        else:
            raise TemplateError(f"cannot index {container!r}")
    return container


_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    # sprig's, in its order of arguments.
    "lower": (1, lambda text: str(text).lower()),
    "upper": (1, lambda text: str(text).upper()),
    "trim": (1, lambda text: str(text).strip()),
    "trimPrefix": (2, lambda prefix, text: str(text).removeprefix(prefix)),
    "trimSuffix": (2, lambda suffix, text: str(text).removesuffix(suffix)),
    "replace": (3, lambda old, new, text: str(text).replace(old, new)),
    "default": (2, lambda instead, value: value or instead),
    "quote": (1, lambda text: f'"{text}"'),
    "toString": (1, str),
    "join": (2, lambda separator, items: separator.join(map(str, items))),
    "normalize": (1, lambda text: sanitized(str(text))),
}


def filled(text: str, parameters: Parameters, options: Sequence[str] = ()) -> str:
    """A text with each `{{ ... }}` replaced. `options`: goTemplateOptions.

    Raises TemplateError: for what Argo CD would refuse, and for what is not understood here.
    """
    strict = "missingkey=error" in options
    result = _ACTION.sub(lambda action: _text(_Action(action[1], parameters, strict=strict).value()), text)
    if "{{" in _ACTION.sub("", text):
        raise TemplateError("{{ without }}")
    return result


def filled_plainly(text: str, parameters: Mapping[str, str]) -> str:
    """The same without goTemplate (fasttemplate): what is not known stays as it is."""
    return re.sub(r"\{\{(.*?)\}\}", lambda tag: parameters.get(tag[1].strip(), tag[0]), text, flags=re.DOTALL)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        raise TemplateError("a mapping is no text")
    return str(value)


class _Action:
    """What stands between the braces."""

    def __init__(self, text: str, parameters: Parameters, *, strict: bool) -> None:
        self._parameters, self._strict, self._tokens = parameters, strict, list[str]()
        rest = text.strip()
        if rest.startswith("/*") and rest.endswith("*/"):
            rest = '""'
        while rest:
            token = _TOKEN.match(rest)
            if token is None:
                raise TemplateError(f"{rest}: not understood")
            self._tokens.append(token[1])
            rest = rest[token.end() :].strip()

    def value(self) -> Any:  # noqa: ANN401
        """What it stands for. Raises TemplateError."""
        value = self._pipeline()
        if self._tokens:
            raise TemplateError(f"{' '.join(self._tokens)}: not understood")
        return value

    def _pipeline(self) -> Any:  # noqa: ANN401
        value = self._command([])
        while self._tokens and self._tokens[0] == "|":
            self._tokens.pop(0)
            value = self._command([value])
        return value

    def _command(self, piped: list[Any]) -> Any:  # noqa: ANN401
        words = list[Any]()
        function = self._tokens[0] if self._tokens and re.fullmatch(r"[A-Za-z]\w*", self._tokens[0]) else ""
        if function:
            self._tokens.pop(0)
        while self._tokens and self._tokens[0] not in ("|", ")"):
            words.append(self._operand())
        if not function:
            if len(words) != 1 or piped:
                raise TemplateError("one value or a function is expected")
            return words[0]
        words += piped
        if function == "index" and words:
            return _index(*words)
        count, work = _FUNCTIONS.get(function, (-1, str))
        if count < 0:
            raise TemplateError(f"{function}: what it makes is not known here")
        if len(words) != count:
            raise TemplateError(f"{function}: wants {count} values, has {len(words)}")
        return work(*words)

    def _operand(self) -> Any:  # noqa: ANN401
        word = self._tokens.pop(0)
        if word == "(":
            value = self._pipeline()
            if not self._tokens or self._tokens.pop(0) != ")":
                raise TemplateError("( without )")
            return value
        if word.startswith("."):
            return self._field(word)
        if word[0] in '"`':
            return re.sub(r"\\(.)", r"\1", word[1:-1]) if word[0] == '"' else word[1:-1]
        if word.lstrip("-").isdigit():
            return int(word)
        raise TemplateError(f"{word}: not understood")

    def _field(self, path: str) -> Any:  # noqa: ANN401
        value: Any = self._parameters
        for step in filter(None, path.split(".")):
            if not isinstance(value, Mapping):
                raise TemplateError(f"{path}: can't evaluate field {step}")
            if step not in value and self._strict:
                raise TemplateError(f"{path}: no entry for key {step}")
            value = value.get(step, _MISSING)
        return value
