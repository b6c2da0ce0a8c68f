"""What every component must hold, and what the suites of all kinds share."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import subprocess
import sys
import tomllib
import unittest
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import attrs
import tomli_w
import torch
from torch import Tensor

from dfukit import config, registry, settings
from dfukit.component import Chosen, ImageSpec
from dfukit.errors import DfukitError, WeightsError
from dfukit.interfaces import Step
from dfukit.registry import Offer
from dfukit.replay import Feed

SECONDS_TO_ANSWER = 120
"""How long another process may take: on a slow machine, importing torch alone takes a while."""


def require(condition: object, text: str) -> None:
    """Raise AssertionError where a promise is broken, under `python -O` too."""
    if not condition:
        raise AssertionError(text)


def require_shape(values: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Raise AssertionError where a tensor has another shape or is not finite."""
    require(isinstance(values, Tensor), f"{what} must be a tensor, got {type(values).__name__}")
    require(values.shape == shape, f"{what} must have shape {list(shape)}, got {list(values.shape)}")
    require(values.is_floating_point(), f"{what} must be floating point, got {values.dtype}")
    require(bool(values.isfinite().all()), f"{what} must be finite")


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """A check fetches nothing: inside, downloads are refused."""
    before = os.environ.get("DFUKIT_OFFLINE")
    os.environ["DFUKIT_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["DFUKIT_OFFLINE"]
        else:
            os.environ["DFUKIT_OFFLINE"] = before


class Suite:
    """A component under test. Inherit the suite of its kind and name the component."""

    kind: ClassVar[str]
    interface: ClassVar[type]
    component: str
    settings: Mapping[str, Any] = {}
    """Settings beyond the defaults, for instance a small width."""
    size: int = 32
    """Width of the pictures."""

    @property
    def offer(self) -> Offer:
        return registry.load().find(self.kind, self.component)

    @property
    def image(self) -> ImageSpec:
        return ImageSpec(self.size, 3, ("clean", "infected"), "infected")

    @property
    def device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def choose(self) -> Chosen:
        """The component with the suite's settings."""
        return registry.load().choose(self.kind, self.component, self.settings)

    def build(self) -> Any:
        """The component, made with the same random weights each time. Skips where fixed weights are missing."""
        torch.manual_seed(0)
        try:
            with offline():
                return self.make(self.choose())
        except WeightsError as error:
            raise unittest.SkipTest(str(error)) from None

    def make(self, chosen: Chosen) -> Any:
        """The component of a choice: most kinds are told of the pictures."""
        return chosen.make(self.image)

    def pictures(self, n: int, seed: int = 0) -> Tensor:
        """Smooth random pictures [N, 3, S, S] in [0, 1] on the device."""
        coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
        return torch.nn.functional.interpolate(coarse, (self.size, self.size), mode="bilinear").to(self.device)

    def labels(self, n: int) -> Tensor:
        """Both classes in turn [N]."""
        return torch.arange(n, device=self.device) % 2

    def step(self, index: int = 0) -> Step:
        return Step(0, index)

    def replayed(self, compute: Callable[[Step], Tensor], n: int) -> tuple[Tensor, Tensor]:
        """What a replay computes for a step with a batch of `n`, and what the step itself gives."""
        feed, captured, other = Feed(self.device), Step(0, 1, 0.25).part(0, n), Step(1, 2, 0.75).part(0, n)
        compute(feed.first(captured))
        feed.fill(other)
        return compute(feed.again(captured)), compute(other)

    def test_settings_build_with_no_arguments(self) -> None:
        declared = self.offer.component.settings
        require(attrs.has(declared), f"{declared.__name__} must be an attrs class: decorate it with `frozen`")
        try:
            declared()
        except TypeError as error:
            raise AssertionError(f"{declared.__name__}() must build: give every setting a default ({error})") from None

    def test_the_component_and_every_setting_are_described(self) -> None:
        component = self.offer.component
        require(component.summary.strip(), f"{self.component} has no summary: `dfukit plugins list` prints it")
        for field in attrs.fields(component.settings):
            name = f"{component.settings.__name__}.{field.name}"
            declared = "declare it with whole, real, choice, flag, text or names of dfukit"
            require("read" in field.metadata, f"{name} cannot be set from the command line: {declared}")
            require(field.metadata["help"].strip(), f"{name} has no help")

    def test_settings_survive_toml(self) -> None:
        declared, chosen = self.offer.component.settings, self.choose()
        for values in (declared(), chosen.settings):
            text = tomli_w.dumps(settings.as_table(values))
            again: Any = settings.build(declared, tomllib.loads(text), self.kind)
            require(again == values, f"settings changed on their way through TOML: {values} became {again}")

    def test_what_it_suggests_can_be_set(self) -> None:
        asked = {section: dict(values) for section, values in self.offer.component.suggests.items()}
        if self.kind in config.SLOTS:
            asked[self.kind] = {**asked.get(self.kind, {}), "name": self.component}
        try:
            # As a user's own words, which count more than what the preset says of the same.
            config.resolve(registry.load(), preset="standard", flags=asked)
        except DfukitError as error:
            raise AssertionError(f"nobody can set what {self.component} suggests: {error}") from None

    def test_importing_the_plugin_leaves_torch_unimported(self) -> None:
        require(*_light(self.offer.plugin, self.offer.package))

    def test_the_target_resolves(self) -> None:
        target = self.offer.component.target
        module, colon, attribute = target.partition(":")
        require(colon, f'target {target!r} must read "package.module:Name"')
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise AssertionError(f"target {target} cannot be imported: {error}") from None
        require(callable(found), f"target {target} must be a class or a function, got {type(found).__name__}")

    def test_it_is_of_its_kind(self) -> None:
        built, interface = self.build(), f"dfukit.interfaces.{self.interface.__name__}"
        require(isinstance(built, self.interface), f"{type(built).__name__} must inherit {interface}")


@functools.cache
def _light(plugin: str, package: str) -> tuple[bool, str]:
    """Whether a plugin loads without torch in a fresh process, and what to say where it does not."""
    code = (
        "import sys; from dfukit import registry; known = registry.load()\n"
        f"print(*[str(broken) for broken in known.broken if broken.package == {package!r}])\n"
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "DFUKIT_PLUGINS": plugin}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER
    )
    if answer.returncode:
        return False, f"the plugin {plugin} of {package} does not load: {answer.stderr.strip()[-300:]}"
    broken, _, torch_there = answer.stdout.strip().rpartition("\n")
    if broken:
        return False, broken
    return torch_there == "False", f"importing the plugin {plugin} of {package} imports torch: import it in the target"
