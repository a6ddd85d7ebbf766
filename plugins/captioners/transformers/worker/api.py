"""What the process answers over its Unix socket: the part of llama-server's HTTP API that its client uses."""

from __future__ import annotations

import base64
import json
import queue
import select
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

from plugins.captioners.transformers.worker.job import Answer, Job, Token

MOST_BYTES = 64 << 20
MOST_WAITING = 16
PICTURE = "data:image/jpeg;base64,"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, path: str) -> None:
        self.jobs: queue.Queue[Job] = queue.Queue(MOST_WAITING)
        self.facts: dict[str, Any] = {}
        self._patience = 0.0
        self._given_up: dict[int, float] = {}
        self._lock = threading.Lock()
        super().__init__(path, Handler)

    def open(self, facts: dict[str, Any], patience: float) -> None:
        """The model is there. ``patience``: how long a caption that nobody waits for any more may take to end."""
        self.facts, self._patience = facts, patience

    def health(self) -> tuple[int, str]:
        if not self.facts:
            return 503, "Loading model"
        with self._lock:
            oldest = min(self._given_up.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > self._patience:
            return 503, "A caption that was given up does not end"
        return 200, "ok"

    def ask(self, job: Job, still_there: Any) -> None:
        """Until it is done, or nobody waits for it."""
        self.jobs.put_nowait(job)
        while not job.done.wait(0.05):
            if not job.cancelled.is_set() and not still_there():
                with self._lock:
                    self._given_up[id(job)] = time.monotonic()
                job.cancelled.set()
        with self._lock:
            self._given_up.pop(id(job), None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 600
    server: Server

    def log_message(self, *_words: object) -> None:
        """Nothing: the agent knows what it asked."""

    def do_GET(self) -> None:
        if self.path == "/health":
            status, words = self.server.health()
            self._say(status, {"status": words} if status == 200 else {"error": {"message": words}})
        elif self.path == "/props":
            self._say(200, self.server.facts)
        else:
            self._fault(404, "There is nothing here.")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MOST_BYTES:
            self.close_connection = True
            self._fault(413, "The request is empty or too long.")
            return
        body = self.rfile.read(length)
        if not self.server.facts:
            self._fault(503, "Loading model")
            return
        try:
            job = read(json.loads(body))
        except (ValueError, LookupError, TypeError) as error:
            self._fault(400, f"The request makes no sense: {type(error).__name__}")
            return
        try:
            self.server.ask(job, self._still_there)
        except queue.Full:
            self._fault(503, "Too many requests are waiting")
            return
        if job.cancelled.is_set():
            self.close_connection = True
        elif job.answer is not None:
            self._say(200, told(job.answer))
        else:
            self._fault(*(job.fault or (500, "It failed.")))

    def _still_there(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""

    def _fault(self, status: int, words: str) -> None:
        self._say(status, {"error": {"message": words, "code": status}})

    def _say(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # it went away; that is its good right
            self.close_connection = True


def read(request: Any) -> Job:
    """The last message's picture and words. Raises ValueError, LookupError, TypeError."""
    parts = request["messages"][-1]["content"]
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    words = [part["text"] for part in parts if part["type"] == "text"]
    if len(pictures) != 1 or not pictures[0].startswith(PICTURE):
        raise ValueError("one JPEG a question")
    for text in words:
        text.encode()  # no tokenizer takes half a pair of surrogates
    return Job(
        picture=base64.b64decode(pictures[0][len(PICTURE) :], validate=True),
        text="\n".join(words),
        max_tokens=max(1, int(request.get("max_tokens", 60))),
        temperature=float(request.get("temperature", 0)),
        tops=max(1, int(request.get("top_logprobs", 1))) if request.get("logprobs") else 0,
    )


def told(answer: Answer) -> dict[str, Any]:
    return {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text},
                "finish_reason": "length" if answer.cut else "stop",
                "logprobs": None if answer.said is None else {"content": [place(token) for token in answer.said]},
            }
        ],
        "usage": {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.tokens},
        "timings": {
            "cache_n": answer.reused,
            "prompt_n": answer.prompt_tokens - answer.reused,
            "prompt_ms": answer.prompt_ms,
            "predicted_n": answer.tokens,
            "predicted_ms": answer.generate_ms,
        },
    }


def place(token: Token) -> dict[str, Any]:
    likely = [{"token": text, "logprob": logprob} for text, logprob in token.likely]
    return {"token": token.text, "logprob": token.logprob, "top_logprobs": likely}
