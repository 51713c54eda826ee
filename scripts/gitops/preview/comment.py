"""The one sticky comment of a pull request: written, updated in place, taken away where nothing changes any more."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from gitops.clients.github import Hub
from gitops.ground.errors import InputError
from gitops.preview.model import Preview
from gitops.preview.text import MARKER, markdown

# A preview that some fork's run made: more than this is not read.
_BYTES = 20_000_000
Action = Literal["written", "updated", "unchanged", "removed", "nothing"]


def read(file: Path) -> Preview:
    """A preview from `gitops preview --output json`. Its content may be a stranger's. Raises InputError."""
    try:
        if file.stat().st_size > _BYTES:
            raise InputError(f"{file}: larger than {_BYTES} bytes; expected what gitops preview --output json prints")
        return Preview.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{file}: {where}: {first['msg']}; expected what gitops preview --output json prints"
        ) from None


def post(hub: Hub, preview: Preview, *, number: int | None, artifact: str = "") -> tuple[Action, int | None]:
    """Bring the comment of the pull request to what the preview says.

    `number` None: the open pull request whose head is the preview's commit, as a fork's run cannot be believed in what
    it says of itself. Raises InputError where there is no such pull request, or it has moved on.
    """
    pulls = [
        pull for pull in hub.open_heads() if (pull.number == number if number else pull.head.sha == preview.head_sha)
    ]
    if not pulls:
        raise InputError(
            f"no open pull request {f'#{number}' if number else 'at ' + preview.head_sha[:12]}; a newer run "
            "tells of a newer commit"
        )
    pull = pulls[0]
    if pull.head.sha != preview.head_sha:
        raise InputError(
            f"#{pull.number} is at {pull.head.sha[:12]} and no longer at {preview.head_sha[:12]}; a newer run "
            "tells of that"
        )
    text = markdown(preview, artifact=artifact) if preview.applications else None
    return hub.sticky_comment(pull, MARKER, text), pull.number
