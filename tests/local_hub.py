"""A model hub on this machine, and its cache, for tests of downloaded weights."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

REVISION = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(repository: str, content: bytes, sent: int | None = None) -> Iterator[str]:
    """The address of a hub that answers for one repository's model.safetensors, and sends so many of its bytes."""

    class Handler(BaseHTTPRequestHandler):
        def head(self, length: int) -> None:
            found = self.path == f"/{repository}/resolve/main/model.safetensors"
            self.send_response(200 if found else 404)
            if found:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", REVISION)
            self.send_header("Content-Length", str(length) if found else "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.head(len(content))

        def do_GET(self) -> None:
            self.head(len(content[:sent]))
            self.wfile.write(content[:sent])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def empty_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which may be asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("DFUKIT_OFFLINE", raising=False)
    return folder / "hub"


def put(cache: Path, repository: str, content: bytes) -> None:
    """Lay a file into the cache as the hub's client does."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    (folder / "snapshots" / "c0ffee").mkdir(parents=True)
    (folder / "snapshots" / "c0ffee" / "model.safetensors").write_bytes(content)
