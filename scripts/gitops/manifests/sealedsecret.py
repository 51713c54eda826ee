"""SealedSecrets as they stand in overlays: reading them, and writing one without touching another byte."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import secret, yamlfile, yamltext
from gitops.manifests.overlay import Overlay

KIND = "SealedSecret"
# On each SealedSecret that `gitops` writes: the fingerprint of the certificate that it was sealed against.
CERTIFICATE = "gitops/certificate"
# What a person declared when sealing: the day after which the value is of no use, and the page that issues it.
VALID_UNTIL, ISSUER = "gitops/valid-until", "gitops/issuer"
# The moment that 42 named as the end of a generation.
ENDS = "gitops/ends"
_SCHEMA = "https://raw.githubusercontent.com/datreeio/CRDs-catalog/main/bitnami.com/sealedsecret_v1alpha1.json"


@dataclass(frozen=True)
class Sealed:
    """One SealedSecret of an overlay. `path`: of its file in the repository; `kind`: the type of its Secret."""

    path: str
    overlay: Overlay
    name: str
    encrypted: Mapping[str, str]
    annotations: Mapping[str, str]
    kind: str = secret.OPAQUE

    @property
    def namespace(self) -> str:
        """The namespace that it is sealed for."""
        return self.overlay.namespace


def read(content: bytes, path: str) -> Sealed:
    """A file with one SealedSecret. Raises InputError where it is none, or where its scope is not strict."""
    documents = yamlfile.parse_all(content, path)
    if len(documents) != 1 or documents[0].get("kind") != KIND:
        raise InputError(path=path, expected=f"one {KIND}")
    document = documents[0]
    try:
        meta, encrypted = document["metadata"], document["spec"]["encryptedData"]
        name, annotations = meta["name"], meta.get("annotations") or {}
        template = document["spec"]["template"]
        inner, kind = template["metadata"]["name"], template.get("type", secret.OPAQUE)
    except KeyError as error:
        raise InputError(f"not a whole {KIND}: {error} is missing", path=path) from None
    except (TypeError, AttributeError):
        raise InputError(f"not a whole {KIND}", path=path, fix="seal it anew: gitops secrets seal") from None
    if not (isinstance(encrypted, dict) and encrypted and isinstance(annotations, dict)):
        raise InputError(f"not a whole {KIND}", path=path, expected="at least one key in spec.encryptedData")
    if inner != name:
        what = f"spec.template.metadata.name is {inner!r}, metadata.name {name!r}: expected equal"
        raise InputError(what, path=path)
    secret.check(name, encrypted, kind, path=path)
    if any(scope.startswith("sealedsecrets.bitnami.com/") for scope in annotations):
        raise InputError("a wider scope than strict", path=path, fix="seal it anew: gitops secrets seal")
    overlay = Overlay.of_path(path)
    if overlay is None:
        raise InputError(f"a {KIND} outside of an overlay", path=path, fix="move it into the overlay that it is for")
    values = {key: str(value) for key, value in encrypted.items()}
    return Sealed(path, overlay, name, values, annotations, kind)


def check_place(sealed: Sealed) -> None:
    """Raise InputError where it stands in a file of another name than its Secret's: sealing would not find it."""
    expected = sealed.overlay.file(secret.file_name(sealed.overlay.service, sealed.name))
    if sealed.path != expected:
        what = f"it has the Secret {sealed.name!r}, whose file is another"
        raise InputError(what, path=sealed.path, fix=f"move it to {expected}, or seal it anew under its own name")


def readable(checkout: Checkout, names: Collection[str] | None = None) -> tuple[list[Sealed], list[Fault]]:
    """Every SealedSecret under overlays/ that can be read, and why the others cannot. `names`: of some services."""
    sealed: list[Sealed] = []
    faults: list[Fault] = []
    for file in sorted(checkout.overlays.glob("[!.]*/*/*.yaml")):
        if names is not None and file.parent.parent.name not in names:
            continue
        path = checkout.relative(file)
        try:
            content = file.read_bytes()
            if f"kind: {KIND}".encode() in content:
                sealed.append(read(content, path))
            elif file.name.startswith(f"{KIND.lower()}-"):
                yamlfile.compose_all(content, path)
        except OSError as error:
            faults.append(Fault(f"cannot be read: {error.strerror}", path=path))
        except InputError as error:
            faults += error.faults
    return sealed, faults


def all_sealed(checkout: Checkout) -> list[Sealed]:
    """Every SealedSecret under overlays/. Raises InputError, all faults at once."""
    sealed, faults = readable(checkout)
    if faults:
        raise InputError.several(faults)
    return sealed


def write(name: str, encrypted: Mapping[str, str], annotations: Mapping[str, str], kind: str = secret.OPAQUE) -> bytes:
    """The file of a new SealedSecret of strict scope. `kind`: the type of the Secret."""
    shown = yamltext.quoted(name)
    lines = [
        f"# yaml-language-server: $schema={_SCHEMA}",
        "apiVersion: bitnami.com/v1alpha1",
        f"kind: {KIND}",
        "metadata:",
        f"  name: {shown}",
        "  annotations:",
        *(f'    {key}: "{value}"' for key, value in annotations.items()),
        "spec:",
        "  encryptedData:",
        *(f"    {yamltext.quoted(key)}: {value}" for key, value in encrypted.items()),
        "  template:",
        *([f"    type: {kind}"] if kind != secret.OPAQUE else []),
        "    metadata:",
        f"      name: {shown}",
        "",
    ]
    return "\n".join(lines).encode()


def reseal(content: bytes, path: str, encrypted: Mapping[str, str], fingerprint: str) -> bytes:
    """The file with other seals of the same keys, and the certificate that they are for. Raises InputError."""
    text = yamlfile.decode(content, path)
    old = read(content, path)
    for key in encrypted:
        if key not in old.encrypted:
            raise InputError("no such key", path=path, expected=f"one of {', '.join(old.encrypted)}", found=repr(key))
        text = yamltext.put(text, path, ("spec", "encryptedData", key), encrypted[key])
    return sealed_against(text, path, old, fingerprint).encode()


def sealed_against(text: str, path: str, old: Sealed, fingerprint: str) -> str:
    """The text with the certificate that all its values are sealed against, also where it named none."""
    return annotate(text, path, old, {CERTIFICATE: fingerprint})


def annotate(text: str, path: str, old: Sealed, annotations: Mapping[str, str]) -> str:
    """The text of `old` with these annotations, new ones or others of the same name: no quotes, no backslashes."""
    has_any = bool(old.annotations)
    for name, value in annotations.items():
        if name in old.annotations:
            text = yamltext.put(text, path, ("metadata", "annotations", name), value)
        elif has_any:
            text = yamltext.add_key(text, path, ("metadata", "annotations"), name, f'"{value}"')
        else:
            text = yamltext.add_key(text, path, ("metadata",), "annotations", f'\n    {name}: "{value}"')
            has_any = True
    return text
