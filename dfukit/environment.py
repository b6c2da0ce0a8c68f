"""What a run was computed with."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from dfukit.registry import Registry

PACKAGES = (
    "attrs",
    "click",
    "kornia",
    "numpy",
    "pillow",
    "pluggy",
    "safetensors",
    "scikit-learn",
    "timm",
    "torch",
    "torch-fidelity",
    "torchvision",
)


def offline() -> bool:
    """Whether DFUKIT_OFFLINE forbids the network: anything but empty and 0 does."""
    return os.environ.get("DFUKIT_OFFLINE", "") not in ("", "0")


def versions() -> dict[str, str]:
    """Installed versions of the packages that figures depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def describe(registry: Registry, device: str, threads: int) -> dict[str, Any]:
    """The content of environment.json: no host name, no user, no path."""
    return {
        "dfukit": metadata.version("dfukit"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "device": device,
        "threads": threads,
        "packages": versions(),
        "plugins": sorted({f"{offer.package} {offer.version}" for offer in registry.offers}),
        "broken_plugins": [str(culprit) for culprit in registry.broken],
    }
