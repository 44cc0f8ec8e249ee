"""A server with the part of the Hub's protocol that a push uses, for the Hub's own client.

It keeps what is committed, and fails where a test says so.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

DROPPED = 0
"""Instead of a status: the connection is closed without an answer."""


@dataclass
class HubServer:
    """The repository and the faults."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """The files after the last commit."""
    commits: list[str] = field(default_factory=list)
    tags: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Tag → the files of its commit."""
    uploads: dict[str, bytes] = field(default_factory=dict)
    """LFS files by their sha256, committed or not."""
    faults: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Step (`create`, `info`, `card`, `preupload`, `batch`, `upload`, `xet`, `commit`, `committed`,
    `tag`, `resolve`) → status and body of its answer. `committed` fails once the commit is made."""


@contextmanager
def hub_server(hub: HubServer) -> Iterator[HubServer]:
    """Serves it on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if "/xet-write-token/" in path:
                self._step("xet", {})
            elif "/tree/" in path:
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                    for name, data in hub.files.items()
                ]
                self._reply(200, tree)
            elif "/resolve/" in path:
                revision, _, name = path.split("/resolve/")[1].partition("/")
                files = hub.files if revision == "main" else hub.tags.get(revision, {})
                if "resolve" in hub.faults:
                    self._reply(*hub.faults["resolve"])
                elif name in files:
                    sha = hashlib.sha256(files[name]).hexdigest()
                    self._reply(200, files[name], {"ETag": sha, "X-Repo-Commit": "a" * 40})
                else:
                    self._reply(404, {"error": "none"}, {"X-Error-Code": "EntryNotFound"})
            else:
                self._step("info", {"id": "org/qa", "sha": "a" * 40, "siblings": []})

        def do_PUT(self) -> None:
            data = self._body()
            if "upload" not in hub.faults:
                hub.uploads[hashlib.sha256(data).hexdigest()] = data
            self._step("upload", {})

        def do_POST(self) -> None:
            path, body = urlsplit(self.path).path, self._body()
            if path.endswith("/repos/create"):
                self._step("create", {"url": f"{hub.url}/datasets/org/qa", "id": "org/qa"})
            elif path.endswith("/validate-yaml"):
                self._step("card", {"warnings": [], "errors": []})
            elif "/preupload/" in path:
                modes = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith("parquet") else "regular",
                        "shouldIgnore": False,
                    }
                    for file in json.loads(body)["files"]
                ]
                self._step("preupload", {"files": modes})
            elif path.endswith("/objects/batch"):
                self._step("batch", self._actions(json.loads(body)))
            elif "/commit/" in path:
                if "commit" not in hub.faults:
                    self._commit(body.decode())
                known = {"commitUrl": f"{hub.url}/datasets/org/qa/commit/1", "commitOid": "a" * 40}
                self._step("committed" if "committed" in hub.faults else "commit", known)
            elif "/tag/" in path:
                tag = json.loads(body)["tag"]
                is_new = tag not in hub.tags
                if is_new and "tag" not in hub.faults:
                    hub.tags[tag] = dict(hub.files)
                answer = 200 if is_new else 409
                self._reply(*hub.faults.get("tag", (answer, {})))
            else:
                self._reply(200, {})

        def _actions(self, body: dict[str, Any]) -> dict[str, Any]:
            objects = [
                {
                    **wanted,
                    "actions": {"upload": {"href": f"{hub.url}/lfs/{wanted['oid']}", "header": {}}},
                }
                for wanted in body["objects"]
            ]
            return {"transfer": "basic", "objects": objects}

        def _commit(self, lines: str) -> None:
            for line in map(json.loads, lines.splitlines()):
                value = line["value"]
                if line["key"] == "header":
                    hub.commits.append(value["summary"])
                elif line["key"] == "file":
                    hub.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    hub.files[value["path"]] = hub.uploads[value["oid"]]
                elif line["key"] == "deletedFile":
                    del hub.files[value["path"]]

        def _step(self, name: str, answer: Any) -> None:
            self._reply(*hub.faults.get(name, (200, answer)))

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            if status == DROPPED:
                self.close_connection = True
                return
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
