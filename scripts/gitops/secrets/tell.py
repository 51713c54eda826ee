"""What is told of sealed secrets every week: what ends, what does not run, and what is sealed with a key of before.

What is stale a pull request of the workflow `seals` brings each month (ADR 17): here a person hears that it waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from gitops.clients.slack import Slack
from gitops.ground.checkout import Checkout
from gitops.ground.printable import counted
from gitops.manifests import secret
from gitops.secrets import certificate, status
from gitops.secrets.status import Against, Delivery, SecretStatus

RUNBOOK = "docs/runbooks/secrets.md"
# The controller makes a key so often (its --key-renew-period is as it comes).
RENEWED = timedelta(days=30)
# From a merge on; Argo CD takes minutes.
_DELIVERED = timedelta(days=1)


def lines(checkout: Checkout, cluster: str, known: Sequence[SecretStatus], now: datetime) -> list[str]:
    """What a person must do something about; nothing where all is well."""
    told = [f"{fault.path} {fault.what}: {fault.fix}" for fault in status.due(known, now)]
    for entry in known:
        late = entry.given is not None and now - entry.given > _DELIVERED
        if late and entry.delivery in (Delivery.WAITING, Delivery.ROLLING):
            word = "is not in the cluster" if entry.delivery is Delivery.WAITING else "does not run"
            told.append(
                f"{entry.sealed.path} {word}, {counted(entry.days(now) or 0, 'day')} after it came: {entry.contact}"
            )
    return told + _old(checkout, cluster, known, now)


def _old(checkout: Checkout, cluster: str, known: Sequence[SecretStatus], now: datetime) -> list[str]:
    """What one run of reseal mends. A generation of 42's secret goes by itself before that."""
    pin = certificate.ever_pinned(checkout, cluster)
    stale = [
        entry
        for entry in known
        if entry.against is not Against.PINNED
        and (not secret.is_generation(entry.sealed.name) or entry.given is None or now - entry.given > RENEWED)
    ]
    reasons = [f"{counted(len(stale), 'seal is', 'seals are')} not for the pinned key"] if stale else []
    if pin and now - pin.begins > RENEWED:
        reasons.append(f"the pinned key is from {pin.begins:%Y-%m-%d}, and the controller has a newer one")
    fix = "merge the pull request of the workflow `seals`, or start that"
    return [f"{'; '.join(reasons)}: {fix}"] if reasons else []


def tell(told: Sequence[str], taken: Mapping[str, SecretStr]) -> None:
    """Say it to Slack, if there is anything. Raises InputError, ExternalError."""
    slack = Slack.needed(taken, "of a secret that ends")
    if told:
        slack.post(*(f":warning: {text}" for text in told), f"Runbook: {RUNBOOK}")
