"""What a run of check.yaml kept for comment.yaml: a stranger's, whoever started the run. It is read in memory alone.

Which run that was, and of which commit, is GitHub's own word: the event `workflow_run`. What the artifact says of
itself decides nothing.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gitops.ground.errors import InputError
from gitops.ground.printable import counted
from gitops.preview.model import Preview

NAME = "preview"
PREVIEW, SARIF = "preview.json", "findings.sarif"
# Of the archive, and of each of the two files in it.
LIMIT = 20_000_000
# A change of everything in 500 overlays keeps below it by far.
_ENTRIES = 100
# As upload-artifact writes it. LZMA takes as much memory as the archive asks for.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EXPECTED = "what check.yaml of main keeps"
_Model = TypeVar("_Model", bound=BaseModel)


class _Named(BaseModel):
    # What others add to their reports is left out: GitHub gets only what stands here.
    model_config = ConfigDict(extra="ignore", strict=True)


class _Message(_Named):
    text: str = Field(max_length=10_000)


def _inside(path: str) -> str:
    if ".." in unquote(path).split("/"):
        raise ValueError("leads out of the repository")
    return path


# A file of the repository: no scheme, no way out of it.
_Path = Annotated[str, Field(max_length=1_000, pattern=r"^[^:\\\x00-\x1f/][^:\\\x00-\x1f]*$"), AfterValidator(_inside)]


class _ArtifactLocation(_Named):
    uri: _Path
    uriBaseId: Literal["%SRCROOT%"]


class _Region(_Named):
    startLine: int = Field(ge=1, le=10_000_000)


class _PhysicalLocation(_Named):
    artifactLocation: _ArtifactLocation
    region: _Region


class _Location(_Named):
    physicalLocation: _PhysicalLocation


_Level = Literal["error", "warning", "note"]
_Rule = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


class _Fingerprints(_Named):
    gitops: str = Field(alias="gitops/v1", max_length=100, pattern=r"^[\w:.-]*$")


class _Result(_Named):
    ruleId: _Rule
    level: _Level
    message: _Message
    locations: tuple[_Location, ...] = Field(min_length=1, max_length=1)
    partialFingerprints: _Fingerprints


class _Configuration(_Named):
    level: _Level


class _Description(_Named):
    id: _Rule
    shortDescription: _Message
    fullDescription: _Message
    defaultConfiguration: _Configuration


class _Driver(_Named):
    # By this name GitHub tells whose findings they are: those of another tool are not touched.
    name: Literal["gitops check"]
    rules: tuple[_Description, ...] = Field(max_length=1_000)


class _Tool(_Named):
    driver: _Driver


class _SarifRun(_Named):
    tool: _Tool
    results: tuple[_Result, ...] = Field(max_length=5_000)
    columnKind: Literal["utf16CodeUnits"]


class Sarif(_Named):
    """Findings for GitHub's code scanning (SARIF 2.1.0), as far as `gitops check` writes it."""

    version: Literal["2.1.0"]
    runs: tuple[_SarifRun, ...] = Field(min_length=1, max_length=1)

    def text(self) -> str:
        """The same as JSON, with no field but those that are known here."""
        return self.model_dump_json(by_alias=True, indent=1)


@dataclass(frozen=True)
class Artifact:
    """What was kept. `sarif` None: the check ended before it had findings to tell of."""

    preview: Preview
    sarif: Sarif | None


def read(archive: bytes) -> Artifact:
    """The preview and the findings of an archive. Every other entry is left alone. Raises InputError."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            if len(opened.infolist()) > _ENTRIES:
                raise InputError(
                    f"the artifact has {counted(len(opened.infolist()), 'entry', 'entries')}", expected=_EXPECTED
                )
            contents = {name: _content(opened, name) for name in (PREVIEW, SARIF)}
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, ValueError, EOFError, OSError) as error:
        # RuntimeError: encrypted, or of a version that Python has not. ValueError: an offset before the beginning.
        # Not its words: they repeat the entries' names.
        raise InputError(
            f"the artifact is no archive that can be read ({type(error).__name__})", expected=_EXPECTED
        ) from None
    preview, sarif = contents[PREVIEW], contents[SARIF]
    if preview is None:
        raise InputError(f"the artifact has no {PREVIEW}", expected=_EXPECTED)
    return Artifact(_model(Preview, PREVIEW, preview), _model(Sarif, SARIF, sarif) if sarif is not None else None)


def _content(archive: zipfile.ZipFile, name: str) -> bytes | None:
    entries = [entry for entry in archive.infolist() if entry.filename == name]
    if not entries:
        return None
    if len(entries) > 1:
        raise InputError(f"the artifact has {counted(len(entries), 'entry', 'entries')} {name}", expected=_EXPECTED)
    if entries[0].compress_type not in _COMPRESSIONS:
        raise InputError(f"{name} of the artifact is compressed otherwise", expected=_EXPECTED)
    with archive.open(entries[0]) as stream:
        # What an entry says of its size is the stranger's word too.
        content = stream.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise InputError(f"{name} of the artifact is too large", expected=f"at most {LIMIT} bytes")
    return content


def _model(model: type[_Model], name: str, content: bytes) -> _Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{name} of the artifact: {_first(error)}", expected=_EXPECTED) from None


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(_words(first['loc'])) or 'the file'}: {first['msg']}"


def _words(location: tuple[int | str, ...]) -> Iterator[str]:
    for word in location:
        # A name that the stranger chose is no word for a log.
        yield str(word) if isinstance(word, int) or word.isidentifier() else "?"
