"""Features and scores that were computed before, under the cache folder, by the content of all that they depend on.

A file that is damaged, or is not what its name says, counts as absent. Nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from attrs import frozen
from safetensors.numpy import save

import dfukit
from dfukit import environment, rundir, settings
from dfukit.component import Chosen
from dfukit.images.cache import scores_dir
from dfukit.progress import Progress
from dfukit.scoring import content

Key = Mapping[str, Any]
"""What something was computed from, as JSON can hold it."""


@frozen
class Cache:
    """The folder of features and scores; what cannot be written there is told and left."""

    folder: Path
    progress: Progress

    def features(self, key: Key, n: int) -> dict[str, np.ndarray] | None:
        """What an extractor made of `n` pictures, float64; None where that is not known."""
        digest = content.of_table(key)
        try:
            tensors, facts = read_tensors(self._features(digest))
        except ValueError:
            return None
        known = facts.get("key") == digest and all(values.ndim == 2 and len(values) == n for values in tensors.values())
        return tensors if known and "features" in tensors else None

    def keep_features(self, key: Key, outputs: Mapping[str, np.ndarray]) -> None:
        digest = content.of_table(key)
        self._keep(lambda: write_tensors(self._features(digest), outputs, {"key": digest}))

    def scores(self, key: Key) -> Any:
        """What was kept under the key; None where that is not known."""
        digest = content.of_table(key)
        try:
            found = json.loads(self._scores(digest).read_text("utf-8"))
            known = found["key"] == digest and found["content"] == content.of_table(found["scores"])
            return found["scores"] if known else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_scores(self, key: Key, scores: Any) -> None:
        digest = content.of_table(key)
        found = {"key": digest, "content": content.of_table(scores), "scores": scores}
        self._keep(lambda: rundir.write_json(self._scores(digest), found))

    def _features(self, digest: str) -> Path:
        return self.folder / f"{digest[:32]}.safetensors"

    def _scores(self, digest: str) -> Path:
        return self.folder / f"{digest[:32]}.json"

    def _keep(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self.progress.say(f"the cache {self.folder} cannot be written ({error.strerror}): set DFUKIT_CACHE_DIR")


def default_cache(progress: Progress) -> Cache:
    """The user's cache: `scores` beside the cache of pictures."""
    return Cache(scores_dir(), progress)


def circumstances(device: str) -> dict[str, Any]:
    """What every figure depends on besides its pictures and its plugins."""
    return {
        "dfukit": dfukit.__version__,
        "code": content.of_code("dfukit"),
        "packages": environment.versions(),
        "device": device,
    }


def identity(chosen: Chosen) -> dict[str, Any]:
    """Which component this is, with which settings, of which version and source."""
    return {
        "name": chosen.name,
        "settings": settings.as_table(chosen.settings),
        "package": chosen.package,
        "version": chosen.version,
        "code": content.of_code(chosen.component.target.partition(":")[0]),
    }


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Arrays as safetensors, float64 as float32 where nothing is lost by that, with facts and a digest of them."""
    kept = {name: np.ascontiguousarray(_narrow(values)) for name, values in tensors.items()}
    known = {**facts, "content": content.of_tensors(kept)}
    # One metadata key only: safetensors writes several in random order.
    rundir.write_bytes(path, save(kept, {"dfukit": json.dumps(known, sort_keys=True)}))


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays, floating ones in float64, and the facts about them. Raises ValueError where the file is not whole."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})["dfukit"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        if facts["content"] != content.of_tensors(tensors):
            raise ValueError("its content is not what it was written with")
    except (safetensors.SafetensorError, OSError, KeyError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None
    return {name: values.astype(_wide(values), copy=False) for name, values in tensors.items()}, facts


def _narrow(values: np.ndarray) -> np.ndarray:
    if values.dtype != np.float64:
        return values
    narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow, values, equal_nan=True) else values


def _wide(values: np.ndarray) -> type:
    return np.float64 if values.dtype == np.float32 else values.dtype.type
