"""What Kubernetes takes of a Secret: its name, its keys and its type. The one rule of seal, list and the gate.

Source: k8s.io/kubernetes, pkg/apis/core/validation (ValidateSecret), and k8s.io/apimachinery, util/validation
(IsDNS1123Subdomain, IsConfigMapKey). sealed-secrets' controller adds nothing to it, and gives a key no other name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gitops.ground.errors import Fault, InputError
from gitops.ground.printable import counted

OPAQUE, TLS, DOCKER = "Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson"
DOCKER_KEY = ".dockerconfigjson"
# The types that a Secret may have here, and what each must have: of each set at least one key.
TYPES: dict[str, tuple[frozenset[str], ...]] = {
    OPAQUE: (),
    "kubernetes.io/basic-auth": (frozenset({"username", "password"}),),
    DOCKER: (frozenset({DOCKER_KEY}),),
    "kubernetes.io/ssh-auth": (frozenset({"ssh-privatekey"}),),
    TLS: (frozenset({"tls.crt"}), frozenset({"tls.key"})),
}
# Of a name and of a key, in characters; of all values together, in bytes.
LONGEST, MOST_BYTES = 253, 2**20
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_GENERATION = re.compile(r".+-oauth-42-g\d+")
# A file's name has 255 bytes at most, with what stands around it.
_LONGEST_IN_FILE = 200


@dataclass(frozen=True)
class Refusal:
    """What Kubernetes would refuse. `field`: name, key or type; `key`: which key, as it stands in the file."""

    field: str
    expected: str
    actual: str
    key: object = None

    @property
    def sentence(self) -> str:
        """For a person."""
        return f"{self.field}: expected {self.expected}, found {self.actual}"


def refusals(name: object, keys: Iterable[object], kind: object = OPAQUE) -> Iterator[Refusal]:
    """What Kubernetes refuses of a Secret with this name, these keys and this type. What is no text is refused too."""
    if not (isinstance(name, str) and len(name) <= LONGEST and _NAME.fullmatch(name)):
        expected = (
            f"lower-case letters, digits, dots and hyphens, each part between dots beginning and ending with a letter "
            f"or digit, at most {LONGEST} (a DNS subdomain)"
        )
        yield Refusal("name", expected, _shown(name))
    names = list(keys)
    for key in names:
        if not isinstance(key, str):
            yield Refusal("key", "text: in YAML it stands in quotes", _shown(key), key)
        elif len(key) > LONGEST or key == "." or key.startswith("..") or not _KEY.fullmatch(key):
            expected = (
                f"letters, digits, hyphens, dots and underscores, at most {LONGEST}, and not '.' or '..' in front"
            )
            yield Refusal("key", expected, _shown(key), key)
    if not (isinstance(kind, str) and kind in TYPES):
        yield Refusal("type", f"one of {', '.join(TYPES)}", _shown(kind))
        return
    for group in TYPES[kind]:
        if not group & {key for key in names if isinstance(key, str)}:
            yield Refusal("type", f"the key {' or '.join(sorted(group))}, which {kind} needs", f"{names}")


def _shown(value: object) -> str:
    """Whoever makes a mistake of hundreds of characters knows it by its beginning."""
    text = repr(value)
    return text if len(text) <= LONGEST // 2 else f"{text[: LONGEST // 4]}... ({counted(len(str(value)), 'character')})"


def check(name: object, keys: Iterable[object], kind: object = OPAQUE, *, path: str | None = None) -> None:
    """Raise InputError, all faults at once, unless Kubernetes takes them. `path`: the file that they stand in."""
    faults = [
        Fault(refusal.field, path=path, expected=refusal.expected, found=refusal.actual)
        for refusal in refusals(name, keys, kind)
    ]
    if faults:
        raise InputError.several(faults)


def is_generation(name: str) -> bool:
    """Whether a Secret of this name is a generation of 42's secret, which the bot writes."""
    return _GENERATION.fullmatch(name) is not None


def file_name(service: str, name: str) -> str:
    """The file that has the Secret `name` of a service sealed.

    A generation of 42's secret leaves the service's name out, as the bot does; what is too long for a file's name ends
    with a fingerprint of all of it.
    """
    short = name.removeprefix(f"{service}-") if is_generation(name) else name
    if len(short) > _LONGEST_IN_FILE:
        short = f"{short[:_LONGEST_IN_FILE]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return f"sealedsecret-{short}.yaml"
