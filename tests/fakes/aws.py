"""moto's AWS on loopback, as boto3 finds it: by environment alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

REGION = "ap-northeast-2"


@contextmanager
def ecr_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ECRClient]:
    """Start moto's server, point boto3 at it with credentials that open nothing, and yield a client of its ECR."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        yield boto3.client("ecr")
    finally:
        server.stop()
