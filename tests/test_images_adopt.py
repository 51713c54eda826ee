"""Entries as other tools leave them, brought into the pinned form: the real command against the real registry."""

from __future__ import annotations

import itertools
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images import edit
from gitops.manifests.image import Image
from tests.conftest import Ran
from tests.fakes.registry import Registry
from tests.test_images_edit import OLD, REPOSITORY, comments, tags
from tests.world import run_here

PATH = "overlays/mogle/prod/kustomization.yaml"


@st.composite
def unfinished(draw: st.DrawFn) -> tuple[str, str, list[str]]:
    """A file whose entry `app` says only a part, its tag, and what it says."""
    end, tag = draw(st.sampled_from(["\n", "\r\n"])), draw(tags)
    quote = draw(st.sampled_from(["'", '"']))
    known = {"newName": REPOSITORY, "newTag": f"{quote}{tag}{quote}", "digest": OLD}
    said = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=3))
    fields = draw(st.permutations(["name: app", *(f"{key}: {known[key]}" for key in said)]))
    if draw(st.booleans()):
        entry = ["  - {" + ", ".join(fields) + "}" + draw(comments)]
    else:
        entry = [f"  {'- ' if n == 0 else '  '}{field}{draw(comments)}" for n, field in enumerate(fields)]
    others = [["  - name: sidecar # mine", '    newTag: "1.10"'], ["", "  # why", "  - {name: other, newTag: v1}"]]
    entries = draw(st.permutations([entry, *others]))
    blocks = [
        ["# first", "namespace: shop-prod", ""],
        ["images:" + draw(comments), *itertools.chain.from_iterable(entries)],
        ["labels:", "  - pairs: {app.kubernetes.io/name: shop}"],
    ]
    lines = list(itertools.chain.from_iterable(draw(st.permutations(blocks))))
    return end.join(lines) + draw(st.sampled_from(["", end])), tag, said


@settings(max_examples=1000)
@given(file=unfinished())
def test_what_is_missing_comes_in_and_every_byte_that_was_there_stays(file: tuple[str, str, list[str]]) -> None:
    before, tag, said = file
    after = edit.complete(before.encode(), "k.yaml", Image(REPOSITORY, tag, OLD), "app").decode()
    was, now = yaml.safe_load(before), yaml.safe_load(after)
    entry = next(item for item in now["images"] if item["name"] == "app")
    assert entry == {"name": "app", "newName": REPOSITORY, "newTag": tag, "digest": OLD}
    for key in {"newName", "newTag", "digest"} - set(said):
        del entry[key]
    assert now == was
    rest = iter(after)
    assert all(letter in rest for letter in before), "what was there is still there, in its order"
    assert ("\r\n" in after) == ("\r\n" in before)
    assert not re.search("(?<!\r)\n", after) or "\r\n" not in before
    assert edit.complete(after.encode(), "k.yaml", Image(REPOSITORY, tag, OLD), "app") == after.encode()


@pytest.fixture
def shop(scratch: Checkout, registry: Registry) -> Shop:
    return Shop(scratch, registry)


class Shop:
    """mogle/prod, whose entry of `images:` a test writes."""

    def __init__(self, checkout: Checkout, registry: Registry) -> None:
        self.checkout, self.registry = checkout, registry
        self.name = f"{registry.host}/team/shop"
        self.file = checkout.root / PATH
        self.head = self.file.read_text().partition("images:")[0]

    def write(self, text: str) -> str:
        self.file.write_text(f"{self.head}images:\n{text}")
        return text

    @property
    def entry(self) -> str:
        return self.file.read_text().removeprefix(f"{self.head}images:\n")

    def adopt(self, *words: str) -> Ran:
        return run_here(self.checkout.root, ["images", "adopt", "mogle", *words], None, {})


def test_a_tag_alone_gets_its_digest(shop: Shop) -> None:
    digest = shop.registry.push("team/shop", "1.10")
    before = shop.write(f"  - name: app # ours\n    newName: {shop.name}\n    newTag: 1.10 # why\n")
    dry = shop.adopt("--dry-run")
    assert (dry.code, shop.entry) == (0, before)
    assert dry.out.endswith("would change 1 file\n")
    done = shop.adopt()
    assert done.code == 0, done.err
    assert f"{PATH}:{shop.head.count(chr(10)) + 2}: app is {shop.name}:1.10@{digest}\n" in done.out
    assert shop.entry == (
        f'  - name: app # ours\n    newName: {shop.name}\n    newTag: "1.10" # why\n    digest: {digest}\n'
    )
    assert shop.adopt().out == "all entries are whole\n"


