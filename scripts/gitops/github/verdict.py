"""What main's own code says of a commit, as a status that only our App may set; and whether main itself is right.

A pull request brings its own workflows, so a green job of the name `check` may be one that it wrote. The gate that runs
main's code on the pull request's files cannot be rewritten by it, and the ruleset takes the status `main-gate` from our
App alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from pydantic import SecretStr

from gitops.clients.github import MAIN_GATE, Hub
from gitops.clients.slack import Slack
from gitops.ground.errors import ExternalError, InputError

WORKFLOW = ".github/workflows/check.yaml"
# What starts it on main; a pull request's branch can be called main, too.
EVENTS = ("push", "schedule", "workflow_dispatch")
# Seconds.
_LONGEST_PAUSE = 60.0
RUNBOOK = "docs/runbooks/github.md"


def report(commit: str, result: str, *, patience: float = 0) -> bool:
    """Set the status of a commit: success for `success` and a failure for all else. Returns whether it was written.

    `patience`: seconds in which GitHub is asked again where it fails, as nobody else would set the status later.
    Raises InputError where `commit` is no whole commit id, ExternalError.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise InputError("COMMIT", expected="a commit's 40 hexadecimal digits", found=repr(commit[:50]))
    passed = result == "success"
    text = "main's own gate passes it" if passed else "main's own gate does not pass it; see the workflow gate"
    end, pause = time.monotonic() + patience, 1.0
    while True:
        try:
            return Hub.from_environment().status(commit, MAIN_GATE, "success" if passed else "failure", text)
        except ExternalError:
            if time.monotonic() + pause > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def main_is_red(taken: Mapping[str, SecretStr], number: int) -> str:
    """Tell Slack, where this run of main's check did not succeed, and return what was told; else nothing.

    Not the newest run: of a later commit it looks at what that one changed alone, and may be green beside it.

    Raises InputError without SLACK_TOKEN, ExternalError.
    """
    slack = Slack.needed(taken, "that main is red")
    run = Hub.from_environment().finished_run(number)
    of_main = (run.path, run.branch) == (WORKFLOW, "main") and run.event in EVENTS
    if not of_main or run.conclusion == "success":
        return ""
    text = f"main is red at {run.commit[:12]}: its check ended with {run.conclusion} {run.url}"
    slack.post(f":rotating_light: {text}", f"Runbook: {RUNBOOK}")
    return text
