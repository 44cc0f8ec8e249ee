"""The test cluster's API server: the few calls that dagster-k8s makes, checked against roles."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

from sdg_assets_tests.cluster.cluster import Cluster, Json
from sdg_assets_tests.cluster.job_controller import job_fault

NAMESPACED = re.compile(
    r"/(?:api|apis/(?P<group>\w+))/v1/namespaces/(?P<namespace>[\w-]+)"
    r"/(?P<kind>\w+)(?:/(?P<name>[\w.-]+))?(?:/(?P<part>\w+))?"
)
SCHEMAS = "1.36"  # older schemas require a status that is not known yet


class Refused(Exception):  # noqa: N818
    """The API server's error response."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Api:
    """Answers calls on a cluster.

    Attributes:
        allowed: What each service account may: (account, resource, verb).
        used: What each tried.
    """

    def __init__(self, cluster: Cluster, manifests: list[Json]) -> None:
        """Reads the roles and role bindings from the manifests."""
        self.cluster = cluster
        self.used: set[tuple[str, str, str]] = set()
        roles = {m["metadata"]["name"]: m["rules"] for m in manifests if m["kind"] == "Role"}
        self.allowed = {
            (subject["name"], resource, verb)
            for m in manifests
            if m["kind"] == "RoleBinding"
            for subject in m["subjects"]
            for rule in roles[m["roleRef"]["name"]]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    def call(self, account: str, method: str, url: str, body: Json | None) -> Any:
        """The response to a call.

        Raises:
            Refused: The call is not allowed or not valid, or the object does not exist.
        """
        at, query = urlsplit(url), parse_qs(urlsplit(url).query)
        match = NAMESPACED.fullmatch(at.path)
        if not match:
            raise Refused(404, f"no such path: {at.path}")
        kind, name, part = match["kind"], match["name"], match["part"]
        resource = f"{kind}/{part}" if part else kind
        verb = {"POST": "create", "DELETE": "delete"}.get(method, "get" if name else "list")
        self.used.add((account, resource, verb))
        if (account, resource, verb) not in self.allowed:
            raise Refused(403, f"{account} may not {verb} {resource}")
        with self.cluster.lock:
            if resource == "jobs" and verb == "create":
                return self._create_job(match["namespace"], body or {})
            if resource == "pods/log":
                return (self.cluster.place / name / "log").read_text("utf-8")
            objects = self._objects(kind)
            if verb == "list":
                items = [o for o in objects.values() if _selected(o, query)]
                return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}
            if name not in objects:
                raise Refused(404, f"{kind} {name} not found")
            if verb == "delete" and kind == "pods":
                self.cluster.delete_pod(self.cluster.pods[name])
            elif verb == "delete":
                with_pods = query.get("propagationPolicy") == ["Background"]
                self.cluster.delete_job(name, with_pods=with_pods)
            elif resource == "pods/eviction":
                self.cluster.evict(self.cluster.pods[name])
            return objects[name]

    def _objects(self, kind: str) -> dict[str, Json]:
        if kind == "jobs":
            return dict(self.cluster.jobs)
        if kind == "pods":
            return {name: pod.body for name, pod in self.cluster.pods.items()}
        return {event["metadata"]["name"]: event for event in self.cluster.events}

    def _create_job(self, namespace: str, body: Json) -> Json:
        try:
            kubernetes_validate.validate(body, SCHEMAS, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refused(422, f"{error.path}: {error.message}") from error
        if fault := job_fault(body):
            raise Refused(422, fault)
        if body["metadata"]["name"] in self.cluster.jobs:
            raise Refused(409, f'jobs.batch "{body["metadata"]["name"]}" already exists')
        body["metadata"]["namespace"] = namespace
        return self.cluster.create_job(body)


@contextmanager
def served(api: Api) -> Iterator[str]:
    """The API on a free port; writes a kubeconfig for each account that has rights."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            account = self.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                code, answer = 200, api.call(account, self.command, self.path, body)
            except Refused as refused:
                code = refused.code
                answer = {"kind": "Status", "code": code, "message": str(refused)}
            data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            pass  # the client was killed

    server = Server(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    for account in {"none", *(account for account, _, _ in api.allowed)}:
        (api.cluster.place / f"{account}.kubeconfig").write_text(_kubeconfig(url, account))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _kubeconfig(url: str, account: str) -> str:
    # The token is the account's name.
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": url}}],
            "users": [{"name": "it", "user": {"token": account}}],
        }
    )


def _selected(item: Json, query: dict[str, list[str]]) -> bool:
    labels = item["metadata"].get("labels", {})
    for selector in ",".join(query.get("labelSelector", [])).split(","):
        name, _, value = selector.partition("=")
        if name and labels.get(name) != value:
            return False
    for selector in ",".join(query.get("fieldSelector", [])).split(","):
        path, operator, value = re.fullmatch(r"([^!=]*)(!?=?)(.*)", selector).groups()  # type: ignore[union-attr]
        field: Any = item
        for step in path.split(".") if path else ():
            field = field.get(step, {})
        if path and (field == value) is (operator == "!="):
            return False
    return True
