"""kustomize's complaint of a folder: why it does not render, on which line that is, and what to write there.

kustomize says all of it in English alone, and most often without a line. What is understood of its words is here.
"""

from __future__ import annotations

import itertools
import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import elided
from gitops.manifests import yamlfile, yamltext
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.reach import NAMES, kustomization

_WORDS = re.compile(r"""'([^'\s]+)'|"([^"\s]+)"|([\w.-]+(?:/[\w.-]+)+)|([\w-]+\.ya?ml)""")
# kustomize's name for an object: Deployment.v1.apps/web.[noNs], or as a merge prints it.
_IDS = re.compile(
    r"""\b([A-Za-z]\w+)\.[\w.\[\]-]*/([\w-]+)\.(?:\[|[a-z])|\W+kind\W+(\w+)\W+metadata.*?\W+name\W+([\w-]+)"""
)
# Two objects that a namespace makes one: kustomize prints both, whole.
_CONFLICT = re.compile(r"produces ID conflict: \[(\{.*\})\]", re.DOTALL)
# An entry of `replicas` that meets nothing.
_UNMET = re.compile(r"resource with name (\S+) does not match")
# Go's name for a field of a kustomization that has another type.
_FIELD = re.compile(r"(?:struct field|object into) Kustomization\.([\w.]+)")
_LONGEST = 400
# kustomize tries each entry as a file, then as a folder, and says both of each level.
_WRAPPING, _WRAPPED = "accumulation err='", "': must build at directory"
# An entry that leads to nothing, which Go says twice.
_GONE = re.compile(r"evalsymlink failure on '([^']+)' : lstat \S+: (?=no such file)")
# A field of an object that kustomize could not follow.
_FOLLOWED = re.compile(r"in '([\w/]+)' field of")
# Of a resource that lacks something: its file.
_LACKING = re.compile(r"resources from '([^']+)': missing (metadata\.name|kind)")
_FIX = "write what kustomize asks for on this line, or take out what the change put there"
# What to write, by what kustomize says: the first that fits.
_FIXES = (
    (r"gave no result within", "take out what it waits for: nothing that is rendered may ask a network, or itself"),
    (r"more memory than it is given", "render less in this folder: split it, or take out what multiplies"),
    (r"already registered id|may not add resource|ID conflict", "give one of the two another name, or take it out"),
    (r"already defined at line|key .* already set", "keep one of the two keys"),
    (r"found character that cannot start any token|a tab", "indent with blanks, not with tabs"),
    (
        r"yaml: (line|unmarshal)|not valid YAML|MalformedYAML|did not find expected|error converting YAML",
        "write YAML: see the indent here",
    ),
    (r"expected kind != 'Component'", "list it in components, not in resources"),
    (r"expected kind 'Component' for path", "list it in resources: it is no component"),
    (r"must specify a target for JSON patch", "write the object that it changes in that file, or take the entry out"),
    (
        r"unable to parse SM or JSON patch",
        "write apiVersion, kind and metadata.name of the object that it changes, or a list of operations",
    ),
    (r"cannot merge or replace", "leave behavior out, or name a ConfigMap that is generated below"),
    (r"into Kustomization\.\w+Generator\.\d+\.literals", "write each as KEY=value"),
    (r"unknown field", "spell the field as kustomize's reference does"),
    (r"cannot unmarshal|of type ", "write the field as kustomize's reference has it: a list, a mapping or a text"),
    (
        r"no matches for Id|unable to find patch target|no resource matches",
        "patch an object that is there by its kind and name",
    ),
    (
        r"nothing selected by|unable to find field|multiple matches for",
        "name one object that is there, and a field of it",
    ),
    (r"doc is missing (path|key)|does not apply|Unable to access invalid index", "name a path that the object has"),
    (r"missing metadata\.name|missing Resource metadata", "give the object a metadata.name"),
    (r"missing kind|Object 'Kind' is missing", "give the object an apiVersion and a kind"),
    (r"expected sequence or mapping|expected mapping|expected sequence", "write the field's type: a list or a mapping"),
    (r"cycle", "take out the entry that leads back here"),
    (
        r"no such file|must resolve to a file|not a valid directory|not directory|unable to find one of",
        "name what is there",
    ),
)


