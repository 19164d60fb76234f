"""Static files on 127.0.0.1 with range requests, as a web server or a public object store, and a server's faults on request."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class RangeServer(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        asked: Method, path and `Range` header of each request.
        faults: Faults of the next requests of a file by its name, in their order: a status, "stall", "cut" (inside the body),
            "whole" (no ranges) or None for an answer. The last one stays.
        is_silent: Whether it states neither the ETag of a file nor its last change.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.asked, self.faults, self.is_silent = folder, [], {}, False
        self.released = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> RangeServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


class _Handler(SimpleHTTPRequestHandler):
    server: RangeServer

    def do_GET(self) -> None:
        server, (path, _, _) = self.server, self.path.partition("?")
        server.asked.append((self.command, self.path, self.headers.get("Range")))
        faults = server.faults.get(path.rpartition("/")[2], [None])
        fault = faults.pop(0) if len(faults) > 1 else faults[0]
        file = server.folder / path.lstrip("/")
        if fault == "stall":
            server.released.wait(30)
            return
        if isinstance(fault, int) or not file.is_file():
            self.send_error(fault or 404)
            return
        content = file.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if fault != "whole" else None
        first, last = (int(found[1]), min(int(found[2] or len(content)), len(content) - 1)) if found else (0, len(content) - 1)
        self.send_response(206 if found else 200)
        self.send_header("Accept-Ranges", "none" if fault == "whole" else "bytes")
        if found:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        if not server.is_silent:
            self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
            self.send_header("Last-Modified", self.date_time_string(file.stat().st_mtime))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[first : last + 1] if fault != "cut" else content[first : first + 5])

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass
