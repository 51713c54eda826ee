"""What a merge left behind: its markers, named as such, and not as the YAML that they break."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gitops.check.plaintext import readable
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place
from gitops.repository.revision import Change

# As git writes them, each with a branch or a commit behind it. The line between the two sides is a heading elsewhere.
_MARKER = re.compile(rb"^(?:<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)(?: .*)?\r?$", re.MULTILINE)
_MIDDLE = re.compile(rb"^=======\r?$", re.MULTILINE)
_YAML = (".yaml", ".yml")
_LARGEST = 5_000_000


def check(change: Change) -> Iterator[Finding]:
    """The first marker of each file of the change; of all that is deployed where nothing is compared."""
    root = change.head.root
    for path in sorted(change.files) if change.base else readable(root):
        content = _content(root / path)
        markers = _MARKER.search(content) or (_MIDDLE.search(content) if path.endswith(_YAML) else None)
        if markers:
            line = content.count(b"\n", 0, markers.start()) + 1
            problem = f"has the marker of a merge conflict: {markers[0].decode(errors='replace').strip()[:60]}"
            yield Finding(
                "conflict", Place(path, line), problem, "finish the merge: keep one side, take the markers out"
            )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.is_file() and file.stat().st_size <= _LARGEST else b""
    except OSError:
        return b""
