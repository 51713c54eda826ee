"""Any registry by the distribution API: the real one on loopback, with tokens as ghcr.io and Docker Hub give them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from gitops.clients.registries import Registries, distribution, oci
from gitops.clients.registries.choice import logins
from gitops.clients.registries.distribution import Distribution, place
from gitops.ground import hidden, printable
from gitops.ground.errors import ExternalError, InputError
from tests.fakes.registry import PASSWORD, USER, Fault, Registry

BUILT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TAKEN = {"REGISTRY_CREDENTIALS": SecretStr("{}")}


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "_forms", set())


@pytest.fixture
def basic() -> Iterator[Registry]:
    fake = Registry("basic")
    yield fake
    fake.close()


def known_to(registry: Registry) -> Registries:
    """With the registry's credentials."""
    return Registries({name: SecretStr(value) for name, value in registry.environment.items()})


def impatient(registry: Registry) -> Distribution:
    """One that waits for nothing."""
    return Distribution(registry.host, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ghcr.io/ft-platform/shop", ("ghcr.io", "ft-platform/shop")),
        ("docker.io/library/nginx", ("registry-1.docker.io", "library/nginx")),
        ("docker.io/nginx", ("registry-1.docker.io", "library/nginx")),
        ("nginx", ("registry-1.docker.io", "library/nginx")),
        ("grafana/loki", ("registry-1.docker.io", "grafana/loki")),
        ("index.docker.io/grafana/loki", ("registry-1.docker.io", "grafana/loki")),
        ("localhost/a", ("localhost", "a")),
        ("127.0.0.1:5000/a/b/c", ("127.0.0.1:5000", "a/b/c")),
    ],
)
def test_a_name_is_read_as_docker_does(name: str, expected: tuple[str, str]) -> None:
    assert place(name) == expected


def test_what_a_public_image_says_is_read_by_anyone(registry: Registry) -> None:
    labels = {"org.opencontainers.image.revision": "abc"}
    name = f"{registry.host}/team/shop"
    both = registry.push("team/shop", "1.0.0", platforms=("linux/amd64", "linux/arm64"), labels=labels, created=BUILT)
    bare = registry.push("team/shop", "1.0.1", index=False, labels=labels, created=BUILT)
    registries = Registries()
    assert {(image.tag, image.digest, image.pushed) for image in registries.listing(name)} == {
        ("1.0.0", "", None),
        ("1.0.1", "", None),
    }
    assert registries.look(name, tag="1.0.0") == oci.ListedImage("1.0.0", both, None, oci.INDEX)
    assert registries.look(name, tag="1.0.1", dated=True) == oci.ListedImage("1.0.1", bare, BUILT, oci.MANIFEST)
    assert registries.look(name, digest=both, dated=True) == oci.ListedImage("", both, BUILT, oci.INDEX)
    assert registries.look(name, tag="1.0.2") is None
    assert registries.look(f"{name}-none", tag="1.0.0") is None
    details = oci.details(registries, name, both, labels=True)
    assert details is not None
    assert (set(details.platforms), details.revision) == ({"linux/amd64", "linux/arm64"}, "abc")
    assert registry.logins == ["", ""], "one token for each repository"
    with pytest.raises(InputError, match=f"no such repository; found {name}-none; push its first image"):
        registries.listing(f"{name}-none")


def test_a_private_image_is_read_with_the_credentials_of_its_registry(registry: Registry) -> None:
    registry.push("team/shop", "1.0.0")
    registry.private.add("team/shop")
    name = f"{registry.host}/team/shop"
    with pytest.raises(
        ExternalError, match=r"gives it to nobody without credentials; docs/runbooks/images\.md says how"
    ):
        Registries().listing(name)
    assert [image.tag for image in known_to(registry).listing(name)] == ["1.0.0"]
    wrong = json.dumps({"auths": {registry.host: {"username": USER, "password": "another"}}})
    with pytest.raises(ExternalError, match="refuses the credentials of REGISTRY_CREDENTIALS"):
        Registries({"REGISTRY_CREDENTIALS": SecretStr(wrong)}).listing(name)
    elsewhere = json.dumps({"auths": {"ghcr.io": {"username": USER, "password": PASSWORD}}})
    registry.logins.clear()
    with pytest.raises(ExternalError, match="gives it to nobody"):
        Registries({"REGISTRY_CREDENTIALS": SecretStr(elsewhere)}).listing(name)
    assert registry.logins == [""], "one registry's credentials are not shown to another"


def test_a_registry_with_passwords_and_no_tokens(basic: Registry) -> None:
    digest = basic.push("shop", "1.0.0")
    name = f"{basic.host}/shop"
    image = known_to(basic).look(name, tag="1.0.0")
    assert image
    assert image.digest == digest
    with pytest.raises(ExternalError, match="gives it to nobody without credentials"):
        Registries().look(name, tag="1.0.0")


