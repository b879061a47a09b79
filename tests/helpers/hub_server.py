"""A server on the loopback that speaks the protocol of the Hugging Face Hub, and an official address beside it.

It keeps what it is given in memory, notes every request, and fails on demand.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

PAGE = b"<!DOCTYPE html>\n<html><body>Please log in to the network of this hotel</body></html>"


@dataclass
class Fault:
    """What happens to requests whose method and path match, ``times`` times.

    ``status`` is answered with ``headers``; ``cut`` ends the connection after as many bytes of the body; ``page`` puts
    a web page in place of the file; ``replace`` other bytes of the same size; ``stall`` answers nothing.
    """

    method: str
    path: str
    times: int = 1
    status: int = 0
    headers: dict = field(default_factory=dict)
    cut: int | None = None
    page: bool = False
    replace: bytes | None = None
    stall: bool = False


@dataclass
class Seen:
    """One request, and how many bytes of a body were sent for it."""

    method: str
    path: str
    headers: dict
    sent: int = 0


class Hub:
    """Repositories, official files, accounts, the log, and what is to go wrong."""

    def __init__(self):
        self.commits = {}  # repo: [(commit, {file: bytes})], the newest last
        self.cards = {}  # repo: what its front matter says
        self.official = {}  # path: bytes
        self.private = set()
        self.token = "hf_secret"
        self.uploads = {}  # SHA-256: bytes
        self.log, self.faults = [], []
        self.stop = threading.Event()

    def commit(self, repo, files, deleted=()):
        """Add a commit; its name. A data set's ``repo`` is datasets/ORG/NAME."""
        history = self.commits.setdefault(repo, [])
        name = hashlib.sha1(f"{repo} {len(history)}".encode()).hexdigest()
        before = {file: content for file, content in (history[-1][1] if history else {}).items() if file not in deleted}
        history.append((name, {**before, **files}))
        if stated := re.search(r"^license: (.+)$", files.get("README.md", b"").decode(), re.MULTILINE):
            self.cards[repo] = {"license": stated[1]}
        return name

    def at(self, repo, revision):
        """The commit called ``revision``, or None."""
        history = self.commits[repo]
        if revision == "main":
            return history[-1]
        return next((commit for commit in history if commit[0] == revision), None)

    def asked(self, method, path=""):
        """Requests of ``method`` whose path contains ``path``."""
        return [seen for seen in self.log if seen.method == method and path in seen.path]

    def fault(self, request):
        """The next fault for ``request``."""
        for fault in self.faults:
            if fault.times and fault.method == request.command and fault.path in request.path:
                fault.times -= 1
                return fault
        return None


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *_):
        """Say nothing."""

    def handle_any(self):
        hub = self.server.hub
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.seen = Seen(self.command, self.path, dict(self.headers))
        hub.log.append(self.seen)
        fault = hub.fault(self)
        if fault and fault.stall:
            hub.stop.wait(20)
            self.close_connection = True
        elif fault and fault.status:
            self.answer(fault.status, b"{}", fault.headers)
        else:
            path = unquote(urlsplit(self.path).path)
            for pattern, method in ROUTES:
                if match := re.fullmatch(pattern, path):
                    return method(self, hub, fault, **match.groupdict())
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        return None

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815 (names of http.server)

    def answer(self, status, body=b"", headers=None, cut=None):
        """Send a whole answer, or ``cut`` bytes of its body."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, str(value))
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        part = body if cut is None else body[:cut]
        self.seen.sent = len(part)  # before the bytes go out: a client that has them all may look at once
        self.wfile.write(part)
        self.wfile.flush()
        if cut is not None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def json(self, content, status=200):
        self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def allowed(self, hub, repo):
        return repo not in hub.private or self.headers.get("Authorization") == f"Bearer {hub.token}"

    def send_file(self, content, headers, fault):
        """A file, or the part of it that is asked for."""
        if fault and fault.page:
            self.answer(200, PAGE, {"Content-Type": "text/html"})
            return
        if fault and fault.replace is not None:
            content = fault.replace
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range") not in (None, headers["ETag"]):
            asked = None  # the file is another one by now
        start = int(asked[1]) if asked else 0
        if start >= len(content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if asked else 200, content[start:], headers, fault.cut if fault else None)

    def resolve(self, hub, fault, repo, revision, file):
        if not self.allowed(hub, repo):
            self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif repo not in hub.commits:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif not (commit := hub.at(repo, revision)):
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif file not in commit[1]:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit[0]})
        else:
            content = commit[1][file]
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            linked = {"X-Linked-Etag": tag, "X-Linked-Size": len(content)}
            self.send_file(content, {"X-Repo-Commit": commit[0], "ETag": tag, **linked}, fault)

    def official(self, hub, fault, file):
        if file not in hub.official:
            self.answer(404)
            return
        content = hub.official[file]
        self.send_file(content, {"ETag": f'"{hashlib.md5(content).hexdigest()}"'}, fault)

    def info(self, hub, fault, repo, revision="main"):
        if repo not in hub.commits or not self.allowed(hub, repo):
            self.answer(401 if repo in hub.private else 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif not (commit := hub.at(repo, revision)):
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            files = [{"rfilename": name} for name in commit[1]]
            about = {"private": repo in hub.private, "cardData": hub.cards.get(repo, {})}
            self.json({"id": repo, "sha": commit[0], "siblings": files, **about})

    def create(self, hub, fault):
        if self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.json({"error": "Invalid username or password."}, 401)
            return
        asked = json.loads(self.body)
        repo = f"{asked['organization']}/{asked['name']}"
        repo = f"datasets/{repo}" if asked.get("type") == "dataset" else repo
        status = 409 if repo in hub.commits else 200
        if status == 200:
            hub.commit(repo, {})
            if asked.get("private") or asked.get("visibility") == "private":
                hub.private.add(repo)
        self.json({"url": f"{self.server.address}/{repo}", "id": repo, "name": repo}, status)

    def validate(self, hub, fault):
        front = json.loads(self.body)["content"].split("---")[1]
        errors = [] if "license" in front else [{"message": "no license"}]
        self.json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, hub, fault, repo, revision):
        files = json.loads(self.body)["files"]
        modes = [
            {
                "path": f["path"],
                "uploadMode": "regular" if f["path"].endswith((".md", ".yaml")) else "lfs",
                "shouldIgnore": False,
            }
            for f in files
        ]
        self.json({"files": modes})

    def batch(self, hub, fault, repo):
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            address = f"{self.server.address}/lfs/{wanted['oid']}"
            actions = {"upload": {"href": address}, "verify": {"href": f"{address}/verify"}}
            objects.append({**wanted, "authenticated": True, "actions": actions})
        self.json({"transfer": "basic", "objects": objects})

    def upload(self, hub, fault, oid):
        whole = hashlib.sha256(self.body).hexdigest() == oid
        if whole:
            hub.uploads[oid] = self.body
        self.answer(200 if whole else 400)

    def verify(self, hub, fault, oid):
        asked = json.loads(self.body)
        self.answer(200 if len(hub.uploads.get(oid, b"")) == asked["size"] else 404)

    def make_commit(self, hub, fault, repo, revision):
        files, deleted = {}, []
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = hub.uploads[value["oid"]]
            elif line["key"] == "deletedFile":
                deleted.append(value["path"])
        name = hub.commit(repo, files, deleted)
        self.json({"commitUrl": f"{self.server.address}/{repo}/commit/{name}", "commitOid": name})


REPO = r"(?P<repo>(?:datasets/)?[^/]+/[^/]+)"
API = rf"/api/(?:models/)?{REPO}"
ROUTES = [
    (rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", Handler.resolve),
    (r"/official/(?P<file>.+)", Handler.official),
    (r"/api/repos/create", Handler.create),
    (r"/api/validate-yaml", Handler.validate),
    (rf"{API}/preupload/(?P<revision>[^/]+)", Handler.preupload),
    (rf"{API}/commit/(?P<revision>[^/]+)", Handler.make_commit),
    (rf"{API}/revision/(?P<revision>[^/]+)", Handler.info),
    (API, Handler.info),
    (rf"/{REPO}\.git/info/lfs/objects/batch", Handler.batch),
    (r"/lfs/(?P<oid>[0-9a-f]{64})/verify", Handler.verify),
    (r"/lfs/(?P<oid>[0-9a-f]{64})", Handler.upload),
]


@contextmanager
def serving():
    """A :class:`Hub` and the address at which it is served, until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub, server.daemon_threads = hub, True
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub, server.address
    finally:
        hub.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
