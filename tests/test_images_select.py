"""Policies and the choice that they make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.clients.registries import ListedImage, ecr, oci
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, InputError
from gitops.images import policy, wording
from gitops.images.memory import Declined
from gitops.images.reasons import EmptyListing, NoneNewer, RunningImageGone, TagMoved
from gitops.images.select import Selection, select
from tests.fakes.aws import CONFIG, HOST, MANIFEST, Fault, ecr_server

START = datetime(2026, 1, 1, tzinfo=UTC)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def listing_of(*tags: str) -> list[ListedImage]:
    """One digest for each tag, pushed in this order."""
    return [ListedImage(tag, digest(n + 1), START + timedelta(hours=n)) for n, tag in enumerate(tags)]


def choose(raw: dict[str, Any], *tags: str, runs: str = "none", refused: tuple[str, ...] = ()) -> Selection:
    listed = listing_of(*tags)
    running = next((image.digest for image in listed if image.tag == runs), digest(999))
    declined = [Declined(tag, digest(0)) for tag in refused]
    brought = START - timedelta(days=1)
    return select(
        policy.Policy.model_validate(raw), listed, tag=runs, digest=running, declined=declined, brought=brought
    )


def winner(raw: dict[str, Any], *tags: str, runs: str = "none", refused: tuple[str, ...] = ()) -> str | None:
    ranked = choose(raw, *tags, runs=runs, refused=refused).ranked
    return ranked[0].tag if ranked else None


def why(decision: Selection, tag: str) -> str:
    return next(
        wording.rejection(assessment.rejection) for assessment in decision.assessments if assessment.image.tag == tag
    )


SEMVER: dict[str, Any] = {"semver": {"range": "*"}}
RC: dict[str, Any] = {"semver": {"range": "<2.0.0", "prereleases": True}}
BUILD: dict[str, Any] = {"pattern": {"match": r"main-(?P<n>\d+)-[0-9a-f]+", "order": "numerical", "group": "n"}}
CHOICES: dict[str, tuple[dict[str, Any], list[str], str | None]] = {
    "highest version and not the last in the alphabet": (SEMVER, ["1.0.63", "1.0.9"], "1.0.63"),
    "a short SHA of digits alone is no major version": (SEMVER, ["1.2.3", "4815162", "20260101"], "1.2.3"),
    "two parts are no version": (SEMVER, ["1.2.3", "1.10", "v9"], "1.2.3"),
    "a leading v is fine": (SEMVER, ["1.2.3", "v1.2.4"], "v1.2.4"),
    "leading zeros are no version": (SEMVER, ["1.2.3", "1.02.4", "01.2.5"], "1.2.3"),
    "a pre-release must be opted in to": (SEMVER, ["1.2.3", "1.3.0-rc.1"], "1.2.3"),
    "a pre-release that is opted in to": (RC, ["1.2.3", "1.3.0-rc.1"], "1.3.0-rc.1"),
    "a release above its pre-release": (RC, ["1.3.0", "1.3.0-rc.1"], "1.3.0"),
    "a pre-release of the bound is outside": (RC, ["1.2.3", "2.0.0-rc.1"], "1.2.3"),
    "a range": ({"semver": {"range": "^1.2.0"}}, ["1.2.0", "1.9.9", "2.0.0"], "1.9.9"),
    "signatures, attestations and SBOMs are no images": (
        {"newest": {}},
        ["1.0.0", f"sha256-{1:064x}", f"sha256-{1:064x}.sig", "x.att", "x.sbom"],
        "1.0.0",
    ),
    "cache tags are no images": (
        {"newest": {}},
        ["1.0.0", "buildcache", "cache", "main-buildcache", "cache-x"],
        "1.0.0",
    ),
    "allow": ({"newest": {}, "allow": ["v.*"]}, ["v1", "x2"], "v1"),
    "ignore": ({"newest": {}, "ignore": [".*-debug"]}, ["v1", "v2-debug"], "v1"),
    "newest push": ({"newest": {}}, ["b", "a"], "a"),
    "numerical order of a group": (BUILD, ["main-9-ab12", "main-10-cd34", "dev-11-ef"], "main-10-cd34"),
    "alphabetical order": (
        {"pattern": {"match": r"\d{4}-\d\d", "order": "alphabetical"}},
        ["2026-02", "2025-12"],
        "2026-02",
    ),
    "semver order of a group": (
        {"pattern": {"match": r"rel-(.*)", "order": "semver", "group": 1}},
        ["rel-1.10.0", "rel-1.9.0"],
        "rel-1.10.0",
    ),
    "nothing fits": (SEMVER, ["latest", "main"], None),
    "nothing at all": (SEMVER, [], None),
}


@pytest.mark.parametrize("case", CHOICES)
def test_the_choice(case: str) -> None:
    raw, tags, expected = CHOICES[case]
    assert winner(raw, *tags) == expected


def test_every_rejection_has_its_reason() -> None:
    decision = choose({**SEMVER, "ignore": ["1.4.*"]}, "1.2.3", "latest", "1.4.0", "1.3.0-rc.1", "x.sig", runs="1.2.3")
    assert {assessment.image.tag: wording.rejection(assessment.rejection) for assessment in decision.assessments} == {
        "1.2.3": "not newer than 1.2.3, which runs",
        "latest": "no whole semantic version (MAJOR.MINOR.PATCH)",
        "1.4.0": "ignored by '1.4.*'",
        "1.3.0-rc.1": "a pre-release, which the policy does not opt in to",
        "x.sig": "a signature, an attestation or an SBOM and no image",
    }
    assert decision.no_change == NoneNewer()


def test_an_empty_listing_means_no_change() -> None:
    decision = choose(SEMVER)
    assert (decision.ranked, decision.no_change, decision.alert) == ((), EmptyListing(), None)


def test_the_running_tags_disappearance_is_an_alert_and_no_way_back() -> None:
    decision = choose(SEMVER, "1.2.2", "1.2.4", runs="1.2.3")
    assert decision.alert == RunningImageGone("1.2.3", digest(999))
    assert [image.tag for image in decision.ranked] == ["1.2.4"]
    assert choose(SEMVER, "1.2.2", runs="1.2.3").ranked == ()


def test_a_tag_that_was_moved_is_an_alert() -> None:
    listed = [*listing_of("1.2.3"), ListedImage("", digest(7), START)]
    moved = select(policy.Policy.model_validate(SEMVER), listed, tag="1.2.3", digest=digest(7))
    assert moved.alert == TagMoved("1.2.3")
    assert moved.ranked == ()


def test_a_tag_moved_to_an_old_digest_does_not_look_new() -> None:
    old = ListedImage("stable-now", digest(1), START)
    listed = [ListedImage("first", digest(1), START), old, ListedImage("second", digest(2), START + timedelta(hours=1))]
    chosen = select(policy.Policy.model_validate({"newest": {}}), listed, tag="second", digest=digest(2))
    assert chosen.ranked == ()


def test_a_policy_that_no_longer_allows_what_runs_goes_back() -> None:
    assert winner({"semver": {"range": "<2.0.0"}}, "1.9.0", "2.1.0", runs="2.1.0") == "1.9.0"


def test_a_version_that_a_person_took_back_is_not_proposed_again_but_a_newer_one_is() -> None:
    decision = choose(SEMVER, "1.2.3", "1.3.0", "1.3.1", runs="1.2.3", refused=("1.3.0",))
    assert why(decision, "1.3.0") == "held: a person took 1.3.0 back"
    assert [image.tag for image in decision.ranked] == ["1.3.1"]
    assert winner({"newest": {}}, "a", "b", "c", runs="a", refused=("b",)) == "c"
    assert winner({"newest": {}}, "a", "b", runs="a", refused=("b",)) is None


def test_a_mutable_tag_is_followed_by_its_digest() -> None:
    tracked = policy.Policy.model_validate({"digest": {"tag": "stable"}})
    listed = listing_of("stable", "1.0.0")
    assert select(tracked, listed, tag="stable", digest=digest(9)).ranked == (listed[0],)
    assert select(tracked, listed, tag="stable", digest=digest(1)).ranked == ()
    assert (
        select(tracked, listed, tag="stable", digest=digest(9), declined=(Declined("stable", digest(1)),)).ranked == ()
    )


def test_helm_charts_and_caches_are_recognised_by_their_type() -> None:
    chart = ListedImage("2.0.0", digest(2), START, MANIFEST, "application/vnd.cncf.helm.config.v1+json")
    image = ListedImage("1.0.0", digest(1), START, MANIFEST, CONFIG)
    chosen = select(policy.Policy.model_validate(SEMVER), [chart, image], tag="0.1.0", digest=digest(5))
    assert chosen.ranked == (image,)
    assert "no container image (application/vnd.cncf.helm" in why(chosen, "2.0.0")


BAD: dict[str, tuple[str, str]] = {
    "no way": ("staging: {}", "expected exactly one of semver, pattern, newest, digest, promote; found none"),
    "two ways": ("staging: {newest: {}, semver: {}}", "found ['semver', 'newest']"),
    "no range": ("staging: {semver: {range: '>>1'}}", "not a semver range; expected one such as '>=1.2.0 <2.0.0'"),
    "no regular expression": ("staging: {pattern: {match: '(', order: semver}}", "not a regular expression"),
    "no such group": ("staging: {pattern: {match: x, order: semver, group: n}}", "match has no group 'n'; it has [0]"),
    "no duration": (
        "staging: {newest: {}}\nprod: {promote: {from: staging, soak: 1 day}}",
        "not a duration; expected minutes, hours or days, such as 90m, 24h or 3d",
    ),
    "a duration beyond all dates": (
        "staging: {newest: {}}\nprod: {promote: {from: staging, soak: 99999999999999d}}",
        "not a duration",
    ),
    "promotes from nowhere": ("prod: {promote: {from: qa, soak: 1d}}", "prod promotes from 'qa', which has no policy"),
    "a circle of promotions": (
        "staging: {promote: {from: prod, soak: 1d}}\nprod: {promote: {from: staging, soak: 1d}}",
        "promotes in a circle: staging from prod from staging; one of them has to take its own",
    ),
    "auto-merge in prod": ("prod: {newest: {}, auto-merge: true}", "prod: auto-merge is never allowed there"),
    "an unknown field": ("staging: {newest: {}, tags: x}", "staging.tags: Extra inputs are not permitted"),
    "no such overlay": ("qa: {newest: {}}", "overlays/mogle/images.yaml: qa: no such overlay beside it"),
    "half a signer": (
        "prod: {newest: {}, cosign-keyless: {identity: x, trust-root: root.json}}",
        "prod.cosign-keyless.issuer: Field required",
    ),
    "an issuer that is no address": (
        "prod: {newest: {}, cosign-keyless: {identity: x, issuer: github, trust-root: root.json}}",
        "prod.cosign-keyless.issuer: String should match pattern",
    ),
    "a signer without a trust root": (
        "prod: {newest: {}, cosign-keyless: {identity: x, issuer: 'https://x', trust-root: root.json}}",
        "prod: trust-root 'root.json': no such file beside it",
    ),
    "a key and a signer": (
        "prod: {newest: {}, cosign-key: k.pub, cosign-keyless: {identity: x, issuer: 'https://x', trust-root: r}}",
        "cosign-key or cosign-keyless, not both",
    ),
    "no such key": ("prod: {newest: {}, cosign-key: k.pub}", "cosign-key 'k.pub': no such file beside it"),
    "no YAML": ("staging: [", "not valid YAML"),
}


@pytest.mark.parametrize("fault", BAD)
def test_an_unparsable_policy_is_said_with_its_file_and_field(tmp_path: Path, fault: str) -> None:
    text, message = BAD[fault]
    for environment in ("staging", "prod"):
        (tmp_path / f"overlays/mogle/{environment}").mkdir(parents=True)
        (tmp_path / f"overlays/mogle/{environment}/kustomization.yaml").touch()
    (tmp_path / "overlays/mogle/images.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        policy.read(Checkout(tmp_path), tmp_path / "overlays/mogle")
    assert message in str(raised.value)


SHOP = f"{HOST}/shop"


def test_a_listing_reads_every_page_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecr, "_PAGE", 10)
    with ecr_server(monkeypatch) as fake:
        for number in range(12):
            fake.push("shop", f"1.0.{number}", attestation=False)
        registry = ecr.Ecr()
        listing = registry.listing(SHOP)
        assert {image.tag for image in listing} == {"", *(f"1.0.{number}" for number in range(12))}
        assert registry.calls == fake.calls["DescribeImages"] == 3  # 12 indexes and their 12 children


def test_platforms_and_labels_are_read_from_index_or_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {
        "org.opencontainers.image.source": "https://github.com/42/shop.git",
        "org.opencontainers.image.revision": "abc",
    }
    with ecr_server(monkeypatch) as fake:
        both = fake.push("shop", "1.0.0", platforms=("linux/amd64", "linux/arm64"), labels=labels)
        bare = fake.push("shop", "1.0.1", platforms=("linux/arm64",), index=False, labels=labels)
        registry = ecr.Ecr()
        details = oci.details(registry, SHOP, both)
        assert details
        assert details.platforms == {"linux/amd64", "linux/arm64"}, "the attestation is no platform"
        assert registry.calls == 1, "an index says it by itself"
        details = oci.details(registry, SHOP, both, labels=True)
        assert details
        assert (details.source, details.revision) == ("https://github.com/42/shop", "abc")
        details = oci.details(registry, SHOP, bare)
        assert details
        assert (set(details.platforms), details.revision) == ({"linux/arm64"}, "abc")
        assert oci.details(registry, SHOP, digest(1)) is None


def test_faults_of_ecr_are_said_and_throttling_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with ecr_server(monkeypatch) as fake:
        fake.push("shop", "1.0.0", index=False)
        registry = ecr.Ecr()
        fake.faults = [Fault("DescribeImages", "ThrottlingException"), Fault("DescribeImages", "x", status=500)]
        assert [image.tag for image in registry.listing(SHOP)] == ["1.0.0"]
        with pytest.raises(InputError, match=f"no such repository in ECR; found {HOST}/nothing; create it"):
            registry.listing(f"{HOST}/nothing")
        fake.faults = [Fault("DescribeImages", "ExpiredTokenException", times=9)]
        with pytest.raises(oci.CredentialsError, match=r"AWS refuses these credentials \(ExpiredTokenException\)"):
            registry.listing(SHOP)
        fake.faults = []
        fake.blobs.clear()
        with pytest.raises(ExternalError, match="LayersNotFoundException"):
            oci.details(registry, SHOP, registry.listing(SHOP)[0].digest)
    with pytest.raises(InputError, match=r"not an ECR repository; expected .*, found ghcr\.io/a/b"):
        ecr.Repository.parse("ghcr.io/a/b")


def test_no_credentials_and_no_way_to_aws_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(oci.CredentialsError, match="AWS: no credentials"):
        ecr.Ecr().listing(SHOP)
