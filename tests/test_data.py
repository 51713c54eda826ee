"""Backups of a real PostgreSQL in moto's S3, and the way back: what comes back is equal, what is broken is noticed, and
nothing is ever half there.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops.clients import postgres as programs
from gitops.clients.postgres import Content
from gitops.data.backup import Manifest
from gitops.ground.errors import InputError
from tests import postgres
from tests.data_world import BUCKET, DIGEST, KEY, PLACE, REGION, ROWS, DataWorld, data_world, database_server
from tests.postgres import Postgres

pytestmark = pytest.mark.bots


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with database_server() as started:
        yield started


@pytest.fixture
def data(server: Postgres) -> Iterator[DataWorld]:
    with data_world(server) as world:
        yield world


def test_the_drill_a_database_comes_back_row_for_row_and_every_sequence_where_it_was(data: DataWorld) -> None:
    begin = time.monotonic()
    url = data.dump()
    assert data.stored() == [url.key, f"{url.key}.json"]
    listed = data.run("list", PLACE)
    assert listed.out.splitlines()[1:] == [str(url)]
    assert data.run("check", str(url)).code == 0
    target = data.empty()
    loaded = data.run("load", str(url), database=target)
    assert loaded.code == 0, loaded.err
    assert data.server.ask(target, DIGEST) == data.server.ask("mogle", DIGEST)
    print(f"dump, check and load of {loaded.out.splitlines()[1].split()[-2]} bytes: {time.monotonic() - begin:.1f} s")
    # A service goes on where it was.
    assert data.server.ask(target, "INSERT INTO members (login) VALUES ('next') RETURNING id") == "1001"
    assert data.server.ask(target, "SELECT nextval('never_asked')") == "1"


def test_a_backup_says_what_it_has_and_is_encrypted_by_our_key(data: DataWorld) -> None:
    url = data.dump()
    content = data.s3.get_object(Bucket=BUCKET, Key=f"{url.key}.json")["Body"].read()
    manifest = Manifest.model_validate_json(content)
    assert manifest.rows == ROWS
    assert manifest.sequences["public.members_id_seq"] == "1000 true"
    assert manifest.sequences["public.never_asked"] == "1 false"
    for key in data.stored():
        head = data.s3.head_object(Bucket=BUCKET, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KEY)
    assert data.s3.head_object(Bucket=BUCKET, Key=url.key)["ContentLength"] == manifest.bytes


def test_what_is_larger_than_one_part_of_an_upload_comes_back_too(data: DataWorld) -> None:
    url, target = data.dump("large"), data.empty()
    assert data.s3.head_object(Bucket=BUCKET, Key=url.key)["ContentLength"] > 8 * 2**20, "in parts, as it streams"
    loaded = data.run("load", str(url), database=target)
    assert loaded.code == 0, loaded.err
    question = "SELECT count(*), md5(string_agg(content, '' ORDER BY id)) FROM photos"
    assert data.server.ask(target, question) == data.server.ask("large", question)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one bit": flipped,
    "half of it": lambda content: content[: len(content) // 2],
    "the last byte": lambda content: content[:-1],
    "nothing left": lambda _: b"",
    "something else": lambda _: b"<html>not found</html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_broken_backup_is_noticed_and_nothing_of_it_is_loaded(data: DataWorld, damage: str) -> None:
    url = data.dump()
    content = data.s3.get_object(Bucket=BUCKET, Key=url.key)["Body"].read()
    data.s3.put_object(Bucket=BUCKET, Key=url.key, Body=DAMAGE[damage](content))
    target = data.empty()
    for done in (data.run("check", str(url)), data.run("load", str(url), database=target)):
        assert (done.code, done.out) == (2, "")
        assert "the backup is broken: these are not the bytes that were written" in done.err
        assert len(done.err.splitlines()) == 1
    assert data.server.ask(target, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == "0"


@pytest.mark.parametrize("cut", [100, 5000, -1, -1000])
def test_an_archive_that_ends_before_its_end_is_noticed_without_its_hash(
    data: DataWorld, cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when pg_dump's output was cut before anyone measured it."""
    content = data.s3.get_object(Bucket=BUCKET, Key=data.dump().key)["Body"].read()
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    monkeypatch.setenv("PATH", postgres.path())
    assert programs.content_of(archive).rows == ROWS
    archive.write_bytes(content[:cut])
    with pytest.raises(InputError, match="the backup is broken"):
        programs.content_of(archive)


def test_what_was_never_read_to_its_end_is_no_backup(data: DataWorld) -> None:
    url = data.dump()
    data.s3.delete_object(Bucket=BUCKET, Key=f"{url.key}.json")
    for verb in ("check", "load"):
        done = data.run(verb, str(url), database=data.empty())
        assert (done.code, "no backup" in done.err) == (2, True)
    assert data.run("list", PLACE).code == 1


