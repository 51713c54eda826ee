"""`gitops lb`: parses and prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import cluster_option, output_option
from gitops.ground.output import print_table, say, say_json
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.ground.suggest import nearest

# How much of two host names is the same where one is the other, mistyped: all of a platform's end alike.
_SAME = 0.9


def checkout() -> Checkout:
    """This checkout, with the kustomize that renders it."""
    from gitops.tools.build import ensure

    here = Checkout.find()
    ensure(here, Progress(quiet=True), ["kustomize"])
    return here


@click.group(cls=Group)
def lb() -> None:
    """The one load balancer: what its controller would build from all Ingresses of the working copy.

    Example: gitops lb route mogle.example.com /
    """


@lb.command()
@cluster_option
@output_option
def show(cluster: str, output: str) -> None:
    """Draw the routing table in the order of its rules, and how much of each quota is used.

    Exit code 1: a rule is faulty, or an overlay cannot be rendered, so that its rules are not in the table.

    Example: gitops lb show
    """
    from gitops.lb import model, table

    routing = table.load(checkout(), cluster)
    balancer = routing.balancer
    if output == "json":
        say_json(table.as_dict(routing), indent=1)
    else:
        print_table(table.HEAD, table.rows(balancer))
        told = [source.place("ssl-redirect") for source in balancer.redirects]
        say(f"port 80: {f'redirects to https ({told[0]})' if told else 'closed'}")
        for what, used in balancer.used.items():
            say(f"{what}: {used} of {model.QUOTAS[what]} used, {model.QUOTAS[what] - used} left")
        if (remaining := balancer.remaining_services()) is not None:
            rules_each = len(balancer.rules) / balancer.services
            more = counted(remaining, "more service fits", "more services fit")
            say(f"forecast: at {rules_each:.1f} rules a service, {more}")
    faults = [
        Fault(f"{finding.rule}: {finding.what}", finding.place.file, finding.place.line) for finding in routing.findings
    ]
    if faults or routing.broken:
        raise NotHealthyError.several([*routing.broken, *faults])


@lb.command()
@click.argument("host", shell_complete=complete.domains)
@click.argument("path", default="/")
@cluster_option
@output_option
def route(host: str, path: str, cluster: str, output: str) -> None:
    """Say which Service answers a request for HOST and PATH (default: /), and by which rule.

    Exit code 1: none, the load balancer itself answers 404; or an overlay cannot be rendered, so that its rules are not
    in the answer.

    Example: gitops lb route mogle.example.com /
    """
    from gitops.lb import table

    if "/" in host or ":" in host or not host:
        expected = f"a host name alone, such as {urlsplit(host).hostname or 'mogle.example.com'}"
        raise InputError("host", expected=expected, found=repr(host))
    if not path.startswith("/"):
        raise InputError("path", expected="one that begins with /", found=repr(path))
    routing = table.load(checkout(), cluster)
    document, address = table.route_dict(routing, host, path), f"https://{host}{path}"
    if output == "json":
        say_json(document, indent=None)
    elif document["priority"]:
        _say_route(document, address)
    for number in document["conditional"] if output != "json" else ():
        say(f"where its further conditions hold, rule {number} answers before it")
    faults = [replace(fault, what=f"not in this answer: {fault.what}") for fault in routing.broken]
    if not document["priority"]:
        answers = ", ".join(document["to"])
        hosts = routing.balancer.hosts
        near = None if host in hosts else nearest(host, hosts, _SAME)
        fix = f"did you mean {near}?" if near else None
        faults.insert(0, Fault(f"{address}: no rule matches; the load balancer answers {answers}", fix=fix))
    if faults:
        raise NotHealthyError.several(faults)


def _say_route(document: Mapping[str, Any], address: str) -> None:
    """Print who answers, and by which line."""
    service, port, namespace = document["service"], document["port"], document["namespace"]
    if len(document["to"]) == 1 and document["to"][0].endswith(f"-{service}:{port}"):
        say(f"{address} -> Service {service}, port {port}, in namespace {namespace}")
    else:
        say(f"{address} -> {', '.join(document['to']) or 'nowhere: the rule cannot be built'}")
    place = f"{document['file']}:{document['line']}"
    address = f"{document['host'] or 'any host'} {document['path'] or 'any path'} ({document['path_type']})"
    say(f"by rule {document['priority']}: {address}, {place}")
    if not document["certificate"]:
        say("no certificate covers it: a browser refuses it")