@dataclass(frozen=True)
class Complaint:
    """What is understood of kustomize's words.

    `objects`: the (kind, name) of what it names; `field`: the path of a field of the kustomization that has a wrong
    type, empty where it is about none; `words`: what it quotes, and file names, each whole and its last part, and the
    objects' names; `lacking`: the file with a resource that has no kind or no name, as its kustomization names it;
    `followed`: the path of a field of the object that it could not follow;
    `entry`: the name of an entry that meets nothing; `twice`: the (kind, name) of what stands there twice; `again`: a
    resource that was there already.
    """

    objects: tuple[tuple[str, str], ...] = ()
    field: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    lacking: str = ""
    followed: tuple[str, ...] = ()
    entry: str = ""
    twice: tuple[str, str] | None = None
    again: bool = False

    @classmethod
    def of(cls, text: str) -> Complaint:
        """Read kustomize's standard error."""
        ids = [tuple(filter(None, groups)) for groups in _IDS.findall(text)]
        field, entry = _FIELD.search(text), _UNMET.search(text)
        quoted = [next(filter(None, groups)) for groups in _WORDS.findall(text)]
        words = itertools.chain.from_iterable((word, word.rpartition("/")[2]) for word in quoted)
        lacking = _LACKING.search(text)
        return cls(
            tuple((kind, name) for kind, name in ids),
            tuple(field[1].split(".")) if field else (),
            (*(word for word in words if len(word) > 3), *(name for _, name in ids)),
            lacking[1] if lacking else "",
            tuple(followed[1].split("/")) if (followed := _FOLLOWED.search(text)) else (),
            entry[1] if entry else "",
            _conflicting(text),
            "already registered id" in text,
        )


def fix(complaint: str) -> str:
    """What to write, by kustomize's words."""
    return next((fix for pattern, fix in _FIXES if re.search(pattern, complaint)), _FIX)


def reason(complaint: str) -> str:
    """Why a folder does not render, on one line and not longer than one reads: the innermost of kustomize's reasons."""
    words = " ".join(complaint.split())
    if twice := _conflicting(words):
        return f"{' '.join(twice)} stands here twice"
    innermost = words.rpartition(_WRAPPING)[2].partition(_WRAPPED)[0] if _WRAPPING in words else words
    return elided(_GONE.sub(r"\1: ", innermost), _LONGEST)


def _conflicting(words: str) -> tuple[str, str] | None:
    """The kind and the name of what stands there twice, by the first of the two."""
    if not (printed := _CONFLICT.search(words)):
        return None
    with suppress(ValueError, KeyError, TypeError):
        item, _ = json.JSONDecoder().raw_decode(printed[1].replace('\\"', '"'))
        return str(item["kind"]), str(item["metadata"]["name"])
    return None


def locate(checkout: Checkout, unit: str, reached: Iterable[str], complaint: str) -> Place:
    """The file that kustomize complains of, with its line where it says one or where its words stand.

    `reached`: the files that the folder is made of.
    """
    root = checkout.root
    own = kustomization(root / unit)
    top = checkout.relative(own) if own else f"{unit}/{NAMES[0]}"
    files = sorted(file for file in reached if file.endswith((".yaml", ".yml", NAMES[-1])))
    texts = {file: read_text(root / file) for file in [top, *files]}
    # The overlay's own files first: a base has been rendered by others. Its kustomization names all the others.
    ordered = sorted(files, key=lambda file: (file == top, not file.startswith(f"{unit}/"), file))
    places = _places(
        {file: texts[file] for file in files}, {file: texts[file] for file in ordered}, top, Complaint.of(complaint)
    )
    return next(places, None) or _first_word(texts, [top, *ordered], Complaint.of(complaint).words) or Place(top, 1)


