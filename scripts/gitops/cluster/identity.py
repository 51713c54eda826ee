"""Whose platform this is: account, region and organisation stand in cluster.yaml, and elsewhere they are repeated.

Other programs read those files, so the names cannot be left out there. `adopt` writes them from cluster.yaml, and
whatever says another name is a fault: a stranger's registry, a role of a stranger's account, a stranger as code owner.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from gitops.clients.aws import Account
from gitops.clients.aws.session import AwsSession
from gitops.cluster import definition as definitions
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import yamlfile, yamltext
from gitops.repository import contents
from gitops.repository.contents import Contents

FOLDERS = (".github", "apps", "clusters", "overlays", "policies")
_ARN_ACCOUNT = 4


@dataclass(frozen=True)
class Identity:
    """What a cluster's other files repeat of its cluster.yaml. `repository`: OWNER/NAME on GitHub."""

    account: str
    region: str
    organisation: str
    repository: str


_NAMES = tuple(field.name for field in fields(Identity))
# Where a name stands, by the files that it is looked for in: each group is a name of Identity. A third registry may be
# declared in the policy, so there it is the organisation behind our own registry that is ours.
_PLACES = (
    (re.compile(""), re.compile(r"(?P<account>\b\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com")),
    (re.compile(""), re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(?P<account>\d{12}):")),
    (
        re.compile(r"policies/pods/image-registry\.yaml"),
        re.compile(r"\.amazonaws\.com/',\s*'ghcr\.io/(?P<organisation>[\w.-]+)/'"),
    ),
    (re.compile(r"\.github/(teams\.yaml|CODEOWNERS)"), re.compile(r"[\s\"']@(?P<organisation>[\w.-]+)/")),
    (re.compile(""), re.compile(r"\bapi\.github\.com/repos/(?P<repository>[\w.-]+/[\w.-]+)/")),
    (re.compile(""), re.compile(r"\buses: (?P<repository>[\w.-]+/[\w.-]+)/\.github/workflows/")),
    (
        re.compile(r"apps/argocd/argocd-rbac-cm\.yaml"),
        re.compile(r"\bg, (?P<organisation>[\w.-]+):"),
    ),
    (
        re.compile(r"clusters/[^/]+/argocd-cm\.yaml"),
        re.compile(r"\borgs:\s+- name: (?P<organisation>[\w.-]+)"),
    ),
    (
        re.compile(r"clusters/(?!lab/)[^/]+/platform/repository\.yaml"),
        re.compile(r"\brepoURL: https://github\.com/(?P<repository>[\w.-]+/[\w.-]+)\.git"),
    ),
    (
        re.compile(""),
        re.compile(r"\bname: GITHUB_REPOSITORY\s+value: [\"']?(?P<repository>[\w.-]+/[\w.-]+)"),
    ),
)


@dataclass(frozen=True)
class Mention:
    """A name that a file repeats. `start`, `end`: where in its text; `name`: the field of Identity that it is."""

    path: str
    line: int
    start: int
    end: int
    name: str
    text: str


def identities(checkout: Checkout) -> dict[str, Identity]:
    """Every cluster of AWS by its name. Raises InputError where its cluster.yaml has not what it takes."""
    files = sorted(checkout.root.glob(f"clusters/[!.]*/{definitions.FILE}"))
    data = {file.parent.name: yamlfile.read(checkout, file).get("data") or {} for file in files}
    return {name: _identity(values, name) for name, values in data.items() if "account" in values}


def _identity(data: Mapping[str, object], name: str) -> Identity:
    account, region, url = (str(data.get(key, "")) for key in ("account", "region", "repoURL"))
    repository = definitions.repository(url)
    if not re.fullmatch(r"\d{12}", account) or not region or not repository:
        raise InputError(
            "data.account, data.region or data.repoURL",
            path=f"clusters/{name}/{definitions.FILE}",
            expected="twelve digits, a region and https://github.com/OWNER/NAME.git",
            found=f"{account}, {region}, {url}",
        )
    return Identity(account, region, repository.partition("/")[0], repository)


def faults(checkout: Checkout) -> list[Fault]:
    """Everything that names an account, a registry, an organisation or a repository of no cluster of AWS."""
    known = identities(checkout)
    if not known:
        return []
    return [_fault(mention, known) for mention in strangers(checkout, known.values())]


def _fault(mention: Mention, known: Mapping[str, Identity]) -> Fault:
    ours = sorted({getattr(identity, mention.name) for identity in known.values()})
    return Fault(
        f"another {mention.name} than {definitions.FILE} has",
        path=mention.path,
        line=mention.line,
        expected=" or ".join(ours),
        found=mention.text,
        fix=f"gitops cluster adopt {min(known)}",
    )


def strangers(checkout: Checkout, known: Iterable[Identity]) -> Iterator[Mention]:
    """Every mention that is none of `known`, file by file."""
    ours = {(name, getattr(identity, name)) for identity, name in itertools.product(known, _NAMES)}
    for path in _files(checkout):
        for mention in _mentions(path, _text(checkout, path)):
            if (mention.name, mention.text) not in ours:
                yield mention


def _files(checkout: Checkout) -> list[str]:
    files = itertools.chain.from_iterable((checkout.root / folder).rglob("*") for folder in FOLDERS)
    return sorted(checkout.relative(file) for file in files if file.is_file() and not file.is_symlink())


def _text(checkout: Checkout, path: str) -> str:
    """Nothing where it is no text."""
    try:
        return (checkout.root / path).read_bytes().decode()
    except UnicodeDecodeError:
        return ""


def _mentions(path: str, text: str) -> Iterator[Mention]:
    for files, place in _PLACES:
        if not files.match(path):
            continue
        for match in place.finditer(text):
            for name, word in match.groupdict().items():
                start, end = match.span(name)
                yield Mention(path, text.count("\n", 0, start) + 1, start, end, name, word)


def adopt(checkout: Checkout, name: str) -> list[Path]:
    """Make every file say what a cluster's cluster.yaml says; the files that changed.

    While that has an account of documentation, the account is the one whose credentials are there. All or nothing, and
    nothing the second time. Raises InputError; ExternalError where AWS cannot be asked.
    """
    changed = _with_account(checkout, name)
    with contents.temporarily_written(checkout, changed):
        changed |= renamed(checkout, name)
    contents.write_all(checkout, changed)
    return [checkout.root / path for path in changed]


def renamed(checkout: Checkout, name: str) -> Contents:
    """Each file that names a stranger, with the names of a cluster. Raises InputError."""
    known = identities(checkout)
    if name not in known:
        raise InputError(f"cluster {name!r} is not one of AWS", path=f"clusters/{name}/{definitions.FILE}")
    mentions = strangers(checkout, known.values())
    groups = itertools.groupby(mentions, lambda mention: mention.path)
    return {path: _renamed(_text(checkout, path), list(group), known[name]).encode() for path, group in groups}


def _renamed(text: str, mentions: list[Mention], identity: Identity) -> str:
    # From the end, so that the first edit does not move the second one's place.
    for mention in sorted(set(mentions), key=lambda mention: -mention.start):
        text = f"{text[: mention.start]}{getattr(identity, mention.name)}{text[mention.end :]}"
    return text


def _with_account(checkout: Checkout, name: str) -> Contents:
    """cluster.yaml with the account of the credentials, where it has one of documentation yet."""
    file = checkout.cluster(name) / definitions.FILE
    path = checkout.relative(file)
    data = yamlfile.read(checkout, file).get("data") or {}
    if data.get("account") not in definitions.EXAMPLE_ACCOUNTS:
        return {}
    number = Account(AwsSession(str(data.get("region")))).number()
    text = yamltext.put(yamlfile.decode(file.read_bytes(), path), path, ("data", "account"), number)
    role = str(data.get("adminRole", "")).split(":")
    if len(role) > _ARN_ACCOUNT and role[_ARN_ACCOUNT] == data["account"]:
        role[_ARN_ACCOUNT] = number
        text = yamltext.put(text, path, ("data", "adminRole"), ":".join(role))
    return {path: text.encode()}
