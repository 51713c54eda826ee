"""Groups of commands whose help says whole sentences."""

from __future__ import annotations

import inspect
import re

import click


class Group(click.Group):
    """Lists its commands with the whole first sentence of each, wrapped; Click would cut it at the line's end."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The section of commands of this group's help."""
        rows = [(name, self.summary(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def summary(self, ctx: click.Context, name: str) -> str:
        """The first sentence of a command's own help."""
        command = self.get_command(ctx, name)
        return first_sentence(command.help or "") if command else ""


def first_sentence(text: str) -> str:
    """A docstring's text up to its first full stop, on one line."""
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    sentence = re.match(r".*?\.(?=\s|$)", paragraph)
    return sentence[0] if sentence else paragraph
