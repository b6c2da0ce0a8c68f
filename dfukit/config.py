"""The configuration of a run: how the layers that set it are put together, and what comes out."""

from __future__ import annotations

import copy
import importlib.resources
import tomllib
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from dfukit import settings as s
from dfukit.component import Chosen
from dfukit.errors import ConfigError, DfukitError, PluginError
from dfukit.registry import Offer, Registry
from dfukit.sections import (
    SECTIONS,
    ClassifySettings,
    DataSettings,
    GanSettings,
    LiftSettings,
    ReleaseSettings,
    ReportSettings,
    RunSettings,
    SampleSettings,
    ScoreSettings,
)

# A slot holds one component: its kind, and the component that stands there when nobody names another.
SLOTS: dict[str, tuple[str, str]] = {
    "generator": ("generator", "lstm_wgan"),
    "critic": ("critic", "conv"),
    "loss": ("loss", "wgan_gp"),
    "augmentation": ("augmentation", "none"),
    "classifier": ("classifier", "effv2s_lstm"),
    "classifier_augmentation": ("augmentation", "wound"),
}
SUGGESTING = ("generator", "critic", "loss", "augmentation", "classifier")
"""Slots whose components suggest something; what the first suggests counts most."""
OPTIONS = {
    "data": "data.path",
    "generator": "generator.name",
    "critic": "critic.name",
    "loss": "loss.name",
    "classifier": "classifier.name",
    "augmentation": "augmentation.name",
    "metric": "score.metrics",
    "positive": "data.positive",
    "patients": "data.patients",
    "patient_pattern": "data.patient_pattern",
    "device": "run.device",
    "precision": "run.precision",
    "seed": "run.seed",
}
"""A named option, of the command line and from Python, and the setting that it stands for."""
PRESETS = ("smoke", "demo", "standard", "reference")


@frozen
class RunConfig:
    """Everything that a run was told, checked."""

    preset: str
    run: RunSettings
    data: DataSettings
    gan: GanSettings
    sample: SampleSettings
    score: ScoreSettings
    classify: ClassifySettings
    lift: LiftSettings
    release: ReleaseSettings
    report: ReportSettings
    generator: Chosen
    critic: Chosen
    loss: Chosen
    augmentation: Chosen
    classifier: Chosen
    classifier_augmentation: Chosen
    metrics: tuple[Chosen, ...]
    extractors: Mapping[str, Mapping[str, Any]]
    """Settings of extractors by name; an extractor itself is chosen when it is needed."""
    origins: Mapping[str, str] = field(eq=False)
    """Where each value came from: "gan.batch_size" -> "preset demo"."""

    @property
    def sources(self) -> dict[str, str]:
        """The package and its version of each component: "generator/lstm_wgan" -> "dfukit 0.1.0"."""
        chosen = (*(getattr(self, slot) for slot in SLOTS), *self.metrics)
        return {f"{one.kind}/{one.name}": f"{one.package} {one.version}" for one in chosen}

    def as_table(self) -> dict[str, Any]:
        """The whole configuration as TOML tables; as `--config` it gives this configuration again."""
        table: dict[str, Any] = {name: s.as_table(getattr(self, name)) for name in SECTIONS}
        table |= {slot: getattr(self, slot).as_table() for slot in SLOTS}
        table["metric"] = {metric.name: s.as_table(metric.settings) for metric in self.metrics}
        table["extractor"] = {name: dict(values) for name, values in self.extractors.items()}
        return {"preset": self.preset, **{name: values for name, values in table.items() if values}}


