"""docs/runbooks/data.md is followed from its beginning to its end: every command of it, and every file."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster_world import aws_world
from tests.conftest import GITOPS
from tests.data_world import DIGEST, REGION, DataWorld, data_world, database_server
from tests.fakes.cloudformation_template import ACCOUNT
from tests.frozen import ROOT

pytestmark = [pytest.mark.bots, pytest.mark.docs]

RUNBOOK = ROOT / "docs/runbooks/data.md"
BLOCK = re.compile(r"^```(console|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def data() -> Iterator[DataWorld]:
    with database_server() as server, data_world(server) as world:
        yield world


def test_every_command_of_the_runbook_works_in_its_order(data: DataWorld, tmp_path: Path) -> None:
    """From no database to one, back to a second, and a VM's rows moved in; its files are the page's own blocks."""
    with aws_world(tmp_path / "clone") as aws:
        overlay = aws.checkout.root / "overlays/mogle/prod"
        kustomization = overlay / "kustomization.yaml"
        text = kustomization.read_text().replace("resources:\n", "resources:\n  - database.yaml\n")
        text = text.replace("components:\n", "components:\n  - ../../../base/components/database\n")
        kustomization.write_text(text)
        aws.resolver.registrar = aws.account
        identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com"}
        identity |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in identity.items()}
        where = data.server.environment("mogle")
        environment = {**os.environ, **identity, **where, **aws.environment(), "AWS_ENDPOINT_URL_S3": data.url}
        environment |= {"AWS_DEFAULT_REGION": REGION, "PATH": f"{GITOPS.parent}:{where['PATH']}"}
        blocks = BLOCK.findall(RUNBOOK.read_text())
        assert len(blocks) >= 7
        for kind, block in blocks:
            if kind == "yaml":
                declare_as_the_page_says(overlay / "database.yaml", block)
                continue
            for command in block.splitlines():
                if command.startswith("gitops data load"):
                    environment["PGDATABASE"] = data.empty()
                done = subprocess.run(
                    ["bash", "-o", "pipefail", "-c", command.replace("111122223333", ACCOUNT)],
                    cwd=aws.checkout.root,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=180,
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert sorted(item.physical for item in aws.account.of_type("AWS::RDS::DBInstance")) == [
            "seoul-benefit-prod-1",
            "seoul-mogle-prod-1",
            "seoul-mogle-prod-2",
        ]
        assert "host: seoul-mogle-prod-2." in (overlay / "database.yaml").read_text()
    assert data.server.ask(environment["PGDATABASE"], DIGEST) == data.server.ask("mogle", DIGEST)


def declare_as_the_page_says(file: Path, block: str) -> None:
    """The whole file, or the keys below `data` that change."""
    content = yaml.safe_load(block)
    if "data" in content:
        file.write_text(block)
        return
    document = yaml.safe_load(file.read_text())
    words = dict(line.split(": ", 1) for line in block.splitlines())
    document["data"] |= {key: value.strip('"') for key, value in words.items()}
    file.write_text(yaml.safe_dump(document))
