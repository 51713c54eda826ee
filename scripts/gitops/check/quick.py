"""The quick path of the check in a process of its own, for whoever ends it where it takes too long. It builds no tool.

`python -m gitops.check.quick CHECKOUT` prints what the check without an API server has against what origin's main has
not, as JSON. What it begins ends with it: its programs by their standard input, its folders by their locks.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError
from gitops.ground.output import prepare, say_bug, say_error, say_json, spare_collector
from gitops.ground.progress import Progress
from gitops.manifests.kustomize import renderer

if TYPE_CHECKING:
    from gitops.check.outcome import CheckOutcome


def look(checkout: Checkout) -> CheckOutcome:
    """Check the working copy against origin's main, without an API server. Raises as `run.run` does."""
    with renderer(checkout) as renders:
        renders.start()
        # While the programs that render start: these take a moment to load.
        from gitops.check import outcome

        result, baseline = outcome.check(checkout, Progress(quiet=True), offline=True, renders=renders)
        return outcome.CheckOutcome.of(result, baseline)


def main() -> None:
    """Print what it finds; an expected failure is one message and its exit code."""
    prepare()
    spare_collector()
    try:
        checked = look(Checkout(Path(sys.argv[1])))
    except GitopsError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except Exception as error:  # whatever it is: Python would print its text
        say_bug(error)
        sys.exit(70)
    from gitops.check import report

    say_json({"sentence": checked.sentence, "findings": [report.as_dict(finding) for finding in checked.new]})
    gc.freeze()


if __name__ == "__main__":
    main()
