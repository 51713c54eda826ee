"""GitHub's lists, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gitops.clients.github.hub import Hub
from gitops.ground.errors import ExternalError

PAGE = 100
# More than any list of ours has; an answer that never ends is none of GitHub's.
MOST_PAGES = 100


def entries(hub: Hub, path: str, key: str = "") -> Iterator[dict[str, Any]]:
    """Every entry of a list, in GitHub's order; a page is asked for when it is reached. `key`: where the list stands.

    Raises ExternalError, NoAccessError.
    """
    for number in range(1, MOST_PAGES + 1):
        answer = hub.call("GET", f"{path}{'&' if '?' in path else '?'}per_page={PAGE}&page={number}")
        page = answer[key] if key else answer
        if not isinstance(page, list):
            raise ExternalError(f"GitHub: GET {path.partition('?')[0]} is no list")
        yield from page
        if len(page) < PAGE:
            return
    raise ExternalError(f"GitHub: GET {path}: more than {MOST_PAGES} pages")
