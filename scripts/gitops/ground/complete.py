"""What a shell offers behind the Tab key: the names that there are, from paths and keys alone, to be fast.

Each takes what Click gives (the command line so far, the parameter, the word's beginning) and returns names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError

# Each finds a name in the text of a file as people and the product's own commands write it.
_KEY = re.compile(r"^([\w.-]+):", re.MULTILINE)
_SEALED = re.compile(r"^kind: SealedSecret$.*?^  name: \"?([\w.-]+)", re.MULTILINE | re.DOTALL)
_SEALED_KEYS = re.compile(r"^  encryptedData:\n((?: {4}.*\n?)+)", re.MULTILINE)
_VARIABLE = re.compile(r"\bname: *\"?([A-Za-z_]\w*)\"?(?:,|\n) *value:")
_HOST = re.compile(r"^[ -]*host: *\"?([\w.-]+)", re.MULTILINE)
_IMAGES = re.compile(r"^images:\n((?:[ -].*\n?)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ *- name: *\"?([\w./-]+)", re.MULTILINE)
_IMAGE = re.compile(r"newName: *\"?([^\s\"]+)\"?\n +newTag: *\"?([^\s\"]+)")
_TAG = re.compile(r"^[+ -] +newTag: *\"?([\w.-]+)", re.MULTILINE)
_APPLICATION = re.compile(r"^  application-id: *\"?(\d+)", re.MULTILINE)
_CONTEXTS = re.compile(r"^contexts:\n((?:[ -].*\n?)+)", re.MULTILINE)
_CONTEXT = re.compile(r"^(?:- |  )name: *\"?([^\s\"]+)", re.MULTILINE)
# Seconds that git may take, and how many commits it looks at.
_LOOK, _COMMITS = 2.0, "100"


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
    return fitting((match[1] for text in _seals(context) if (match := _SEALED.search(text))), incomplete)


def keys(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The keys of the sealed secret that stands before, or of all of the service."""
    seals = {match[1]: text for text in _seals(context) if (match := _SEALED.search(text))}
    named = [text for name, text in seals.items() if name in _words(context)] or list(seals.values())
    blocks = [match[1] for text in named if (match := _SEALED_KEYS.search(text))]
    return fitting(_KEY.findall(re.sub("^ {4}", "", "".join(blocks), flags=re.MULTILINE)), incomplete)


def variables(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The variables that the service's own files give its program."""
    return fitting(_VARIABLE.findall(_text(f"overlays/{_service(context)}/*/*.yaml")), incomplete)


def domains(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The hosts of the service that stands before, or of all."""
    return fitting(_HOST.findall(_text(f"overlays/{_service(context)}/*/ingress.yaml")), incomplete)


def entries(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the service's entries of `images:`."""
    blocks = "".join(_IMAGES.findall(_text(f"overlays/{_service(context)}/*/kustomization.yaml")))
    return fitting(_ENTRY.findall(blocks), incomplete)


def images(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The images that overlays run, with their tags."""
    pairs = _IMAGE.findall(_text(f"overlays/{_service(context)}/*/kustomization.yaml"))
    return fitting((":".join(pair) for pair in pairs), incomplete)


def tags(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The tags that the service runs, or ran not long ago."""
    words = ["log", "-n", _COMMITS, "--format=", "-p", "--", f"overlays/{_service(context).replace('[!.]', '')}"]
    return fitting(_TAG.findall(_git(*words)), incomplete)


def revisions(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The branches and tags of git."""
    return fitting(_git("for-each-ref", "--format=%(refname:lstrip=2)").split(), incomplete)


def applications(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The numbers of the applications at 42."""
    return fitting(_APPLICATION.findall(_text("overlays/[!.]*/*/oauth-42.yaml")), incomplete)


def contexts(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The contexts of the kubeconfig."""
    from gitops.ground import settings

    files = (settings.read().kubeconfig or str(Path("~/.kube/config").expanduser())).split(os.pathsep)
    texts = [Path(file).expanduser().read_text(errors="replace") for file in files if Path(file).is_file()]
    return fitting(_CONTEXT.findall("".join("".join(_CONTEXTS.findall(f"{text}\n")) for text in texts)), incomplete)


def zones(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The time zones."""
    from zoneinfo import available_timezones

    return fitting(available_timezones(), incomplete)


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Whatever the shell itself completes: of KEY=PATH it begins a word behind the sign."""
    return [CompletionItem(incomplete, type="file")]


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
    known = {folder.name for folder in _glob("overlays/[!.]*")}
    return next((word for word in _words(context) if word in known), "[!.]*")


def _words(context: click.Context) -> list[object]:
    # Behind an option that still lacks its value Click leaves what stood before it unread.
    return [context.params.get("service"), context.params.get("name"), *context.args]


def _seals(context: click.Context) -> Iterator[str]:
    for file in _glob(f"overlays/{_service(context)}/*/sealedsecret-*.yaml"):
        yield file.read_text(errors="replace")


def _keys(path: str) -> list[str]:
    return _KEY.findall(_text(path))


def _text(pattern: str) -> str:
    return "".join(f"{file.read_text(errors='replace')}\n" for file in _glob(pattern))


def _git(*words: str) -> str:
    from gitops.ground.command import run

    with suppress(GitopsError):
        return run(["git", "-C", Checkout.find().root, *words], timeout=_LOOK).decode(errors="replace")
    return ""


def _glob(pattern: str) -> Iterator[Path]:
    try:
        yield from Checkout.find().root.glob(pattern)
    except InputError:  # nothing is there outside of a checkout
        return
