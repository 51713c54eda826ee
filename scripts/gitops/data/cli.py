"""`gitops data`: parses and prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gitops.ground.errors import NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import output_option
from gitops.ground.output import Table, present

if TYPE_CHECKING:
    from gitops.data.run import DataReport

_database_option = click.option(
    "--database",
    "target",
    default="",
    metavar="WORDS",
    help="libpq's words for it, such as service=mogle; without it PGHOST, PGDATABASE ... say which.",
)


@click.group(cls=Group)
def data() -> None:
    """Copies of databases in a bucket, and the way back into an empty one.

    Example: gitops data list s3://seoul-backups-111122223333/databases/mogle-prod
    """


@data.command()
@click.argument("place", metavar="S3URL")
@_database_option
@output_option
def dump(place: str, target: str, output: str) -> None:
    """Copy a database below S3URL, read the copy to its end, and only then call it a backup.

    Exit codes: 0 done; 2 the bucket does not encrypt by our key, or is not there; 3 pg_dump is not installed; 4
    PostgreSQL or AWS refused: there is no backup.

    Example: gitops data dump s3://seoul-backups-111122223333/databases/mogle-prod --database service=mogle
    """
    from gitops.data import run

    _show(output, run.dump(place, target))


@data.command()
@click.argument("url", metavar="S3URL")
@output_option
def check(url: str, output: str) -> None:
    """Fetch a backup and read it to its end.

    Exit codes: 0 it is whole; 2 it is not, or is not there; 3 pg_restore is not installed; 4 AWS refused.

    Example: gitops data check s3://seoul-backups-111122223333/databases/mogle-prod/2027-01-31.dump
    """
    from gitops.data import run

    _show(output, run.check(url))


@data.command()
@click.argument("url", metavar="S3URL")
@_database_option
@output_option
def load(url: str, target: str, output: str) -> None:
    """Bring a backup into an empty database, all of it or nothing, and count what is there then.

    Exit codes: 0 every table and sequence is as in the backup; 2 the database is not empty, or the backup is not whole;
    3 pg_restore is not installed; 4 PostgreSQL or AWS refused, and the database is as before.

    Example: gitops data load s3://seoul-backups-111122223333/databases/mogle-prod/2027-01-31.dump --database
    service=mogle
    """
    from gitops.data import run

    _show(output, run.load(url, target))


@data.command("list")
@click.argument("place", metavar="S3URL")
@output_option
def list_(place: str, output: str) -> None:
    """Show the backups below S3URL, the newest last.

    Exit codes: 0 there is one; 1 there is none; 4 AWS refused.

    Example: gitops data list s3://seoul-backups-111122223333/databases/mogle-prod
    """
    from gitops.data import run

    urls = run.backups(place)
    present(output, Table(["backup"], [[url] for url in urls]), urls)
    if not urls:
        raise NotHealthyError("no backup there", found=place)


def _show(output: str, report: DataReport) -> None:
    head = ["backup", "made", "tables", "rows", "bytes", "seconds"]
    row = [report.url, report.made, *map(str, (report.tables, report.rows, report.bytes, report.seconds))]
    present(output, Table(head, [row]), [asdict(report)])