def test_a_listing_is_read_to_its_last_page(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "_PAGE", 2)
    for number in range(5):
        registry.push("shop", f"1.0.{number}", index=False)
    registries = Registries()
    assert len(registries.listing(f"{registry.host}/shop")) == 5
    assert registry.calls["GET tags"] == 1 + 3, "the first asks for the token"
    monkeypatch.setattr(distribution, "_MOST_PAGES", 2)
    with pytest.raises(ExternalError, match="its tags have no last page among 2"):
        Registries().listing(f"{registry.host}/shop")


def test_what_is_asked_too_often_or_fails_is_asked_again_a_few_times(registry: Registry) -> None:
    name = f"{registry.host}/shop"
    registry.push("shop", "1.0.0")
    slow, down = Fault("/tags/", 429, headers={"Retry-After": "3"}), Fault("/tags/", 502)
    registry.faults = [slow, down]
    waited: list[float] = []
    assert len(Distribution(registry.host, sleep=waited.append).listing(name)) == 1
    assert waited == [3, 1]
    registry.faults = [Fault("/tags/", 429, times=99)]
    with pytest.raises(ExternalError, match=r"is asked too often \(HTTP 429\); it is asked again by the next run"):
        impatient(registry).listing(name)
    # Docker Hub's window is six hours.
    registry.faults = [Fault("/tags/", 429, headers={"Retry-After": "21600"}, times=99)]
    registry.calls.clear()
    with pytest.raises(ExternalError, match="is asked too often"):
        impatient(registry).listing(name)
    assert registry.calls["GET tags"] == 1


def test_a_layer_is_read_from_the_storage_without_the_token(registry: Registry) -> None:
    digest = registry.push("shop", "1.0.0", index=False, created=BUILT)
    registry.storage = True
    image = Registries().look(f"{registry.host}/shop", digest=digest, dated=True)
    assert image
    assert image.pushed == BUILT
    assert registry.calls["GET storage"] == 1


LIES: dict[str, tuple[Fault, str]] = {
    "pages of another host": (
        Fault(
            "/tags/",
            200,
            headers={"Link": '<https://evil.example/v2/shop/tags/list>; rel="next"'},
            content=b'{"tags":[]}',
        ),
        "sends its listing's reader to another host",
    ),
    "pages without an end": (
        Fault("/tags/", 200, headers={"Link": '</v2/shop/tags/list>; rel="next"'}, content=b'{"tags":[]}', times=99),
        "its tags have no last page among 2",
    ),
    "tokens by plain HTTP": (
        Fault("/tags/", 401, headers={"WWW-Authenticate": 'Bearer realm="http://evil.example/token",service="fake"'}),
        "leads to an address that is not https",
    ),
    "tokens from a file": (
        Fault("/tags/", 401, headers={"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}),
        "leads to an address that is not https",
    ),
    "a login that nobody knows": (
        Fault("/tags/", 401, headers={"WWW-Authenticate": "Negotiate"}),
        "asks for a login of a kind that is not known",
    ),
    "a token for a header of its own": (
        Fault("/token", 200, content=b'{"token": "x\\r\\nHost: y"}'),
        "gave a token that cannot be sent",
    ),
    "no token": (Fault("/token", 200), r"answer cannot be read \(KeyError\)"),
    "no JSON": (Fault("/tags/", 200, content=b"<html>"), "cannot be read"),
    "no list": (Fault("/tags/", 200, content=b'["tags"]'), "cannot be read"),
    "too much": (Fault("/tags/", 200, content=b" " * (4 * distribution._MOST + 1)), "answered with more than"),
    "a teapot": (Fault("/tags/", 418), "answered HTTP 418"),
    "a listing elsewhere": (Fault("/tags/", 307, headers={"Location": "https://evil.example/"}), "answered HTTP 307"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_registry_that_lies_gets_nothing_and_is_said(registry: Registry, lie: str) -> None:
    fault, message = LIES[lie]
    registry.push("shop", "1.0.0")
    registry.faults = [fault]
    with pytest.raises(ExternalError, match=message):
        impatient(registry).listing(f"{registry.host}/shop")


def test_credentials_go_to_their_own_registry_alone(registry: Registry) -> None:
    """Whoever answers for a registry's host must not have them sent elsewhere, not even by https."""
    challenge = {"WWW-Authenticate": 'Bearer realm="https://evil.example/token",service="fake"'}
    registry.faults = [Fault("/tags/", 401, headers=challenge)]
    with pytest.raises(ExternalError, match="would send its credentials to another host, so they were not sent"):
        known_to(registry).listing(f"{registry.host}/shop")


@pytest.mark.parametrize(
    ("realm", "registry", "expected"),
    [
        ("auth.docker.io", "registry-1.docker.io", True),
        ("ghcr.io", "ghcr.io", True),
        ("gitlab.com", "registry.gitlab.com", True),
        ("evil.io", "ghcr.io", False),
        ("docker.io.evil.example", "registry-1.docker.io", False),
        ("127.0.0.1:2", "127.0.0.1:1", False),
        ("10.0.0.1", "127.0.0.1", False),
        ("io", "ghcr.io", False),
    ],
)
def test_what_is_one_registrys(realm: str, registry: str, expected: bool) -> None:
    assert distribution._akin(realm, registry) == expected


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("ghcr.io", "https://ghcr.io:443/v2/a", True),
        ("ghcr.io:443", "https://GHCR.io/v2/a", True),
        ("ghcr.io:443", "https://ghcr.io:443/v2/a", True),
        ("localhost", "http://localhost:80/v2/a", True),
        ("ghcr.io", "https://ghcr.io:80/v2/a", False),
        ("ghcr.io", "http://ghcr.io/v2/a", False),
        ("ghcr.io:444", "https://ghcr.io:443/v2/a", False),
        ("ghcr.io", "https://ghcr.io:443@evil.example/v2/a", False),
    ],
)
def test_a_port_that_is_the_schemes_own_is_no_other_host(host: str, address: str, expected: bool) -> None:
    own = Distribution(host)
    if expected:
        assert own._own(address, f"{host}/a") == address
    else:
        with pytest.raises(ExternalError, match="sends its listing's reader to another host"):
            own._own(address, f"{host}/a")


def test_credentials_go_to_a_realm_that_names_the_schemes_own_port(registry: Registry) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="https://registry.example.com:443/token",service="fake"'}
    assert distribution._akin(*(distribution._origin(f"https://{host}")[1] for host in ("a.example:443", "a.example")))
    registry.faults = [Fault("/tags/", 401, headers=challenge)]
    with pytest.raises(ExternalError, match="would send its credentials to another host"):
        known_to(registry).listing(f"{registry.host}/shop")


def other_manifest(registry: Registry, digest: str) -> Callable[[Distribution], Any]:
    registry.faults = [Fault("/manifests/", 200, content=b'{"schemaVersion": 2}', method="GET")]
    return lambda own: own.manifest(f"{registry.host}/shop", digest=digest)


def other_blob(registry: Registry, digest: str) -> Callable[[Distribution], Any]:
    registry.faults = [Fault("/blobs/", 200, content=b"{}")]
    return lambda own: own.look(f"{registry.host}/shop", digest=digest, dated=True)


@pytest.mark.parametrize("lie", [other_manifest, other_blob])
def test_what_a_digest_names_is_exactly_that(
    registry: Registry, lie: Callable[[Registry, str], Callable[[Distribution], Any]]
) -> None:
    digest = registry.push("shop", "1.0.0", index=False)
    call = lie(registry, digest)
    with pytest.raises(ExternalError, match="the registry gave another"):
        call(impatient(registry))


def test_a_digest_that_no_header_tells_is_computed(registry: Registry) -> None:
    digest = registry.push("shop", "1.0.0")
    registry.faults = [Fault("/manifests/", 200, method="HEAD")]
    image = impatient(registry).look(f"{registry.host}/shop", tag="1.0.0")
    assert image
    assert (image.digest, image.media_type) == (digest, oci.INDEX)


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_credentials_are_read_as_docker_writes_them_and_no_text_has_them() -> None:
    config = {
        "https://index.docker.io/v1/": {"auth": auth("a", "secret-of-docker-hub")},
        "ghcr.io": {"username": "b", "password": "secret-of-github"},
        "quay.io": {},
    }
    known = logins({"REGISTRY_CREDENTIALS": SecretStr(json.dumps({"auths": config, "credsStore": "x"}))})
    assert {host: basic.get_secret_value() for host, basic in known.items()} == {
        "registry-1.docker.io": auth("a", "secret-of-docker-hub"),
        "ghcr.io": auth("b", "secret-of-github"),
    }
    text = f"secret-of-docker-hub {auth('a', 'secret-of-docker-hub')} secret-of-github {auth('b', 'secret-of-github')}"
    assert printable.line(text) == "*** *** *** ***"


@pytest.mark.parametrize(
    "value", ["{", "[]", '{"auths": []}', '{"auths": {"ghcr.io": {"auth": "secret-secret"}}}', '{"auth": "c2VjcmV0"}']
)
def test_credentials_that_cannot_be_read_are_said_and_not_shown(value: str) -> None:
    with pytest.raises(InputError) as raised:
        Registries({"REGISTRY_CREDENTIALS": SecretStr(value)})
    assert re.match("REGISTRY_CREDENTIALS cannot be read; expected one line of JSON such as", str(raised.value))
    assert "secret" not in str(raised.value)