def test_a_digest_alone_gets_its_best_tag(shop: Shop) -> None:
    digest = shop.registry.push("team/shop", "1.9.0")
    for tag in ("latest", "1.10.0", "main"):
        shop.registry.retag("team/shop", digest, tag)
    shop.registry.push("team/shop", "2.0.0")
    shop.write(f"  - {{name: app, newName: {shop.name}, digest: {digest}}}\n")
    assert shop.adopt().code == 0
    assert shop.entry == f"  - {{name: app, newName: {shop.name}, newTag: 1.10.0, digest: {digest}}}\n"


def test_both_in_one_field_come_apart(shop: Shop) -> None:
    digest = shop.registry.push("team/shop", "1.0.0")
    shop.write(f"  - name: app\n    newName: {shop.name}\n    newTag: 1.0.0@{digest}\n")
    assert shop.adopt().code == 0
    assert shop.entry == f"  - name: app\n    newName: {shop.name}\n    newTag: 1.0.0\n    digest: {digest}\n"


def test_a_name_that_is_the_images_own_is_written_out(shop: Shop) -> None:
    digest = shop.registry.push("team/shop", "1.0.0")
    for path in ("base/web/deployment.yaml", "base/workload/deployment.yaml"):
        file = shop.checkout.root / path
        file.write_text(file.read_text().replace("image: app", f"image: {shop.name}"))
    shop.write(f'  - name: {shop.name}\n    newTag: "1.0.0"\n')
    assert shop.adopt().code == 0
    assert shop.entry == (
        f'  - name: {shop.name}\n    newName: {shop.name}\n    newTag: "1.0.0"\n    digest: {digest}\n'
    )


FAULTS: dict[str, tuple[str, int, str]] = {
    "a tag that is not there": ("newTag: 9.9.9", 2, "the registry has no tag 9.9.9; write one that it has"),
    "a digest without a tag": (f"digest: {OLD}", 2, "best tags names sha256:aaaaaaaaaaaa; write newTag by hand"),
    "no version": ("name: app", 2, "no version; write newTag"),
    "no tag": ("newTag: a b", 2, "no image's name, tag or digest"),
    "an anchor": ("newTag: &x 1.0.0\n    <<: {digest: y}", 2, "expected text on its own line"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_adopted_is_said_with_its_line_and_nothing_is_written(shop: Shop, fault: str) -> None:
    line, code, message = FAULTS[fault]
    shop.registry.push("team/shop", "1.0.0")
    staging = shop.checkout.overlays / "mogle/staging/kustomization.yaml"
    unwritten = re.sub(
        r"    newName: .*\n(.*\n)    digest: .*\n",
        f"    newName: {shop.name}\n    newTag: 1.0.0\n",
        staging.read_text(),
    )
    staging.write_text(unwritten)
    fields = "" if line == "name: app" else f"    {line}\n"
    before = shop.write(f"  - name: app\n    newName: {shop.name}\n{fields}")
    done = shop.adopt()
    assert done.code == code, done.err
    assert message in done.err
    assert f"{PATH}:" in done.err
    assert (shop.entry, staging.read_text()) == (before, unwritten)


def test_an_entry_that_no_render_runs_is_said_and_nothing_is_written(shop: Shop) -> None:
    shop.registry.push("team/shop", "1.0.0")
    before = shop.write(f"  - name: elsewhere\n    newName: {shop.name}\n    newTag: 1.0.0\n")
    done = shop.adopt()
    assert (done.code, "is not what the render runs, so nothing was written" in done.err) == (2, True), done.err
    assert shop.entry == before


def test_all_faults_are_said_at_once(shop: Shop) -> None:
    shop.write(f"  - name: app\n    newName: {shop.name}\n    newTag: 9.9.9\n  - name: b\n    newName: {shop.name}\n")
    done = shop.adopt()
    assert done.err.count(PATH) == 2
    assert "service 'mogel': does not exist" in run_here(shop.checkout.root, ["images", "adopt", "mogel"], None, {}).err


def test_an_entry_without_a_name_is_named() -> None:
    with pytest.raises(InputError, match=r"k\.yaml:2: an image without a name"):
        edit.entries(b"images:\n  - newTag: x\n", "k.yaml")


def test_two_versions_of_one_repository_may_run_beside_each_other(shop: Shop) -> None:
    first, second = shop.registry.push("team/shop", "1.0.0"), shop.registry.push("team/shop", "2.0.0")
    (shop.file.parent / "migrate.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        "spec: {template: {spec: {initContainers: [{name: migrate, image: migrate}]}}}\n"
    )
    shop.head = shop.head.replace("patches:\n", "patches:\n  - path: migrate.yaml\n")
    shop.write("".join(f"  - name: {name}\n    newName: {shop.name}\n    newTag: {tag}\n" for name, tag in VERSIONS))
    done = shop.adopt()
    assert done.code == 0, done.err
    assert (shop.entry.count(first), shop.entry.count(second)) == (1, 1)


VERSIONS = (("app", "1.0.0"), ("migrate", "2.0.0"))
