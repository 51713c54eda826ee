"""The frozen platform's cluster, written for a simulated account of AWS, and the real command against it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from gitops.cluster import identity
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.repository import contents
from tests.conftest import GITOPS, Ran, gitops
from tests.fakes.aws_account import AwsAccount, Kill, Resolver
from tests.fakes.cloudformation_template import ACCOUNT
from tests.frozen import clone

WRITTEN = {
    "account": ACCOUNT,
    "adminRole": f"arn:aws:iam::{ACCOUNT}:role/platform-administrator",
    "apiRanges": "192.168.0.0/24",
}


class AwsWorld:
    """An account, a resolver and a checkout whose cluster `seoul` is that account's."""

    def __init__(self, folder: Path, *, written: bool = True) -> None:
        self.account = AwsAccount()
        self.resolver = Resolver()
        self.checkout: Checkout = clone(folder)
        if written:
            self.define(**WRITTEN)

    def close(self) -> None:
        self.resolver.close()
        self.account.close()

    def define(self, **values: str) -> None:
        """Change cluster.yaml, and what repeats it."""
        file = self.checkout.root / "clusters/seoul/cluster.yaml"
        document = yamlfile.read(self.checkout, file)
        document["data"] |= values
        file.write_text(yaml.safe_dump(document))
        with suppress(InputError):  # what one test writes into cluster.yaml cannot be read
            contents.write(self.checkout, identity.renamed(self.checkout, "seoul"))

    def run(self, *words: str, **env: str) -> Ran:
        """`gitops cluster ...`; of `up` what AWS is asked alone, where no lab stands in for the cluster."""
        if words[0] == "up" and self.account.api is None:
            words = (*words, "--aws-only")
        return self.run_with({**self.environment(), **env}, *words)

    def run_with(self, environment: dict[str, str], *words: str) -> Ran:
        """The same with all of its environment."""
        return gitops(self.checkout, "cluster", *words, timeout=120, **environment)

    def environment(self) -> dict[str, str]:
        return {**self.account.environment(), "GITOPS_DNS_URL": self.resolver.url}

    def up(self, **env: str) -> Ran:
        """Bring it up. The domains are delegated as soon as their zones are there."""
        self.resolver.registrar = self.account
        return self.run("up", "seoul", "--yes", **env)

    def killed(self, kill: Kill, *command: str) -> int:
        """`gitops cluster ...`, killed with -9 at a call of its own; its exit code."""
        self.resolver.registrar = self.account
        self.account.calls.clear()
        self.account.kill = kill
        with self.begun(*command, *(["--aws-only"] if command[0] == "up" else [])) as process:
            kill.process = process.pid
            return process.wait(timeout=120)

    def begun(self, *command: str, alone: bool = False) -> subprocess.Popen[bytes]:
        """`gitops cluster ...`, running; `alone`: with what it starts in a process group of its own."""
        return subprocess.Popen(
            [str(GITOPS), "cluster", *command],
            cwd=self.checkout.root,
            env={**os.environ, **self.environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=alone,
        )

    def state(self) -> list[tuple[str, ...]]:
        """What stands in the account: each stack with its status, and each thing with its stack and type."""
        stacks = [(name, stack.status, str(stack.protected)) for name, stack in self.account.stacks.stacks.items()]
        items = self.account.stacks.resources.values()
        return sorted([*stacks, *((item.stack, item.logical, item.kind) for item in items)])

    def half_made(self) -> list[str]:
        """Change sets that nobody will execute, and stacks that were begun and never filled."""
        stacks = self.account.stacks.stacks.values()
        return [stack.name for stack in stacks if stack.change_sets or stack.status == "REVIEW_IN_PROGRESS"]


@contextmanager
def aws_world(folder: Path, *, written: bool = True) -> Iterator[AwsWorld]:
    """`written`: cluster.yaml names this account, and nothing that is an example."""
    world = AwsWorld(folder, written=written)
    try:
        yield world
    finally:
        world.close()
