"""Where the command begins."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line. Until it is loaded there is nothing to clean up, and Ctrl-C ends it without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gitops import cli

    cli.main()
