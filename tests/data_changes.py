"""Changes to what services keep: asked for, given by AWS, restored, given up (docs/runbooks/data.md)."""

from __future__ import annotations

from gitops.manifests import yamledit, yamlfile, yamltext
from gitops.manifests.overlay import Overlay
from tests.live_world import CLUSTER, LiveWorld

_COMPONENTS = "../../../base/components"
_SCHEMA = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/yannh/kubernetes-json-schema/master/"
    "v1.36.3-standalone-strict/configmap-v1.json\n"
)


def _config_map(which: str, /, **values: str) -> str:
    lines = [f'  {key.replace("_", "-")}: "{value}"\n' for key, value in values.items()]
    return "".join([_SCHEMA, f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {which}\ndata:\n", *lines])


def _of_aws(world: LiveWorld) -> tuple[str, str]:
    """The account and the region of the cluster."""
    data = yamlfile.read(world.checkout, world.checkout.root / f"{CLUSTER}/cluster.yaml")["data"]
    return data["account"], data["region"]


def _given(world: LiveWorld, overlay: Overlay, generation: int) -> dict[str, str]:
    """What `gitops cluster up` writes of a database."""
    account, region = _of_aws(world)
    return {
        "host": f"seoul-{overlay.namespace}-{generation}.c0example.{region}.rds.amazonaws.com",
        "secret": f"arn:aws:secretsmanager:{region}:{account}:secret:rds!db-{generation}-AbCdEf",
    }


def _site(world: LiveWorld) -> Overlay:
    return Overlay(world.made.web, "prod")


def ask_for_a_database(world: LiveWorld) -> None:
    overlay = _site(world)
    given = _given(world, overlay, 1)
    world.write(overlay.file("database.yaml"), _config_map("database", **given, generation="1", storage_gb="20"))
    world.add_to_list(overlay.kustomization, "components", f"{_COMPONENTS}/database")
    world.add_to_list(overlay.kustomization, "resources", "database.yaml")


def restore_the_database(world: LiveWorld) -> None:
    overlay = _site(world)
    path = overlay.file("database.yaml")
    text = world.read(path)
    for key, value in {**_given(world, overlay, 2), "generation": "2"}.items():
        text = yamltext.put(text, path, ("data", key), value)
    restored = {"restored-from": "1", "restored-to": "2026-11-26T03:00:00Z", "previous": "1"}
    world.write(path, text + "".join(f'  {key}: "{value}"\n' for key, value in restored.items()))


def ask_for_a_bucket(world: LiveWorld) -> None:
    overlay = _site(world)
    account, _ = _of_aws(world)
    world.write(overlay.file("bucket.yaml"), _config_map("bucket", name=f"seoul-{overlay.namespace}-{account}"))
    world.add_to_list(overlay.kustomization, "components", f"{_COMPONENTS}/bucket")
    world.add_to_list(overlay.kustomization, "resources", "bucket.yaml")


def give_the_database_up(world: LiveWorld) -> None:
    overlay = _site(world)
    path = overlay.kustomization
    text = yamledit.remove_item(world.read(path), path, ("components",), f"{_COMPONENTS}/database")
    world.write(path, yamledit.remove_item(text, path, ("resources",), "database.yaml"))
    (world.checkout.root / overlay.file("database.yaml")).unlink()


def ask_for_a_disk(world: LiveWorld) -> None:
    world.add_to_list(Overlay(world.made.bot, "prod").kustomization, "components", f"{_COMPONENTS}/volume")
