"""An S3-compatible server on loopback for tests, and a proxy before it that injects faults."""

from __future__ import annotations

import gc
import http.client
import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

__all__ = ["Fault", "faulty", "s3"]

Fault = Callable[[str, str, int], str]
"""From method, path and the number of the request, what happens: "", "503", "timeout", "torn" (half of the body
arrives) or "silent" (the request is done, and the answer is lost)."""


@contextmanager
def s3(bucket: str = "bucket") -> Iterator[str]:
    """The address of a server with one empty bucket; the environment says how to reach it."""
    server = pytest.importorskip("moto.server", reason="moto's server is not installed: pip install 'moto[server]'")
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(bucket, "us-east-1")
        host, port = running.get_host_and_port()
        yield f"{host}:{port}"
    finally:
        running.stop()
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.pop(bucket, None)
        with warnings.catch_warnings():  # sockets of cut connections, of which another test would be told
            warnings.simplefilter("ignore")
            gc.collect()


@contextmanager
def faulty(target: str, fault: Fault) -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy before `target`, and the faults that it has injected so far."""
    injected: list[str] = []
    count, lock = [0], threading.Lock()

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            with lock:
                count[0] += 1
                what = fault(self.command, self.path, count[0])
            if what:
                injected.append(what)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if what == "503":
                self.send_response(503, "Slow Down")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if what == "timeout":
                time.sleep(1.5)
            if what in ("timeout", "torn"):
                if what == "torn":
                    self._half(body)
                self._cut()
                return
            connection = http.client.HTTPConnection(target, timeout=20)
            connection.request(self.command, self.path, body, dict(self.headers))
            found = connection.getresponse()
            content = found.read()
            connection.close()
            if what == "silent":
                self._cut()
                return
            self.send_response_only(found.status)
            for name, value in found.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = found.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        def _half(self, body: bytes) -> None:
            """Send the head and half of the body to the server, and hang up."""
            host, port = target.split(":")
            head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            with socket.create_connection((host, int(port)), timeout=20) as plain:
                plain.sendall(f"{self.command} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body[: len(body) // 2])

        def _cut(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

        def log_message(self, *of: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", injected
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
