"""What GitHub has of a run that ended: the event that tells of it, and the archive that it kept."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any


def event(run: int, head: str, branch: str, repository: str, *pulls: int) -> dict[str, Any]:
    """The payload of `workflow_run`. `repository`: the one of the branch; `pulls`: none for a fork's, as on GitHub."""
    return {
        "workflow_run": {
            "id": run,
            "event": "pull_request",
            "conclusion": "success",
            "head_sha": head,
            "head_branch": branch,
            "head_repository": {"full_name": repository},
            "pull_requests": [{"number": number} for number in pulls],
        }
    }


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive. The names are taken as they are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def kept(folder: Path, more: dict[str, bytes]) -> bytes:
    """A folder as upload-artifact keeps it, and more entries."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return zipped({str(file.relative_to(folder)): file.read_bytes() for file in files} | more)
