"""What a preview says of objects that come, go, take another's place, or keep an old value."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.ground.checkout import Checkout
from gitops.preview import diff, text
from gitops.preview.model import ApplicationChange, Preview, Resources
from gitops.preview.notable import notable
from tests.previews import edit, preview, terminal

Object = dict[str, Any]
IMAGE = f"registry.example.com/app:1@sha256:{'a' * 64}"


def made(kind: str, name: str = "web", **fields: Any) -> Object:
    versions = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "CronJob": "batch/v1"}
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": {"name": name}, **fields}


def runs(kind: str = "Deployment", name: str = "web", *, spec: Object | None = None, **pod: Any) -> Object:
    container = {"name": "app", "image": IMAGE, "env": [{"name": "A", "value": "1"}]}
    labels = {"matchLabels": {"app": "web"}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], **pod}}
    return made(kind, name, spec={"selector": labels, "template": template, **(spec or {})})


def change(old: list[Object], new: list[Object]) -> tuple[list[tuple[str, str, str | None]], tuple[str, ...]]:
    """What happens to each object (action, kind/name, and its name before), and what is called out."""
    paired = list(diff.pairs(old, new))
    changes = list(filter(None, itertools.starmap(diff.compare, paired)))
    return [(item.action, f"{item.kind}/{item.name}", item.renamed) for item in changes], notable(paired, new)


def test_what_hides_in_a_rename_is_shown() -> None:
    old, new = runs(), runs(name="site")
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "evil.example.com/app:1"
    assert change([old], [new]) == (
        [("replaced", "Deployment/site", "web")],
        ("deletes Deployment web: Argo CD prunes it, Deployment site takes its place",),
    )
    item = diff.compare(old, new)
    assert item
    assert [(field.path, field.new) for field in item.fields] == [
        ("spec.template.spec.containers[name=app].image", "evil.example.com/app:1")
    ]


def test_the_likest_take_each_others_place() -> None:
    old = [made("ConfigMap", name, data={"a": name, "b": "1", "c": "2"}) for name in ("one", "two")]
    new = [made("ConfigMap", f"{item['metadata']['name']}-new", data=item["data"]) for item in reversed(old)]
    assert change(old, new)[0] == [
        ("replaced", "ConfigMap/one-new", "one"),
        ("replaced", "ConfigMap/two-new", "two"),
    ]


def test_objects_that_have_nothing_in_common_are_no_pair() -> None:
    old, new = made("ConfigMap", "a", data={"x": "1"}), made("ConfigMap", "b", data={"y": "2"})
    assert [action for action, _, _ in change([old], [new])[0]] == ["removed", "added"]


def test_another_kind_is_said() -> None:
    objects, notes = change([runs()], [runs("StatefulSet")])
    assert objects == [("replaced", "StatefulSet/web", "Deployment web")]
    assert notes == ("deletes Deployment web: Argo CD prunes it, StatefulSet web takes its place",)


@pytest.mark.parametrize("kinds", [("Secret", "ConfigMap"), ("ConfigMap", "Secret"), ("Secret", "Secret")])
def test_a_value_is_hidden_whatever_takes_its_place(kinds: tuple[str, str]) -> None:
    names = ("x", "x" if len(set(kinds)) > 1 else "y")
    old, new = (made(kind, name, data={"k": f"canary-{kind}"}) for kind, name in zip(kinds, names, strict=True))
    for side in (old, new):
        side["metadata"]["labels"] = dict.fromkeys("abcdef", "1")
    [pair] = diff.pairs([old], [new])
    for item in itertools.starmap(diff.compare, (pair, (old, None), (None, new))):
        assert item
        assert "canary-Secret" not in item.model_dump_json()


def test_what_comes_and_goes_is_shown_whole_and_folded() -> None:
    item = diff.compare(None, runs())
    assert item
    assert yaml.safe_load(item.content) == runs()
    app = ApplicationChange(name="x", action="added", objects=(item,))
    shown = Preview(base="a", head="b", looked=1, applications=(app,))
    assert f"+         - name: app\n+           image: {IMAGE}" in text.markdown(shown)
    assert text.markdown(shown).count("<details>") == 2
    assert "<details><summary><code>+ Deployment /web</code></summary>" in text.page(shown)
    assert f"image: {IMAGE}" in terminal(shown)


def test_a_change_at_the_end_of_a_long_text_is_shown() -> None:
    lines = [f"line {n}" for n in range(2000)]
    old, new = (made("ConfigMap", data={"x": "\n".join([*lines, end, "", "z"]), "y": "a" * 5000 + end}) for end in "bc")
    item = diff.compare(old, new)
    assert item
    [block, line] = item.fields
    assert (block.old, block.new) == tuple(f"... (1998 lines before)\nline 1998\nline 1999\n{end}\n\nz" for end in "bc")
    assert str(line.new).endswith("ac")


# -- who keeps an old value


def env(**source: Any) -> Object:
    return {"name": "app", "env": [{"name": "A", "valueFrom": source}]}


OLD: dict[str, Object] = {
    "env": {"containers": [env(configMapKeyRef={"name": "c", "key": "a"})]},
    "envFrom": {"containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": "c", "optional": True}}]}]},
    "init": {"initContainers": [env(configMapKeyRef={"name": "c", "key": "a"})]},
    "ephemeral": {"ephemeralContainers": [env(configMapKeyRef={"name": "c", "key": "a", "optional": True})]},
    "a path in a volume": {
        "containers": [{"name": "app", "volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "a"}]}],
        "volumes": [{"name": "v", "configMap": {"name": "c"}}],
    },
}
FILES: dict[str, Object] = {
    "volume": {"volumes": [{"name": "v", "configMap": {"name": "c"}}]},
    "projected": {"volumes": [None, {"name": "v", "projected": {"sources": [None, {"configMap": {"name": "c"}}]}}]},
}
NOT: dict[str, Object] = {
    "another key": {"containers": [env(configMapKeyRef={"name": "c", "key": "b"}), None]},
    "another file": {"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "b", "path": "b"}]}}]},
    "a Secret of that name": {"containers": [env(secretKeyRef={"name": "c", "key": "a"})]},
    "nothing": {"containers": None, "volumes": None},
}


@pytest.mark.parametrize("use", [*OLD, *FILES, *NOT])
def test_who_keeps_the_old_value_of_a_config_map(use: str) -> None:
    workload = runs(**{**OLD, **FILES, **NOT}[use])
    old, new = (made("ConfigMap", "c", data={"a": value, "b": "1"}) for value in "12")
    notes = change([old, workload], [new, workload])[1]
    if use in OLD:
        assert notes == ("changes ConfigMap c: the pods of Deployment web keep the old value until they restart",)
    elif use in FILES:
        [note] = notes
        assert note.startswith("changes ConfigMap c: the pods of Deployment web get the new file within minutes")
    else:
        assert notes == ()


@pytest.mark.parametrize("kind", ["Secret", "SealedSecret"])
def test_who_keeps_the_old_value_of_a_secret(kind: str) -> None:
    workload = runs("StatefulSet", containers=[env(secretKeyRef={"name": "s", "key": "a"})])
    if kind == "Secret":
        old, new = (made(kind, "s", stringData={"a": value}) for value in "12")
    else:
        old, new = (made(kind, "s", spec={"encryptedData": {"a": value}}) for value in "12")
    expected = f"changes {kind} s: the pods of StatefulSet web keep the old value until they restart"
    assert change([old, workload], [new, workload])[1] == (expected,)


def test_who_restarts_or_is_started_anew_takes_the_new_value() -> None:
    config = [made("ConfigMap", "c", data={"a": value}) for value in "12"]
    use = OLD["env"]
    restarting = change([config[0], runs(**use)], [config[1], runs(**use, hostNetwork=True)])
    assert restarting[1] == ("restarts the pods of Deployment web",)
    job = made("CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": use}}}})
    assert change([config[0], job], [config[1], job])[1] == ()


SAME = ", though the image is the same: its tag changes and its digest does not"


@pytest.mark.parametrize(
    ("spec", "pod", "end"),
    [
        ({}, {"image": IMAGE.replace(":1@", ":2@")}, SAME),
        ({}, {"image": IMAGE.replace("aaaa", "bbbb")}, ""),
        ({"paused": True}, {"image": "x"}, " once it is no longer paused"),
        ({"updateStrategy": {"type": "OnDelete"}}, {"image": "x"}, " as each is deleted (OnDelete)"),
    ],
)
def test_how_pods_restart_is_said(spec: Object, pod: Object, end: str) -> None:
    [container] = runs()["spec"]["template"]["spec"]["containers"]
    old, new = runs(spec=spec), runs(spec=spec, containers=[{**container, **pod}])
    assert change([old], [new])[1] == (f"restarts the pods of Deployment web{end}",)


def test_what_is_never_pruned_is_not_said_to_be_deleted() -> None:
    kept = made("PersistentVolumeClaim")
    kept["metadata"]["annotations"] = {"argocd.argoproj.io/sync-options": "Delete=false, Prune=false"}
    [note] = change([kept], [])[1]
    assert note == "leaves PersistentVolumeClaim web in the cluster: it is never pruned (Prune=false)"


# -- words


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (Resources(cpu=0.0004, memory=1000, cost=0.001, most_cost=0.0), None),
        (Resources(cpu=1, most_cpu=1), "CPU +1 cores at any scale"),
        (Resources(most_memory=2**20), "the same at the smallest scale, memory +1 MiB at the largest"),
        (
            Resources(cpu=0.25, memory=2**31, cost=3.456, most_cpu=0.25),
            "CPU +0.25 cores, memory +2048 MiB, about +3.46 USD a month at the smallest scale,"
            " CPU +0.25 cores at the largest",
        ),
    ],
)
def test_no_amount_is_nothing(after: Resources, words: str | None) -> None:
    app = ApplicationChange(name="x", action="changed", after=after)
    assert text.delta(Preview(base="a", head="b", looked=1, applications=(app,))) == words


@pytest.mark.bots
def test_clusters_that_change_alike_are_said_once(scratch: Checkout) -> None:
    for cluster in ("lab", "seoul"):
        edit(scratch, f"clusters/{cluster}/objects/configmap.yaml", "\ndata:\n  name:", "\ndata:\n  more: x\n  name:")
    [app] = preview(scratch).applications
    assert (app.name, app.clusters) == ("cluster (lab, seoul)", ("lab", "seoul"))
    assert text.headline(preview(scratch)).startswith("2 of ")


@pytest.mark.bots
def test_an_overlay_that_became_empty_is_said(scratch: Checkout) -> None:
    folder: Path = scratch.root / "overlays/mogle/prod"
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: mogle-prod\nresources: []\n"
    )
    shown = preview(scratch)
    [app] = shown.applications
    assert app.notable == (
        "renders nothing any more: Argo CD refuses to delete all at once (allowEmpty), so 15 objects stay as before",
    )
    assert text.headline(shown) == "1 of 1 rendered Applications change: 15 left behind"


def test_what_nobody_reads_to_its_end_is_cut() -> None:
    """A preview takes only so much of what a fork wrote; more is no fault of the one who wrote it."""
    names = [f"{'x' * 30_000}{number}" for number in range(2)]
    old, new = ({"kind": "ConfigMap", "metadata": {"name": names[0]}, "data": {names[0]: "a", n: "b"}} for n in names)
    many: Object = {"kind": "ConfigMap", "metadata": {"name": "many"}, "data": {str(n): "a" for n in range(30_000)}}
    for change in (diff.compare(old, new), diff.compare({**many, "data": {}}, many)):
        assert change
        assert change.fields
        assert len(change.fields[0].path) < 3_000
    assert diff.compare(None, new)
