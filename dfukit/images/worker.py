"""The decoder process: jobs come in on stdin as JSON lines, answers leave on stdout as JSON lines and raw pixels.

It is started as a plain command, not by multiprocessing, which would run the user's own script a second time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from dfukit.images.decode import Limits, Unusable, decode, digest, set_up

MEMORY = 4 << 30
"""Address space of a decoder in bytes, where the system can limit it."""


def serve() -> None:
    """Answer jobs until stdin ends. One line of settings comes first and is answered with `ready`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    _limit_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    jobs = sys.stdin.buffer
    limits = Limits(heic=set_up(), **json.loads(jobs.readline()))
    _send(answers, {"ready": True})
    for line in jobs:
        job = json.loads(line)
        answer, pixels = _answer(Path(job["path"]), job["box"], limits)
        _send(answers, answer, pixels)


def _answer(path: Path, box: list[float] | None, limits: Limits) -> tuple[dict[str, Any], bytes]:
    answer: dict[str, Any] = {"sha256": "", "reason": None, "passing": False}
    try:
        with path.open("rb") as file:
            answer["sha256"] = digest(file).hex()
            picture = decode(file, (box[0], box[1], box[2], box[3]) if box else None, limits)
    except Unusable as error:
        return answer | {"reason": str(error)}, b""
    except OSError as error:
        return answer | {"reason": f"cannot be read: {error.strerror or error}", "passing": True}, b""
    about = {"width": picture.width, "height": picture.height, "format": picture.format, "text": picture.text}
    native = b"" if picture.native is None else picture.native.tobytes()
    return answer | about | {"native": len(native)}, picture.pixels.tobytes() + native


def _send(answers: IO[bytes], answer: dict[str, Any], pixels: bytes = b"") -> None:
    answers.write(json.dumps(answer).encode() + b"\n" + pixels)
    answers.flush()


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
