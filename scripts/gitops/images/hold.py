"""What keeps the bot's hands off an image until a moment: hold.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gitops.ground import jsontext
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images import entry
from gitops.images.entry import MAIN
from gitops.manifests import yamlfile
from gitops.manifests.overlay import Overlay

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


class Hold(BaseModel):
    """overlays/<service>/<environment>/hold.yaml: this environment stays on `tag` until then, and why.

    Of a further image it is hold_<entry>.yaml.
    """

    model_config = ConfigDict(extra="forbid")

    tag: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    until: datetime

    @model_validator(mode="after")
    def _zone(self) -> Hold:
        if self.until.tzinfo is None:
            raise ValueError("until: expected a time zone, such as 2026-12-01T09:00:00+09:00")
        return self


def read(checkout: Checkout, overlay: Overlay, name: str = MAIN) -> Hold | None:
    """The hold of an overlay's image, by the name of its entry. Raises InputError."""
    file = checkout.root / entry.hold_file(overlay, name)
    return yamlfile.read_model(checkout, file, Hold) if file.exists() else None


def read_all(checkout: Checkout, overlay: Overlay, names: Collection[str]) -> dict[str, Hold]:
    """The holds of an overlay by their entries. Raises InputError, also for a file that holds none of these."""
    files = {entry.hold_file(overlay, name): name for name in names}
    for file in sorted((checkout.root / overlay.path).glob("hold*.yaml")):
        if (path := checkout.relative(file)) not in files:
            raise InputError("holds no image", path=path, expected=f"one of {', '.join(files)}")
    holds = {name: read(checkout, overlay, name) for name in names}
    return {name: hold for name, hold in holds.items() if hold}


def write(hold: Hold) -> bytes:
    """The file of a hold."""
    head = "# yaml-language-server: $schema=../../../docs/schemas/hold.json\n"
    lines = [f"tag: {json.dumps(hold.tag)}", f"reason: {json.dumps(hold.reason, ensure_ascii=False)}"]
    return (head + "\n".join([*lines, f"until: {hold.until.isoformat(timespec='seconds')}", ""])).encode()


def as_written(content: bytes) -> Hold | None:
    """The hold, where a file is exactly what `write` makes of one. A stranger's file is not parsed as YAML."""
    with suppress(ValueError):  # also what pydantic, json and a decoder raise
        _, tag, reason, until = content.decode().removesuffix("\n").split("\n")
        texts = {"tag": tag.removeprefix("tag: "), "reason": reason.removeprefix("reason: ")}
        if all(_QUOTED.fullmatch(text) for text in texts.values()):
            fields = {name: jsontext.parse(text) for name, text in texts.items()}
            hold = Hold.model_validate({**fields, "until": until.removeprefix("until: ")})
            return hold if write(hold) == content else None
    return None
