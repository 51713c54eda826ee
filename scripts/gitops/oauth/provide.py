"""`gitops oauth provide`: a person's secret instead of the page's, when 42's page cannot be read."""

from __future__ import annotations

from pathlib import Path

from gitops.clients.intra42 import Api
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests.overlay import Overlay
from gitops.oauth import change, model, rotate
from gitops.oauth.model import OAuthApplication, rotation_id
from gitops.oauth.sources import Source
from gitops.repository import contents
from gitops.repository.history import History
from gitops.secrets import certificate
from gitops.service.change import check_clean


def provide(checkout: Checkout, source: Source, api: Api, overlay: Overlay, *, cluster: str) -> list[Path]:
    """Verify what `source` gives, seal it as the next generation and write its files into the working copy.

    Returns the files that changed. Raises InputError, BlockedError (42 refuses it), Intra42Error, and then nothing is
    written.
    """
    application = _application(checkout, overlay)
    check_clean(checkout)
    against = certificate.pinned(checkout, cluster)
    secret = source.read(application).next
    if secret is None:
        raise InputError("no secret was given")
    deployed = application.deployed
    if deployed.record and deployed.record.rotation == rotation_id(application.id, secret):
        raise InputError("holds this very secret already: nothing to do", path=application.sealed_path(deployed.number))
    accepted = rotate.prove(api, application, secret)
    generation = model.past(History(checkout.root), application).highest + 1
    record = rotate.new_record(application, generation, secret, against, accepted.valid_until)
    sealed = rotate.sealed_file(against, application, record, secret)
    changed = change.rotation(checkout, application, generation, sealed, ())
    contents.write_all(checkout, changed)
    return [checkout.root / path for path in changed]


def _application(checkout: Checkout, overlay: Overlay) -> OAuthApplication:
    applications, broken = model.applications(checkout, [overlay.service])
    for unreadable, error in broken:
        if unreadable == overlay:
            raise error
    application = next((application for application in applications if application.overlay == overlay), None)
    if application is None:
        known = ", ".join(application.overlay.environment for application in applications) or "none"
        expected = f"an environment that has one: {known}"
        raise InputError("has no application of 42", path=overlay.path, expected=expected)
    return application
