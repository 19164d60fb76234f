"""Hugging Face Hub on 127.0.0.1 for the real client: repositories, commits, branches, large files, tokens, and simulated faults.

Everything is kept in memory, and only models are supported. `fail` and `truncate` break the next responses; `log` contains
every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
USER = "someone"


@dataclass
class Repo:
    """Commits by id, the latest one of each branch, and whether the repository is private."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit to a branch and return its id."""
        content = json.dumps([len(self.commits), branch, {name: hashlib.sha1(data).hexdigest() for name, data in files.items()}])
        oid = hashlib.sha1(content.encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        return oid

    def find(self, revision: str) -> str | None:
        """Return the commit of a branch or commit id."""
        return self.branches.get(revision) or (revision if revision in self.commits else None)


class Hub:
    """The server, with methods to inspect its state and to simulate faults."""

    def __init__(self) -> None:
        self.reset()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Hub:
        """Serve in a thread."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def reset(self) -> None:
        """Remove all repositories, log entries and faults."""
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.log: list[tuple[str, str]] = []
        self._faults: list[tuple[str, str, int]] = []
        self._cuts: list[str] = []
        self.etag: str | None = None
        self.named_commit: str | None = None
        self.silent = False

    def fail(self, method: str, path: str, status: int, times: int = 1) -> None:
        """Answer the next requests whose path contains `path` with `status`."""
        self._faults += [(method, path, status)] * times

    def pretend(self, etag: str | None = None, commit: str | None = None) -> None:
        """Answer requests for files with another ETag or commit."""
        self.etag, self.named_commit = etag, commit

    def truncate(self, path: str, times: int = 1) -> None:
        """Break the connection in the middle of the next downloads whose path contains `path`."""
        self._cuts += [path] * times

    def fault(self, method: str, path: str) -> int | None:
        """Remove the next fault for a request and return its status; None if there is none."""
        for entry in self._faults:
            if entry[0] == method and entry[1] in path:
                self._faults.remove(entry)
                return entry[2]
        return None

    def cut(self, path: str) -> bool:
        """Remove the next truncation for a path and return whether there was one."""
        for entry in self._cuts:
            if entry in path:
                self._cuts.remove(entry)
                return True
        return False


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        """Do not log requests to stderr."""

    def handle_one(self) -> None:
        path = unquote(urlsplit(self.path).path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunked()
        self.hub.log.append((self.command, path))
        if self.hub.silent:
            threading.Event().wait(3)
            return
        status = self.hub.fault(self.command, path)
        if status is not None:
            self.answer(status, {"error": f"status {status} on request"})
            return
        for method, pattern, action in _ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                action(self, body, *match.groups())
                return
        self.answer(404, {"error": f"no route for {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one

    def _chunked(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return b""
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status: int, content: object = None, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def user(self) -> str | None:
        return USER if self.headers.get("Authorization") == f"Bearer {TOKEN}" else None

    def repo(self, name: str) -> Repo | None:
        """Return a repository that the caller may access; otherwise respond as the Hub does: missing and private look alike."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self.user() is None):
            self.answer(401 if self.user() is None else 404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return repo

    def writable(self, name: str) -> Repo | None:
        if self.user() is None:
            self.answer(401, {"error": "Invalid username or password."})
            return None
        return self.repo(name)

    def revision(self, repo: Repo, revision: str) -> str | None:
        commit = repo.find(revision)
        if commit is None:
            self.answer(404, {"error": f"Invalid rev id: {revision}"}, X_Error_Code="RevisionNotFound")
        return commit

    # ------------------------------------------------------------------------------------------------ reading

    def whoami(self, _body: bytes) -> None:
        user = self.user()
        self.answer(200 if user else 401, {"type": "user", "name": user, "orgs": []} if user else {"error": "Invalid token"})

    def info(self, _body: bytes, name: str, revision: str | None = None) -> None:
        repo = self.repo(name)
        if repo is None:
            return
        commit = self.revision(repo, revision or "main")
        if commit is not None:
            siblings = [{"rfilename": file} for file in repo.commits[commit]]
            self.answer(
                200, {"id": name, "modelId": name, "sha": commit, "private": repo.private, "siblings": siblings, "tags": []}
            )

    def tree(self, _body: bytes, name: str, revision: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return
        commit = self.revision(repo, revision)
        if commit is not None:
            entries = [
                {"type": "file", "path": file, "size": len(data), "oid": _blob_id(data)}
                | (
                    {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}}
                    if _large(file)
                    else {}
                )
                for file, data in repo.commits[commit].items()
            ]
            self.answer(200, entries)

    def resolve(self, _body: bytes, name: str, revision: str, file: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return
        commit = self.revision(repo, revision)
        if commit is None:
            return
        data, named = repo.commits[commit].get(file), self.hub.named_commit or commit
        if data is None:
            self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=named)
            return
        etag = self.hub.etag or (_sha256(data) if _large(file) else _blob_id(data))
        first = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked:
            first = int(asked[1])
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", named)
        self.send_header("Content-Length", str(len(data) - first))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cut(file):
            self.wfile.write(data[first : first + (len(data) - first) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(data[first:])

    # ------------------------------------------------------------------------------------------------ writing

    def create(self, body: bytes) -> None:
        if self.user() is None:
            self.answer(401, {"error": "Invalid username or password."})
            return
        asked = json.loads(body)
        name = f"{asked.get('organization') or USER}/{asked['name']}"
        if name in self.hub.repos:
            self.answer(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
            return
        repo = self.hub.repos[name] = Repo(private=bool(asked.get("private")) or asked.get("visibility") == "private")
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.answer(200, {"url": f"{self.hub.url}/{name}", "name": name, "id": "0"})

    def validate(self, _body: bytes) -> None:
        self.answer(200, {"errors": [], "warnings": []})

    def preupload(self, body: bytes, name: str, _revision: str) -> None:
        if self.writable(name) is not None:
            files = json.loads(body)["files"]
            modes = [
                {"path": one["path"], "uploadMode": "lfs" if _large(one["path"]) else "regular", "shouldIgnore": False}
                for one in files
            ]
            self.answer(200, {"files": modes})

    def batch(self, body: bytes, name: str) -> None:
        if self.writable(name) is None:
            return
        objects = []
        for one in json.loads(body)["objects"]:
            entry = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.hub.blobs:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}", "header": {}}}
            objects.append(entry)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put(self, body: bytes, oid: str) -> None:
        if _sha256(body) != oid:
            self.answer(400, {"error": "the content does not have this oid"})
            return
        self.hub.blobs[oid] = body
        self.answer(200, {})

    def commit(self, body: bytes, name: str, revision: str) -> None:
        repo = self.writable(name)
        if repo is None:
            return
        parent = self.revision(repo, revision)
        if parent is None:
            return
        files = dict(repo.commits[parent])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                files.pop(value["path"])
        oid = repo.commit(files, revision)
        self.answer(
            200, {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "hookOutput": ""}
        )

    def branch(self, _body: bytes, name: str, branch: str) -> None:
        repo = self.writable(name)
        if repo is None:
            return
        if branch in repo.branches:
            self.answer(409, {"error": "Reference already exists"})
            return
        repo.branches[branch] = repo.branches["main"]
        self.answer(200, {})


def _large(path: str) -> bool:
    return path.endswith((".safetensors", ".png"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("GET", rf"/api/models/{_NAME}", _Handler.info),
    ("GET", rf"/api/models/{_NAME}/revision/([^/]+)", _Handler.info),
    ("GET", rf"/api/models/{_NAME}/tree/([^/]+)", _Handler.tree),
    *((method, rf"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve) for method in ("GET", "HEAD")),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("POST", rf"/api/models/{_NAME}/preupload/([^/]+)", _Handler.preupload),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/lfs/([0-9a-f]{64})", _Handler.put),
    ("POST", rf"/api/models/{_NAME}/commit/([^/]+)", _Handler.commit),
    ("POST", rf"/api/models/{_NAME}/branch/([^/]+)", _Handler.branch),
]
