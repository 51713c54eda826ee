from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from gitops.clients.registries import Registries, resolve
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError
from gitops.images import policy
from gitops.manifests import kustomize
from gitops.repository import services as model
from gitops.service import registries
from tests.conftest import Run, commit_all
from tests.fakes.aws import HOST, ecr_server
from tests.fakes.registry import Registry
from tests.service_world import AUTHOR

DIGEST = "sha256:" + "a" * 64
# The one that the policies allow.
ECR = "111122223333.dkr.ecr.ap-northeast-2.amazonaws.com"
IMAGE = f"ghcr.io/ft-platform/shop:1.2.3@{DIGEST}"


def status(checkout: Checkout) -> str:
    return subprocess.check_output(["git", "status", "--porcelain"], cwd=checkout.root, text=True)


def test_a_new_web_service_is_exactly_its_own_files_and_codeowners(scratch: Checkout, run: Run) -> None:
    done = run("service", "new", "shop", "--image", IMAGE, "--domain", "shop.example.com", "--owner", "bots")
    assert done.code == 0, done.err
    assert "next: git switch -c shop" in done.out
    changed = subprocess.check_output(
        ["git", "status", "--porcelain", "--untracked-files=all"], cwd=scratch.root, text=True
    ).splitlines()
    assert sorted(line[3:] for line in changed) == [
        ".github/CODEOWNERS",
        "overlays/shop/images.yaml",
        "overlays/shop/owner.yaml",
        "overlays/shop/prod/ingress.yaml",
        "overlays/shop/prod/kustomization.yaml",
        "overlays/shop/staging/ingress.yaml",
        "overlays/shop/staging/kustomization.yaml",
    ]
    assert "/overlays/shop/ @ft-platform/bots\n" in scratch.codeowners_file.read_text()
    rendered = kustomize.build(scratch, scratch.overlays / "shop/prod")
    pod = next(item for item in rendered if item["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == IMAGE
    [ingress] = [item for item in rendered if item["kind"] == "Ingress"]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["shop.example.com"]


@pytest.mark.parametrize("branch", ["shop", "shop/first-try"])
def test_the_next_line_works_also_where_the_branch_is_there(scratch: Checkout, run: Run, branch: str) -> None:
    subprocess.run(["git", "branch", branch], cwd=scratch.root, check=True)
    done = run("service", "new", "shop", "--image", IMAGE, *OK)
    assert done.code == 0, done.err
    [step] = [line.removeprefix("next: ") for line in done.out.splitlines() if line.startswith("next: ")]
    subprocess.run(["bash", "-ec", step], cwd=scratch.root, check=True, capture_output=True, env=AUTHOR)
    assert status(scratch) == ""


@pytest.mark.parametrize(
    ("words", "contact"),
    [
        (["--owner", "community"], "#community"),
        (["--owner", "bots"], "#bots-dev"),
        ([], "#platform"),
        (["--owner", "community", "--contact", "#shop-dev"], "#shop-dev"),
    ],
)
def test_a_new_service_has_the_channel_of_its_team_or_its_own(
    scratch: Checkout, run: Run, words: list[str], contact: str
) -> None:
    done = run("service", "new", "shop", "--image", IMAGE, *OK, *words)
    assert done.code == 0, done.err
    assert f"who is told of it: {contact} " in done.out
    [shop] = [service for service in model.services(scratch) if service.name == "shop"]
    assert shop.owner.contact == contact
    assert model.teams(scratch)[shop.owner.team].contact == contact or "--contact" in words


@pytest.mark.parametrize("image", [IMAGE, f"{ECR}/shop:1.2.3@{DIGEST}"], ids=["ghcr", "ecr"])
@pytest.mark.parametrize(("shape", "environments"), [("web", {"staging", "prod"}), ("bot", {"prod"})])
def test_a_new_service_is_bumped_from_its_first_day_whatever_its_registry(
    scratch: Checkout, run: Run, shape: str, environments: set[str], image: str
) -> None:
    words = ["--image", image, "--shape", shape, *(OK if shape == "web" else [])]
    assert run("service", "new", "shop", *words).code == 0
    assert set(policy.read(scratch, scratch.overlays / "shop")) == environments


def test_a_new_bot_has_prod_alone_and_no_domain(scratch: Checkout, run: Run) -> None:
    assert run("service", "new", "ping-bot", "--image", IMAGE, "--shape", "bot").code == 0
    rendered = kustomize.build(scratch, scratch.overlays / "ping-bot/prod")
    kinds = {item["kind"] for item in rendered}
    assert "Ingress" not in kinds
    assert "Service" not in kinds
    assert not (scratch.overlays / "ping-bot/staging").exists()


def test_an_image_with_its_own_port_and_health_check(scratch: Checkout, run: Run) -> None:
    words = ["--domain", "shop.example.com", "--port", "3000", "--health", "/status"]
    done = run("service", "new", "shop", "--image", IMAGE, *words)
    assert done.code == 0, done.err
    assert "the image must listen on 3000, answer GET /status" in done.out
    for env in ("staging", "prod"):
        rendered = kustomize.build(scratch, scratch.overlays / "shop" / env)
        [app] = next(item for item in rendered if item["kind"] == "Deployment")["spec"]["template"]["spec"][
            "containers"
        ]
        assert app["ports"] == [{"name": "http", "containerPort": 3000}]
        assert app["env"] == [{"name": "PORT", "value": "3000"}]
        probes = {probe: app[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert all(probe == {"path": "/status", "port": "http"} for probe in probes.values())
        ingress = next(item for item in rendered if item["kind"] == "Ingress")
        assert ingress["metadata"]["annotations"] == {"alb.ingress.kubernetes.io/healthcheck-path": "/status"}
    assert run("service", "list").code == 0


def test_a_host_that_no_certificate_covers_is_noted_and_written(scratch: Checkout, run: Run) -> None:
    words = ["--domain", "shop.example.com", "--domain", "shop.deep.down.example.com"]
    done = run("service", "new", "shop", "--image", IMAGE, *words)
    assert done.code == 0
    assert "note: no certificate covers shop.staging.deep.down.example.com, shop.deep.down.example.com, so" in done.err
    assert (scratch.overlays / "shop").is_dir()


def test_a_draft_that_a_kill_left_behind_is_no_service_and_goes(scratch: Checkout, run: Run) -> None:
    draft = scratch.overlays / ".shop.abc/prod"
    draft.mkdir(parents=True)
    assert "shop" not in run("service", "list").out
    assert run("service", "new", "shop", "--image", IMAGE, *OK).code == 0
    assert not draft.exists()


def test_a_tag_is_resolved_to_its_digest_in_ecr(monkeypatch: pytest.MonkeyPatch) -> None:
    with ecr_server(monkeypatch) as ecr:
        digest, name = ecr.push("shop", "1.10"), f"{HOST}/shop"
        assert str(resolve(f"{name}:1.10", Registries())) == f"{name}:1.10@{digest}"
        with pytest.raises(ExternalError, match="has no such tag"):
            resolve(f"{name}:1.11", Registries())
        with pytest.raises(ExternalError, match="has no such tag"):
            resolve(f"{name}-none:1.11", Registries())
    with pytest.raises(ExternalError, match=r"ECR cannot be reached \(EndpointConnectionError\); give"):
        resolve(f"{name}:1.10", Registries())


def test_a_tag_is_resolved_to_its_digest_in_its_registry(scratch: Checkout, run: Run, registry: Registry) -> None:
    allow(scratch, registry)
    digest = registry.push("team/shop", "1.10")
    done = run("service", "new", "shop", "--image", f"{registry.host}/team/shop:1.10", "--domain", "shop.example.com")
    assert done.code == 0, done.err
    text = (scratch.overlays / "shop/prod/kustomization.yaml").read_text()
    assert f'newTag: "1.10"\n    digest: {digest}\n' in text


def test_list_shows_environment_image_domains_and_owner(run: Run) -> None:
    rows = json.loads(run("service", "list", "--output", "json").out)
    assert {row["service"] for row in rows} == {
        "mogle", "evaluation-metrics", "benefit", "notice-bot", "jobs-bot", "umbrella", "oauth-watch",
    }  # fmt: skip
    mogle = next(row for row in rows if (row["service"], row["environment"]) == ("mogle", "prod"))
    assert mogle["owner"] == "community"
    assert "mogle.example.com" in mogle["domains"]
    assert "@sha256:" in mogle["image"]
    assert "mogle.example.com" in run("service", "list").out


def test_handover_changes_owner_labels_and_codeowners(scratch: Checkout, run: Run) -> None:
    done = run("service", "handover", "mogle", "--to", "benefit")
    following = "git switch -c mogle-handover && git add .github/CODEOWNERS overlays/mogle && git commit -m"
    assert f"next: {following} 'mogle: to benefit'" in done.out
    assert done.code == 0, done.err
    assert sorted(line[3:] for line in status(scratch).splitlines()) == [
        ".github/CODEOWNERS",
        "overlays/mogle/owner.yaml",
        "overlays/mogle/prod/kustomization.yaml",
        "overlays/mogle/staging/kustomization.yaml",
    ]
    service = next(service for service in model.services(scratch) if service.name == "mogle")
    assert (service.owner.team, service.owner.contact) == ("benefit", "#benefit-dev")
    assert "/overlays/mogle/ @ft-platform/benefit\n" in scratch.codeowners_file.read_text()
    labels = {item["metadata"]["labels"]["team"] for item in kustomize.build(scratch, scratch.overlays / "mogle/prod")}
    assert labels == {"benefit"}
    commit_all(scratch)
    again = run("service", "handover", "mogle", "--to", "benefit")
    assert (again.code, status(scratch)) == (0, "")
    assert "belongs to benefit already" in again.out


def test_codeowners_is_written_anew_for_what_changed_by_hand(scratch: Checkout, run: Run) -> None:
    assert "already" in run("service", "codeowners").out
    assert status(scratch) == ""
    scratch.teams_file.write_text(scratch.teams_file.read_text().replace("@ft-platform/community", "@ft-platform/new"))
    done = run("service", "codeowners")
    assert done.code == 0
    assert done.out.splitlines() == [
        "wrote .github/CODEOWNERS",
        "",
        "next: git switch -c codeowners && git add .github/CODEOWNERS && git commit -m 'Write CODEOWNERS anew'",
        "then: git push origin codeowners",
        "and open a pull request",
    ]
    assert "/overlays/mogle/ @ft-platform/new\n" in scratch.codeowners_file.read_text()


OK = ["--domain", "shop.example.com"]
BAD = {
    "name is no DNS label": (["Shop_1", "--image", IMAGE, *OK], 2, "service name 'Shop_1': not a DNS label"),
    "name exists": (["mogle", "--image", IMAGE, *OK], 2, "overlays/mogle: service name 'mogle': exists already"),
    "name too long": (["x" * 56, "--image", IMAGE, *OK], 2, "expected at most 55 characters"),
    "name of the cluster's own": (["kube-dns", "--image", IMAGE, *OK], 2, "service name 'kube-dns': reserved"),
    "name of a part of the platform": (["argocd", "--image", IMAGE, *OK], 2, "service name 'argocd': reserved"),
    "image without tag": (
        ["shop", "--image", "ghcr.io/ft-platform/b", *OK],
        2,
        "image: no tag; found 'ghcr.io/ft-platform/b'",
    ),
    "image with a mutable tag": (
        ["shop", "--image", "ghcr.io/ft-platform/b:latest", *OK],
        2,
        "the tag 'latest' is mutable",
    ),
    "image malformed": (["shop", "--image", "ghcr.io/A b:1", *OK], 2, "malformed; expected REGISTRY/NAME:TAG"),
    "domain of another service": (
        ["shop", "--image", IMAGE, "--domain", "api.mogle.example.com"],
        2,
        "domain 'api.mogle.example.com': belongs to mogle (prod; contact #mogle-dev)",
    ),
    "domain with a wildcard": (["shop", "--image", IMAGE, "--domain", "*.example.com"], 2, "wildcards are not allowed"),
    "domain with an underscore": (["shop", "--image", IMAGE, "--domain", "a_b.example.com"], 2, "underscores are not"),
    "unknown owner": (
        ["shop", "--image", IMAGE, *OK, "--owner", "nobody"],
        2,
        "team 'nobody': does not exist; there are: benefit, bots, ",
    ),
    "web without a domain": (["shop", "--image", IMAGE], 2, "a web service needs at least one --domain"),
    "contact with a quote": (["shop", "--image", IMAGE, *OK, "--contact", '#a"b'], 2, "contact; expected a channel"),
    "port of root": (["shop", "--image", IMAGE, *OK, "--port", "80"], 2, "port; expected 1024 to 65535"),
    "health is no path": (["shop", "--image", IMAGE, *OK, "--health", "a b"], 2, "health; expected a path such"),
    "registry that the policies refuse": (
        ["shop", "--image", f"quay.io/a/b:1.0@{DIGEST}", *OK],
        2,
        f"the policy image-registry refuses it ({registries.FILE}); expected one of ",
    ),
    "docker's short name": (["shop", "--image", "nginx:1.29", *OK], 2, "the policy image-registry refuses it"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_clear_message_and_nothing_is_written(scratch: Checkout, run: Run, fault: str) -> None:
    words, code, message = BAD[fault]
    done = run("service", "new", *words)
    assert message in done.err
    assert done.code == code
    assert status(scratch) == ""


def test_a_name_that_a_folder_or_the_platform_has_already_is_refused(scratch: Checkout, run: Run) -> None:
    """A folder that the gate would refuse may stand on a branch all the same."""
    shutil.copytree(scratch.overlays / "jobs-bot", scratch.overlays / "shop")
    (scratch.overlays / "shop/prod").rename(scratch.overlays / "shop/bot-prod")
    project = scratch.root / "apps/projects/platform.yaml"
    project.write_text(project.read_text().replace("namespace: kube-system", "namespace: metrics-prod"))
    commit_all(scratch)
    twin = run("service", "new", "shop-bot", "--image", IMAGE, "--shape", "bot")
    assert twin.code == 2
    assert "overlays/shop-bot/prod would be shop-bot-prod, and so is overlays/shop/bot-prod; choose another" in twin.err
    platform = run("service", "new", "metrics", "--image", IMAGE, "--shape", "bot")
    assert platform.code == 2
    assert "metrics-prod, and so is a namespace of AppProject platform; choose another name" in platform.err
    assert status(scratch) == ""


def test_a_registry_out_of_reach_is_an_error_that_says_how_to_do_without() -> None:
    with pytest.raises(ExternalError, match=r"; give its digest too: 127\.0\.0\.1:9/a/b:1\.0@sha256:"):
        resolve("127.0.0.1:9/a/b:1.0", Registries())


def test_a_policy_without_a_plain_list_is_said_and_nothing_is_written(scratch: Checkout, run: Run) -> None:
    file = scratch.root / registries.FILE
    file.write_text(file.read_text().replace("name: registries", "name: others"))
    commit_all(scratch)
    done = run("service", "new", "shop", "--image", IMAGE, *OK)
    assert (done.code, status(scratch)) == (2, "")
    assert f"{registries.FILE}: expected a variable registries" in done.err


def allow(checkout: Checkout, registry: Registry) -> None:
    """Let the policies take images of a registry of this machine."""
    file = checkout.root / registries.FILE
    file.write_text(file.read_text().replace("'docker.io/library/'", f"'docker.io/library/', '{registry.host}/'"))
    commit_all(checkout)


def test_a_tag_that_the_registry_has_not_is_an_error(scratch: Checkout, run: Run, registry: Registry) -> None:
    allow(scratch, registry)
    done = run("service", "new", "shop", "--image", f"{registry.host}/a/b:9.9", *OK)
    assert done.code == 4
    assert "has no such tag" in done.err
    assert status(scratch) == ""


def test_a_dirty_working_copy_is_refused(scratch: Checkout, run: Run) -> None:
    (scratch.root / "README.md").write_text("changed")
    done = run("service", "new", "shop", "--image", IMAGE, *OK)
    assert done.code == 2
    assert "the working copy has 1 uncommitted change (first: README.md)" in done.err
    assert not (scratch.overlays / "shop").exists()


def test_outside_of_a_checkout_is_said(scratch: Checkout) -> None:
    from tests.conftest import gitops

    done = gitops(Checkout(scratch.root.parent), "service", "list")
    assert done.code == 2
    assert "not inside a checkout" in done.err
