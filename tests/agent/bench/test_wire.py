"""The bench's own HTTP client, against a real server."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agent.bench.wire import BareClient
from agent.plugin import Wire


class Echo(BaseHTTPRequestHandler):
    """Says what it was sent, and over which connection; hangs up after ``server.most`` answers without a word."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.answers = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.say({"path": self.path, "body": body.decode(), "key": self.headers["Authorization"]})

    def do_GET(self) -> None:
        self.say({"path": self.path, "type": self.headers["Content-Type"], "key": self.headers["Authorization"]})

    def say(self, told: dict) -> None:
        answer = json.dumps(told | {"connection": self.server.connections}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.answers += 1
        self.close_connection = self.answers >= self.server.most

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "somebody"


class OverTcp(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    connections = 0
    most = 100


class OverSocket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    connections = 0
    most = 100


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("over", ["tcp", "socket"])
def test_sends_exactly_the_request_and_keeps_the_connection(over, tmp_path: Path):
    path = tmp_path / "x.sock"
    server = OverTcp(("127.0.0.1", 0), Echo) if over == "tcp" else OverSocket(str(path), Echo)
    host = f"127.0.0.1:{server.server_address[1]}" if over == "tcp" else "engine"
    headers = {"Content-Type": "application/json", "Authorization": "Bearer k"}
    wire = Wire(f"http://{host}/v1/chat?x=1", b'{"a": 1}', headers, None if over == "tcp" else path)
    client = BareClient(10)
    with serving(server):
        for _ in range(3):
            reply = client.post(wire)
            assert reply.status == 200
            assert reply.at("path") == "/v1/chat?x=1"
            assert reply.at("body") == '{"a": 1}'
            assert reply.at("key") == "Bearer k"
            assert 0 < reply.ms < 10_000
        props = client.get(wire, "/props")
        assert (props.at("path"), props.at("type"), props.at("key")) == ("/props", None, "Bearer k")
        assert props.at("connection") == 1
        client.close()


def test_an_idle_connection_that_was_closed_is_opened_again():
    server = OverTcp(("127.0.0.1", 0), Echo)
    server.most = 1  # without a "Connection: close": the client learns of it at its next request
    wire = Wire(f"http://127.0.0.1:{server.server_address[1]}/", b"{}", {})
    client = BareClient(10)
    with serving(server):
        assert [client.post(wire).at("connection") for _ in range(3)] == [1, 2, 3]
        client.close()


def test_nobody_there_is_told():
    server = OverTcp(("127.0.0.1", 0), Echo)
    wire = Wire(f"http://127.0.0.1:{server.server_address[1]}/", b"{}", {})
    server.server_close()
    with pytest.raises(ConnectionError):
        BareClient(10).post(wire)


def test_what_is_no_json_has_nothing_in_it():
    server = OverTcp(("127.0.0.1", 0), Echo)
    wire = Wire(f"http://127.0.0.1:{server.server_address[1]}/", b"{}", {})
    with serving(server):
        client = BareClient(10)
        reply = client.post(wire)
        assert reply.at("choices", 0, "message") is None
        assert reply.at("path", 7) is None
        client.close()
