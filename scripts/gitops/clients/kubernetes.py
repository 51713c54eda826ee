"""The Kubernetes API, behind one small module. Objects are plain mappings, as in YAML."""

from __future__ import annotations

import itertools
import json
import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from gitops.ground import jsontext
from gitops.ground.command import run
from gitops.ground.errors import ExternalError, InputError, NotHealthyError, told
from gitops.ground.suggest import did_you_mean
from gitops.manifests.objects import Object, name

REQUEST_SECONDS = 30.0
_CONTENT = {
    "json": "application/json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


def _lost(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What a request raises that gets no whole answer, and `more`."""
    from urllib3.exceptions import HTTPError

    return *more, HTTPError, OSError, ValueError


class ClusterError(ExternalError):
    """The API server refused a request or could not be reached. `status` is its HTTP status, 0 where there was none.

    `reason`: what the server said, without the request; `causes`: the fields that it names, each with its complaint.
    """

    def __init__(self, message: str, status: int = 0, reason: str = "", causes: Sequence[tuple[str, str]] = ()) -> None:
        self.status, self.reason, self.causes = status, reason, tuple(causes)
        super().__init__(message)


class Cluster:
    """One cluster, reached by a kubeconfig (any that kubectl understands). Paths are the API's own, such as
    /api/v1/namespaces/x/pods; keyword arguments are its query (labelSelector, dryRun ...)."""

    def __init__(self, kubeconfig: Path | str, context: str | None = None, *, seconds: float = REQUEST_SECONDS) -> None:
        """`kubeconfig`: one file, or several as KUBECONFIG names them; `context`: not its current one.

        `seconds`: what an answer may take.
        """
        # A tenth of a second, that who asks no cluster does not spend.
        import urllib3
        from kubernetes import client, config

        settings = client.Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]
            str(kubeconfig), context=context, client_configuration=settings, persist_config=False
        )
        settings.retries = urllib3.Retry(total=0)
        self._api = client.ApiClient(settings)
        self._seconds = seconds

    def get(self, path: str, **query: str) -> Object:
        """One object, or a list with its `items`."""
        return self._call("GET", path, query)

    def text(self, path: str, **query: str) -> str:
        """What a path answers that is no object: a pod's log, or a Service's behind the API server's proxy."""
        try:
            answer = self._request("GET", path, query, accept="*/*")
            content: str = answer.read().decode(errors="replace")
        except _lost() as error:
            raise ClusterError(f"GET {path}: {told(error)}") from None
        if answer.status >= 400:
            raise ClusterError(f"GET {path}: {answer.status} {_message(content.encode())}", answer.status)
        return content

    def items(self, path: str, **query: str) -> list[Object]:
        """The items of a collection."""
        items: list[Object] = self.get(path, **query).get("items") or []
        return items

    def find(self, path: str) -> Object | None:
        """One object, or None where there is none (404)."""
        try:
            return self.get(path)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Object, **query: str) -> Object:
        """POST to a collection."""
        return self._call("POST", path, query, body)

    def patch(self, path: str, body: Object, *, kind: str = "merge", **query: str) -> Object:
        """PATCH with a `merge` or a `strategic` patch."""
        return self._call("PATCH", path, query, body, kind)

    def delete(self, path: str) -> Object:
        """DELETE an object."""
        return self._call("DELETE", path, {})

    def ask(self, method: str, path: str, body: Object, *, kind: str = "json", **query: str) -> list[str]:
        """What the API server would say to a request, as a dry run that checks every field: its warnings.

        Raises ClusterError with `reason` and `causes` where it would refuse.
        """
        query = {"dryRun": "All", "fieldValidation": "Strict", **query}
        warnings: list[str] = []
        self._call(method, path, query, body, kind, warnings)
        return warnings

    def watch(self, path: str) -> Iterator[tuple[str, Object]]:
        """Every object of a collection and then each change, for ever: (ADDED | MODIFIED | DELETED, object).

        Starts again by itself when the server ends the watch or is away, so an object may be told twice.
        """
        while True:
            try:
                listed = self.get(path)
                for item in listed["items"]:
                    yield "ADDED", item
                query = {
                    "watch": "true",
                    "resourceVersion": listed["metadata"]["resourceVersion"],
                    "timeoutSeconds": "300",
                }
                for line in self._request("GET", path, query, read=330.0).response:
                    event = jsontext.parse(line)
                    if event["type"] == "ERROR":
                        break
                    yield event["type"], event["object"]
            except _lost(ClusterError):
                time.sleep(0.5)

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Object | None = None,
        kind: str = "json",
        warnings: list[str] | None = None,
    ) -> Object:
        try:
            answer = self._request(method, path, query, body, kind)
            content = answer.read()
            if answer.status >= 400:
                reason, causes = _message(content), _causes(content)
                raise ClusterError(f"{method} {path}: {answer.status} {reason}", answer.status, reason, causes)
            if warnings is not None:
                warnings += _warnings(answer.response.headers.getlist("Warning"))
            result: Object = jsontext.parse(content)
        except _lost() as error:
            raise ClusterError(f"{method} {path}: {told(error)}") from None
        return result

    def _request(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Object | None = None,
        kind: str = "json",
        read: float | None = None,
        accept: str = "application/json",
    ) -> Any:  # noqa: ANN401 - the client library has no types
        serialized = self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": accept, "Content-Type": _CONTENT[kind]},
            auth_settings=["BearerToken"],
        )
        return self._api.call_api(
            *serialized[:3],
            # The client makes JSON of a body that goes as JSON alone; the server reads JSON as the YAML that it is.
            body=json.dumps(body) if kind == "apply" else body,
            _request_timeout=(self._seconds, read or self._seconds),
        )


