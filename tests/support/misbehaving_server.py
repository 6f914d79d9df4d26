"""A server of OpenAI's protocol that answers as a test says, misbehaviour included."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SECRET = "sk-a-secret-that-nobody-may-see"
Answer = Callable[[Any, dict[str, Any]], None]


class Server(ThreadingHTTPServer):
    """Answers request n by `script[n]`, by its last entry from then on, and counts requests."""

    daemon_threads = True

    def __init__(self, *script: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break on purpose."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            number = len(server.bodies)
            server.bodies.append(body)
            server.headers.append({k.lower(): v for k, v in self.headers.items()})
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        server.script[min(number, len(server.script) - 1)](self, body)


@contextlib.contextmanager
def running(*script: Answer) -> Iterator[Server]:
    server = Server(*script)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client wait for hundredths of its seconds, and give it a key."""
    import openai._base_client as client

    monkeypatch.setattr(client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("SECRET_KEY", SECRET)


def send(handler: Any, status: int, body: bytes, **headers: str) -> None:
    with handler.server.lock:  # Before the client can send another request.
        handler.server.at_once -= 1
    handler.send_response(status)
    for name, value in {"content-type": "application/json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def completion(text: Any, finish_reason: str = "stop") -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": finish_reason, "message": message}
    head = {"id": "x", "object": "chat.completion", "created": 0, "model": "judge-2026-01-01"}
    return json.dumps({**head, "choices": [choice]}).encode()


def say(text: Any, after: float = 0.0, finish_reason: str = "stop") -> Answer:
    """Answer with a text, or with a function of the request's last message."""

    def answer(handler: Any, body: dict[str, Any]) -> None:
        time.sleep(after)
        words = text(body["messages"][-1]["content"]) if callable(text) else text
        send(handler, 200, completion(words, finish_reason))

    return answer


def fail(status: int, words: str = "no", **headers: str) -> Answer:
    error = json.dumps({"error": {"message": words, "type": "x"}}).encode()
    return lambda handler, body: send(handler, status, error, **headers)


def raw(content: bytes, **headers: str) -> Answer:
    return lambda handler, body: send(handler, 200, content, **headers)


def drop(handler: Any, body: dict[str, Any]) -> None:
    handler.close_connection = True
    handler.connection.close()
