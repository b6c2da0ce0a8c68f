"""Who is compared: the name of a generator, or a file of settings, each with further settings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import frozen

from dfukit import config as configuration
from dfukit import registry, settings
from dfukit.config import SLOTS, RunConfig
from dfukit.errors import ConfigError

PARTS = ("generator", "critic", "loss", "augmentation")
OWN = (*PARTS, "gan")
"""Sections that a contestant may set; everything else is the same for all."""
SHARED = ("run", "data", "sample", "score", "metric", "extractor")
SETTLED = ("gan.steps", "gan.epochs", "gan.budget", "gan.evaluate_every", "gan.patience")
"""Settings that the comparison gives to all: what a contestant or `--set` says of them would not hold."""
LONGEST = 200
"""Characters of the name of a file, to which the seed, `.toml` and the like come: most systems allow 255."""
SHARED_OF_GAN = ("size", "extractor", "evaluate_pictures")
"""Settings of [gan] that are the same for all: what is drawn, and what chooses the weights that are kept."""


@frozen
class Contestant:
    """A configuration under the name that the results give it."""

    name: str
    config: RunConfig

    @property
    def stem(self) -> str:
        """The name as that of files: cut, with a digest of it, where it is too long for one."""
        stem = re.sub(r"[^\w.+-]+", "-", self.name).strip("-.") or "contestant"
        return stem if len(stem) <= LONGEST else f"{stem[: LONGEST - 9]}-{sha256(self.name.encode()).hexdigest()[:8]}"


def read_contestants(
    texts: Sequence[str], *, preset: str = "", shared: Mapping[str, Any] | None = None
) -> list[Contestant]:
    """Contestants from texts such as `fastgan`, `mine.toml`, or either with settings: `fastgan,augmentation=ada`.

    The settings of a text are separated by commas; a bare component slot (`critic=conv`) chooses, and `preset=NAME` is
    the contestant's own preset, in place of `preset`. `shared` is a flat table that holds for all: {"gan.size": 64}.
    Raises ConfigError where a text is wrong, two are called the same, or they differ in what must be the same for all.
    """
    found = [_read(text, preset, shared or {}) for text in texts]
    if not found:
        raise ConfigError("name at least one contestant: a generator, or a file of settings")
    for what in ("name", "stem"):
        if twice := [name for name, times in Counter(getattr(one, what) for one in found).items() if times > 1]:
            raise ConfigError(f"two contestants are called {twice[0]}")
    first = found[0]
    for other in found[1:]:
        if different := _differences(first.config, other.config):
            raise ConfigError(
                f"{first.name} and {other.name} differ in {different[0]}, which must be the same for all: "
                f"set it for all with --set"
            )
    return found


def _read(text: str, preset: str, shared: Mapping[str, Any]) -> Contestant:
    who, *rest = (part.strip() for part in text.split(","))
    if not who:
        raise ConfigError(f"contestant {text!r}: a generator's name or a file of settings comes first")
    own: dict[str, Any] = {}
    for assignment in rest:
        key, value = settings.read_assignment(assignment)
        if key == "preset":
            preset = str(value)
            continue
        key = f"{key}.name" if key in SLOTS else key
        if key.split(".")[0] not in OWN:
            raise ConfigError(f"contestant {text}: {key} is not a contestant's own; these are preset, {', '.join(OWN)}")
        own[key] = value
    for key in (*own, *shared):
        if key in SETTLED:
            raise ConfigError(f"{key} is settled by --time and --pictures, for all alike: leave it out")
    file = Path(who) if who.endswith(".toml") else None
    if file and "preset" in configuration.read_toml(file) and not any(part.startswith("preset=") for part in rest):
        preset = ""  # its own
    chosen = {} if file else {"generator.name": who}
    config = configuration.resolve(registry.load(), preset=preset, file=file, settings={**shared, **chosen, **own})
    return Contestant(",".join([file.stem if file else who, *rest]), config)


def _differences(one: RunConfig, other: RunConfig) -> list[str]:
    """Keys of what must be the same for all, where they differ."""
    tables = one.as_table(), other.as_table()
    wanted = {name: {**tables[0].get(name, {}), **tables[1].get(name, {})} for name in SHARED}
    wanted["gan"] = dict.fromkeys(SHARED_OF_GAN)
    return [
        f"{name}.{key}"
        for name, keys in wanted.items()
        for key in keys
        if tables[0].get(name, {}).get(key) != tables[1].get(name, {}).get(key)
    ]
