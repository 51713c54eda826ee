"""Every kind of change that the product makes, or that its documents tell people to make, as data: extend CHANGES.

A change acts on overlays that it finds by rule, or on services that an earlier one made by the product's own means.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gitops.manifests import yamledit, yamlfile
from gitops.manifests.overlay import Overlay
from tests import data_changes, image_changes, secret_changes, service_changes
from tests.live_world import CLUSTER, DAY, DOMAIN, LiveWorld

EXCEPTIONS = "policies/exceptions/kustomization.yaml"
DIGEST = f"sha256:{'a' * 64}"
OWN_PORT = ("--port", "3000", "--health", "/status")
# No cloud has it.
CERTIFICATE = "certificate/ffffffff-ffff-4fff-8fff-fffffffffff"


@dataclass(frozen=True)
class Change:
    """One kind of change.

    `warns`: the rules whose warning is the point of it. `product`: how the paths of the product begin that people are
    told to change there; every other change is one of data alone.
    """

    name: str
    make: Callable[[LiveWorld], None]
    warns: frozenset[str] = frozenset()
    product: tuple[str, ...] = ()


# -- new services


def declare_certificate(world: LiveWorld, number: int = 1) -> None:
    """docs/runbooks/gate.md, lb-certificate: its ARN in one file, the names that it covers in the other; its zone."""
    data = yamlfile.read(world.checkout, world.checkout.root / f"{CLUSTER}/cluster.yaml")["data"]
    arn = f"arn:aws:acm:{data['region']}:{data['account']}:{CERTIFICATE}{number}"
    names = f'["{DOMAIN}", "*.{DOMAIN}", "*.staging.{DOMAIN}"]'
    for path, line in (
        (f"{CLUSTER}/objects/ingressclassparams.yaml", f"    - {arn}\n"),
        (f"{CLUSTER}/certificates.yaml", f"  - arn: {arn}\n    names: {names}\n"),
    ):
        world.write(path, world.read(path).rstrip("\n") + "\n" + line)
    path = f"{CLUSTER}/cluster.yaml"
    world.write(path, re.sub(r"(?m)^(  domains: .*)$", rf"\1, {DOMAIN}", world.read(path)))


def replace_domain_certificate(world: LiveWorld) -> None:
    """ACM issued another one for the same names."""
    for name in ("objects/ingressclassparams.yaml", "certificates.yaml"):
        path = f"{CLUSTER}/{name}"
        world.write(path, world.read(path).replace(f"{CERTIFICATE}1", f"{CERTIFICATE}2"))


def new_service(world: LiveWorld, name: str, *words: str, ecr: bool = False) -> str:
    """`gitops service new`. Returns the service's name."""
    name = world.unused(name)
    image = f"{image_changes.registry(world, ecr=ecr)}/piled/{name}"
    reference = f"{image}:1.2.3" if ecr else f"{image}:1.2.3@{DIGEST}"
    if ecr:  # the digest is looked up
        world.push(image, "1.2.3")
    world.run("service", "new", name, "--image", reference, "--owner", world.team(), *words)
    return name


def domains(*names: str) -> list[str]:
    return list(itertools.chain.from_iterable(("--domain", f"{name}.{DOMAIN}") for name in names))


def new_web(world: LiveWorld) -> None:
    world.made.web = new_service(world, "web", *domains("web", "www-web"))


def new_web_in_ecr(world: LiveWorld) -> None:
    world.made.web_in_ecr = new_service(world, "ecr-web", *domains("ecr-web"), ecr=True)


def new_bot(world: LiveWorld) -> None:
    world.made.bot = new_service(world, "bot", "--shape", "bot")


def new_bot_in_ecr(world: LiveWorld) -> None:
    world.made.bot_in_ecr = new_service(world, "ecr-bot", "--shape", "bot", ecr=True)


def new_with_port_and_health(world: LiveWorld) -> None:
    world.made.own_port = new_service(world, "own-port", *domains("own-port"), *OWN_PORT)


# -- people and rules


def hand_over(world: LiveWorld) -> None:
    row = world.services()[0]
    world.run("service", "handover", row["service"], "--to", world.team(other_than=row["owner"]))


def add_team(world: LiveWorld) -> None:
    path = ".github/teams.yaml"
    team = 'piled:\n  github: "@ft-platform/piled"\n  contact: "#piled"\n'
    world.write(path, world.read(path).rstrip("\n") + "\n" + team)
    world.land("A new team")
    world.run("service", "handover", world.made.web, "--to", "piled")


def exception_file(world: LiveWorld) -> str:
    return f"image-registry.{Overlay(world.made.web, 'prod').namespace}.Deployment.web.yaml"


