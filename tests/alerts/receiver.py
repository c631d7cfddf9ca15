"""Somebody who takes POSTs on the loopback, remembers them, and may be told to answer badly."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Post:
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any
    status: int


@dataclass
class Receiver:
    """What came. `answer` says with which status the next request is answered."""

    address: str = ""
    posts: list[Post] = field(default_factory=list)
    answer: Callable[[Any], int] = lambda _: 200
    date: str = ""
    """What time it is here, as an HTTP date, for who asks; it is not said unless told."""

    @property
    def accepted(self) -> list[Post]:
        return [post for post in self.posts if post.status == 200]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Listen."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            if receiver.date:
                self.send_header("Date", receiver.date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            status = receiver.answer(body)
            receiver.posts.append(Post(self.path, dict(self.headers), body, status))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: the posts are remembered."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
