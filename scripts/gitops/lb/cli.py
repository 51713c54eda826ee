"""`gitops lb`: parses and prints."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import click

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError, NotHealthyError, combined
from gitops.ground.groups import Group
from gitops.ground.options import cluster_option, output_option
from gitops.ground.output import print_table
from gitops.ground.progress import Progress
from gitops.lb import check, model
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.render import build, in_parallel
from gitops.tools.build import ensure


@click.group(cls=Group)
def lb() -> None:
    """The one load balancer: what its controller would build from all Ingresses of the working copy."""


@lb.command()
@cluster_option
@output_option
def show(cluster: str, output: str) -> None:
    """Draw the routing table in the order of its rules, and how much of each quota is used."""
    balancer, units = _load(cluster)
    rows = [
        [
            str(n),
            rule.host or "*",
            rule.path,
            rule.path_type,
            f"{rule.namespace}/{rule.service}:{rule.port}",
            "yes" if balancer.certificates is None or balancer.covers(rule.host) else "NO",
        ]
        for n, rule in enumerate(balancer.rules, 1)
    ]
    problems = list(check.check(balancer, units))
    if output == "json":
        keys = ("host", "path", "path_type", "namespace", "service", "port", "ingress")
        rules = [
            {"priority": n, **{key: getattr(rule, key) for key in keys}} for n, rule in enumerate(balancer.rules, 1)
        ]
        quotas = {what: {"used": used, "quota": model.QUOTAS[what]} for what, used in balancer.used.items()}
        click.echo(
            json.dumps(
                {"rules": rules, "quotas": quotas, "room": balancer.room(), "findings": [f.what for f in problems]},
                indent=1,
            )
        )
    else:
        print_table(["rule", "host", "path", "type", "service", "certificate"], rows)
        for what, used in balancer.used.items():
            click.echo(f"{what}: {used} of {model.QUOTAS[what]} used, {model.QUOTAS[what] - used} left")
        if (room := balancer.room()) is not None:
            click.echo(
                f"forecast: at {len(balancer.rules) / balancer.services:.1f} rules a service, {room} more services fit"
            )
    if problems:
        raise NotHealthyError("\n".join(f"{f.place.file}:{f.place.line}: {f.rule}: {f.what}" for f in problems))


@lb.command()
@click.argument("host")
@click.argument("path", default="/")
@cluster_option
@output_option
def route(host: str, path: str, cluster: str, output: str) -> None:
    """Say which Service answers a request for HOST and PATH (default: /), and by which rule.

    Exit code 1: none, the load balancer itself answers 404.
    """
    if "/" in host or ":" in host or not host:
        raise InputError(
            f"host {host!r}: expected a host name alone, such as {urlsplit(host).hostname or 'mogle.example.com'}"
        )
    if not path.startswith("/"):
        raise InputError(f"path {path!r}: expected one that begins with /")
    balancer, _ = _load(cluster)
    rule = balancer.route(host, path)
    if rule is None:
        raise NotHealthyError(f"https://{host}{path}: no rule matches; the load balancer answers 404")
    number, place = balancer.rules.index(rule) + 1, rule.unit.places.of(rule.item, (*rule.at, "path"))
    covered = balancer.certificates is None or balancer.covers(host)
    if output == "json":
        click.echo(
            json.dumps(
                {
                    "priority": number,
                    "namespace": rule.namespace,
                    "service": rule.service,
                    "port": rule.port,
                    "host": rule.host,
                    "path": rule.path,
                    "certificate": covered,
                    "file": place.file,
                    "line": place.line,
                }
            )
        )
        return
    click.echo(f"https://{host}{path} -> Service {rule.service}, port {rule.port}, in namespace {rule.namespace}")
    click.echo(f"by rule {number}: {rule.host or 'any host'} {rule.path} ({rule.path_type}), {place.file}:{place.line}")
    if not covered:
        click.echo(f"no certificate covers {host}: a browser refuses it")


def _load(cluster: str) -> tuple[model.LoadBalancer, list[Unit]]:
    checkout = Checkout.find()
    ensure(checkout, Progress(quiet=True), ["kustomize"])
    graph, name = Graph(checkout), f"clusters/{cluster}"
    if name not in graph.units:
        known = ", ".join(unit.removeprefix("clusters/") for unit in graph.units if unit.startswith("clusters/"))
        raise InputError(f"cluster {cluster!r}: there is none; there are: {known}")
    wanted = [unit for unit in graph.units if unit.startswith("overlays/") or unit == name]
    rendered = in_parallel(lambda unit: build(checkout, checkout.root, unit), wanted)
    if broken := [rendering.error for rendering in rendered if rendering.error]:
        raise combined(broken)
    units = [Unit.of(graph, each) for each in rendered]
    platform = next(unit for unit in units if unit.name == name)
    overlays = [unit for unit in units if unit.overlay]
    certificates, _ = model.read_certificates(platform)
    return model.merge(overlays, certificates), overlays
