"""Any registry that speaks the OCI's distribution API: ghcr.io, Docker Hub, a private one.

It lists names alone, so a digest is a request of its own (HEAD, which Docker Hub does not count as a pull), and when an
image was built stands in its configuration. Tokens are asked for as each answer says, with the credentials of that
registry or, without any, as anyone.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from pydantic import SecretStr

from gitops.clients.registries import oci
from gitops.clients.registries.oci import MANIFESTS, ListedImage
from gitops.ground import hidden, jsontext
from gitops.ground.errors import ExternalError, InputError, told

_SECONDS = (5.0, 15.0)  # to connect, and of silence
_TRIES = 3
# Seconds: who asks to wait longer is asked again by the next run.
_LONGEST_WAIT = 20.0
_PAGE = 1000
# A listing of 500,000 tags; bytes of a manifest or a configuration, of which registries take no larger ones.
_MOST_PAGES, _MOST = 500, 4 * 2**20
_MOVED = (301, 302, 303, 307, 308)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"localhost|.*[.:].*")
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_DOCKER = ("docker.io", "index.docker.io", "registry-1.docker.io")


def place(name: str) -> tuple[str, str]:
    """The host and the path of an image's name, as Docker reads it: one without a host is Docker Hub's."""
    host, _, path = name.partition("/")
    if not path or not _HOST.fullmatch(host):
        host, path = "docker.io", name
    if host in _DOCKER:
        return "registry-1.docker.io", path if "/" in path else f"library/{path}"
    return host, path


class _AgainError(Exception):
    """Worth another try; `after`: the seconds that the registry asks to wait, `what`: what it answered."""

    def __init__(self, what: str, after: float) -> None:
        self.what, self.after = what, after
        super().__init__(what)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


class Distribution:
    """One host: a `Registry` of the names that begin with it. `basic`: its credentials as HTTP's Basic has them."""

    def __init__(self, host: str, basic: SecretStr | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.host, self.calls = host, 0
        # As Docker does: a registry on this machine speaks plain HTTP.
        self.url = f"{'http' if _LOOPBACK.fullmatch(host) else 'https'}://{host}"
        self._basic, self._sleep = basic, sleep
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._tokens: dict[str, SecretStr] = {}
        self._looks: dict[tuple[str, str], ListedImage | None] = {}
        self._manifests: dict[tuple[str, str], dict[str, Any]] = {}

    def listing(self, name: str) -> list[ListedImage]:
        """As `Registry` has it: names alone."""
        path, tags = place(name)[1], dict[str, None]()
        with _readable(name):
            url = f"{self.url}/v2/{path}/tags/list?n={_PAGE}"
            read: set[str] = set()
            while url not in read and len(read) < _MOST_PAGES:
                read.add(url)
                answer = self._ask(name, "GET", url, most=4 * _MOST)
                if answer.status == 404:
                    raise InputError("no such repository", found=name, fix="push its first image, or correct newName")
                tags.update(dict.fromkeys(map(str, jsontext.parse(answer.content)["tags"] or [])))
                following = re.match(r'\s*<([^>]*)>\s*;\s*rel="?next"?', answer.headers.get("Link", ""))
                if following is None:
                    return [ListedImage(tag, "", None) for tag in tags]
                url = self._own(urljoin(url, following[1]), name)
        raise ExternalError(f"{name}: its tags have no last page among {len(read)}")

    def look(self, name: str, *, tag: str = "", digest: str = "", dated: bool = False) -> ListedImage | None:
        """As `Registry` has it: the time is that of the build."""
        reference = digest or tag
        key = (name, reference)
        if key not in self._looks:
            self._looks[key] = self._look(name, reference, tag)
        image = self._looks[key]
        if image and dated and image.pushed is None:
            created = self._created(name, image)
            image = self._looks[key] = ListedImage(image.tag, image.digest, created, image.media_type)
        return image

    def _look(self, name: str, reference: str, tag: str) -> ListedImage | None:
        answer = self._ask(name, "HEAD", self._manifest_url(name, reference), accept=", ".join(MANIFESTS))
        if answer.status == 404:
            return None
        named = answer.headers.get("Docker-Content-Digest", "")
        if not _DIGEST.fullmatch(named):  # the specification lets a registry leave it out
            answer = self._ask(name, "GET", self._manifest_url(name, reference), accept=", ".join(MANIFESTS))
            named = _digest(answer.content)
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return ListedImage(tag, named, None, media_type or oci.MANIFEST)

    def _created(self, name: str, image: ListedImage) -> datetime | None:
        details = oci.details(self, name, image.digest, labels=True) if image.media_type in MANIFESTS else None
        return details.created if details else None

    def manifest(self, name: str, *, digest: str = "", tag: str = "") -> dict[str, Any] | None:
        """As `Registry` has it; what was read by its digest is what the digest says."""
        key = (name, digest)
        if digest and key in self._manifests:
            return self._manifests[key]
        answer = self._ask(name, "GET", self._manifest_url(name, digest or tag), accept=", ".join(MANIFESTS))
        if answer.status == 404:
            return None
        if digest and _digest(answer.content) != digest:
            raise ExternalError(f"{name}@{digest[:19]}: the registry gave another manifest")
        with _readable(name):
            manifest = jsontext.parse(answer.content)
        if digest and isinstance(manifest, dict):
            self._manifests[key] = manifest
        return manifest if isinstance(manifest, dict) else None

    def _manifest_url(self, name: str, reference: str) -> str:
        return f"{self.url}/v2/{place(name)[1]}/manifests/{reference}"

    def blob(self, name: str, digest: str) -> bytes:
        """As `Registry` has it."""
        answer = self._ask(name, "GET", f"{self.url}/v2/{place(name)[1]}/blobs/{digest}", stored=True)
        if answer.status in _MOVED:
            # The registry's storage: its address is signed, opens by itself and must not appear in an error.
            target = urljoin(self.url, answer.headers.get("Location", ""))
            self._check_address(target, name)
            answer = self._again(name, "GET", target, {}, _MOST)
        if answer.status != 200:
            raise ExternalError(f"{name}: blob {digest[:19]}: HTTP {answer.status}")
        if _digest(answer.content) != digest:
            raise ExternalError(f"{name}: blob {digest[:19]}: the registry gave another one")
        return answer.content

    def referrers(self, name: str, digest: str, kind: str) -> list[str]:
        """As `Registry` has it; where it cannot be asked, by the tag at which clients keep the list instead."""
        url = f"{self.url}/v2/{place(name)[1]}/referrers/{digest}"
        answer = self._ask(name, "GET", url, accept=oci.INDEX)
        with _readable(name):
            if answer.status == 404:
                index = self.manifest(name, tag=digest.replace(":", "-")) or {}
            else:
                index = jsontext.parse(answer.content)
            listed = [entry for entry in index.get("manifests") or [] if entry.get("artifactType") == kind]
            return [entry["digest"] for entry in listed]

    def _ask(
        self, name: str, method: str, url: str, *, accept: str = "*/*", most: int = _MOST, stored: bool = False
    ) -> _Answer:
        """An answer of this registry that is none of its refusals; what is `stored` may lie elsewhere.

        Raises ExternalError.
        """
        scope = f"repository:{place(name)[1]}:pull"
        answer = self._again(name, method, url, self._headers(scope, accept), most)
        if answer.status == 401:
            self._authorise(name, scope, answer.headers.get("WWW-Authenticate", ""))
            answer = self._again(name, method, url, self._headers(scope, accept), most)
        if answer.status in (401, 403):
            raise _refused(name, self.host, self._basic is not None)
        if answer.status not in (200, 404, *(_MOVED if stored else ())):
            raise ExternalError(f"{name}: {self.host} answered HTTP {answer.status}")
        return answer

    def _headers(self, scope: str, accept: str) -> dict[str, str]:
        token = self._tokens.get(scope)
        return {"Accept": accept, **({"Authorization": token.get_secret_value()} if token else {})}

    def _authorise(self, name: str, scope: str, challenge: str) -> None:
        """Do what a 401 asks for. Raises ExternalError."""
        kind, _, rest = challenge.partition(" ")
        basic = f"Basic {self._basic.get_secret_value()}" if self._basic else ""
        if kind.lower() == "basic":
            if not basic:
                raise _refused(name, self.host, False)
            self._tokens[scope] = SecretStr(basic)
            return
        fields = dict(_CHALLENGE.findall(rest))
        realm = fields.get("realm", "")
        if kind.lower() != "bearer" or not realm:
            raise ExternalError(f"{name}: {self.host} asks for a login of a kind that is not known")
        self._check_address(realm, name)
        if basic and not _akin(_origin(realm)[1], _origin(self.url)[1]):
            raise ExternalError(
                f"{name}: {self.host} would send its credentials to another host, so they were not sent"
            )
        query = requests.models.PreparedRequest()
        query.prepare_url(realm, {"service": fields.get("service", ""), "scope": scope})
        answer = self._again(name, "GET", str(query.url), {"Authorization": basic} if basic else {}, _MOST)
        if answer.status != 200:
            raise _refused(name, self.host, self._basic is not None)
        with _readable(name):
            body = jsontext.parse(answer.content)
            token = str(body.get("token") or body["access_token"])
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ExternalError(f"{name}: {self.host} gave a token that cannot be sent")
        if basic:
            hidden.remember(token)
        self._tokens[scope] = SecretStr(f"Bearer {token}")

    def _again(self, name: str, method: str, url: str, headers: dict[str, str], most: int) -> _Answer:
        """One request, and another where the registry is out of breath. Raises ExternalError."""
        for number in range(1, _TRIES + 1):
            try:
                return self._send(method, url, headers, most)
            except _AgainError as error:
                if number == _TRIES or error.after > _LONGEST_WAIT:
                    fix = "it is asked again by the next run; with credentials it may be asked more often"
                    raise ExternalError(f"{name}: {self.host} {error.what}", fix=fix) from None
                self._sleep(error.after)
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, url: str, headers: dict[str, str], most: int) -> _Answer:
        with self._lock:
            self.calls += 1
        try:
            # The session would otherwise take credentials from ~/.netrc, and follow where a redirection leads.
            with self._session.request(
                method, url, headers=headers, auth=_as_it_is, timeout=_SECONDS, allow_redirects=False, stream=True
            ) as answer:
                content = b"" if method == "HEAD" else answer.raw.read(most + 1, decode_content=True)
        except (requests.RequestException, OSError, ValueError) as error:
            raise _AgainError(f"cannot be reached ({told(error)})", 0.5) from None
        if len(content) > most:
            raise ExternalError(f"{self.host} answered with more than {most} bytes")
        if answer.status_code == 429 or answer.status_code >= 500:
            after = answer.headers.get("Retry-After", "1")
            wait = float(after) if re.fullmatch(r"\d{1,5}", after) else _LONGEST_WAIT + 1
            what = "is asked too often" if answer.status_code == 429 else "fails"
            raise _AgainError(f"{what} (HTTP {answer.status_code})", wait)
        return _Answer(answer.status_code, answer.headers, content)

    def _own(self, url: str, name: str) -> str:
        """An address of this registry. Raises ExternalError for another one's, which would get the token."""
        if _origin(url) != _origin(self.url):
            raise ExternalError(f"{name}: {self.host} sends its listing's reader to another host")
        return url

    def _check_address(self, url: str, name: str) -> None:
        """Raise ExternalError unless it is https, or plain HTTP of this machine as the registry's is."""
        parts = urlsplit(url)
        local = self.url.startswith("http:") and _LOOPBACK.fullmatch(parts.netloc)
        if not (parts.scheme == "https" or (parts.scheme == "http" and local)):
            raise ExternalError(f"{name}: {self.host} leads to an address that is not https")


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _origin(url: str) -> tuple[str, str]:
    """The scheme of an address and its host, which has a port where that is not the scheme's own."""
    parts = urlsplit(url)
    usual = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    return parts.scheme, parts.netloc.lower().removesuffix(usual)


def _akin(host: str, registry: str) -> bool:
    """Whether both are of one domain: auth.docker.io and registry-1.docker.io, gitlab.com and registry.gitlab.com."""
    domain = registry.split(".")[-2:]
    return host == registry or (domain[-1].isalpha() and len(domain) == 2 and host.lower().split(".")[-2:] == domain)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _refused(name: str, host: str, known: bool) -> ExternalError:
    how = "refuses the credentials of REGISTRY_CREDENTIALS" if known else "gives it to nobody without credentials"
    fix = "docs/runbooks/images.md says how they are set; is the name right, and may they read it?"
    return ExternalError(f"{name}: {host} {how}", fix=fix)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExternalError(f"{name}: its registry's answer cannot be read ({type(error).__name__})") from None
