"""A witness on loopback, as c2sp.org/tlog-witness says one behaves, and one that behaves badly in every way there is."""

from __future__ import annotations

import threading
from base64 import b64decode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from evlog.errors import EvidenceError
from evlog.tlog import checkpoint, keys, note
from evlog.tlog.proof import check_consistency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evlog.tlog.note import VerifierKey

Answer = tuple[int, bytes]


class Witness:
    """Signs checkpoints of one log that only grows."""

    def __init__(self, log: VerifierKey, name: str = "witness.example") -> None:
        self.log, self.key = log, keys.new(name)
        self.verifier = note.VerifierKey(name, note.COSIGNATURE, self.key.verifier.public)
        self.seen: tuple[int, bytes] | None = None
        self.asked = 0
        self.spoil: Callable[[Answer], Answer] = lambda answer: answer
        self.url = ""

    def answer(self, body: bytes) -> Answer:
        """Answer one request as the specification says."""
        self.asked += 1
        head, _, data = body.partition(b"\n\n")
        old, *lines = head.decode().split("\n")
        signed = checkpoint.parse(data)
        one = signed.checkpoint
        if one.origin != self.log.name:
            return 404, b""
        if not signed.note.signers([self.log]):
            return 403, b""
        size, root = self.seen or (0, b"")
        if old != f"old {size}":
            return 409, f"{size}\n".encode()
        if size == one.size and root != one.root:
            return 409, b""
        try:
            if size:
                check_consistency((size, root), (one.size, one.root), [b64decode(line) for line in lines])
        except EvidenceError:
            return 422, b""
        self.seen = (one.size, one.root)
        return 200, self.cosignature(signed.note.text).encode()

    def cosignature(self, text: str, time_s: int = 1_800_000_000) -> str:
        """Return the line that this witness puts below a text."""
        value = self.key._private.sign(f"cosignature/v1\ntime {time_s}\n{text}".encode())
        return note.sign_line(self.verifier.name, self.verifier.key_id, time_s.to_bytes(8) + value)


@contextmanager
def serving(witness: Witness) -> Iterator[Witness]:
    """Let a witness answer on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, data = witness.spoil(witness.answer(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status if self.path == "/w/add-checkpoint" else 405)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    witness.url = f"http://127.0.0.1:{server.server_port}/w"
    try:
        yield witness
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