def test_a_description_that_does_not_fit_is_refused(data: DataWorld) -> None:
    url = data.dump()
    description = f"{url.key}.json"
    text = data.s3.get_object(Bucket=BUCKET, Key=description)["Body"].read().decode()
    for changed, what in (
        (text.replace('"public.nothing": 0', '"public.nothing": 7'), "is not what its description says"),
        (text.replace('"bytes"', '"size"'), "size"),
        ("{", f"{description}"),
    ):
        data.s3.put_object(Bucket=BUCKET, Key=description, Body=changed.encode())
        done = data.run("load", str(url), database=data.empty())
        assert (done.code, what in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        ("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)", "public.kept"),
        ("CREATE SCHEMA own; CREATE SEQUENCE own.numbers", "own.numbers"),
        ("CREATE VIEW seen AS SELECT 1 AS one", "public.seen"),
        ("SELECT lo_create(4242)", "large object 4242"),
    ],
)
def test_a_database_with_anything_in_it_is_left_alone(data: DataWorld, made: str, shown: str) -> None:
    url, target = data.dump(), data.empty()
    data.server.ask(target, made)
    done = data.run("load", str(url), database=target)
    assert (done.code, done.out) == (2, "")
    assert f"the database is not empty, so nothing was loaded; found {shown}" in done.err
    assert data.server.ask(target, "SELECT count(*) FROM pg_class WHERE relname = 'members'") == "0"


def test_a_load_that_fails_in_the_middle_leaves_the_database_as_it_was(data: DataWorld) -> None:
    data.server.create("with_type")
    data.server.ask("with_type", "CREATE TABLE first (id int); CREATE TYPE mood AS ENUM ('sad')")
    done = data.run("dump", PLACE, database="with_type")
    target = data.empty()
    data.server.ask(target, "CREATE TYPE mood AS ENUM ('glad')")  # a type is no content, and is in the way
    loaded = data.run("load", done.out.splitlines()[1].split()[0], database=target)
    assert (loaded.code, "already exists" in loaded.err) == (4, True), loaded.err
    assert data.server.ask(target, "SELECT count(*) FROM pg_class WHERE relname = 'first'") == "0"


def fake(folder: Path, name: str, script: str) -> str:
    """A program of PostgreSQL that behaves otherwise; PATH with it."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return f"{folder}:{postgres.path()}"


@pytest.mark.parametrize(
    "script",
    [
        "head -c 20000000 /dev/urandom; echo 'pg_dump: error: connection lost' >&2; exit 1",
        "printf PGDMP; echo 'pg_dump: error: connection lost' >&2; exit 1",
        "head -c 20000000 /dev/urandom; kill -9 $$",
    ],
    ids=["after some parts", "at once", "killed"],
)
def test_a_dump_that_breaks_off_leaves_nothing_in_the_bucket(data: DataWorld, tmp_path: Path, script: str) -> None:
    done = data.run("dump", PLACE, PATH=fake(tmp_path, "pg_dump", script))
    assert done.code == 4
    assert "pg_dump exited with" in done.err
    assert data.stored() == []
    assert data.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_a_dump_that_is_no_archive_is_no_backup(data: DataWorld, tmp_path: Path) -> None:
    done = data.run("dump", PLACE, PATH=fake(tmp_path, "pg_dump", "echo hello"))
    assert (done.code, "the backup is broken" in done.err) == (2, True)
    assert data.run("list", PLACE).code == 1


def test_a_bucket_that_encrypts_by_another_key_gets_nothing(data: DataWorld) -> None:
    place: Any = {"LocationConstraint": REGION}
    data.s3.create_bucket(Bucket="open", CreateBucketConfiguration=place)
    done = data.run("dump", "s3://open/databases/mogle-prod")
    assert (done.code, "does not encrypt by a key of ours" in done.err) == (2, True)
    assert "Contents" not in data.s3.list_objects_v2(Bucket="open")
    absent = data.run("dump", "s3://nowhere/databases/mogle-prod")
    assert (absent.code, "no such bucket" in absent.err) == (2, True), absent.err


def test_bad_input_is_one_line(data: DataWorld) -> None:
    for words, what in (
        (("dump", "seoul-backups/mogle"), "not an address in S3; expected s3://BUCKET/KEY"),
        (("dump", f"s3://{BUCKET}"), "not an address in S3"),
        (("dump", PLACE, "--database", "host=x password=hunter2"), "a password as an argument"),
        (("dump", PLACE, "--database", "postgresql://app:hunter2@x/app"), "a password as an argument"),
        (("check", f"{PLACE}/2026-11-26T00-00-00Z.dump"), "no backup"),
    ):
        done = data.run(*words)
        assert (done.code, what in done.err, len(done.err.splitlines())) == (2, True, 1), done.err
        assert "hunter2" not in done.err
    assert data.run("dump", PLACE, AWS_DEFAULT_REGION="", AWS_CONFIG_FILE="/nowhere").err.startswith(
        "gitops: AWS: no region"
    )


def test_without_postgresqls_programs_it_says_so(data: DataWorld, tmp_path: Path) -> None:
    done = data.run("dump", PLACE, PATH=str(tmp_path))
    assert (done.code, "pg_dump: not found" in done.err) == (3, True)
    assert data.stored() == []


def test_a_database_that_cannot_be_reached_is_named_by_pg_dump_and_nobody_is_asked_for_a_password(
    data: DataWorld,
) -> None:
    done = data.run("dump", PLACE, PGHOST="/nowhere")
    assert (done.code, "/nowhere" in done.err) == (4, True)
    assert data.stored() == []


@pytest.mark.parametrize(
    "name", ["public.a; DROP TABLE b", "public.a \\! id", "a", 'public."a\\! id"', "public.a\n\\! id"]
)
def test_a_name_in_a_backup_is_a_name_and_runs_nothing(name: str) -> None:
    for content in (Content({name: 1}, {}), Content({}, {name: "1 true"})):
        with pytest.raises(InputError, match="not a name of a table or sequence"):
            programs.Database().content(content)