def resolve(
    registry: Registry,
    *,
    preset: str = "",
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Put the layers together; later wins: defaults < suggestions < preset < file < named flags < `--set`.

    `flags` is a nested table like the file's, `settings` a flat one: {"gan.batch_size": 32}. A preset tunes the
    components that it names and never chooses them; [gan.NAME] holds what of [gan] is meant for the generator NAME
    alone. Raises ConfigError naming the key, or PluginError where the value is what a component suggests.
    """
    told = _layers(file, flags or {}, nest(settings or {}))
    preset = preset or _last(told, "preset") or ("standard" if _data_path(told) else "demo")
    for _, table in told:
        table.pop("preset", None)
    names = {slot: default for slot, (_, default) in SLOTS.items()}
    names |= _named(told)
    suggestions = _suggestions(registry, names, _named(told))
    layers = [*suggestions, (f"preset {preset}", _matching(read_preset(preset), names)), *told]
    generators = {offer.component.name for offer in registry.offers if offer.kind == "generator"}
    layers = [(label, _tuned_for(table, names["generator"], generators)) for label, table in layers]

    merged, origins = _merge(layers, names)
    try:
        config = _built(registry, preset, names, merged, origins)
    except ConfigError as error:
        raise _blamed(error, registry, names, origins) from None
    _check_together(config)
    return config


def _built(
    registry: Registry,
    preset: str,
    names: Mapping[str, str],
    merged: Mapping[str, dict[str, Any]],
    origins: Mapping[str, str],
) -> RunConfig:
    """The configuration of merged tables. Raises ConfigError that begins with the key where one is wrong."""
    known = (*SECTIONS, *SLOTS, "metric", "extractor")
    for section in merged:
        if section not in known:
            raise ConfigError(f"{section} is not a section{s.guess(section, known)}; known: {', '.join(known)}")
    sections: dict[str, Any] = {
        name: s.build(settings, merged.get(name, {}), name) for name, settings in SECTIONS.items()
    }
    slots: dict[str, Any] = {
        slot: registry.choose(kind, names[slot], merged.get(slot, {}), slot) for slot, (kind, _) in SLOTS.items()
    }
    metrics = tuple(
        registry.choose("metric", name, merged.get("metric", {}).get(name, {}), f"metric.{name}")
        for name in dict.fromkeys(sections["score"].metrics)
    )
    for name, values in merged.get("metric", {}).items():
        registry.choose("metric", name, values, f"metric.{name}")
    for name, values in merged.get("extractor", {}).items():
        registry.choose("extractor", name, values, f"extractor.{name}")
    for section in ("gan", "score"):
        if (name := sections[section].extractor) != "auto":
            try:
                registry.find("extractor", name)
            except ConfigError as error:
                raise ConfigError(f"{section}.extractor: {error}") from None
    return RunConfig(
        preset=preset,
        **sections,
        **slots,
        metrics=metrics,
        extractors=merged.get("extractor", {}),
        origins=origins,
    )


def _blamed(
    error: ConfigError, registry: Registry, names: Mapping[str, str], origins: Mapping[str, str]
) -> DfukitError:
    """The error, or one that names the package where the key that it begins with was suggested."""
    key = str(error).partition(" ")[0].rstrip(":")
    origin = next((origin for known, origin in origins.items() if f"{known}.".startswith(f"{key}.")), "")
    for slot in SUGGESTING:
        offer = registry.find(SLOTS[slot][0], names[slot])
        if offer.component.suggests and origin == _suggested_by(offer):
            return _wrongly_suggested(slot, offer, error)
    return error


def _wrongly_suggested(slot: str, offer: Offer, error: ConfigError) -> PluginError:
    return PluginError(f"{slot} {offer.component.name} of {offer.source} suggests what cannot be: {error}")


def refuse_with_resume(given: Sequence[str]) -> None:
    """Raises ConfigError naming an option that was given although a resumed run brings its own."""
    if given:
        raise ConfigError(
            f"{given[0]} cannot be given for a resumed run, whose settings are those of its config.toml: leave it out"
        )


def read_preset(name: str) -> dict[str, Any]:
    """The table of a preset that comes with dfukit."""
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name}{s.guess(name, PRESETS)}; presets: {', '.join(PRESETS)}")
    return tomllib.loads(importlib.resources.files("dfukit").joinpath("presets", f"{name}.toml").read_text("utf-8"))


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file as a table. Raises ConfigError naming the file."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {file}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {file} is not valid TOML: {error}") from None


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"gan.batch_size": 32} -> {"gan": {"batch_size": 32}}. Raises ConfigError where a key is section and setting."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, last = key.split(".")
        table = nested
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{key}: {section} is a setting and a section at once")
        table[last] = value
    return nested


Layer = tuple[str, dict[str, Any]]


def _layers(file: Path | None, flags: Mapping[str, Any], settings: dict[str, Any]) -> list[Layer]:
    layers: list[Layer] = []
    if file is not None:
        layers.append((str(file), read_toml(file)))
    layers.append(("option", copy.deepcopy(dict(flags))))
    layers.append(("--set", settings))
    for label, table in layers:
        for section, values in table.items():
            if section != "preset" and not isinstance(values, dict):
                raise ConfigError(f"{section} in {label} must be a section with settings, got {values!r}")
            if section in ("metric", "extractor"):
                for name, inner in values.items():
                    if not isinstance(inner, dict):
                        raise ConfigError(f"{section}.{name} in {label} must be a section with settings, got {inner!r}")
    return layers


def _last(layers: list[Layer], key: str) -> str:
    values = [table[key] for _, table in layers if key in table]
    if values and not isinstance(values[-1], str):
        raise ConfigError(f"{key} must be a text, got {values[-1]!r}")
    return values[-1] if values else ""


def _data_path(layers: list[Layer]) -> str:
    paths = [table["data"]["path"] for _, table in layers if "path" in table.get("data", {})]
    return str(paths[-1]) if paths else ""


def _named(layers: list[Layer]) -> dict[str, str]:
    """The components that the user names, by slot."""
    found = {}
    for _, table in layers:
        for slot in SLOTS:
            name = table.get(slot, {}).get("name")
            if name is not None:
                if not isinstance(name, str):
                    raise ConfigError(f"{slot}.name must be a text, got {name!r}")
                found[slot] = name
    return found


def _suggestions(registry: Registry, names: dict[str, str], named: Mapping[str, str]) -> list[Layer]:
    """What the chosen components suggest; `names` takes on the components suggested for slots that nobody named."""
    usual, unusual = list[Layer](), list[Layer]()
    settled = set(named)
    for slot in SUGGESTING:
        offer = registry.find(SLOTS[slot][0], names[slot])
        table = copy.deepcopy({key: dict(values) for key, values in offer.component.suggests.items()})
        for other in SLOTS:
            suggested = table.get(other, {}).get("name")
            if suggested and other not in settled:
                try:
                    registry.find(SLOTS[other][0], suggested)
                except ConfigError as error:
                    raise _wrongly_suggested(slot, offer, error) from None
                names[other] = suggested
                settled.add(other)
        partners = {other: table[other].get("name", names[other]) for other in SLOTS if other in table}
        alone = any(names[other] != partner for other, partner in partners.items())
        (unusual if alone else usual).append((_suggested_by(offer), table))
    # What was suggested first counts most: the generator's, then its critic's, and so on. One whose usual partner was
    # replaced counts less than those that took its place: the rates of a loss are meant for that loss.
    return [(label, _matching(table, names)) for label, table in reversed([*usual, *unusual])]


def _suggested_by(offer: Offer) -> str:
    return f"suggested by {offer.component.name}"


def _matching(table: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Without the sections that are about components that were not chosen."""
    return {
        section: values
        for section, values in table.items()
        if section not in SLOTS or values.get("name", names[section]) == names[section]
    }


def _tuned_for(table: dict[str, Any], generator: str, known: Container[str]) -> dict[str, Any]:
    """With what [gan.NAME] says of [gan] for a known generator where it is the chosen one, else without."""
    if "gan" not in table:
        return table
    tuned = {key: value for key, value in table["gan"].items() if isinstance(value, dict) and key in known}
    plain = {key: value for key, value in table["gan"].items() if key not in tuned}
    return {**table, "gan": {**plain, **tuned.get(generator, {})}}


def _merge(layers: list[Layer], names: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    merged: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    current = {slot: usual for slot, (_, usual) in SLOTS.items()}
    for label, table in layers:
        for section, values in table.items():
            values = dict(values)
            if section in SLOTS and (name := values.pop("name", None)) is not None:
                if current[section] != name:
                    merged.pop(section, None)
                    origins = {key: origin for key, origin in origins.items() if not key.startswith(f"{section}.")}
                current[section] = name
                origins[f"{section}.name"] = label
            target = merged.setdefault(section, {})
            for key, value in values.items():
                if section in ("metric", "extractor"):
                    target.setdefault(key, {}).update(value)
                    origins |= {f"{section}.{key}.{inner}": label for inner in value}
                else:
                    target[key] = value
                    origins[f"{section}.{key}"] = label
    return merged, origins


def _check_together(config: RunConfig) -> None:
    """What no single setting can check."""
    if config.data.train + config.data.validation >= 1.0:
        total = config.data.train + config.data.validation
        raise ConfigError(
            f"data.train + data.validation must be below 1, got {total:g}: nothing is left for the test part"
        )
    if ratio := config.classify.synthetic_ratio:
        config.classify.synthetic_in_a_step(ratio)
    if config.data.positive and not config.data.path:
        from dfukit.images import choose_positive
        from dfukit.phantom import CLASSES

        choose_positive(CLASSES, config.data.positive)
    for slot in SLOTS:
        chosen: Chosen = getattr(config, slot)
        # A settings class may check itself against the size of the pictures, without any heavy import.
        if (check := getattr(chosen.settings, "check", None)) is not None:
            check(config.gan.size)
