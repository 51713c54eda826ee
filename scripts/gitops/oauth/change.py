"""The files of a rotation and of a clean-up, made from main's, and what their pull requests say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import code, table
from gitops.manifests import kustomize, sealedsecret
from gitops.manifests.objects import Object
from gitops.oauth.model import Generation, OAuthApplication
from gitops.repository import contents
from gitops.repository import rotation as rotations
from gitops.repository.pulls import Marker
from gitops.repository.rotation import KEY, Record

# How a pull request says which rotation it proposes.
MARKER = Marker("gitops-oauth")


def rotation(
    base: Checkout, application: OAuthApplication, generation: int, sealed: bytes, retired: Sequence[Generation]
) -> contents.Contents:
    """The new SealedSecret, the reference to it and its line in the kustomization; `retired` generations go.

    The result is rendered: the Deployment must name the new Secret alone, and the SealedSecret must be there. Raises
    InputError, and nothing is left changed in `base`.
    """
    numbers = [generation.number for generation in retired]
    changed = rotations.files(_reader(base), application.overlay, generation, sealed, numbers)
    _check(base, application, changed, application.secret_name(generation))
    return changed


def clean_up(base: Checkout, application: OAuthApplication) -> contents.Contents:
    """Without every generation but the one that runs. Raises InputError."""
    numbers = [generation.number for generation in application.older]
    changed = rotations.without(_reader(base), application.overlay, numbers)
    _check(base, application, changed, application.deployed.name)
    return changed


def _reader(base: Checkout) -> rotations.Reader:
    return lambda path: (base.root / path).read_bytes()


def _check(base: Checkout, application: OAuthApplication, changed: contents.Contents, name: str) -> None:
    with contents.temporarily_written(base, changed):
        rendered = kustomize.build(base, base.root / application.overlay.path)
    references = _secret_references(rendered)
    sealed = [item for item in rendered if item["kind"] == sealedsecret.KIND and item["metadata"]["name"] == name]
    if references != {name} or len(sealed) != 1 or set(sealed[0]["spec"]["encryptedData"]) != {KEY}:
        raise InputError(
            "the render does not read the new secret, so nothing was written",
            path=application.overlay.path,
            expected=f"OAUTH_42_CLIENT_SECRET from {name} alone, and its SealedSecret with the key {KEY} once",
            found=f"{', '.join(sorted(references)) or 'no reference'} and {len(sealed)} of it",
        )


def _secret_references(rendered: Sequence[Object]) -> set[str]:
    """The Secrets that the Deployments read the client secret from."""
    names: set[str] = set()
    for item in rendered:
        containers = item["spec"]["template"]["spec"]["containers"] if item["kind"] == "Deployment" else []
        for container in containers:
            names |= {
                variable["valueFrom"]["secretKeyRef"]["name"]
                for variable in container.get("env", [])
                if variable["name"] == "OAUTH_42_CLIENT_SECRET"
            }
    return names


def clean_up_title(application: OAuthApplication) -> str:
    """The clean-up's."""
    return f"{application.overlay}: remove 42 secrets before generation {application.deployed.number}"


def title(application: OAuthApplication, generation: int) -> str:
    """One line that also stands in main's history."""
    return f"{application.overlay}: 42 secret, generation {generation}"


def rotation_body(application: OAuthApplication, record: Record) -> str:
    """What the pull request says. The same for the same facts; nothing secret."""
    rows = [
        ("application", record.application),
        ("uid", record.uid),
        ("generation", f"{application.deployed.number} -> {record.generation}"),
        ("rotation", record.rotation[:12]),
        ("sealed against", record.certificate[:12]),
        ("the previous one is valid until", _when(record.valid_until)),
    ]
    lines = [
        "42 shows a new secret for this application. It was tried at 42 (it opens this application, and no other) and "
        "sealed for this namespace and name.",
        "",
        *table(("", ""), rows),
        "",
        "Merged, Argo CD starts new pods with it. A web service's old ones serve until the new ones are ready; a bot "
        "restarts once. `git revert` undoes it: the previous generation stays until 42 stops accepting it.",
        "",
        _who_merges(application),
        "",
        "Closing this pull request declines this secret: nothing else is proposed until 42 shows another one or it is "
        "reopened. A commit of yours on this branch stops the bot.",
        "",
        marker(record.rotation),
    ]
    return "\n".join(lines)


def _who_merges(application: OAuthApplication) -> str:
    if application.owner.merges_by_itself:
        return "The bot merges it once its checks have passed on these very files, also in a freeze."
    return f"A person merges it: {code(f'overlays/{application.overlay.service}/owner.yaml')} says so."


def clean_up_body(application: OAuthApplication) -> str:
    """What the clean-up's pull request says."""
    names = ", ".join(code(generation.name) for generation in application.older)
    number = application.deployed.number
    return "\n".join(
        [
            f"42 has switched to generation {number} and accepts nothing before it: {names} can go.",
            "",
            "After this, `git revert` of the rotation brings back a secret that 42 refuses.",
            "",
            marker(clean_up_id(number)),
        ]
    )


def marker(rotation: str) -> str:
    """The line of a pull request's body that `proposed` reads."""
    return MARKER.line({"rotation": rotation})


def clean_up_id(generation: int) -> str:
    """What stands for a rotation in the marker of the clean-up that leaves `generation` alone."""
    return f"clean-up-{generation}"


def _when(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if moment else "unknown"
