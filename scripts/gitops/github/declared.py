"""What GitHub should be set to: .github/rulesets/*.json, .github/environments/*.json and .github/settings.json.

A ruleset's file is what GitHub's API takes, with one difference: an App is written by its name, `github-actions` or
`bot`, and becomes its number when it is read. The bot's own is the variable BOT_APP_ID, as in the workflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gitops.clients.github import ACTIONS_APP
from gitops.ground import jsontext
from gitops.ground import settings as environment
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError

RULESETS = ".github/rulesets"
ENVIRONMENTS = ".github/environments"
SETTINGS = ".github/settings.json"
WORKFLOWS = ".github/workflows"
# Where a rule or a bypass names an App.
_APP_FIELDS = ("integration_id", "actor_id")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ruleset(_Strict):
    """One ruleset, as GitHub's API takes it. GitHub itself refuses a rule that it does not know."""

    name: str = Field(min_length=1)
    target: Literal["branch", "tag"]
    enforcement: Literal["active", "evaluate", "disabled"]
    conditions: dict[str, Any]
    bypass_actors: list[dict[str, Any]]
    rules: list[dict[str, Any]] = Field(min_length=1)


class Actions(_Strict):
    """Which actions a workflow may use."""

    enabled: bool
    allowed_actions: Literal["all", "local_only", "selected"]
    sha_pinning_required: bool


class WorkflowToken(_Strict):
    """What a workflow's own token may do where the workflow says nothing."""

    default_workflow_permissions: Literal["read", "write"]
    can_approve_pull_request_reviews: bool


class BranchPolicy(_Strict):
    """Which branches' runs may use an environment: those that are named, and not all protected ones."""

    protected_branches: Literal[False]
    custom_branch_policies: Literal[True]


class Branch(_Strict):
    """One branch, or a pattern of branches."""

    name: str = Field(min_length=1)
    type: Literal["branch"]


class Environment(_Strict):
    """An environment of GitHub Actions. `secrets`: the names of those that it holds, which are set by hand.

    `can_admins_bypass` is set by hand too: GitHub's published API does not take it. It is verified.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    deployment_branch_policy: BranchPolicy
    can_admins_bypass: Literal[False]
    deployment_branch_policies: list[Branch] = Field(min_length=1)
    secrets: list[str]

    @property
    def branches(self) -> list[str]:
        """The branches whose runs may use it."""
        return sorted(branch.name for branch in self.deployment_branch_policies)


class MoreThanWrite(_Strict):
    """Who may do more than push: the role of a team by its name on GitHub, and of a person. Nobody else may."""

    teams: dict[str, Literal["maintain", "admin"]]
    people: dict[str, Literal["maintain", "admin"]]


class DeclaredSettings(_Strict):
    """.github/settings.json. `variables`: the names of the repository's. It has no secret and no key that may push."""

    repository: dict[str, bool | str]
    variables: list[str]
    more_than_write: MoreThanWrite = Field(alias="more-than-write")
    actions: Actions
    workflow_token: WorkflowToken = Field(alias="workflow-token")


_Model = TypeVar("_Model", bound=BaseModel)
_Named = TypeVar("_Named", Ruleset, Environment)


@dataclass(frozen=True)
class Declared:
    """All that GitHub should be set to, by name. `rulesets`: with the Apps' numbers. `workflows`: their files."""

    settings: DeclaredSettings
    rulesets: dict[str, dict[str, Any]]
    environments: dict[str, Environment]
    workflows: tuple[str, ...]


def read(checkout: Checkout) -> Declared:
    """Read the files. Raises InputError where one is wrong, or where BOT_APP_ID is needed and not set."""
    settings = _load(checkout, checkout.root / SETTINGS, DeclaredSettings)
    rulesets = {name: ruleset.model_dump() for name, ruleset in _folder(checkout, RULESETS, Ruleset).items()}
    if not rulesets:
        raise InputError("no ruleset is declared", path=RULESETS, fix="restore the folder: without one all may merge")
    for name, ruleset in rulesets.items():
        _put_numbers(ruleset, f"{RULESETS}/{name}.json")
    workflows = sorted(checkout.relative(file) for file in (checkout.root / WORKFLOWS).glob("*.y*ml"))
    return Declared(settings, rulesets, _folder(checkout, ENVIRONMENTS, Environment), tuple(workflows))


def _folder(checkout: Checkout, folder: str, model: type[_Named]) -> dict[str, _Named]:
    """Every file of a folder, by its name, which is the name that stands in it too."""
    named = {}
    for file in sorted((checkout.root / folder).glob("*.json")):
        named[file.stem] = entry = _load(checkout, file, model)
        if entry.name != file.stem:
            path = f"{folder}/{file.name}"
            raise InputError("name", path=path, expected=file.stem, found=entry.name, fix="name it as its file")
    return named


def _load(checkout: Checkout, file: Path, model: type[_Model]) -> _Model:
    path = checkout.relative(file)
    try:
        return model.model_validate(jsontext.parse(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from None
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", path=path) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", path=path) from None


def _put_numbers(value: object, path: str) -> None:
    """Put each App's number where its name stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in _APP_FIELDS and isinstance(item, str):
                value[key] = _number(item, path)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        _put_numbers(item, path)


def _number(name: str, path: str) -> int:
    if name == "github-actions":
        return ACTIONS_APP
    if name != "bot":
        raise InputError("an App that is not known here", path=path, expected="bot or github-actions", found=name)
    number = environment.read().bot_app_id
    if number is None:
        fix = (
            "set it to the number of the bot's App, which its settings page shows (the workflows' variable BOT_APP_ID)"
        )
        raise InputError("not set: BOT_APP_ID", fix=fix)
    return number
