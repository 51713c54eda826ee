"""Where tests make their files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil

SHARED_MEMORY = Path("/dev/shm")
# Bytes: a lab takes 3 GiB, and nothing that the tests write comes to as much.
SPARE = 8 * 2**30


def work_in_memory() -> None:
    """Clones, render folders and labs' data are some hundred thousand small files, which a disk takes longer to make
    than the tests to run: an ext4 without a journal looks, before it makes one, at all that were dropped within a
    minute. Where the machine has no memory to spare, or TMPDIR is set, they stay where they were.
    """
    if "TMPDIR" in os.environ or not SHARED_MEMORY.is_dir():
        return
    about = os.statvfs(SHARED_MEMORY)
    free = min(about.f_bavail * about.f_frsize, psutil.virtual_memory().available)
    if free > SPARE and not about.f_flag & os.ST_NOEXEC and os.access(SHARED_MEMORY, os.W_OK):
        os.environ["TMPDIR"] = tempfile.tempdir = str(SHARED_MEMORY)
