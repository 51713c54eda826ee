"""Every kind of change of a secret, as tests/every_change.py lists them: 42's, and what a person seals."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gitops.manifests import yamltext
from gitops.manifests.overlay import Overlay
from gitops.oauth.state import KEEP
from tests.live_world import CLUSTER, DAY, LiveWorld
from tests.oauth_world import certificate_of, private_key

# -- 42's


def sign_in_with_42(world: LiveWorld) -> None:
    """docs/runbooks/secrets.md: a service signs users in with 42 for the first time."""
    overlay = Overlay(world.made.web_in_ecr, "prod")
    app = world.new_application()
    path = overlay.file("oauth-42.yaml")
    world.write(path, OAUTH_42.format(id=app.id, uid=app.uid, service=overlay.service))
    world.add_to_list(overlay.kustomization, "resources", "oauth-42.yaml")
    world.add_to_list(overlay.kustomization, "components", "../../../base/components/oauth-42")
    name = f"{overlay.service}-oauth-42-g1"
    world.run("secrets", "seal", overlay.service, name, "--key", "client-secret", stdin="typed by a person")


OAUTH_42 = """\
# yaml-language-server: $schema=https://json.schemastore.org/kustomization.json
# The application of this overlay at 42. Its id and client id are no secrets.
apiVersion: v1
kind: ConfigMap
metadata:
  name: oauth-42
data:
  application-id: "{id}"
  client-id: {uid}
  secret: {service}-oauth-42-g1
"""


def rotate(world: LiveWorld, overlay: Overlay) -> dict[str, Any]:
    """The scheduled run, and a person's merge of the pull request that it opened. Returns the run's row."""
    rows = world.rows("oauth", "rotate", overlay.service, codes=(0, 1))
    [row] = [row for row in rows if row["environment"] == overlay.environment]
    assert row["action"] == "opened", row
    world.merge(overlay.branch("oauth"))
    return row


def adopt(world: LiveWorld) -> None:
    row = rotate(world, Overlay(world.made.web_in_ecr, "prod"))
    assert row["generation"] == 1, "the one that a person sealed"


def rotate_secret(world: LiveWorld) -> None:
    overlay = Overlay(world.made.web_in_ecr, "prod")
    world.show_next(world.application(overlay).id)
    rotate(world, overlay)


def retire(world: LiveWorld) -> None:
    """A rotation whose pull request takes along what the one before it left."""
    overlay = Overlay(world.made.web_in_ecr, "prod")
    number = world.application(overlay).id
    world.switch(number, KEEP + timedelta(hours=1))
    world.show_next(number)
    older = world.application(overlay).older
    rotate(world, overlay)
    assert older
    assert not set(older) & set(world.application(overlay).older)


def rotate_first(world: LiveWorld) -> None:
    """The first application of the tree, whatever generation it is at."""
    rows = world.rows("oauth", "status", codes=(0, 1))
    overlay = Overlay(rows[0]["service"], rows[0]["environment"])
    world.show_next(rows[0]["application"])
    rotate(world, overlay)


def provide(world: LiveWorld) -> None:
    """docs/runbooks/oauth.md: the break-glass."""
    overlay = Overlay(world.made.web_in_ecr, "prod")
    number = world.application(overlay).id
    world.switch(number, DAY)
    world.show_next(number)
    world.run("oauth", "provide", overlay.service, stdin=world.intra.apps[number].next)


# -- others


def seal_secret(world: LiveWorld) -> None:
    """docs/runbooks/secrets.md: seal a value, and let the Deployment read it."""
    overlay = Overlay(world.made.web, "prod")
    world.run("secrets", "seal", overlay.service, "mail", "--key", "token", stdin="a value")
    world.write(overlay.file("deployment.yaml"), READS_SECRET)
    path = overlay.kustomization
    world.write(path, world.read(path).replace("patches:\n", "patches:\n  - path: deployment.yaml\n"))


READS_SECRET = """\
# yaml-language-server: $schema=https://json.schemastore.org/kustomization.json
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
        - name: app
          env:
            - name: MAIL_TOKEN
              valueFrom:
                secretKeyRef: {name: mail, key: token}
"""


def seal_second_key(world: LiveWorld) -> None:
    world.run("secrets", "seal", world.made.web, "mail", "--key", "password", stdin="another value")


def reseal(world: LiveWorld) -> None:
    world.run("secrets", "reseal", "--controller", world.controller.url)
    world.run("secrets", "verify", "--controller", world.controller.url)


def replace_cluster_certificate(world: LiveWorld) -> None:
    """docs/runbooks/secrets.md: the controller's key is lost, and there is a backup."""
    lost, new = world.controller.keys[0], private_key(1)
    pem = certificate_of(new)
    fingerprint = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
    path = f"{CLUSTER}/cluster.yaml"
    world.write(path, yamltext.put(world.read(path), path, ("data", "sealedSecretsFingerprint"), fingerprint))
    world.write(f"{CLUSTER}/sealed-secrets.pem", pem.decode())
    world.land("Pin the new controller's certificate")
    world.run("secrets", "recover", "--backup", str(backup(world.folder, lost)))
    world.controller.certificate, world.controller.keys = pem, [new]
    world.run("secrets", "verify", "--controller", world.controller.url)


def backup(folder: Path, key: rsa.RSAPrivateKey) -> Path:
    file = folder / "backup.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return file
