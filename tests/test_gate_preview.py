"""What a change does, said object by object: the differences, and what is called out."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops.ground.checkout import Checkout
from gitops.manifests.differences import differences
from gitops.manifests.forms import ABSENT
from gitops.preview import diff, text, values
from gitops.preview.model import ApplicationChange, Preview
from gitops.preview.notable import notable
from tests.frozen import platform
from tests.previews import edit, preview, terminal


def fields(app: ApplicationChange) -> dict[str, tuple[str | None, str | None]]:
    changed: dict[str, tuple[str | None, str | None]] = {}
    for item in app.objects:
        changed |= {f"{item.kind}/{item.name} {field.path}": (field.old, field.new) for field in item.fields}
    return changed


@pytest.mark.bots
def test_a_bump_is_one_field_of_one_object(scratch: Checkout) -> None:
    edit(scratch, "overlays/mogle/prod/kustomization.yaml", "0f9952f112fbd28c", "aaaaaaaaaaaaaaaa")
    [app] = preview(scratch).applications
    assert (app.name, app.action, app.notable) == ("mogle-prod", "changed", ("restarts the pods of Deployment web",))
    [(path, (old, new))] = fields(app).items()
    assert path == "Deployment/web spec.template.spec.containers[name=app].image"
    assert "0f9952f112fbd28c" in str(old)
    assert "aaaaaaaaaaaaaaaa" in str(new)


@pytest.mark.bots
def test_a_change_of_a_base_is_said_for_every_application_that_has_it(scratch: Checkout) -> None:
    edit(scratch, "base/web/horizontalpodautoscaler.yaml", "minReplicas: 3", "minReplicas: 2")
    shown = preview(scratch)
    # staging and burst have numbers of their own.
    assert [app.name for app in shown.applications] == ["benefit-prod", "mogle-prod", "umbrella-prod"]
    assert shown.looked == 8
    assert shown.applications[0].notable == ("lowers the replica floor of HorizontalPodAutoscaler web from 3 to 2",)
    before, after = shown.applications[0].before, shown.applications[0].after
    assert (round(before.cpu, 3), round(after.cpu, 3)) == (0.6, 0.4)
    assert before.cost is not None
    assert after.cost is not None
    # 200m of a node's two cores, 730 h, 0.118 USD an hour.
    assert before.cost - after.cost == pytest.approx(0.2 / 2 * 730 * 0.118)
    least = "CPU -0.6 cores, memory -384 MiB, about -25.84 USD a month at the smallest scale"
    assert text.delta(shown) == f"{least}, the same at the largest"


@pytest.mark.bots
@pytest.mark.parametrize("spec", ["text", "[1]", "3"])
def test_a_spec_that_is_no_mapping_costs_nothing(scratch: Checkout, spec: str) -> None:
    """In an overlay without `images`: where it has them, kustomize looks for containers there and refuses it."""
    odd = f"apiVersion: example.com/v1\nkind: Widget\nmetadata: {{name: odd}}\nspec: {spec}\n"
    (scratch.root / "overlays/mogle/prod/odd.yaml").write_text(odd)
    file = scratch.root / "overlays/mogle/prod/kustomization.yaml"
    content = yaml.safe_load(file.read_text())
    del content["images"]
    content["labels"][0]["includeTemplates"] = False
    content["resources"].append("odd.yaml")
    file.write_text(yaml.safe_dump(content))
    [app] = preview(scratch).applications
    assert [(item.action, item.kind) for item in app.objects] == [("changed", "Deployment"), ("added", "Widget")]
    assert app.before == app.after
    assert app.after.cpu > 0


@pytest.mark.bots
def test_notation_is_no_difference_and_order_is_one(scratch: Checkout) -> None:
    file = scratch.root / "overlays/mogle/prod/ingress.yaml"
    document = yaml.safe_load(file.read_text())
    file.write_text("# another notation\n" + json.dumps(document))
    shown = preview(scratch)
    assert shown.applications == ()
    assert shown.looked == 1
    document["spec"]["rules"].reverse()
    file.write_text(json.dumps(document))
    [app] = preview(scratch).applications
    [(path, (old, new))] = fields(app).items()
    assert path == "Ingress/web spec.rules[order]"
    assert json.loads(str(old)) == list(reversed(json.loads(str(new))))


@pytest.mark.bots
def test_new_gone_and_broken_applications_are_said(scratch: Checkout) -> None:
    (scratch.root / "overlays/mogle/prod").rename(scratch.root / "overlays/mogle/live")
    edit(scratch, "overlays/mogle/live/kustomization.yaml", "namespace: mogle-prod", "namespace: mogle-live")
    edit(scratch, "overlays/benefit/prod/kustomization.yaml", "  - oauth-42.yaml", "  - nothing.yaml")
    apps = {app.name: app for app in preview(scratch).applications}
    assert {name: app.action for name, app in apps.items()} == {
        "benefit-prod": "broken",
        "mogle-live": "added",
        "mogle-prod": "removed",
    }
    assert "nothing.yaml" in str(apps["benefit-prod"].error)
    assert apps["mogle-prod"].notable == (
        "the Application goes: 15 objects stay in the cluster as before, and nobody watches over them (orphaned)",
    )
    assert {item.action for item in apps["mogle-live"].objects} == {"added"}
    contents = {item.kind: yaml.safe_load(item.content) for item in apps["mogle-live"].objects}
    [container] = contents["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"]
    assert container["env"]
    assert container["resources"]["requests"]
    assert "www.mogle.example.com" in [rule["host"] for rule in contents["Ingress"]["spec"]["rules"]]
    assert set(contents["SealedSecret"]["spec"]["encryptedData"].values()) == {values.HIDDEN}


@pytest.mark.bots
def test_generated_names_are_recognised(scratch: Checkout) -> None:
    edit(scratch, "overlays/oauth-watch/prod/watch.py", '"""Stands', '"""Speaks')
    [app] = preview(scratch).applications
    [renamed] = [item for item in app.objects if item.renamed]
    assert (renamed.kind, renamed.action) == ("ConfigMap", "changed")
    assert re.fullmatch(r"watch-[a-z0-9]{10}", str(renamed.renamed))
    assert [field.path for field in renamed.fields] == ["data.[watch.py]"]
    assert {item.action for item in app.objects} == {"changed"}


@pytest.mark.bots
def test_a_rotated_secret_is_seen_and_its_value_is_not(scratch: Checkout) -> None:
    folder = scratch.root / "overlays/mogle/prod"
    (folder / "sealedsecret-oauth-42-g1.yaml").rename(folder / "sealedsecret-oauth-42-g2.yaml")
    for file in folder.iterdir():
        file.write_text(file.read_text().replace("oauth-42-g1", "oauth-42-g2").replace(": AgBy", ": AgCANARY"))
    shown = preview(scratch)
    [app] = shown.applications
    sealed = next(item for item in app.objects if item.kind == "SealedSecret")
    assert (sealed.renamed, sealed.name) == ("mogle-oauth-42-g1", "mogle-oauth-42-g2")
    everything = shown.model_dump_json() + text.markdown(shown) + text.page(shown) + terminal(shown)
    before = (platform().root / "overlays/mogle/prod/sealedsecret-oauth-42-g1.yaml").read_text()
    for value in ("AgCANARY", *re.findall(r": (Ag\S{60})", before)):
        assert value not in everything


def test_values_of_secrets_are_hidden_but_that_they_changed_is_shown() -> None:
    canaries = [f"canary-{n}-93a1" for n in range(4)]
    old = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x", "namespace": "n"},
        "data": {"a": canaries[0]},
        "stringData": {"b": canaries[1]},
    }
    new = {**old, "data": {"a": canaries[2]}, "stringData": {"b": canaries[3]}}
    change = diff.compare(old, new)
    assert change is not None
    assert [(f.path, f.old, f.new) for f in change.fields] == [
        ("data.a", values.HIDDEN, values.HIDDEN),
        ("stringData.b", values.HIDDEN, values.HIDDEN),
    ]
    shown = Preview(
        base="a", head="b", looked=1, applications=(ApplicationChange(name="x", action="changed", objects=(change,)),)
    )
    assert not any(canary in shown.model_dump_json() + text.markdown(shown) for canary in canaries)


# -- differences


def test_items_of_lists_are_matched_by_their_merge_keys() -> None:
    old = {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "args": ["x", "y"],
        "rules": [{"a": 1}, {"a": 2}],
    }
    new = {
        "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
        "args": ["y", "z"],
        "rules": [{"a": 2}, {"a": 3}],
    }
    assert [(change.path, change.old, change.new) for change in differences(old, new)] == [
        ("args[]", "x", ABSENT),
        ("args[]", ABSENT, "z"),
        ("env[name=A]", {"name": "A", "value": "1"}, ABSENT),
        ("env[name=B].value", "2", "3"),
        ("env[name=C]", ABSENT, {"name": "C", "value": "4"}),
        ("rules[0].a", 1, 3),
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([{"x": 1}, {"x": 1}], [{"x": 1}], [("[1]", '{"x": 1}', None)]),
        ([None, {"x": 1}], [{"x": 1}], [("[0]", "null", None)]),
        ([None], [], [("[]", "null", None)]),
        (["a", "a", "b"], ["b"], [("[]", "a", None), ("[]", "a", None)]),
        (["1"], [1], [("[]", "1", None), ("[]", None, "1")]),
        ([{"x": True}, {}], [{"x": 1}, {}], [("[0].x", "true", "1")]),
        (["a" * 3000 + "x"], ["a" * 3000 + "y"], [("[]", "a" * 2000, None), ("[]", None, "a" * 2000)]),
        ({"args": ["-v", "1"]}, {"args": ["1", "-v"]}, [("args", '["-v", "1"]', '["1", "-v"]')]),
        (["a", "b", "c"], ["c", "b", "d"], [("", '["a", "b", "c"]', '["c", "b", "d"]')]),
        ({"rules": [{"a": 1}, {"a": 2}]}, {"rules": [{"a": 2}, {"a": 1}]}, [("rules[order]", "[0, 1]", "[1, 0]")]),
        (
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]},
            {"env": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]},
            [("env[name=A].value", "1", "2"), ("env[order]", '["A", "B"]', '["B", "A"]')],
        ),
        ({"a": None}, {}, []),
    ],
)
def test_no_item_of_a_list_is_lost(old: Any, new: Any, expected: list[tuple[str, str | None, str | None]]) -> None:
    item = {"kind": "X", "metadata": {"name": "x"}}
    change = diff.compare({**item, "spec": {"v": old}}, {**item, "spec": {"v": new}})
    fields = change.fields if change else ()
    assert [f.path.removeprefix("spec.v").lstrip(".") for f in fields] == [path for path, _, _ in expected]
    for field, (_, left, right) in zip(fields, expected, strict=True):
        for shown, start in ((field.old, left), (field.new, right)):
            assert shown is None if start is None else str(shown).startswith(start)


def test_a_hidden_value_stays_hidden_where_all_around_it_goes() -> None:
    item = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "x"}}
    change = diff.compare({**item, "spec": {"encryptedData": {"a": "canary-93a1"}}}, item)
    assert change is not None
    assert [(f.path, f.old, f.new) for f in change.fields] == [("spec", values.HIDDEN, None)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab\n", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "b.c", "port"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values, json_values)
def test_equal_is_no_difference_and_unequal_is_one(old: Any, new: Any) -> None:
    assert list(differences(old, copy.deepcopy(old))) == []
    # Only a field that is null is no difference.
    assert bool(list(differences(old, new))) == (_canonical(old) != _canonical(new))


@given(json_values, st.randoms(use_true_random=False))
def test_one_item_more_or_less_is_one_difference(value: Any, random: Any) -> None:
    items = [value, {"a": 1}, None, value]
    random.shuffle(items)
    gone = random.randrange(len(items))
    less = [item for number, item in enumerate(items) if number != gone]
    for old, new in ((items, less), (less, items)):
        [change] = differences({"x": old}, {"x": new})
        assert {repr(change.old), repr(change.new)} == {repr(items[gone]), repr(ABSENT)}


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(sorted((key, _canonical(field)) for key, field in value.items() if field is not None))
    if isinstance(value, list):
        return json.dumps([_LIST, *(_canonical(item) for item in value)])
    return json.dumps(value)


_LIST = "a list"


# -- what is called out


def item(kind: str, spec: dict[str, Any], name: str = "web") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


POLICY = {
    "podSelector": {},
    "policyTypes": ["Ingress"],
    "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 80}]}],
}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            item("Deployment", {"template": {"a": 1}}),
            item("Deployment", {"template": {"a": 2}}),
            "restarts the pods of Deployment web",
        ),
        (item("Deployment", {"replicas": 1}), item("Deployment", {"replicas": 2}), None),
        (
            item("Deployment", {"replicas": 3}),
            item("Deployment", {"replicas": 2}),
            "lowers the replica floor of Deployment web from 3 to 2",
        ),
        (
            item("Deployment", {"selector": {"matchLabels": {"a": "1"}}}),
            item("Deployment", {"selector": {"matchLabels": {"a": "2"}}}),
            "changes the selector spec.selector of Deployment web: the API server refuses that on what runs",
        ),
        (
            item("Job", {"template": {"a": 1}}),
            item("Job", {"template": {"a": 2}}),
            "changes the immutable field spec.template of Job web: the API server refuses that on what runs",
        ),
        (
            item("Service", {"selector": {"a": "1"}}),
            item("Service", {"selector": {"a": "2"}}),
            "changes the selector of Service web: it may answer from other pods, or none",
        ),
        (item("Service", {}), None, "deletes Service web: Argo CD prunes it"),
        (
            item("Ingress", {"rules": [{"host": "a.example.com"}, {"host": "b.example.com"}]}),
            item("Ingress", {"rules": [{"host": "b.example.com"}]}),
            "removes host a.example.com",
        ),
        (
            item("NetworkPolicy", POLICY),
            item(
                "NetworkPolicy",
                {**POLICY, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 80}]}]},
            ),
            "opens a network path: NetworkPolicy web: from 0.0.0.0/0, TCP 80",
        ),
        (None, item("NetworkPolicy", POLICY), "opens a network path: NetworkPolicy web: from 10.0.0.0/8, TCP 80"),
        (
            item("NetworkPolicy", {"podSelector": {}, "policyTypes": ["Ingress"]}),
            None,
            "opens a network path: NetworkPolicy web, which closed it, goes",
        ),
        (
            item("PodDisruptionBudget", {"maxUnavailable": 1}),
            item("PodDisruptionBudget", {"maxUnavailable": 3}),
            "changes how many pods PodDisruptionBudget web lets go at once",
        ),
        (
            item("HorizontalPodAutoscaler", {"minReplicas": 2}),
            item("HorizontalPodAutoscaler", {"minReplicas": 3}),
            None,
        ),
    ],
)
def test_what_a_reviewer_must_not_overlook(old: Any, new: Any, expected: str | None) -> None:
    notes = notable([(old, new)])
    assert expected in notes if expected else notes == ()
