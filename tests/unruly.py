"""A server of OpenAI's protocol that answers as a test says, misbehaviour included."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Deed = Callable[[BaseHTTPRequestHandler], None]


class Unruly(ThreadingHTTPServer):
    """Does for the n-th request what `script` says (the last for all that follow); counts them."""

    daemon_threads = True

    def __init__(self, *script: "Deed | Callable[[dict], Deed]") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections that break are meant to."""


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
            server.times.append(time.monotonic())
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            deed = server.script[min(number, len(server.script) - 1)]
            deed(self, body)
        finally:
            with server.lock:
                server.at_once -= 1


@contextlib.contextmanager
def running(*script: Any) -> Iterator[Unruly]:
    server = Unruly(*script)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def send(handler: Any, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"content-type": "application/json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def completion(text: Any, model: str = "judge-2026-01-01", finish_reason: str = "stop") -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": finish_reason, "message": message}
    found = {"id": "x", "object": "chat.completion", "created": 0, "model": model}
    return json.dumps({**found, "choices": [choice]}).encode()


def say(text: Any, after: float = 0.0) -> Any:
    """Answer with a text, or with what a function makes of the request's last message."""

    def deed(handler: Any, body: dict[str, Any]) -> None:
        time.sleep(after)
        said = text(body["messages"][-1]["content"]) if callable(text) else text
        send(handler, 200, completion(said))

    return deed


def fail(status: int, words: str = "no", **headers: str) -> Any:
    error = json.dumps({"error": {"message": words, "type": "x"}}).encode()
    return lambda handler, body: send(handler, status, error, **headers)


def raw(content: bytes, **headers: str) -> Any:
    return lambda handler, body: send(handler, 200, content, **headers)


def drop(handler: Any, body: dict[str, Any]) -> None:
    handler.close_connection = True
    handler.connection.close()


def cut(handler: Any, body: dict[str, Any]) -> None:
    """Promise more bytes than arrive."""
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "500")
    handler.end_headers()
    handler.wfile.write(completion("[[9]]")[:30])
    handler.close_connection = True
