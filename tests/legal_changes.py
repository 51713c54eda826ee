"""Changes that people make every day and that break nothing: the gate says nothing of them, however many there are."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# What gives an overlay a Deployment web with a container app, an Ingress web and an autoscaler web.
_BASE = "../../../base/web"


@dataclass
class Site:
    """One overlay that is changed. `number`: of the change, for names that nothing has yet."""

    folder: Path
    chance: random.Random
    number: int

    def kustomization(self) -> dict[str, Any]:
        return read(self.folder / "kustomization.yaml")

    def change(self, content: dict[str, Any]) -> None:
        write(self.folder / "kustomization.yaml", content)

    def patch(self, kind: str, api: str, spec: dict[str, Any]) -> None:
        """A strategic merge patch of its own file, the last of the kustomization's."""
        name = f"change-{self.number}.yaml"
        write(self.folder / name, {"apiVersion": api, "kind": kind, "metadata": {"name": "web"}, "spec": spec})
        content = self.kustomization()
        content.setdefault("patches", []).append({"path": name})
        self.change(content)

    def container(self, fields: dict[str, Any], **pod: object) -> None:
        spec = {"template": {"spec": {**pod, "containers": [{"name": "app", **fields}]}}}
        self.patch("Deployment", "apps/v1", spec)


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def write(file: Path, content: dict[str, Any]) -> None:
    head = file.read_text().splitlines()[0] if file.exists() else "# Written by a person."
    file.write_text(f"{head}\n{yaml.safe_dump(content, sort_keys=False)}")


def sites(root: Path) -> list[str]:
    """The overlays of sites."""
    folders = sorted(file.parent for file in root.glob("overlays/*/*/kustomization.yaml"))
    return [
        str(folder.relative_to(root))
        for folder in folders
        if _BASE in (root / folder / "kustomization.yaml").read_text()
    ]


def image(site: Site) -> None:
    content = site.kustomization()
    version = ".".join(str(site.chance.randrange(20)) for _ in range(3))
    content["images"][0] |= {"newTag": version, "digest": f"sha256:{site.chance.randbytes(32).hex()}"}
    site.change(content)


def variable(site: Site) -> None:
    site.container({"env": [{"name": f"SETTING_{site.number}", "value": str(site.chance.random())}]})


def variable_of_a_map(site: Site) -> None:
    content = site.kustomization()
    name = f"settings-{site.number}"
    content.setdefault("configMapGenerator", []).append({"name": name, "literals": ["MODE=quiet"]})
    site.change(content)
    site.container({"envFrom": [{"configMapRef": {"name": name}}]})


def label(site: Site) -> None:
    content = site.kustomization()
    content["labels"].append({"pairs": {f"tier-{site.number}": site.chance.choice(["front", "back"])}})
    site.change(content)


def annotation(site: Site) -> None:
    content = site.kustomization()
    content.setdefault("commonAnnotations", {})[f"example.com/note-{site.number}"] = "of a person"
    site.change(content)


def scale(site: Site) -> None:
    least = site.chance.randint(3, 5)
    spec = {"minReplicas": least, "maxReplicas": least + site.chance.randint(3, 6)}
    site.patch("HorizontalPodAutoscaler", "autoscaling/v2", spec)


def request(site: Site) -> None:
    site.container({"resources": {"requests": {"cpu": f"{site.chance.randint(50, 200)}m"}}})


def probe(site: Site) -> None:
    site.container({"readinessProbe": {"periodSeconds": site.chance.randint(3, 10)}})


def longer_end(site: Site) -> None:
    site.container({}, terminationGracePeriodSeconds=site.chance.randint(60, 90))


def path(site: Site) -> None:
    file = site.folder / "ingress.yaml"
    content = read(file)
    paths = content["spec"]["rules"][0]["http"]["paths"]
    paths.append({**paths[0], "path": f"/part-{site.number}"})
    write(file, json.loads(json.dumps(content)))


def host_in_another_order(site: Site) -> None:
    file = site.folder / "ingress.yaml"
    content = json.loads(json.dumps(read(file)))
    site.chance.shuffle(content["spec"]["rules"])
    write(file, content)


def order(site: Site) -> None:
    content = site.kustomization()
    bases, own = content["resources"][:1], content["resources"][1:]
    site.chance.shuffle(own)
    content["resources"] = [*bases, *own]
    site.change(dict(sorted(content.items())))


def comment(site: Site) -> None:
    file = site.folder / "kustomization.yaml"
    file.write_text(f"{file.read_text()}# A word on why: {site.number}.\n")


def moved(site: Site) -> None:
    """A file of another name."""
    content = site.kustomization()
    old, new = content["resources"][1], f"moved-{site.number}.yaml"
    if not old.startswith("oauth"):
        return
    (site.folder / old).rename(site.folder / new)
    content["resources"][1] = new
    site.change(content)


KINDS: tuple[Callable[[Site], None], ...] = (
    image, variable, variable_of_a_map, label, annotation, scale, request, probe, longer_end, path,
    host_in_another_order, order, comment, moved,
)  # fmt: skip


def make(root: Path, number: int = 50, seed: int = 17) -> list[str]:
    """Make so many changes, each on what the ones before left. Returns what was done, in words."""
    chance = random.Random(seed)
    done = []
    for count in range(number):
        folder, kind = chance.choice(sites(root)), KINDS[count % len(KINDS)]
        kind(Site(root / folder, chance, count))
        done.append(f"{kind.__name__} in {folder}")
    return done
