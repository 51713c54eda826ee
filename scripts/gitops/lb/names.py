"""The annotations of the AWS Load Balancer Controller (v3.5.0, pkg/annotations/constants.go), by whose they are."""

from __future__ import annotations

CLASS = "platform"
PREFIX = "alb.ingress.kubernetes.io/"
ORDER = f"{PREFIX}group.order"
REDIRECT, LISTEN = f"{PREFIX}ssl-redirect", f"{PREFIX}listen-ports"
# By this name of a port an Ingress sends to what its annotation actions.<service> says.
BY_ANNOTATION = "use-annotation"

# What a target group is asked for belongs to the service behind it (policies/ingress-class.yaml has the same list).
OWN = frozenset(
    {
        "healthcheck-path",
        "healthcheck-port",
        "healthcheck-protocol",
        "healthcheck-interval-seconds",
        "healthcheck-timeout-seconds",
        "healthy-threshold-count",
        "unhealthy-threshold-count",
        "success-codes",
        "target-group-attributes",
    }
)
# The listeners are the platform's: one of its Ingresses says it for the whole group.
LISTENERS = frozenset({"listen-ports", "ssl-redirect"})
# The whole group must say the same, or the controller stops ("Exclusive" in its documentation); or the class says it.
WHOLE_GROUP = frozenset(
    {
        "load-balancer-name",
        "scheme",
        "ip-address-type",
        "subnets",
        "security-groups",
        "customer-owned-ipv4-pool",
        "load-balancer-attributes",
        "wafv2-acl-arn",
        "wafv2-acl-name",
        "waf-acl-id",
        "web-acl-id",
        "shield-advanced-protection",
        "ssl-policy",
        "group.name",
        "inbound-cidrs",
        "tags",
        "certificate-arn",
        "target-type",
        "mutual-authentication",
        "security-group-prefix-lists",
        "manage-backend-security-group-rules",
        "minimum-load-balancer-capacity",
        "ipam-ipv4-pool-id",
        "create-acm-cert",
        "acm-pca-arn",
        "dry-run-plan",
    }
)
_WHOLE_GROUP_FAMILIES = ("listener-attributes.", "frontend-nlb", "enable-frontend-nlb")
# What a rule or a target group may be told beside these. A policy keeps it from services.
FURTHER = frozenset(
    {
        "group.order",
        "backend-protocol",
        "backend-protocol-version",
        "auth-type",
        "auth-idp-cognito",
        "auth-idp-oidc",
        "auth-on-unauthenticated-request",
        "auth-scope",
        "auth-session-cookie",
        "auth-session-timeout",
        "jwt-validation",
        "multi-cluster-target-group",
        "target-node-labels",
        "use-regex-path-match",
    }
)
BY_SERVICE = ("actions.", "conditions.", "transforms.")
_FURTHER_FAMILIES = (*BY_SERVICE, "target-control-port.")


def is_whole_groups(short: str) -> bool:
    """Whether an annotation (without its prefix) is about the whole group."""
    return short in WHOLE_GROUP or short.startswith(_WHOLE_GROUP_FAMILIES)


def is_known(short: str) -> bool:
    """Whether the controller knows an annotation (without its prefix)."""
    known = short in OWN or short in LISTENERS or short in FURTHER or short.startswith(_FURTHER_FAMILIES)
    return known or is_whole_groups(short)
