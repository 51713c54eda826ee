"""What a shell offers behind the Tab key: the names that there are, from paths and keys alone, to be fast.

Each takes what Click gives (the command line so far, the parameter, the word's beginning) and returns names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError

_KEY = re.compile(r"^([\w.-]+):", re.MULTILINE)
_SEALED = re.compile(r"^kind: SealedSecret$.*?^  name: \"?([\w.-]+)", re.MULTILINE | re.DOTALL)


def fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Those that begin as the word does, each once, in order."""
    return sorted({name for name in names if name.startswith(incomplete)})


def services(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The services."""
    return fitting((folder.name for folder in _glob("overlays/[!.]*") if folder.is_dir()), incomplete)


def environments(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The environments of the service that stands before, or of all."""
    pattern = f"overlays/{_service(context)}/*/kustomization.yaml"
    return fitting((file.parent.name for file in _glob(pattern)), incomplete)


def secrets(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The sealed secrets of the service that stands before."""
    texts = (file.read_text(errors="replace") for file in _glob(f"overlays/{_service(context)}/*/sealedsecret-*.yaml"))
    return fitting((match[1] for text in texts if (match := _SEALED.search(text))), incomplete)


def teams(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The teams of .github/teams.yaml."""
    return fitting(_keys(".github/teams.yaml"), incomplete)


def clusters(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The folders under clusters/."""
    return fitting((file.parent.name for file in _glob("clusters/[!.]*/cluster.yaml")), incomplete)


def labs(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The labs of this checkout."""
    return fitting((file.parent.name for file in _glob(".lab/*/lab.json")), incomplete)


def tools(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The pinned tools."""
    return fitting(_keys("scripts/tools/tools.yaml"), incomplete)


def _service(context: click.Context) -> str:
    # Behind an option that still lacks its value Click leaves what stood before it unread.
    words = [context.params.get("service"), *context.args]
    known = {folder.name for folder in _glob("overlays/[!.]*")}
    return next((word for word in words if word in known), "[!.]*")


def _keys(path: str) -> list[str]:
    return _KEY.findall("\n".join(file.read_text(errors="replace") for file in _glob(path)))


def _glob(pattern: str) -> Iterator[Path]:
    try:
        yield from Checkout.find().root.glob(pattern)
    except InputError:  # nothing is there outside of a checkout
        return
