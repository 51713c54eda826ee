"""Which certificates the load balancer of a cluster has, and which names they cover."""

from __future__ import annotations

from gitops.ground.checkout import Checkout
from gitops.lb.sources import mapping
from gitops.manifests import certificates
from gitops.manifests.certificates import Certificate
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place


def read_certificates(platform: Unit, cluster: str) -> tuple[list[Certificate] | None, list[Finding]]:
    """What a cluster's IngressClassParams name, with the names from certificates.yaml. None: the cluster has none.

    `platform`: the folder that has them; `cluster`: the cluster's, such as clusters/seoul.
    """
    params = platform.kind("IngressClassParams")
    if not params:
        return None, []
    file = platform.places.root / cluster / certificates.FILE
    path = f"{cluster}/{certificates.FILE}"
    known = certificates.read(Checkout(platform.places.root), file.parent)
    named = list(mapping(params[0].get("spec")).get("certificateARNs") or [])
    described = {certificate.arn for certificate in known}
    findings = [
        platform.finding(
            "lb-certificate",
            params[0],
            ("spec", "certificateARNs", number),
            f"{path} does not say which names {arn} covers",
            f"add it to {path}",
        )
        for number, arn in enumerate(named)
        if arn not in described
    ]
    lines = file.read_text().splitlines() if file.exists() else []
    for certificate in known:
        if certificate.arn not in named:
            line = next((number for number, text in enumerate(lines, 1) if certificate.arn in text), 1)
            findings.append(
                Finding(
                    "lb-certificate",
                    Place(path, line),
                    f"{certificate.arn} is not the load balancer's",
                    "add it to certificateARNs in objects/ingressclassparams.yaml",
                    platform.name,
                )
            )
    return [certificate for certificate in known if certificate.arn in named], findings
