"""States of a service that look like a fault and are none, several to a check: a worker, a cache, probes, variables."""

from __future__ import annotations

import pytest

from gitops.ground.checkout import Checkout
from tests.catalogue import Edit, edit
from tests.test_gate_rules import HEAD, PROD, entry, findings, patched

CONTAINER = """          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          resources:
            requests: {cpu: 10m, memory: 64Mi, ephemeral-storage: 16Mi}
            limits: {memory: 64Mi, ephemeral-storage: 16Mi}
"""
NGINX = f"          image: docker.io/library/nginx:1.27.0@sha256:{'a' * 64}\n"
POD = HEAD + "  template:\n    spec:\n"
APP = POD + "      containers:\n        - name: app\n"


def program(name: str, more: str = "", spec: str = "", *, image: str = "app", port: int = 0) -> str:
    """A Deployment of an overlay's own."""
    ports = f"          ports: [{{name: {name}, containerPort: {port}}}]\n" if port else ""
    labels = f"{{app.kubernetes.io/component: {name}}}"
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n{spec}"
        f"  selector: {{matchLabels: {labels}}}\n  template:\n    metadata: {{labels: {labels}}}\n    spec:\n"
        "      serviceAccountName: workload\n      automountServiceAccountToken: false\n"
        "      enableServiceLinks: false\n      nodeSelector: {kubernetes.io/arch: amd64}\n"
        f"      containers:\n        - name: app\n          image: {image}\n{ports}{CONTAINER}{more}"
    )


def service(name: str, component: str, port: int, target: str, more: str = "") -> str:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n{more}"
        f"  selector: {{app.kubernetes.io/component: {component}}}\n"
        f"  ports: [{{name: {target}, port: {port}, targetPort: {target}}}]\n"
    )


def brought(*objects: str) -> list[Edit]:
    """Objects of the overlay's own."""
    return [*entry("components:\n", "  - own.yaml\n"), Edit(file=f"{PROD}own.yaml", content="---\n".join(objects))]


def variables(*pairs: str) -> list[Edit]:
    lines = "".join(f"            - {{{pair}}}\n" for pair in pairs)
    return patched(f"{APP}          env:\n{lines}")


ASKED = "          readinessProbe: {exec: {command: [redis-cli, ping]}}\n"
BUDGET = """apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: worker}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector: {matchExpressions: [{key: app.kubernetes.io/component, operator: In, values: [worker]}]}
"""
SCALER = """apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: worker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: worker}
  minReplicas: 1
  maxReplicas: 4
  metrics:
    - type: ContainerResource
      containerResource: {container: app, name: cpu, target: {type: Utilization, averageUtilization: 70}}
"""
SETTINGS = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  THEME: dark\n  app.yaml: |\n    a: b\n"
)
MOUNTS = """      volumes:
        - {name: settings, configMap: {name: settings}}
        - {name: renamed, configMap: {name: settings, items: [{key: app.yaml, path: conf/app.yaml}]}}
        - {name: scratch, emptyDir: {sizeLimit: 16Mi}}
      containers:
        - name: app
          envFrom: [{configMapRef: {name: settings}}]
          args: [--theme, $(THEME), $$(NOTHING)]
          volumeMounts:
            - {name: settings, mountPath: /etc/a.yaml, subPath: app.yaml}
            - {name: renamed, mountPath: /etc/b.yaml, subPath: conf/app.yaml}
            - {name: renamed, mountPath: /etc/conf, subPath: conf}
            - {name: scratch, mountPath: /cache, subPath: pages}
"""
OTHERS_PROBES = """          ports: [{name: management, containerPort: 9090}]
          startupProbe: {httpGet: null, tcpSocket: {port: http}, periodSeconds: 5, failureThreshold: 50}
          readinessProbe: {httpGet: null, exec: {command: [cat, /tmp/ready]}}
          livenessProbe: {httpGet: {path: /healthz, port: management}}
"""
STATES = {
    "a cache of one pod with its Service, asked by a command": brought(
        program("cache", ASKED, image=NGINX.split()[1], port=6379), service("cache", "cache", 6379, "cache")
    ),
    "a worker with its budget and its autoscaler, which nobody calls": brought(program("worker"), BUDGET, SCALER),
    "a worker that ends before it starts anew": brought(
        program("worker", spec="  replicas: 1\n  strategy: {type: Recreate}\n")
    ),
    "a second Service, and one without an address": brought(
        service("mogle", "web", 80, "http"), service("pods", "web", 8080, "http", "  clusterIP: None\n")
    ),
    "a sidecar, one from the beginning, and a first step": patched(
        f"{POD}      initContainers:\n        - name: proxy\n{NGINX}          restartPolicy: Always\n{CONTAINER}"
        f"        - name: migrate\n          image: app\n          args: [migrate]\n{CONTAINER}"
        f"      containers:\n        - name: logs\n{NGINX}{CONTAINER}"
    ),
    "other probes, a port of its own, and a long start": patched(APP + OTHERS_PROBES),
    "files and variables of a ConfigMap": [*brought(SETTINGS), *patched(POD + MOUNTS)],
    "variables of variables, and what a shell runs": variables(
        "name: A_HOST, value: api.example.com",
        "name: B_URL, value: https://$(A_HOST)/v1",
        "name: C, value: $$(NOBODY)",
        "name: D, value: 'at $(date)'",
    ),
    "names that sound of secrets": variables(
        "name: TOKEN_URL, value: 'https://api.intra.42.fr/oauth/token'",
        "name: PASSWORD_MIN_LENGTH, value: '12'",
        "name: SECRET_KEY_FILE, value: /run/secrets/key",
        "name: DATABASE_SECRET, value: 'arn:aws:secretsmanager:ap-northeast-2:111122223333:secret:x'",
        "name: SESSION_COOKIE, value: mogle_session",
        "name: CSRF_TOKEN, value: x-csrf-token",
        "name: REQUIRE_PASSWORD, value: 'true'",
    ),
    "a password that everybody may know": patched(
        f"{APP}          env:\n            - name: DEMO_PASSWORD\n              value: demo-2026  # public\n"
    ),
    "texts that could be addresses": variables(
        "name: ALLOWED_ORIGINS, value: 'http://localhost:3000,https://mogle.example.com'",
        "name: XMLNS, value: 'http://www.w3.org/2000/svg'",
        "name: SMTP_HOST, value: smtp.example.com",
        "name: BIND_ADDR, value: '0.0.0.0:8080'",
        "name: OPENS, value: '12:30'",
        "name: RUN_AS, value: 'node:1000'",
        "name: CACHE_HOST, value: localhost",
        "name: MODULE, value: 'app.main:8080'",
    ),
    "a site without an Ingress, and without an autoscaler": [
        Edit(
            file=f"{PROD}ingress.yaml",
            content="$patch: delete\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\n",
        ),
        *patched(
            f"{HEAD}  replicas: 2\n---\n$patch: delete\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
            "metadata: {name: web}\n"
        ),
    ],
    "notes in a folder": [Edit(file=f"{PROD}docs/how.md", content="words\n")],
}


@pytest.mark.parametrize("state", STATES)
def test_what_looks_like_a_fault_passes(scratch: Checkout, state: str) -> None:
    edit(scratch.root, STATES[state])
    assert findings(scratch) == []
