"""Slack: one message to one channel at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import requests
from pydantic import SecretStr

from gitops.ground import printable, settings
from gitops.ground.errors import ExternalError, InputError

# How Slack names what is wrong.
_WORD = re.compile(r"[a-z_]{1,60}")
# With what a line of ours may begin; any other name of an emoji is text.
SIGNS = (":warning: ", ":rotating_light: ")


@dataclass(frozen=True)
class Slack:
    """A bot of Slack, by its token."""

    token: SecretStr
    channel: str
    url: str

    @classmethod
    def of(cls, credentials: Mapping[str, SecretStr]) -> Slack | None:
        """By SLACK_TOKEN, with SLACK_CHANNEL and SLACK_API_URL of the environment; None without it."""
        token = credentials.get("SLACK_TOKEN")
        if token is None:
            return None
        own = settings.read()
        return cls(token, own.slack_channel, own.slack_api_url)

    @classmethod
    def needed(cls, credentials: Mapping[str, SecretStr], unheard: str) -> Slack:
        """The same where it must be there. `unheard`: what nobody would hear without it. Raises InputError."""
        slack = cls.of(credentials)
        if slack is None:
            raise InputError(f"not set: SLACK_TOKEN; without it nobody would hear {unheard}")
        return slack

    def whoami(self) -> str:
        """The bot's name at Slack, which says nothing to anyone. Raises ExternalError."""
        name = str(self._ask("auth.test", {}, "the token is not accepted").get("user", ""))
        return name if _WORD.fullmatch(name) else "a bot"

    def to(self, channel: str) -> Slack:
        """The same bot in another channel, which it was invited to."""
        return replace(self, channel=channel.removeprefix("#"))

    def post(self, *lines: str) -> None:
        """Send a message of these lines, each of which may begin with one of SIGNS.

        Raises ExternalError: an alert that no one got is a failure.
        """
        text = "\n".join(map(_line, lines))
        # No name, no channel and no address in it becomes a link, and none is fetched for a picture of it.
        form = {"channel": self.channel, "text": text, "parse": "none", "link_names": "false", "mrkdwn": "false"}
        form |= {"unfurl_links": "false", "unfurl_media": "false"}
        self._ask("chat.postMessage", form, "the alert was not sent")

    def _ask(self, method: str, form: dict[str, str], without: str) -> dict[str, object]:
        """One call of its API. `without`: what it means that there is no answer. Raises ExternalError."""
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}"}
        try:
            answer = requests.post(f"{self.url}{method}", data=form, headers=headers, timeout=20)
            body: dict[str, object] = answer.json()
            if answer.status_code != 200 or not body.get("ok"):
                word = _WORD.fullmatch(str(body.get("error")))
                raise ExternalError(f"Slack: {word[0] if word else f'HTTP {answer.status_code}'}; {without}")
        except (requests.RequestException, ValueError, AttributeError) as error:
            raise ExternalError(f"Slack: cannot be reached ({type(error).__name__}); {without}") from None
        return body


def _line(text: str) -> str:
    sign = next((sign for sign in SIGNS if text.startswith(sign)), "")
    return sign + printable.slack(text.removeprefix(sign))
