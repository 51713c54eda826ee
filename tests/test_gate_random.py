"""Random edits of an overlay: the check never crashes, and never passes what the API server rejects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from git import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops.check.dry_run import Server
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from gitops.manifests.pods import template
from gitops.manifests.render import build
from tests import catalogue

pytestmark = pytest.mark.bots

UNIT = "overlays/umbrella/prod"
FILES = ("deployment.yaml", "ingress.yaml", "kustomization.yaml", "oauth-42.yaml", "sealedsecret-oauth-42-g1.yaml")
# What people write by mistake, and what YAML makes of it.
WORDS = (
    "",
    "null",
    "~",
    "true",
    "0",
    "-1",
    "1e3",
    "65536",
    "3.5",
    "2026-13-45",
    "web",
    "http",
    "app",
    "staging",
    "128Mi",
    "50m",
    "128MB",
    "[]",
    "{}",
    "[a, b]",
    "{a: b}",
    "'",
    '"x',
    "*x",
    "&x y",
    "!!binary x",
    "|",
    ">-",
    "- a",
    "a: b",
    "# x",
    "@",
    "%x",
    "ünïcödé",
    "x" * 300,
    "../../../base/bot",
    "latest",
    "127.0.0.1",
    "a.b.c",
    "UPPER_case",
    "-",
    ":",
    "<<: *web",
    "$patch: delete",
)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[catalogue.Gate]:
    made = catalogue.Gate(tmp_path_factory.mktemp("random"))
    assert made.check(everything=True) == []
    yield made
    labs.reset(Lab(made.checkout, catalogue.LAB))


edits = st.tuples(
    st.sampled_from(FILES),
    st.sampled_from(["value", "key", "drop", "twice", "swap", "indent", "dedent", "insert", "cut"]),
    st.integers(0, 60),
    st.sampled_from(WORDS),
)


def edited(text: str, how: str, position: int, word: str) -> str:
    lines = text.splitlines()
    n = position % len(lines)
    line = lines[n]
    indent = " " * (len(line) - len(line.lstrip()))
    if how == "value":
        lines[n] = f"{line.partition(':')[0]}: {word}"
    elif how == "key":
        lines[n] = f"{indent}{word}:{line.partition(':')[2]}"
    elif how == "drop":
        del lines[n]
    elif how == "twice":
        lines.insert(n, line)
    elif how == "swap":
        lines[n], lines[n - 1] = lines[n - 1], lines[n]
    elif how == "indent":
        lines[n] = f"  {line}"
    elif how == "dedent":
        lines[n] = line.removeprefix("  ")
    elif how == "insert":
        lines.insert(n, f"{indent}{word}")
    else:
        lines[n] = line[: len(line) // 2]
    return "\n".join(lines) + "\n"


def rejected(made: catalogue.Gate) -> str | None:
    """What the API server itself has against the overlay, asked by none of the check's own code but its addresses."""
    rendered = build(made.checkout, made.checkout.root, UNIT)
    if rendered.error:
        return str(rendered.error)
    cluster = Cluster(Lab(made.checkout, catalogue.LAB).kubeconfig)
    server = Server(made.checkout, cluster)
    # A check takes away what it tried a transition of, a ServiceAccount with other labels too.
    server.apply_prerequisites(
        [item for item in rendered.objects() if item["kind"] in ("ServiceAccount", "LimitRange")]
    )
    space = "/api/v1/namespaces/umbrella-prod/pods"
    for item in rendered.objects():
        try:
            cluster.ask("PATCH", server.path(item), item, kind="apply", fieldManager="test", force="true")
            pod = template(item)
            if pod and pod.path:
                labels = {"generateName": "x-", "labels": pod.labels}
                cluster.ask("POST", space, {"apiVersion": "v1", "kind": "Pod", "metadata": labels, "spec": pod.spec})
        except ClusterError as error:
            return error.reason or str(error)
    return None


def hold(made: catalogue.Gate, changes: list[tuple[str, str, int, str]]) -> None:
    folder = made.checkout.root / UNIT
    try:
        for file, how, position, word in changes:
            path = folder / file
            path.write_text(edited(path.read_text() or "\n", how, position, word))
        errors = [finding for finding in made.check() if finding.severity == "error"]
        for finding in errors:
            assert finding.place.line >= 1
            assert (made.checkout.root / finding.place.file).exists(), finding
        if not errors:
            assert rejected(made) is None
    finally:
        with Repo(made.checkout.root) as repo:
            repo.git.checkout("--force", "HEAD", "--", ".")


many = st.lists(edits, min_size=1, max_size=3)
QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@settings(max_examples=25, derandomize=True, suppress_health_check=QUIET)
@given(many)
def test_a_random_edit_is_found_or_taken_by_the_api_server(
    gate: catalogue.Gate, changes: list[tuple[str, str, int, str]]
) -> None:
    hold(gate, changes)


@pytest.mark.matrix
@pytest.mark.timeout(3000)
@settings(max_examples=400, suppress_health_check=QUIET)
@given(many)
def test_many_random_edits(gate: catalogue.Gate, changes: list[tuple[str, str, int, str]]) -> None:
    hold(gate, changes)
