"""A workflow of .github/workflows as GitHub reads it: when it starts, and which commands of ours its steps give.

The schedules, conditions, environments and commands are the files' own: nothing of them is written down here again.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.year.clock import Cron

# How a step gives one; with `exec` where the shell was given secrets.
_COMMAND = re.compile(r"(?:exec )?\.venv/bin/gitops (.+)")
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_WORD = re.compile(r"'[^']*'|[A-Za-z_](?:[\w.-]|(?<=\.)\*)*|&&|\|\||==|!=|!|[(),]")


@dataclass(frozen=True)
class Command:
    """One command of a step: its words, and the variables that the step is given.

    `after_failure`: it is given too where one before it failed.
    """

    words: tuple[str, ...]
    env: dict[str, str]
    after_failure: bool = False


@dataclass(frozen=True)
class Job:
    """A job: its condition, whom it waits for, its steps."""

    name: str
    condition: str
    needs: tuple[str, ...]
    steps: tuple[dict[str, Any], ...]

    def starts(self, facts: Mapping[str, Any]) -> bool:
        """Whether it runs. A job whose `needs` failed does not, unless its condition says `always()`."""
        if "always()" not in self.condition and any(facts[f"needs.{name}.result"] != "success" for name in self.needs):
            return False
        return not self.condition or bool(value(self.condition, facts))

    def commands(self, facts: Mapping[str, Any]) -> Iterator[Command]:
        """Those that its steps give, of the steps that run where all went well."""
        facts = {f"steps.{step['id']}.outcome": "success" for step in self.steps if "id" in step} | dict(facts)
        for step in self.steps:
            condition = str(step.get("if", ""))
            lines = str(step.get("run", "")).splitlines()
            matches = [match for line in lines if (match := _COMMAND.fullmatch(line.strip()))]
            # The conditions of other steps name what nobody here knows.
            if not matches or (condition and not value(condition, facts)):
                continue
            env = {name: expand(str(text), facts) for name, text in step.get("env", {}).items()}
            for match in matches:
                words = tuple(_variables(word, env) for word in shlex.split(match[1]))
                yield Command(words, env, "cancelled()" in condition)


@dataclass(frozen=True)
class Workflow:
    """`file`: its name in the folder; `after`: the names of the workflows whose end starts it.

    `hears_statuses`: whether each status that is set on a commit starts it.
    """

    file: str
    name: str
    crons: tuple[Cron, ...]
    after: tuple[str, ...]
    hears_statuses: bool
    jobs: tuple[Job, ...]

    @classmethod
    def read(cls, file: Path) -> Workflow:
        document = yaml.safe_load(file.read_text())
        triggers = document.get("on", document.get(True)) or {}  # YAML 1.1 takes `on` for true
        schedule = [Cron.parse(entry["cron"]) for entry in triggers.get("schedule", [])]
        jobs = []
        for name, job in document["jobs"].items():
            needs = job.get("needs", [])
            named = (needs,) if isinstance(needs, str) else tuple(needs)
            jobs.append(Job(name, str(job.get("if", "")), named, tuple(job.get("steps", []))))
        after = (triggers.get("workflow_run") or {}).get("workflows", [])
        return cls(file.name, document["name"], tuple(schedule), tuple(after), "status" in triggers, tuple(jobs))


def expand(text: str, facts: Mapping[str, Any]) -> str:
    """A text with the values of its expressions. What nobody knows is empty, as in Actions."""
    return _EXPRESSION.sub(lambda match: str(value(match[1], facts) or ""), text)


def value(expression: str, facts: Mapping[str, Any]) -> Any:
    """The value of an expression of Actions: names, texts, ==, !=, &&, ||, !, and the functions that our files call.

    Raises ValueError for what is none of these.
    """
    text = _EXPRESSION.sub(lambda match: match[1], expression)
    words = _WORD.findall(text)
    if re.sub(r"\s", "", text) != re.sub(r"\s", "", "".join(words)):
        raise ValueError(f"an expression that is not known: {expression!r}")
    python = {"&&": " and ", "||": " or ", "!": " not ", "==": "==", "!=": "!="}
    names = {"true": "True", "false": "False"}
    parts = [python.get(word) or names.get(word) or _term(word) for word in words]
    functions = {"contains": lambda where, what: what in where, "fromJSON": json.loads}
    functions |= {"toJSON": json.dumps, "always": lambda: True, "cancelled": lambda: False, "success": lambda: True}
    # Names, texts and operators of our own files alone: see the pattern.
    return eval(" ".join(parts), {"__builtins__": {}, "fact": facts.get, **functions})


def _term(word: str) -> str:
    if word[0] in "'(),":
        return word
    return (
        word if word in ("contains", "fromJSON", "toJSON", "always", "cancelled", "success") else f"fact({word!r}, '')"
    )


def _variables(word: str, env: Mapping[str, str]) -> str:
    """A word with the variables of its step, as bash puts them in."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: env.get(match[1], ""), word)