def exception(world: LiveWorld, name: str, reason: str, *, days: int) -> None:
    until = (datetime.now(UTC) + timedelta(days=days)).date()
    schema = "# yaml-language-server: $schema=../../docs/schemas/exception.json\n"
    text = f"{schema}reason: {reason}\nowner: {world.team()}\nuntil: {until}\n"
    world.write(f"policies/exceptions/{name}", text)


def add_exception(world: LiveWorld) -> None:
    """docs/runbooks/gate.md, policy: a file, and its line in the list of files."""
    exception(world, exception_file(world), "its own registry moves to ours this month", days=10)
    text, item = world.read(EXCEPTIONS), exception_file(world)
    if "files: []" in text:
        text = text.replace("files: []", f"files:\n      - {item}")
    else:
        text = text.replace("files:\n", f"files:\n      - {item}\n", 1)
    world.write(EXCEPTIONS, text)


def renew_exception(world: LiveWorld) -> None:
    """docs/runbooks/gate.md: it ends soon, and gets a new day."""
    before = world.read(f"policies/exceptions/{exception_file(world)}")
    exception(world, exception_file(world), "its own registry moves to ours next month", days=40)
    assert world.read(f"policies/exceptions/{exception_file(world)}") != before


def end_exception(world: LiveWorld) -> None:
    (world.checkout.root / "policies/exceptions" / exception_file(world)).unlink()
    text = world.read(EXCEPTIONS).replace(f"      - {exception_file(world)}\n", "")
    world.write(EXCEPTIONS, re.sub(r"files:\n(?=    options)", "files: []\n", text))


def add_freeze(world: LiveWorld) -> None:
    start = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=40)
    path = ".github/freezes.yaml"
    freeze = (
        f"  - name: an opening\n    from: {start.isoformat()}\n    to: {(start + DAY).isoformat()}\n"
        "    time-zone: Europe/Paris\n"
    )
    world.write(path, world.read(path).replace("freezes: []", "freezes:").rstrip("\n") + "\n" + freeze)


def delete_freezes(world: LiveWorld) -> None:
    """.github/freezes.yaml: what is over may be deleted."""
    path = ".github/freezes.yaml"
    world.write(path, world.read(path).partition("freezes:")[0] + "freezes: []\n")


def add_cluster(world: LiveWorld) -> None:
    """A second cluster, made as the first one is. All overlays run in both from then on."""
    folder = world.checkout.root / CLUSTER
    shutil.copytree(folder, folder.with_name("piled"))
    for file, old, new in (
        ("cluster.yaml", f"path: {CLUSTER}\n", "path: clusters/piled\n"),
        ("platform/repository.yaml", f"path: {CLUSTER}\n", "path: clusters/piled\n"),
        ("objects/configmap.yaml", f"name: {CLUSTER.rpartition('/')[2]}\n", "name: piled\n"),
    ):
        path = f"clusters/piled/{file}"
        assert old in world.read(path)
        world.write(path, world.read(path).replace(old, new))


def move_domain(world: LiveWorld) -> None:
    """A service is reached under other names from now on, and under the old ones no more."""
    path = Overlay(world.made.web, "prod").file("ingress.yaml")
    moved = world.read(path).replace(f"web.{DOMAIN}", f"moved.{DOMAIN}")
    assert f"web.{DOMAIN}" in world.read(path)
    world.write(path, moved)


def call_another_service(world: LiveWorld) -> None:
    """README: its internal address, which brings base/components/internal-client."""
    address = f"http://web.{Overlay(world.made.web, 'prod').namespace}.svc.cluster.local"
    world.run("service", "set", world.made.web_in_ecr, f"OTHER_URL={address}", "--environment", "prod")


def end_call(world: LiveWorld) -> None:
    world.run("service", "unset", world.made.web_in_ecr, "OTHER_URL")
    path = Overlay(world.made.web_in_ecr, "prod").kustomization
    component = "../../../base/components/internal-client"
    world.write(path, yamledit.remove_item(world.read(path), path, ("components",), component))


def write_baseline(world: LiveWorld) -> None:
    """docs/runbooks/gate.md: there were findings before the gate."""
    world.run("check", "--offline", "--all", "--write-baseline")


# -- the end of a service


def rename_service(world: LiveWorld) -> None:
    """docs/runbooks/services.md, in one pull request: the old name ends, and a service of the new one begins."""
    old = world.made.own_port
    image = world.images(old)["prod"]
    remove_whole(world, old)
    world.land("The old name ends")  # `service new` begins with a clean working copy
    new = world.unused("renamed")
    words = ("--image", str(image), "--owner", world.team(), *domains("own-port"), *OWN_PORT)
    world.run("service", "new", new, *words)


