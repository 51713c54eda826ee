"""PostgreSQL by its own programs: pg_dump, pg_restore and psql, which read libpq's variables for who and where.

Sources: https://www.postgresql.org/docs/current/app-pgdump.html, .../app-pgrestore.html, .../libpq-envars.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gitops.ground import command
from gitops.ground.command import CommandError
from gitops.ground.errors import InputError

# Hours, in seconds: a database of a service is copied in minutes.
_LONGEST = 4 * 3600
_QUESTION = 300
_COPY = re.compile(rb"COPY (?P<table>.+) \(.*\) FROM stdin;")
_SEQUENCE = re.compile(
    rb"SELECT pg_catalog\.setval\('(?P<name>(?:[^']|'')+)', (?P<value>-?\d+), (?P<called>true|false)\);"
)
_PART = r'(?:[a-z_][a-z0-9_$]*|"(?:[^"\\\x00-\x1f]|"")+")'
_NAME = re.compile(rf"{_PART}\.{_PART}")
_END = b"\\."
# What people or programs made, but for what belongs to an extension.
_CONTENT = """\
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
UNION ALL SELECT format('large object %s', oid) FROM pg_catalog.pg_largeobject_metadata
ORDER BY 1 LIMIT 5"""


@dataclass(frozen=True)
class Content:
    """What is in a database: the rows of each table, and where each sequence stands, by names as SQL writes them."""

    rows: dict[str, int]
    sequences: dict[str, str]


class Database:
    """A database. `target`: libpq's words for it, such as "service=mogle"; without them its variables say which."""

    def __init__(self, target: str = "") -> None:
        if re.search(r"password\s*=|://[^/@]*:[^/@]*@", target):
            raise InputError(
                "a password as an argument is seen by every user of this machine",
                expected="libpq's PGPASSFILE, PGSERVICE or PGPASSWORD",
            )
        self._options = ["--no-password", f"--dbname={target or 'application_name=gitops'}"]

    def dump(self) -> Iterator[bytes]:
        """All of it in PostgreSQL's custom format, as it comes. Raises CommandError after the last piece."""
        # Who may do what is the place's own affair: RDS has other roles than a VM had.
        words = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", *self._options]
        return command.stream(words, timeout=_LONGEST)

    def load(self, archive: Path) -> None:
        """Bring an archive's content in: all of it or nothing. Raises CommandError."""
        words = ["pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
        command.run([*words, *self._options, archive], timeout=_LONGEST)

    def objects(self) -> list[str]:
        """Some of what is in it already; nothing where it is empty."""
        return self._ask(_CONTENT).splitlines()

    def content(self, expected: Content) -> Content:
        """Of the tables and sequences of `expected`, what is in them."""
        tables, sequences = list(expected.rows), list(expected.sequences)
        for name in (*tables, *sequences):
            _check_name(name)
        questions = [f"SELECT count(*) FROM ONLY {table}" for table in tables]  # noqa: S608 - a name and nothing else
        questions += [f"SELECT last_value, is_called FROM {sequence}" for sequence in sequences]  # noqa: S608 - likewise
        answers = self._ask(";\n".join(questions)).splitlines() if questions else []
        rows = dict(zip(tables, map(int, answers[: len(tables)]), strict=True))
        places = [answer.replace("|t", " true").replace("|f", " false") for answer in answers[len(tables) :]]
        return Content(rows, dict(zip(sequences, places, strict=True)))

    def _ask(self, sql: str) -> str:
        words = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        return command.run([*words, *self._options], timeout=_QUESTION, stdin=f"{sql};\n".encode()).decode()


def _check_name(name: str) -> None:
    """Raise InputError for what is more than a name: psql would run it, or let the shell run it."""
    if not _NAME.fullmatch(name):
        raise InputError("not a name of a table or sequence that can be counted", found=repr(name))


def content_of(archive: Path) -> Content:
    """What an archive would bring into an empty database, read to its end.

    Raises InputError where it is broken, or ends before its end.
    """
    try:
        return _count(_lines(command.stream(["pg_restore", "--file=-", archive], timeout=_LONGEST)))
    except CommandError as error:
        what = "the backup is broken: pg_restore cannot read it to its end"
        raise InputError(what, found=error.last_lines[-1] if error.last_lines else error.how) from None


def _count(lines: Iterable[bytes]) -> Content:
    rows: dict[str, int] = {}
    sequences: dict[str, str] = {}
    table = None
    for line in lines:
        if table is not None:
            # In COPY's text a line is a row: a line break of a value is written as \\n.
            if line == _END:
                table = None
            else:
                rows[table] += 1
        elif match := _COPY.fullmatch(line):
            table = match["table"].decode()
            rows[table] = 0
        elif match := _SEQUENCE.fullmatch(line):
            name = match["name"].decode().replace("''", "'")
            sequences[name] = f"{match['value'].decode()} {match['called'].decode()}"
    return Content(rows, sequences)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest
