"""Every variable of the environment that is read, in one model. docs/settings.md is its table.

Read when a value is used, never at import: `settings.read().render_timeout`. What is set to nothing counts as not set.
This module loads pydantic, so those that `gitops --help` passes through import it where they read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError

from gitops.ground import hidden
from gitops.ground.errors import Fault, InputError

# Seconds, a day: nobody waits longer, and a clock refuses a number that is larger by far.
LONGEST = 86_400


def check_url(text: str) -> str:
    """A server's address as requests can use it. Raises ValueError, as pydantic asks of a validator."""
    try:
        parts = urlsplit(text)
        host, _ = (parts.hostname or "").encode("idna"), parts.port
        usable = parts.scheme in ("http", "https") and bool(host) and text.split() == [text]
    except ValueError:  # brackets that are open, a port above 65535, a label of 64 characters
        usable = False
    if not usable:
        raise PydanticCustomError("url", "expected http:// or https:// and a host, such as https://api.example.com")
    return text


Seconds = Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(check_url)]
# Runners name themselves in many ways: whatever is set, it is one.
Set = Annotated[bool, BeforeValidator(bool)]
IsTrue = Annotated[bool, BeforeValidator(lambda value: value == "true")]


class Settings(BaseModel):
    """What the environment says. Each field's alias is the variable's name."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    cluster: str = Field(
        "seoul", alias="GITOPS_CLUSTER", description="The folder under clusters/ that --cluster stands for."
    )
    lab_name: str = Field("default", alias="GITOPS_LAB_NAME", description="The lab that --name stands for.")
    team: str | None = Field(
        None,
        alias="GITOPS_TEAM",
        description="Whose services are yours in `gitops status`: a team of .github/teams.yaml.",
    )
    kubeconfig: str | None = Field(
        None,
        alias="KUBECONFIG",
        description="Who is asked what runs: files, with colons between them; without it: ~/.kube/config.",
    )
    tool_cache: Path | None = Field(
        None,
        alias="GITOPS_TOOL_CACHE",
        description="Where tools are built, so that several checkouts share them; without it: .tools/cache.",
    )
    render_timeout: Seconds = Field(
        60, alias="GITOPS_RENDER_TIMEOUT", description="Seconds that kustomize may take for one folder."
    )
    check_keep: Pause = Field(
        300,
        alias="GITOPS_CHECK_KEEP",
        description="Seconds that a control plane is kept ready for the next `gitops check` (about 300 MB); 0: none.",
    )
    sealed_secrets_url: Url = Field(
        "http://127.0.0.1:8080",
        alias="GITOPS_SEALED_SECRETS_URL",
        description="The sealed-secrets controller, as kubectl port-forward shows it (--controller).",
    )
    github_pause: Pause = Field(
        1, alias="GITOPS_GITHUB_PAUSE", description="Seconds between two writes at GitHub, as it asks of bots."
    )
    github_wait: Pause = Field(
        60, alias="GITOPS_GITHUB_WAIT", description="Seconds to wait where GitHub says 'too fast' and not how long."
    )
    intra42_api_url: Url = Field("https://api.intra.42.fr", alias="GITOPS_42_API_URL", description="42's API.")
    intra42_profile_url: Url = Field(
        "https://profile.intra.42.fr", alias="GITOPS_42_PROFILE_URL", description="42's pages of applications."
    )
    intra42_deadline: Seconds = Field(
        120, alias="GITOPS_42_DEADLINE", description="Seconds for one answer of 42's API, all tries together."
    )

    aws_pause: Pause = Field(
        10, alias="GITOPS_AWS_PAUSE", description="Seconds between two looks at a stack of AWS that is being made."
    )
    dns_url: Url = Field(
        "https://dns.google/resolve",
        alias="GITOPS_DNS_URL",
        description="Who is asked for a domain's name servers, as JSON over HTTPS.",
    )

    terminal: str | None = Field(
        None,
        alias="TERM",
        description="What the terminal understands; without it or with `dumb`: no colours, progress in plain lines.",
    )
    ci: Set = Field(False, alias="CI", description="Set by every runner: progress is plain lines.")
    actions: IsTrue = Field(
        False, alias="GITHUB_ACTIONS", description="`true` in Actions, and only then values are masked in its log."
    )
    github_repository: str | None = Field(
        None, alias="GITHUB_REPOSITORY", pattern=r"^[^/\s]+/[^/\s]+$", description="OWNER/NAME, where pull requests go."
    )
    github_token: SecretStr | None = Field(None, alias="GITHUB_TOKEN", description="Who asks GitHub.")
    github_api_url: Url = Field("https://api.github.com", alias="GITHUB_API_URL", description="GitHub's API.")
    bot_app_id: int | None = Field(
        None, alias="BOT_APP_ID", gt=0, description="The number of the bot's GitHub App, which the rulesets name."
    )
    event_name: str | None = Field(
        None, alias="GITHUB_EVENT_NAME", description="The event that started the run: what `gitops scope` compares."
    )
    event_file: Path | None = Field(None, alias="GITHUB_EVENT_PATH", description="That event's payload.")
    step_summary: Path | None = Field(
        None, alias="GITHUB_STEP_SUMMARY", description="The file that Actions shows as the run's summary."
    )
    step_output: Path | None = Field(
        None, alias="GITHUB_OUTPUT", description="The file that hands a step's answers to the next."
    )
    argocd_app: str | None = Field(
        None,
        alias="ARGOCD_APP",
        pattern=r"^[a-z0-9-]+$",
        description="Argo CD's GitHub App, by the name in its page's address: whom the bots believe what runs.",
    )
    slack_channel: str = Field("platform-alerts", alias="SLACK_CHANNEL", description="Where alerts go.")
    slack_api_url: Url = Field("https://slack.com/api/", alias="SLACK_API_URL", description="Slack's API.")
    go_cache: Path | None = Field(None, alias="GOCACHE", description="Go's build cache; without it: in the tool cache.")
    go_modules: Path | None = Field(
        None, alias="GOMODCACHE", description="Go's downloaded modules; without it: in the tool cache."
    )

    @property
    def keeps(self) -> float:
        """Seconds that a control plane is kept for the next check; a runner has no next one."""
        return 0 if self.ci else self.check_keep


def read() -> Settings:
    """The settings as the environment has them now. Raises InputError, one line for each bad value."""
    names = [str(field.alias) for field in Settings.model_fields.values()]
    values: dict[str, Any] = {name: value for name in names if (value := os.environ.get(name))}
    values |= hidden.kept()
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InputError.several(_fault(str(problem["loc"][0]), problem["msg"]) for problem in error.errors()) from None


def _fault(name: str, problem: str) -> Fault:
    secret = SecretStr in get_args(next(f for f in Settings.model_fields.values() if f.alias == name).annotation)
    value = "" if secret else f"={os.environ.get(name)!r}"
    return Fault(f"{name}{value}: {problem}", fix="docs/settings.md says what it may be")