def _places(texts: dict[str, str], ordered: dict[str, str], top: str, understood: Complaint) -> Iterator[Place]:
    """The lines at fault, the surest first."""
    for file, content in texts.items():
        if place := _invalid(content, file):
            yield place
    for file, content in texts.items():
        if line := _repeated_key(content):
            yield Place(file, line)
    if understood.again and (line := _listed_again(texts.get(top, ""))):
        yield Place(top, line)
    if understood.field:
        yield Place(top, _field_line(texts.get(top, ""), understood.field))
    if understood.entry and (line := line_of(texts.get(top, ""), f"name: {understood.entry}")):
        yield Place(top, line)
    if understood.twice:
        yield from _lines_of(ordered, *understood.twice)
    for file, content in texts.items():
        if understood.lacking and file.endswith(f"/{posixpath.basename(understood.lacking)}"):
            yield Place(file, _unnamed(content))
        if line := _entry_line(content, file, understood.words):
            yield Place(file, line)
    # The file that it names, before others with the same object.
    by_name = sorted(ordered, key=lambda file: posixpath.basename(file) not in understood.words)
    for kind, name in understood.objects:
        for file in by_name:
            content = ordered[file]
            if understood.followed and re.search(rf"^kind: {kind}$", content, re.MULTILINE):
                yield Place(file, _field_line(content, understood.followed))
            else:
                yield from _lines_of({file: content}, kind, name)


def _lines_of(texts: dict[str, str], kind: str, name: str) -> Iterator[Place]:
    """Where files have an object of a kind and a name."""
    for file, content in texts.items():
        of_kind = re.search(rf"^kind: {kind}$", content, re.MULTILINE)
        if of_kind and (line := line_of(content, f"name: {name}")):
            yield Place(file, line)


def _listed_again(content: str) -> int | None:
    """The line of a kustomization's first resource that it has listed already."""
    paths = set[str]()
    for node in yamlfile.compose_all(content, ""):
        listed = yamltext.child(node, "resources")
        entries: list[yaml.Node] = listed.value if isinstance(listed, yaml.SequenceNode) else []
        for entry in entries:
            path = posixpath.normpath(str(entry.value))
            if path in paths:
                return int(entry.start_mark.line) + 1
            paths.add(path)
    return None


def _unnamed(content: str) -> int:
    """The line of the first object without a kind or a name."""
    for node in yamlfile.compose_all(content, ""):
        metadata = yamltext.child(node, "metadata")
        if yamltext.child(node, "kind") is None or yamltext.child(metadata, "name") is None:
            return int(node.start_mark.line) + 1
    return 1


def _entry_line(content: str, file: str, words: tuple[str, ...]) -> int | None:
    """The line of a kustomization's entry that leads to a path of the repository which the words have."""
    if posixpath.basename(file) not in NAMES:
        return None
    for number, line in enumerate(content.splitlines(), 1):
        entry = line.strip().removeprefix("- ")
        if entry.startswith(".") and posixpath.normpath(posixpath.join(posixpath.dirname(file), entry)) in words:
            return number
    return None


def _first_word(texts: dict[str, str], files: list[str], words: tuple[str, ...]) -> Place | None:
    for file in files:
        for word in words:
            if line := line_of(texts[file], word):
                return Place(file, line)
    return None


def _invalid(content: str, file: str) -> Place | None:
    """The place where a text is not YAML."""
    try:
        yamlfile.compose_all(content, file)
    except InputError as error:
        return Place(file, error.fault.line or 1)
    return None


def _repeated_key(content: str) -> int | None:
    """The line of the first key that its mapping has already."""
    try:
        nodes = yamlfile.compose_all(content, "")
    except InputError:
        return None
    for node in yamlfile.every_node(nodes):
        if isinstance(node, yaml.MappingNode) and (line := _repeated_in(node)):
            return line
    return None


def _repeated_in(node: yaml.MappingNode) -> int | None:
    keys = set[str]()
    for key, _ in node.value:
        if str(key.value) in keys:
            return int(key.start_mark.line) + 1
        keys.add(str(key.value))
    return None


def _field_line(content: str, path: tuple[str, ...]) -> int:
    """The line of a field of a kustomization, as far as the path leads."""
    try:
        [node] = yamlfile.compose_all(content, "")
    except (InputError, ValueError):
        return 1
    line = 1
    for step in path:
        if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        pair = next(((key, value) for key, value in pairs if key.value == step), None)
        if pair is None:
            break
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line
