"""Commands and groups of them, whose help says whole sentences and shows what one types."""

from __future__ import annotations

import inspect
import re
import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from gitops.ground.errors import InputError

_EXAMPLE = re.compile(r"Example: +(?P<command>.+)", re.DOTALL)


class _Explained(click.Command):
    """A command whose paragraphs `Example: ...` of the docstring are a section of its help, each to be typed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        matches = [_EXAMPLE.fullmatch(paragraph.strip()) for paragraph in paragraphs]
        self.examples = [" ".join(match["command"].split()) for match in matches if match]
        told = [paragraph for paragraph, match in zip(paragraphs, matches, strict=True) if not match]
        self.help = "\n\n".join(told) or None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As Click does. Raises InputError for an option that is given nothing: a variable of a script was not set."""
        rest = super().parse_args(ctx, args)
        for option in [own for own in self.params if isinstance(own, click.Option)]:
            name = str(option.name)
            typed = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
            value = ctx.params.get(name)
            if typed and not ctx.resilient_parsing and "" in (value if isinstance(value, tuple) else (value,)):
                raise InputError(option.opts[-1], expected="a value", found="''", fix="or leave the option out")
        return rest

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The section of examples, behind all else. A shell takes each as it stands, of several lines too."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
                for example in self.examples:
                    formatter.write("\n".join(_typed(example, formatter.width, formatter.current_indent)) + "\n")


def _typed(command: str, width: int, indent: int) -> Iterator[str]:
    """The lines of a shell command of which none but a single word is longer than `width` characters."""
    blanks = " " * indent
    words = shlex.split(command, posix=False)
    lines = textwrap.wrap(
        # A word in quotes is one for the shell, and no line ends in it.
        " ".join(word.replace(" ", "\0") for word in words),
        width - 2,
        initial_indent=blanks,
        subsequent_indent=blanks + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    for number, line in enumerate(lines, 1):
        yield line.replace("\0", " ") + (" \\" if number < len(lines) else "")


class Command(_Explained):
    """A command that does something."""


class Group(_Explained, click.Group):
    """Lists its commands with the whole first sentence of each, wrapped; Click would cut it at the line's end."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The section of commands of this group's help."""
        rows = [(name, self.summary(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def summary(self, ctx: click.Context, name: str) -> str:
        """The first sentence of a command's own help."""
        command = self.get_command(ctx, name)
        return first_sentence(command.help or "") if command else ""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As Click does; of an unknown name the nearest of all commands is said, also of those that were not loaded."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None


def first_sentence(text: str) -> str:
    """A docstring's text up to its first full stop, on one line."""
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    sentence = re.match(r".*?\.(?=\s|$)", paragraph)
    return sentence[0] if sentence else paragraph