def of_person(files: str, context: str | None, *, seconds: float = REQUEST_SECONDS) -> tuple[Cluster, str]:
    """The cluster of a person's kubeconfig, and the name of its context. `files` as KUBECONFIG has them.

    Raises InputError where the files or the context cannot be used, ExternalError where the login that they name fails.
    """
    from kubernetes import config

    heard = _Heard()
    logging.getLogger().addHandler(heard)
    try:
        contexts, current = config.list_kube_config_contexts(files)  # type: ignore[no-untyped-call]
        names = [entry["name"] for entry in contexts]
        if context is not None and context not in names:
            raise InputError(f"context {context!r}: {files} has none of this name", fix=did_you_mean(context, names))
        cluster = Cluster(files, context, seconds=seconds)
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        fix = "it is made by: aws eks update-kubeconfig --name CLUSTER"
        why = "it is not YAML" if isinstance(error, yaml.YAMLError) else "it has not the form of one"
        why = told(error) if isinstance(error, OSError) else why
        raise InputError(f"no kubeconfig that can be used ({why})", path=files, fix=fix) from None
    finally:
        logging.getLogger().removeHandler(heard)
    if heard.words:
        raise ExternalError(f"the login that the kubeconfig names failed: {heard.words[0]}", path=files)
    return cluster, context or str(current["name"])


class _Heard(logging.Handler):
    """What the client library logs of a login that failed, and goes on without."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it on one line."""
        self.words.append(" ".join(record.getMessage().split()))


def _message(content: bytes) -> str:
    """What an error says: a Status' message, or the text as it is (the aggregator answers 503 in plain text)."""
    text = content.decode(errors="replace").strip()
    try:
        status = jsontext.parse(text)
    except ValueError:
        return text
    return str(status.get("message", text)) if isinstance(status, dict) else text


def _causes(content: bytes) -> list[tuple[str, str]]:
    try:
        causes = jsontext.parse(content)["details"]["causes"]
        return [(str(cause.get("field", "")), str(cause.get("message", ""))) for cause in causes]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _warnings(headers: Sequence[str]) -> list[str]:
    """The texts of Warning headers (RFC 7234: 299 - "text")."""
    texts = itertools.chain.from_iterable(re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', line) for line in headers)
    return [text.replace('\\"', '"') for text in texts]


def wait_established(cluster: Cluster, objects: Iterable[Object]) -> None:
    """Wait until the API server serves what the custom resource definitions among these define (NotHealthyError)."""
    for item in objects:
        if item["kind"] == "CustomResourceDefinition":
            _wait_established(cluster, name(item))


def _wait_established(cluster: Cluster, definition: str) -> None:
    path, deadline = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}", time.monotonic() + 30
    while True:
        conditions = cluster.get(path).get("status", {}).get("conditions") or []
        if any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions):
            return
        if time.monotonic() > deadline:
            raise NotHealthyError(f"{definition} was not established within 30 s")
        time.sleep(0.1)


def apply(
    kubectl: Path, kubeconfig: Path, objects: Sequence[Object], *, dry_run: bool = False, timeout: float = 60
) -> str:
    """Server-side apply with conflicts forced; `dry_run` asks the server without writing, fields checked strictly,
    and a warning is an error.

    Returns what kubectl printed. Raises CommandError with every complaint.
    """
    extra = ["--dry-run=server", "--validate=strict", "--warnings-as-errors"] if dry_run else []
    argv: list[str | Path] = [
        kubectl,
        "--kubeconfig",
        kubeconfig,
        "apply",
        "--server-side",
        "--force-conflicts",
        *extra,
        "-f",
        "-",
    ]
    return run(argv, stdin=yaml.safe_dump_all(objects).encode(), timeout=timeout).decode()
