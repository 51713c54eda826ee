"""The sentences of `reasons`, for a person. Nothing is decided on them."""

from __future__ import annotations

from datetime import timedelta

from gitops.clients.github import Health
from gitops.images import reasons
from gitops.images.policy import spell
from gitops.images.reasons import Alert, EditedMarker, NoChange, Rejection, RejectionReason

_REJECTIONS = {
    RejectionReason.UNTAGGED: "untagged",
    RejectionReason.ATTACHMENT: "a signature, an attestation or an SBOM and no image",
    RejectionReason.BUILD_CACHE: "a build cache and no image",
    RejectionReason.NO_IMAGE: "no container image ({})",
    RejectionReason.NOT_ALLOWED: "in no allow list",
    RejectionReason.IGNORED: "ignored by {!r}",
    RejectionReason.OTHER_TAG: "not the tag {!r}",
    RejectionReason.NO_VERSION: "no whole semantic version (MAJOR.MINOR.PATCH)",
    RejectionReason.PRERELEASE: "a pre-release, which the policy does not opt in to",
    RejectionReason.OUT_OF_RANGE: "outside of {!r}",
    RejectionReason.NO_MATCH: "does not match {!r}",
    RejectionReason.NO_ORDER: "{}",
    RejectionReason.NO_TIME: "nothing tells when it was pushed or built",
    RejectionReason.NOT_NEWER: "not newer than {}, which runs",
    RejectionReason.RUNS_ALREADY: "runs already",
    RejectionReason.MAJOR: "a new major version, and the policy has majors: never (runs {})",
    RejectionReason.TOO_YOUNG: "too young until {}",
    RejectionReason.DECLINED: "held: a person took {} back",
    RejectionReason.DECLINED_DIGEST: "held: a person took this digest back",
    RejectionReason.NO_MANIFEST: "the registry has no manifest for it",
    RejectionReason.PLATFORM: "not built for {}",
    RejectionReason.UNSIGNED: "not signed",
    RejectionReason.BAD_SIGNATURE: "no signature is valid: {}",
}


def rejection(rejected: Rejection | None) -> str:
    """Why an image is not taken; nothing where it may be."""
    if rejected is None:
        return ""
    return _REJECTIONS[rejected.reason].format(rejected.value) + _by(rejected.by)


def _by(where: str) -> str:
    return f" ({where})" if where else ""


def no_change(reason: NoChange | None) -> str:
    """Why an overlay's image stays; nothing where it does not."""
    match reason:
        case None:
            return ""
        case reasons.EmptyListing():
            return "the listing is empty: no change"
        case reasons.NoPolicy():
            return "main has no policy any more that asks for it"
        case reasons.NotGrouped():
            return "no image is proposed in this group any more"
        case reasons.NoneFits():
            return "no image fits the policy: no change"
        case reasons.NoneNewer():
            return "no image is newer than what runs"
        case reasons.NonePasses():
            return "no newer image passes its checks"
        case reasons.TooYoung(tag, until):
            return f"{tag} is too young until {until.isoformat(timespec='minutes')}"
        case reasons.OnHold(hold):
            return f"held on {hold.tag} until {hold.until.isoformat(timespec='minutes')}: {hold.reason}"
        case _:
            return _no_promotion(reason)


def _no_promotion(reason: NoChange) -> str:
    match reason:
        case reasons.NotSoaked(environment, soak, None, _):
            return f"{environment} has not run any for {spell(soak)}"
        case reasons.NotSoaked(environment, soak, tag, _):
            return f"{tag} has not run in {environment} for {spell(soak)}"
        case reasons.TakenBack(environment, tag, by):
            return f"{tag} was taken back in {environment}{_by(by)}"
        case reasons.PromotedAlready(newer, waits):
            runs = "runs a newer one than has soaked" if newer else "runs what was promoted last"
            return f"{runs}; {no_change(waits)}" if waits else runs
        case reasons.PrereleaseStays(environment, tag):
            return f"{tag} is a pre-release: it stays in {environment}, as the policy has no prereleases: true"
        case reasons.MajorStays(environment, tag):
            return f"{tag} is a new major version: it stays in {environment}, as the policy has majors: never"
        case reasons.RunsNewer(runs, tag):
            return f"runs {runs}, which is newer than {tag}"
        case reasons.DeclinedPromotion(tag, by):
            return f"held: a person declined {tag}{_by(by)}"
        case reasons.NotHealthy(overlay, tag, health, since):
            what = "cannot be synced" if health is Health.FAILED else "is Degraded"
            return f"{overlay.application} {what} with {tag} since {since.isoformat(timespec='minutes')}"
        case reasons.NotHealthyYet(overlay, tag, since):
            return f"{overlay.application} is starting pods, with {tag} since {since.isoformat(timespec='minutes')}"
        case reasons.NeverHealthy(overlay, tag, since):
            starts = f"is starting pods with {tag} since {since.isoformat(timespec='minutes')}"
            return f"{overlay.application} {starts} and comes to no end: it is stuck"
        case reasons.NotHealthyLong(overlay, tag, soak, healthy, _):
            hour = timedelta(hours=1)
            whole = healthy // hour * hour if healthy > hour else healthy
            return f"{overlay.application} was Healthy with {tag} for {spell(whole)} of {spell(soak)}"
        case reasons.HealthUnknown(overlay, tag):
            return f"nothing tells whether {overlay.application} is Healthy with {tag} (docs/runbooks/images.md)"
        case reasons.PromotionRejected(tag, rejected):
            return f"{tag}: {rejection(rejected)}"
    raise TypeError(f"no sentence for {type(reason).__name__}")


def edited(marker: EditedMarker) -> str:
    """That a declined pull request cannot be read as the bot wrote it, and what became of the decline."""
    if marker.tag:
        return f"#{marker.number} was declined and its marker edited: it was of {marker.tag}, which stays declined"
    what = f"#{marker.number} was declined and its marker edited: nothing tells which version, so it may come again"
    return f"{what}; restore its text from GitHub's history of edits, or label it withdrawn"


def alert(heard: Alert | None) -> str:
    """What a person must hear; nothing where there is nothing."""
    match heard:
        case None:
            return ""
        case reasons.RunningImageGone(tag, digest):
            return f"the running image {tag}@{digest[:19]} is gone from the registry"
        case reasons.TagMoved(tag):
            return f"the tag {tag} no longer names the running image"
        case reasons.HoldIgnored(held, running):
            return f"held on {held}, but {running} runs"
        case reasons.RunsUnfit(environment, tag, rejected):
            return f"{tag} ran in {environment}: {rejection(rejected)}"
    raise TypeError(f"no sentence for {type(heard).__name__}")