def remove_environment(world: LiveWorld) -> None:
    """docs/runbooks/services.md, of one environment; prod follows the registry itself from then on."""
    service = world.made.web_in_ecr
    remove_overlay(world, Overlay(service, "staging"))
    path = f"overlays/{service}/images.yaml"
    schema = world.read(path).splitlines()[0]
    world.write(path, f'{schema}\nprod:\n  semver: {{range: "*"}}\n')


def remove_overlay(world: LiveWorld, overlay: Overlay) -> None:
    shutil.rmtree(world.checkout.root / overlay.path)
    name = f"removed-folder.{overlay.namespace}.Application.{overlay.namespace}.yaml"
    exception(world, name, "the service is closed for good", days=60)


def remove_whole(world: LiveWorld, service: str) -> None:
    """docs/runbooks/services.md."""
    for environment in world.images(service):
        remove_overlay(world, Overlay(service, environment))
    shutil.rmtree(world.checkout.overlays / service)
    world.run("service", "codeowners")


def delete_removals(world: LiveWorld) -> None:
    """docs/runbooks/services.md, once the namespaces are gone."""
    for file in (world.checkout.root / "policies/exceptions").glob("removed-folder.*.yaml"):
        file.unlink()


CHANGES = (
    Change("a certificate declared", declare_certificate),
    Change("service new, web", new_web),
    Change("service new, web in ECR", new_web_in_ecr),
    Change("service new, bot", new_bot),
    Change("service new, bot in ECR", new_bot_in_ecr),
    Change("service new with --port and --health", new_with_port_and_health),
    Change("a variable set", service_changes.set_variable),
    Change("a variable unset", service_changes.unset_variable),
    Change("a secret sealed and wired", service_changes.seal_for_the_program),
    Change("a secret taken away", service_changes.remove_secret),
    Change("a domain added", service_changes.add_domain),
    Change("a domain removed", service_changes.remove_domain),
    Change("a service scaled", service_changes.scale),
    Change("a service scaled for a day", service_changes.scale_for_a_day),
    Change("the day over", service_changes.end_the_day),
    Change("an image by hand", service_changes.set_image),
    Change("bump", image_changes.bump_image),
    Change("promotion", image_changes.promote_image),
    Change("rollback with hold", image_changes.roll_back),
    Change("a second hold", image_changes.hold_again),
    Change("a hold ended", image_changes.end_hold),
    Change("an image policy changed", image_changes.follow_mutable_tag),
    Change("bump to a mutable tag", image_changes.bump_to_mutable_tag),
    Change("digest bump", image_changes.bump_digest),
    Change("a service signs in with 42", secret_changes.sign_in_with_42),
    Change("adoption", secret_changes.adopt),
    Change("rotation", secret_changes.rotate_secret),
    Change("retirement", secret_changes.retire),
    Change("rotation of the first application", secret_changes.rotate_first),
    Change("a secret of 42 provided", secret_changes.provide),
    Change("a secret sealed", secret_changes.seal_secret),
    Change("a second key sealed", secret_changes.seal_second_key),
    Change("re-seal", secret_changes.reseal),
    Change("a cluster's certificate replaced", secret_changes.replace_cluster_certificate),
    Change("a domain's certificate replaced", replace_domain_certificate),
    Change("another cluster", add_cluster, product=("clusters/piled/aws/",)),
    Change("handover", hand_over),
    Change("a team added", add_team),
    Change("an exception added", add_exception, warns=frozenset({"exception-ends"})),
    Change("an exception renewed", renew_exception),
    Change("an exception ended", end_exception),
    Change("a freeze added", add_freeze),
    Change("the freezes deleted", delete_freezes),
    Change("a domain moved", move_domain),
    Change("an image moved to ECR", image_changes.move_to_ecr),
    Change("a registry declared", image_changes.declare_registry, product=(image_changes.REGISTRIES,)),
    Change("an image moved to a declared registry", image_changes.move_to_declared_registry),
    Change("an internal client", call_another_service),
    Change("an internal client no more", end_call),
    Change("a database asked for", data_changes.ask_for_a_database),
    Change("a database restored", data_changes.restore_the_database),
    Change("a bucket asked for", data_changes.ask_for_a_bucket),
    Change("a database given up", data_changes.give_the_database_up),
    Change("a disk asked for", data_changes.ask_for_a_disk),
    Change("a baseline written", write_baseline),
    Change("a service renamed", rename_service),
    Change("an environment removed", remove_environment),
    Change("a service removed", service_changes.remove_service),
    Change("the removals' exceptions deleted", delete_removals),
)
