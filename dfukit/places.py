"""Where dfukit keeps things on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache() -> Path:
    """The folder of all that can be made again: DFUKIT_CACHE_DIR, or the system's cache folder."""
    return Path(os.environ.get("DFUKIT_CACHE_DIR") or platformdirs.user_cache_dir("dfukit"))
