"""`gitops lb`: parses and prints."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import cluster_option, output_option
from gitops.ground.output import print_table, say, say_json
from gitops.ground.progress import Progress


def checkout() -> Checkout:
    """This checkout, with the kustomize that renders it."""
    from gitops.tools.build import ensure

    here = Checkout.find()
    ensure(here, Progress(quiet=True), ["kustomize"])
    return here


@click.group(cls=Group)
def lb() -> None:
    """The one load balancer: what its controller would build from all Ingresses of the working copy."""


@lb.command()
@cluster_option
@output_option
def show(cluster: str, output: str) -> None:
    """Draw the routing table in the order of its rules, and how much of each quota is used."""
    from gitops.lb import check, model, table

    balancer, units = table.load(checkout(), cluster)
    findings = list(check.check(balancer, units))
    if output == "json":
        say_json(table.as_dict(balancer, findings), indent=1)
    else:
        print_table(table.HEAD, table.rows(balancer))
        say(f"port 80: {f'redirects to https ({balancer.redirect.place})' if balancer.redirect else 'closed'}")
        for what, used in balancer.used.items():
            say(f"{what}: {used} of {model.QUOTAS[what]} used, {model.QUOTAS[what] - used} left")
        if (remaining := balancer.remaining_services()) is not None:
            rules_each = len(balancer.rules) / balancer.services
            say(f"forecast: at {rules_each:.1f} rules a service, {remaining} more services fit")
    if findings:
        raise NotHealthyError.several(
            Fault(f"{finding.rule}: {finding.what}", finding.place.file, finding.place.line) for finding in findings
        )


@lb.command()
@click.argument("host")
@click.argument("path", default="/")
@cluster_option
@output_option
def route(host: str, path: str, cluster: str, output: str) -> None:
    """Say which Service answers a request for HOST and PATH (default: /), and by which rule.

    Exit code 1: none, the load balancer itself answers 404.
    """
    from gitops.lb import table

    if "/" in host or ":" in host or not host:
        expected = f"a host name alone, such as {urlsplit(host).hostname or 'mogle.example.com'}"
        raise InputError("host", expected=expected, found=repr(host))
    if not path.startswith("/"):
        raise InputError("path", expected="one that begins with /", found=repr(path))
    balancer, _ = table.load(checkout(), cluster)
    rule = balancer.route(host, path)
    if rule is None:
        raise NotHealthyError(f"https://{host}{path}: no rule matches; the load balancer answers 404")
    number, place = balancer.rules.index(rule) + 1, rule.unit.places.of(rule.item, rule.path_location)
    covered = balancer.accepts_tls(host)
    if output == "json":
        document = {
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
        say_json(document, indent=None)
        return
    say(f"https://{host}{path} -> Service {rule.service}, port {rule.port}, in namespace {rule.namespace}")
    say(f"by rule {number}: {rule.host or 'any host'} {rule.path} ({rule.path_type}), {place.file}:{place.line}")
    if not covered:
        say(f"no certificate covers {host}: a browser refuses it")
