"""A real PostgreSQL of the distribution's packages, on a socket of its own, for as long as a test takes."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Debian keeps the server's programs beside PATH, by version.
FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
# The server refuses to run as root.
_NOBODY = "nobody"
_SETTINGS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "shared_buffers=16MB", "max_connections=20")


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs is."""
    beside = FOLDERS[-1] / name if FOLDERS else Path("/nowhere")
    return shutil.which(name) or (str(beside) if beside.exists() else None)


def missing() -> str:
    """Why no server can be started here; nothing where one can."""
    lacking = [name for name in ("initdb", "pg_ctl", "pg_dump", "pg_restore", "psql") if program(name) is None]
    return f"PostgreSQL is not installed (apt: postgresql): no {', '.join(lacking)}" if lacking else ""


@dataclass(frozen=True)
class Postgres:
    """A running server. `folder`: where its socket is."""

    folder: Path

    def environment(self, database: str) -> dict[str, str]:
        """What leads libpq to one of its databases."""
        return {"PGHOST": str(self.folder), "PGDATABASE": database, "PGUSER": "app", "PATH": path()}

    def ask(self, database: str, sql: str) -> str:
        words = ["psql", "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1"]
        environment = {**os.environ, **self.environment(database)}
        return subprocess.run(
            words, input=sql, env=environment, capture_output=True, text=True, check=True, timeout=120
        ).stdout.strip()

    def create(self, database: str) -> None:
        self.ask("postgres", f'CREATE DATABASE "{database}"')


def path() -> str:
    """PATH with the server's programs."""
    return ":".join([os.environ["PATH"], *map(str, FOLDERS[-1:])])


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Start one. A socket's path has 107 bytes at most, so `folder` must be short."""
    data = folder / "data"
    user = pwd.getpwnam(_NOBODY) if os.getuid() == 0 else None
    if user:
        folder.chmod(0o755)
        data.mkdir(mode=0o700)
        shutil.chown(data, user.pw_uid, user.pw_gid)
        shutil.chown(folder, user.pw_uid, user.pw_gid)

    def run(*words: str) -> None:
        subprocess.run(
            words,
            env={**os.environ, "PATH": path()},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd=folder,
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
        )

    initdb, pg_ctl = (str(program(name)) for name in ("initdb", "pg_ctl"))
    run(initdb, "--pgdata", str(data), "--username=app", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C")
    options = " ".join(f"-c {setting}" for setting in (*_SETTINGS, f"unix_socket_directories={folder}"))
    run(pg_ctl, "--pgdata", str(data), "--log", str(data / "log"), "--wait", "--options", options, "start")
    try:
        yield Postgres(folder)
    finally:
        run(pg_ctl, "--pgdata", str(data), "--mode=immediate", "stop")
