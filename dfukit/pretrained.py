"""The store of downloaded weights: published files, checked by SHA-256 and kept as safetensors.

`dfukit weights list | get NAME | add FILE | verify` are its four methods. Stored files lie in `weights/` under
DFUKIT_CACHE_DIR, or under the user's cache folder.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import pickle
import shutil
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from dfukit import environment, rundir, settings
from dfukit.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

CONNECT_SECONDS = 1.5
READ_SECONDS = 30.0
BLOCK = 2**20
KILLED_SECONDS = 86_400.0
"""Age from which a download is no longer at work, in whatever process it was."""

Rows = list[dict[str, Any]]


@frozen
class Published:
    """A file of weights as its authors published it."""

    name: str
    url: str
    sha256: str
    bytes: int
    license: str
    citation: str
    purpose: str

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]


KNOWN = (
    Published(
        name="inception",
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        bytes=95_628_359,
        license="Apache-2.0",
        citation="Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016",
        purpose="fid, kid, inception_score",
    ),
)


@frozen
class Store:
    """A folder of weights and the published files that may come into it."""

    folder: Path
    known: tuple[Published, ...]

    def list(self) -> Rows:
        """A row for each published file: name, purpose, license, url, sha256, and the path where it is stored."""
        return [
            {
                "name": entry.name,
                "purpose": entry.purpose,
                "license": entry.license,
                "citation": entry.citation,
                "url": entry.url,
                "sha256": entry.sha256,
                "path": str(path) if (path := self.stored(entry.name)) else None,
            }
            for entry in self.known
        ]

    def stored(self, name: str) -> Path | None:
        """Where the weights lie, or None where they are not in the store."""
        path = self._path(self._find(name))
        return path if path.is_file() else None

    def get(self, name: str, progress: Callable[[int, int], None]) -> Path:
        """The stored safetensors file, downloaded and converted where needed; `progress(done, of)` counts bytes.

        Raises WeightsError within 2 seconds where there is no network, and at once under DFUKIT_OFFLINE.
        """
        self._sweep()
        if (path := self.stored(name)) is not None:
            return path
        entry = self._find(name)
        remedy = f"get {entry.url} on another machine, then: dfukit weights add {entry.file}"
        if environment.offline():
            raise WeightsError(f"the weights {name} are not here and DFUKIT_OFFLINE is set: {remedy}")
        if (obstacle := _unreachable(entry.url)) is not None:
            raise WeightsError(f"the weights {name} are not here and cannot be downloaded ({obstacle}): {remedy}")
        with self._writing(), tempfile.TemporaryDirectory(dir=self.folder) as folder:
            download = Path(folder) / entry.file
            try:
                _download(entry, download, progress)
            except (OSError, http.client.HTTPException) as error:
                reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
                raise WeightsError(f"the weights {name} cannot be downloaded ({reason}): {remedy}") from None
            return self.add(download)

    def add(self, file: Path) -> Path:
        """Put a published file into the store: recognised by its SHA-256, converted to safetensors.

        Raises WeightsError for any other file. Nothing in it is run: tensors alone are read.
        """
        try:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise WeightsError(f"{file}: {error.strerror or error}") from None
        entry = next((entry for entry in self.known if entry.sha256 == digest), None)
        if entry is None:
            expected = "; ".join(f"{known.file} ({known.sha256[:12]}...)" for known in self.known)
            raise WeightsError(f"{file} (sha256 {digest[:12]}...) is none of the files that dfukit knows: {expected}")
        tensors = _tensors(file)
        path = self._path(entry)
        facts = {"name": entry.name, "file": entry.file, "sha256": entry.sha256, "content": _content(tensors)}
        from safetensors.torch import save

        # One metadata key only: safetensors writes several in random order.
        content = save(tensors, {"dfukit": json.dumps(facts, sort_keys=True)})
        with self._writing():
            rundir.write_bytes(path, content)
        return path

    def verify(self) -> Rows:
        """A row for each stored file: name, path, and the problem, None where its tensors are those it came with."""
        return [
            {"name": entry.name, "path": str(path), "problem": _problem(path, entry)}
            for entry in self.known
            if (path := self.stored(entry.name)) is not None
        ]

    def _find(self, name: str) -> Published:
        for entry in self.known:
            if entry.name == name:
                return entry
        names = [entry.name for entry in self.known]
        raise ConfigError(f"no weights are called {name}{settings.guess(name, names)}; known: {', '.join(names)}")

    def _path(self, entry: Published) -> Path:
        return self.folder / f"{entry.name}-{entry.sha256[:8]}.safetensors"

    def _sweep(self) -> None:
        """Remove what downloads that were killed left behind."""
        for folder in self.folder.glob("tmp*"):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > KILLED_SECONDS:
                    shutil.rmtree(folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The folder is there. Raises WeightsError where it cannot be made or written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise WeightsError(
                f"{self.folder} cannot be written ({error.strerror or error}): "
                "make room, or set DFUKIT_CACHE_DIR to a writable folder"
            ) from None


def default_store() -> Store:
    """The user's store of the weights that dfukit knows."""
    if folder := os.environ.get("DFUKIT_CACHE_DIR"):
        return Store(Path(folder) / "weights", KNOWN)
    import platformdirs

    return Store(Path(platformdirs.user_cache_dir("dfukit")) / "weights", KNOWN)


def _unreachable(url: str) -> str | None:
    """Why the host of a URL, or the proxy on the way, takes no connection; None where it does."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    outcome = [f"{host}: no answer"]

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
            outcome.clear()
        except OSError as error:
            outcome[0] = f"{host}: {error.strerror or error}"

    # Looking up a name has no time limit of its own: without a network it can take half a minute.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(CONNECT_SECONDS)
    return outcome[0] if outcome else None


def _download(entry: Published, target: Path, progress: Callable[[int, int], None]) -> None:
    request = urllib.request.Request(entry.url, headers={"User-Agent": "dfukit"})
    with urllib.request.urlopen(request, timeout=READ_SECONDS) as response, target.open("wb") as file:
        done = 0
        while block := response.read(BLOCK):
            done += len(block)
            if done > entry.bytes:
                raise WeightsError(f"{entry.url} sent more than the {entry.bytes} bytes it should: not stored")
            file.write(block)
            progress(done, entry.bytes)
    if done < entry.bytes:
        raise WeightsError(f"{entry.url} sent {done} of {entry.bytes} bytes: try again")


def _tensors(file: Path) -> dict[str, Tensor]:
    import torch

    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"{file} holds more than tensors, or is broken: refused ({reason})") from None
    if not isinstance(tensors, Mapping) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise WeightsError(f"{file} is not a table of tensors: refused")
    return {str(name): value.detach().contiguous().clone() for name, value in tensors.items()}


def _content(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().numpy().tobytes())
    return digest.hexdigest()


def _problem(path: Path, entry: Published) -> str | None:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("dfukit", "{}"))
        tensors = load_file(path)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        return f"unreadable ({' '.join(str(error).split())[:120]}): remove it and get it again"
    if facts.get("sha256") != entry.sha256:
        return "made from another file: remove it and get it again"
    if facts.get("content") != _content(tensors):
        return "its tensors changed: remove it and get it again"
    return None
