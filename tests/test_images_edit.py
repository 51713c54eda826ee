"""The edit of a kustomization.yaml: exactly two scalars change."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images import edit
from gitops.manifests.image import Image

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REPOSITORY = "111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/shop"
TAGS = ["1.10", "1e3", "0012345", "null", "on", "~", "2024-01-01", "0x1F", "1_000", "v1.2.3", "2.0.0", ".inf", "true"]
VALID = [tag for tag in TAGS if edit._TAG.fullmatch(tag)]

tags = st.one_of(st.sampled_from(VALID), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))
comments = st.sampled_from(["", "  # why: é 한글", "   #"])
quotes = st.sampled_from(["'", '"'])
ends = st.sampled_from(["\n", "\r\n"])


@st.composite
def kustomizations(draw: st.DrawFn) -> tuple[str, str]:
    """A file with the entry `app` somewhere among other keys, comments, blank lines and entries; and its old tag."""
    tag, end = draw(tags), draw(ends)

    def pair(key: str, value: str, quote: str) -> str:
        return f"{key}: {quote}{value}{quote}"

    quote = draw(quotes)
    fields = [
        pair("name", "app", draw(st.sampled_from(["", "'", '"']))),
        pair("newName", REPOSITORY, draw(st.sampled_from(["", "'", '"']))),
        pair("newTag", tag, quote),
        pair("digest", OLD, draw(st.sampled_from(["", "'", '"']))),
    ]
    fields = draw(st.permutations(fields))
    if draw(st.booleans()):
        entry = ["  - {" + ", ".join(fields) + "}" + draw(comments)]
    else:
        entry = [f"  {'- ' if n == 0 else '  '}{field}{draw(comments)}" for n, field in enumerate(fields)]
    others = [
        ["  - name: sidecar", f'    newTag: "{draw(tags)}"'],
        ["  # a comment", "", f"  - name: other{draw(comments)}", "    newName: example.com/other"],
    ]
    entries = draw(st.permutations([entry, *others[: draw(st.integers(0, 2))]]))
    blocks = [
        ["namespace: shop-prod  # 'quoted' \"text\"", ""],
        ["resources:", "- ../../../base/web", "", "-   'b.yaml'"],
        ["images:" + draw(comments), *itertools.chain.from_iterable(entries)],
        ["labels:", "  - pairs: {app.kubernetes.io/name: shop}", "    includeTemplates: true"],
    ]
    lines = list(itertools.chain.from_iterable(draw(st.permutations(blocks))))
    if draw(st.booleans()):
        lines.insert(0, "# yaml-language-server: $schema=x é")
    return end.join(lines) + draw(st.sampled_from(["", end, end * 3])), tag


@settings(max_examples=2000)
@given(file=kustomizations(), tag=tags)
def test_exactly_the_images_fields_change_and_every_other_byte_stays(file: tuple[str, str], tag: str) -> None:
    before, old_tag = file
    after = edit.replace(before.encode(), "k.yaml", Image(REPOSITORY, tag, NEW)).decode()
    was, now = yaml.safe_load(before), yaml.safe_load(after)
    entry = next(item for item in now["images"] if item["name"] == "app")
    assert entry == {"name": "app", "newName": REPOSITORY, "newTag": tag, "digest": NEW}
    entry.update(newTag=old_tag, digest=OLD)
    assert now == was
    # Back again gives the very bytes of the beginning: quotes, comments and line ends stayed.
    assert edit.replace(after.encode(), "k.yaml", Image(REPOSITORY, old_tag, OLD)) == before.encode()


@pytest.mark.parametrize("tag", VALID)
def test_a_plain_tag_is_quoted_where_yaml_would_read_a_number(tag: str) -> None:
    text = f"images:\n  - name: app\n    newName: {REPOSITORY}\n    newTag: 1.2.3 # why\n    digest: {OLD}\n"
    after = edit.replace(text.encode(), "k.yaml", Image(REPOSITORY, tag, NEW)).decode()
    written = tag if tag in ("v1.2.3", "2.0.0") else f'"{tag}"'
    assert after == text.replace("1.2.3", written).replace(OLD, NEW)


ENTRY = f"  - name: app\n    newName: {REPOSITORY}\n    newTag: '1.2.3'\n    digest: {OLD}\n"
BAD: dict[str, tuple[str | bytes, str]] = {
    "no images": ("resources: []\n", "k.yaml: no `images:` list; expected an entry with name: app"),
    "not in the list": ("images:\n  - name: other\n", "k.yaml:2: image 'app' is not in `images:`; found other"),
    "duplicate entries": (
        f"images:\n{ENTRY}{ENTRY}",
        "more than once; expected one entry, found lines 2, 6",
    ),
    "chained newName": (
        f"images:\n{ENTRY}  - name: {REPOSITORY}\n    newTag: '2'\n",
        f"k.yaml:6: changes '{REPOSITORY}' once more",
    ),
    "no digest": (f"images:\n{ENTRY}".replace(f"    digest: {OLD}\n", ""), "k.yaml:2: image 'app' has no digest"),
    "an anchor": (f"images:\n{ENTRY}".replace("'1.2.3'", "&t '1.2.3'"), "k.yaml:4: has an anchor or a tag"),
    "an alias": (
        f"x: &d {OLD}\nimages:\n{ENTRY}".replace(f"digest: {OLD}", "digest: *d"),
        "has an anchor or a tag (&d",
    ),
    "a block scalar": (f"images:\n{ENTRY}".replace("'1.2.3'", "|-\n      1.2.3"), "k.yaml:4: a block scalar"),
    "not UTF-8": (b"# caf\xe9\nimages: []\n", "k.yaml:1: not UTF-8 (byte 5)"),
    "not YAML": ("images: [\n", "k.yaml:2: not valid YAML"),
    "a tag that is none": (
        f"images:\n{ENTRY}".replace("'1.2.3'", "[1]"),
        "k.yaml:4: newTag; expected text, found",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_file_that_cannot_be_edited_is_named_with_its_line(fault: str) -> None:
    text, message = BAD[fault]
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InputError) as raised:
        edit.replace(content, "k.yaml", Image(REPOSITORY, "2.0.0", NEW))
    assert message in str(raised.value)
    assert raised.value.fault.path == "k.yaml"
    assert "k.yaml" not in raised.value.fault.sentence


def test_the_render_must_run_exactly_the_image_or_nothing_is_said_to_fit(scratch: Checkout) -> None:
    folder = scratch.overlays / "mogle/prod"
    file = folder / "kustomization.yaml"
    pin = edit.read(file.read_bytes(), "k.yaml")
    edit.check_render(scratch, folder, "k.yaml", pin, pin.image)
    # The base renames the image: the overlay's entry no longer fits, and kustomize says nothing.
    deployment = scratch.root / "base/web/deployment.yaml"
    deployment.write_text(deployment.read_text().replace("image: app", "image: elsewhere"))
    workload: Any = scratch.root / "base/workload/deployment.yaml"
    workload.write_text(workload.read_text().replace("image: app", "image: elsewhere"))
    with pytest.raises(InputError, match="nothing was written") as raised:
        edit.check_render(scratch, folder, "k.yaml", pin, pin.image)
    fault = raised.value.fault
    assert (fault.path, fault.line) == ("k.yaml", pin.line)
    assert (fault.expected, fault.found) == (f"{pin.image} alone", "no such image")
