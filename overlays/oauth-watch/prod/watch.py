"""The dead man's check: is the newest successful run of a workflow older than it may be? Then Slack is told.

Run by a CronJob in the cluster with nothing but Python's own library. Nothing is remembered: GitHub's Actions API knows
when the last run succeeded. Exit code 0: looked, and told Slack where that was due; 1: could not look or not tell.
WORKFLOW names the workflows: the rotation of 42's secrets, the one that follows them to the pods, the one of images,
and the one that sees what else is switched off on GitHub.
"""

import html
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

SIGN = ":rotating_light: "
FAILURES = (URLError, OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError, IndexError)


class SayableError(ValueError):
    """What is wrong, in words of ours that have no part of a value."""


def token(name: str) -> str:
    """A token of the environment, without the newline that a pipe adds.

    Raises SayableError for one that no header takes: Python would tell the whole of it in its error.
    """
    value = os.environ.get(name, "").strip()
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise SayableError(f"{name} has a character that no token has; seal it anew")
    return value


def reason(error: Exception) -> str:
    """A status or a kind of error: the text of many holds what they could not send or read."""
    if isinstance(error, SayableError):
        return str(error)
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    inner = error.reason if isinstance(error, URLError) else error
    return type(inner).__name__


def newest_success(workflow: str) -> datetime | None:
    """When the newest successful run began, by GET /repos/{owner}/{repo}/actions/workflows/{file}/runs."""
    api = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
    path = f"/repos/{os.environ['GITHUB_REPOSITORY']}/actions/workflows/{workflow}/runs"
    headers = {"Accept": "application/vnd.github+json"}
    if secret := token("GITHUB_TOKEN"):
        headers["Authorization"] = f"Bearer {secret}"
    # GitHub starts a schedule on main alone: any other run may be of a branch that has the file changed.
    query = urlencode({"status": "success", "event": "schedule", "per_page": 1})
    # Both addresses are this overlay's own settings.
    with urlopen(Request(f"{api}{path}?{query}", headers=headers), timeout=30) as answer:  # noqa: S310
        runs = json.load(answer)["workflow_runs"]
    return datetime.fromisoformat(runs[0]["run_started_at"].replace("Z", "+00:00")) if runs else None


def tell(text: str) -> None:
    """Post to Slack's chat.postMessage, which answers 200 also where it does not take the message."""
    url = f"{os.environ.get('SLACK_API_URL') or 'https://slack.com/api/'}chat.postMessage"
    # One line of text: no mention, no link, no emoji but ours, nothing bold.
    text = html.escape(" ".join(text.split()), quote=False)
    text = SIGN + re.sub(r":(?=[\w+'-]+:)", ":\u2060", text)
    form = {
        "channel": os.environ["SLACK_CHANNEL"],
        "text": text,
        "parse": "none",
        "link_names": "false",
        "mrkdwn": "false",
    }
    body = urlencode({**form, "unfurl_links": "false", "unfurl_media": "false"}).encode()
    headers = {"Authorization": f"Bearer {token('SLACK_TOKEN')}"}
    with urlopen(Request(url, data=body, headers=headers), timeout=30) as answer:  # noqa: S310
        told = json.load(answer)
    if not told.get("ok"):
        word = re.fullmatch(r"[a-z_]{1,60}", str(told.get("error")))
        raise SayableError(f"Slack says {word[0] if word else 'no'}")


def look(workflow: str, most: timedelta) -> int:
    """Look at one workflow, and tell where it is due."""
    failed = False
    try:
        newest = newest_success(workflow)
        age = datetime.now(UTC) - newest if newest else None
        problem = f"last succeeded {age.total_seconds() / 3600:.0f} h ago" if age else "never succeeded"
        if age is not None and age <= most:
            print(f"{workflow} {problem}: fine")
            return 0
    except FAILURES as error:
        problem, failed = f"cannot be looked at ({reason(error)})", True
    hours = f"{most.total_seconds() / 3600:.0f} h"
    text = f"the workflow {workflow} {problem}; at most {hours} is expected."
    print(text)
    try:
        tell(f"{text} Runbook: docs/runbooks/oauth.md, 'The schedule has stopped'")
    except FAILURES as error:
        print(f"Slack was not told: {reason(error)}", file=sys.stderr)
        return 1
    return 1 if failed else 0


def main() -> int:
    """Look at each, also where one could not be looked at."""
    most = timedelta(hours=float(os.environ["MAX_AGE_HOURS"]))
    return max([look(workflow, most) for workflow in os.environ["WORKFLOW"].split()])


if __name__ == "__main__":
    sys.exit(main())
