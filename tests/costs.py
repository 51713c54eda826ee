"""What the platform costs a month: python -m tests.costs

Writes it into docs/figures.json, from which docs/cost.md is rendered (docs/cost.template.md has its words).
"""

from __future__ import annotations

from collections.abc import Sequence

from gitops.cluster import cost, world
from gitops.cluster.cost import CostLine
from gitops.ground import printable
from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from gitops.preview import cost as requests
from tests import figures, minutes
from tests.frozen import ROOT
from tests.minutes import Schedule

CLUSTER = "seoul"
WORKFLOWS = ROOT / ".github/workflows"


def table(lines: Sequence[CostLine]) -> str:
    """Lines as a table of Markdown."""
    rows = [
        [
            line.stack,
            line.what,
            f"{line.quantity:g}{' (assumed)' if line.assumed else ''}",
            f"{line.monthly:.2f}",
            line.source,
        ]
        for line in lines
    ]
    return "".join(
        f"{row}\n" for row in printable.table(["part", "what", "quantity", "USD a month", "price from"], rows)
    )


def minutes_table(billed: Sequence[Schedule]) -> str:
    """The schedules as a table of Markdown."""
    rows = [[line.workflow, f"{line.runs:.0f}", f"{line.minutes}", f"{line.monthly:,.0f}"] for line in billed]
    head = ["workflow", "runs a month by its schedule", "minutes of one run", "minutes a month"]
    return "".join(f"{row}\n" for row in printable.table(head, rows))


def measure(checkout: Checkout) -> dict[str, object]:
    """All figures of docs/cost.md."""
    place = world.look(checkout, CLUSTER)
    lines, listed = cost.lines(place), cost.prices()
    old, kept = cost.replaced(), cost.stays(place.stacks)
    node = requests.read_node(checkout, f"clusters/{CLUSTER}")
    overlays = [file.parent for file in sorted(checkout.overlays.glob("[!.]*/*/kustomization.yaml"))]
    asked = [requests.resources(kustomize.build(checkout, overlay), node) for overlay in overlays]
    endpoints, saving = cost.endpoints(listed)
    billed = minutes.schedules(WORKFLOWS)
    return {
        "cluster": table(lines),
        "total": cost.total(lines),
        "replaced": table(old),
        "replaced_total": cost.total(old),
        "kept_total": cost.total(kept),
        "surcharge": sum(line.monthly for line in lines if "surcharge" in line.what),
        "share": listed.surcharge.share,
        "egress": sum(line.monthly for line in lines if line.what == "NAT gateways"),
        "endpoints": endpoints,
        "saving_gb": saving,
        "database_alone": cost.database(listed, 1, 20),
        "database_standby": cost.database(listed, 2, 20),
        "minutes": minutes_table(billed),
        "minutes_total": sum(schedule.monthly for schedule in billed),
        "read": str(listed.read),
        "region": listed.region,
        "node": place.definition.node_type,
        "nodes": listed.assumed["nodes"],
        "cpu": sum(resources.cpu for resources in asked),
        "memory_gb": sum(resources.memory for resources in asked) / 2**30,
        "node_cpu": float(node.cpu) if node else 0.0,
        "node_memory_gb": float(node.memory) / 2**30 if node else 0.0,
    }


if __name__ == "__main__":
    figures.record("cost", measure(Checkout(ROOT)))
