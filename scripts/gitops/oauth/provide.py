"""`gitops oauth provide`: a person's secret instead of the page's, when 42's page cannot be read."""

from __future__ import annotations

from pathlib import Path

from gitops.clients.intra42 import Api
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.oauth import change, model, rotate
from gitops.oauth.model import Record, rotation_id
from gitops.oauth.sources import Source
from gitops.repository import contents
from gitops.repository.history import History
from gitops.secrets import certificate
from gitops.service.change import check_clean


def provide(
    checkout: Checkout, source: Source, api: Api, *, service: str, environment: str, cluster: str
) -> list[Path]:
    """Verify what `source` gives, seal it as the next generation and write its files into the working copy.

    Returns the files that changed. Raises InputError, BlockedError (42 refuses it), Intra42Error, and then nothing is
    written.
    """
    found, broken = model.applications(checkout, [service])
    for name, error in broken:
        if name == f"{service}/{environment}":
            raise error
    application = next((each for each in found if each.environment == environment), None)
    if application is None:
        known = ", ".join(each.environment for each in found) or "none"
        raise InputError(f"{service}/{environment}: has no application of 42; environments with one: {known}")
    check_clean(checkout)
    against = certificate.pinned(checkout, cluster)
    candidate = source.read(application).next
    if candidate is None:
        raise InputError("no secret was given")
    rotation = rotation_id(application.id, candidate)
    if application.deployed.record and application.deployed.record.rotation == rotation:
        raise InputError(f"{application.deployed.name} holds this very secret already; nothing to do")
    verdict = api.verify(application.uid, candidate)
    rotate.check(application, verdict.uid)
    generation = model.past(History(checkout.root), application).highest + 1
    record = Record(application.id, application.uid, generation, rotation, against.fingerprint, verdict.valid_until)
    sealed = rotate.sealed_file(against, application, record, candidate)
    changed = change.rotation(checkout, application, generation, sealed, ())
    contents.lay(checkout, changed)
    return [checkout.root / path for path in changed]
