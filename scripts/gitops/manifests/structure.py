"""What is a mapping, a list or a value where code reads an object: `shape` holds every object to it.

A form is a word of those here, the fields of a mapping (others may stand beside them), or a list with the form of its
items. A rule that reads a further field of an object says its form here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VALUE, NUMBER, VALUES, MAPPING = "a value", "a whole number", "a mapping of texts to values", "a mapping"
# A word of the above, the fields of a mapping, or the form of a list's items.
Structure = str | Mapping[str, Any] | list[Any]

_SELECTOR: Structure = {
    "matchLabels": VALUES,
    "matchExpressions": [{"key": VALUE, "operator": VALUE, "values": [VALUE]}],
}
METADATA: Structure = {"name": VALUE, "namespace": VALUE, "labels": VALUES, "annotations": VALUES}
_NAMED: Structure = {"name": VALUE, "key": VALUE}
_PROBE: Structure = {
    "httpGet": {"path": VALUE, "port": VALUE},
    "tcpSocket": {"port": VALUE},
    "exec": {"command": [VALUE]},
}
_CONTAINER: Structure = {
    "name": VALUE,
    "image": VALUE,
    "command": [VALUE],
    "args": [VALUE],
    "env": [{"name": VALUE, "value": VALUE, "valueFrom": {"secretKeyRef": _NAMED, "configMapKeyRef": _NAMED}}],
    "envFrom": [{"secretRef": _NAMED, "configMapRef": _NAMED}],
    "ports": [{"name": VALUE, "containerPort": NUMBER, "protocol": VALUE}],
    "resources": {"requests": VALUES, "limits": VALUES},
    "securityContext": {"capabilities": {"add": [VALUE], "drop": [VALUE]}},
    "volumeMounts": [{"name": VALUE, "mountPath": VALUE}],
    "lifecycle": {"preStop": {"sleep": {"seconds": NUMBER}, "exec": {"command": [VALUE]}}},
    **dict.fromkeys(("startupProbe", "readinessProbe", "livenessProbe"), _PROBE),
}
_SOURCE: Mapping[str, Any] = {
    "secret": {"secretName": VALUE, "name": VALUE, "items": [_NAMED]},
    "configMap": {"name": VALUE, "items": [_NAMED]},
}
_CLAIM: Mapping[str, Any] = {
    "metadata": METADATA,
    "spec": {
        "accessModes": [VALUE],
        "storageClassName": VALUE,
        "volumeName": VALUE,
        "resources": {"requests": VALUES, "limits": VALUES},
    },
}
_POD: Mapping[str, Any] = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [
        {
            **_SOURCE,
            "name": VALUE,
            "projected": {"sources": [_SOURCE]},
            "persistentVolumeClaim": {"claimName": VALUE},
            "ephemeral": {"volumeClaimTemplate": _CLAIM},
        }
    ],
    "imagePullSecrets": [_NAMED],
    "serviceAccountName": VALUE,
    "nodeSelector": VALUES,
    "tolerations": [{"key": VALUE, "operator": VALUE, "effect": VALUE}],
    "topologySpreadConstraints": [{"labelSelector": _SELECTOR, "topologyKey": VALUE}],
    "terminationGracePeriodSeconds": NUMBER,
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": VALUE, "values": [VALUE]}]}]
            }
        }
    },
    "securityContext": MAPPING,
}
_TEMPLATE: Mapping[str, Any] = {"metadata": METADATA, "spec": _POD}
_WORKLOAD: Mapping[str, Any] = {
    "replicas": NUMBER,
    "selector": _SELECTOR,
    "template": _TEMPLATE,
    "volumeClaimTemplates": [_CLAIM],
    "strategy": {"rollingUpdate": {"maxUnavailable": VALUE, "maxSurge": VALUE}},
    "parallelism": NUMBER,
    "completions": NUMBER,
}
_BACKEND: Structure = {"service": {"name": VALUE, "port": {"name": VALUE, "number": VALUE}}}
_PORTS: Structure = [{"port": VALUE, "protocol": VALUE, "endPort": VALUE}]
_PEERS: Structure = [
    {"ipBlock": {"cidr": VALUE, "except": [VALUE]}, "namespaceSelector": _SELECTOR, "podSelector": _SELECTOR}
]
_APPLICATION: Mapping[str, Any] = {
    "project": VALUE,
    "source": {"repoURL": VALUE, "path": VALUE, "targetRevision": VALUE, "kustomize": MAPPING},
    "sources": [MAPPING],
    "destination": {"server": VALUE, "namespace": VALUE, "name": VALUE},
    "syncPolicy": {
        "automated": MAPPING,
        "syncOptions": [VALUE],
        "managedNamespaceMetadata": {"labels": VALUES, "annotations": VALUES},
    },
    "ignoreDifferences": [MAPPING],
}
_KINDS: list[Structure] = [{"group": VALUE, "kind": VALUE}]
_RULE: Structure = {
    "apiGroups": [VALUE],
    "apiVersions": [VALUE],
    "operations": [VALUE],
    "resources": [VALUE],
    "resourceNames": [VALUE],
}
_MATCH: Mapping[str, Any] = {
    "resourceRules": [_RULE],
    "excludeResourceRules": [_RULE],
    "namespaceSelector": _SELECTOR,
    "objectSelector": _SELECTOR,
}
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Job")
# The fields that code reads beside apiVersion, kind and metadata, by kind.
FIELDS: dict[str, Mapping[str, Any]] = {
    **{kind: {"spec": _WORKLOAD} for kind in _WORKLOADS},
    "Pod": {"spec": _POD},
    "CronJob": {"spec": {"schedule": VALUE, "jobTemplate": {"spec": _WORKLOAD}}},
    "HorizontalPodAutoscaler": {
        "spec": {
            "scaleTargetRef": {"kind": VALUE, "name": VALUE},
            "minReplicas": NUMBER,
            "maxReplicas": NUMBER,
            "metrics": [MAPPING],
        }
    },
    "PodDisruptionBudget": {"spec": {"selector": _SELECTOR, "maxUnavailable": VALUE, "minAvailable": VALUE}},
    "Service": {
        "spec": {
            "selector": VALUES,
            "ports": [{"name": VALUE, "port": VALUE, "targetPort": VALUE, "nodePort": VALUE}],
            "clusterIP": VALUE,
            "clusterIPs": [VALUE],
            "externalIPs": [VALUE],
        }
    },
    "Ingress": {
        "spec": {
            "ingressClassName": VALUE,
            "defaultBackend": _BACKEND,
            "rules": [{"host": VALUE, "http": {"paths": [{"path": VALUE, "pathType": VALUE, "backend": _BACKEND}]}}],
            "tls": [{"hosts": [VALUE], "secretName": VALUE}],
        }
    },
    "NetworkPolicy": {
        "spec": {
            "podSelector": _SELECTOR,
            "policyTypes": [VALUE],
            "ingress": [{"from": _PEERS, "ports": _PORTS}],
            "egress": [{"to": _PEERS, "ports": _PORTS}],
        }
    },
    "ResourceQuota": {"spec": {"hard": VALUES}},
    "LimitRange": {
        "spec": {
            "limits": [
                {"type": VALUE, **dict.fromkeys(("default", "defaultRequest", "max", "min"), VALUES)},
            ]
        }
    },
    "ConfigMap": {"data": VALUES, "binaryData": VALUES},
    "Secret": {"data": VALUES, "stringData": VALUES},
    "SealedSecret": {
        "spec": {"encryptedData": VALUES, "template": {"metadata": METADATA, "data": VALUES, "type": VALUE}}
    },
    "PersistentVolumeClaim": {"spec": _CLAIM["spec"]},
    "IngressClassParams": {
        "spec": {
            "certificateARNs": [VALUE],
            "group": {"name": VALUE},
            "namespaceSelector": _SELECTOR,
            "listeners": [MAPPING],
            "loadBalancerAttributes": [MAPPING],
            "tags": [MAPPING],
        }
    },
    "Application": {"spec": _APPLICATION},
    "ApplicationSet": {
        "spec": {
            "generators": [
                {
                    "git": {
                        "repoURL": VALUE,
                        "revision": VALUE,
                        "directories": [{"path": VALUE, "exclude": VALUE}],
                        "files": [MAPPING],
                    }
                }
            ],
            "goTemplateOptions": [VALUE],
            "syncPolicy": MAPPING,
            "template": {"metadata": METADATA, "spec": _APPLICATION},
        }
    },
    "AppProject": {
        "spec": {
            "sourceRepos": [VALUE],
            "destinations": [{"server": VALUE, "namespace": VALUE, "name": VALUE}],
            "sourceNamespaces": [VALUE],
            **dict.fromkeys(
                (
                    "namespaceResourceWhitelist",
                    "namespaceResourceBlacklist",
                    "clusterResourceWhitelist",
                    "clusterResourceBlacklist",
                ),
                _KINDS,
            ),
        }
    },
    "ValidatingAdmissionPolicy": {
        "spec": {
            "matchConstraints": _MATCH,
            "matchConditions": [_NAMED],
            "paramKind": MAPPING,
            "variables": [_NAMED],
            "validations": [{"expression": VALUE, "message": VALUE, "messageExpression": VALUE}],
        }
    },
    "ValidatingAdmissionPolicyBinding": {
        "spec": {
            "policyName": VALUE,
            "validationActions": [VALUE],
            "matchResources": _MATCH,
            "paramRef": {"selector": _SELECTOR},
        }
    },
    "NodePool": {"spec": {"template": {"spec": {"requirements": [{"key": VALUE, "values": [VALUE]}]}}}},
}
