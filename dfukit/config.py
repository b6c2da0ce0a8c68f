"""The settings of a run, in sections, and how the layers that set them are put together."""

from __future__ import annotations

import copy
import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from dfukit import settings as s
from dfukit.component import Chosen
from dfukit.errors import ConfigError
from dfukit.registry import Registry


@frozen
class RunSettings:
    """Where and how a run computes."""

    seed: int = s.whole(0, "seed of everything random", low=0, high=2**31 - 1)
    device: str = s.text("auto", "auto, cpu, cuda, cuda:1, mps")
    precision: str = s.choice("auto", ("auto", "fp32", "bf16"), "bf16 where the hardware is fast at it, else fp32")
    threads: int = s.whole(0, "CPU threads; 0 leaves it to torch", low=0)


@frozen
class DataSettings:
    """Which pictures, whose, and how they are fitted and split."""

    path: str = s.text("", "folder of pictures; empty: the built-in phantom set")
    positive: str = s.text("", "name of the positive class; empty: `infected` where it exists")
    patients: str = s.text("", "csv with path,patient (a column `group` is read as patient)")
    patient_pattern: str = s.text("", "regular expression on the path; its first group is the patient")
    fit: str = s.choice("crop", ("crop", "pad", "stretch"), "how a picture becomes a square")
    train: float = s.real(0.70, "share of the patients in the training part", above=0.0, high=1.0)
    validation: float = s.real(
        0.15, "share of the patients in the validation part; the rest is the test part", above=0.0, high=1.0
    )
    split_seed: int = s.whole(0, "seed of the split, apart from the run's so that runs can be compared", low=0)
    max_megapixels: float = s.real(179.0, "larger pictures are excluded", above=0.0)
    seconds_per_picture: float = s.real(20.0, "a picture that takes longer to decode is excluded", above=0.0)
    phantom_patients: int = s.whole(120, "patients of the phantom set", low=6, high=100_000)
    phantom_pictures: int = s.whole(3, "pictures for each phantom patient", low=1, high=100)


@frozen
class GanSettings:
    """The adversarial loop."""

    size: int = s.whole(128, "width of the pictures it makes", low=8, high=1024)
    batch_size: int = s.whole(64, "pictures in a step", low=2)
    epochs: int = s.whole(
        200, "epochs at most; an epoch is one generator step for each batch in the training part", low=1
    )
    steps: int = s.whole(0, "generator steps; 0: as many as the epochs make", low=0)
    budget: str = s.duration("", "time to train, such as 30m or 8h: becomes steps once, after a short measurement")
    start_from: str = s.text("", "a run whose generator and critic are the first weights")
    lr_generator: float = s.real(1e-4, "learning rate of the generator (Adam)", above=0.0, high=1.0)
    lr_critic: float = s.real(2e-4, "learning rate of the critic (Adam)", above=0.0, high=1.0)
    lr_schedule: str = s.choice(
        "constant", ("constant", "linear", "cosine"), "how both learning rates fall until the last step"
    )
    beta1: float = s.real(0.0, "Adam's first decay rate", low=0.0, high=0.9999)
    beta2: float = s.real(0.9, "Adam's second decay rate", low=0.0, high=0.99999)
    flips: bool = s.flag(False, "mirror half of the real pictures, drawn anew each time")
    ema: float = s.real(0.999, "decay of the averaged generator for each step; 0: none", low=0.0, high=0.99999)
    evaluate_every: int = s.whole(0, "steps between evaluations; 0: an epoch, but at least 20 steps", low=0)
    evaluate_pictures: int = s.whole(256, "pictures drawn for an evaluation", low=10)
    patience: int = s.whole(
        10, "evaluations without a better distance to the validation part before it stops; 0: never", low=0
    )
    extractor: str = s.text("auto", "extractor of the stopping distance; auto: inception where it is stored, else r64")


@frozen
class SampleSettings:
    """The synthetic set that a run makes."""

    count: int = s.whole(0, "synthetic pictures; 0: as many as there are training pictures", low=0)


@frozen
class ScoreSettings:
    """How the synthetic set is scored."""

    metrics: tuple[str, ...] = s.names(
        (
            "inception_score",
            "fid",
            "kid",
            "precision",
            "recall",
            "density",
            "coverage",
            "psnr",
            "ssim",
            "copies",
        ),
        "metrics of the report",
    )
    extractor: str = s.text("auto", "extractor of kd and fd where the Inception weights cannot be had")
    pictures: int = s.whole(5000, "pictures of each set that are scored, at most", low=10)


@frozen
class ClassifySettings:
    """Training of the classifier."""

    batch_size: int = s.whole(32, "pictures in a step", low=2)
    epochs: int = s.whole(100, "epochs at most", low=1)
    steps: int = s.whole(0, "steps at most; 0: as many as the epochs make", low=0)
    lr: float = s.real(3e-4, "learning rate (AdamW)", above=0.0, high=1.0)
    weight_decay: float = s.real(1e-2, "weight decay (AdamW)", low=0.0, high=10.0)
    patience: int = s.whole(15, "epochs without a lower validation loss before it stops; 0: never", low=0)
    synthetic_ratio: float = s.real(
        1.0, "synthetic pictures for each real one in the arm real+synthetic", low=0.0, high=100.0
    )
    bootstrap: int = s.whole(1000, "resamples behind the intervals", low=100, high=100_000)
    target_sensitivity: float = s.real(
        0.9, "sensitivity that the operating point reaches on the validation part", above=0.0, high=1.0
    )
    prevalence: float = s.real(
        0.0, "share of positive pictures at which PPV and NPV are stated; 0: the test part's own", low=0.0, high=0.999
    )


@frozen
class ReleaseSettings:
    """What a synthetic set must hold before it may leave; the audit `copies` measures it."""

    max_copies: float = s.real(0.05, "share of pictures that may have been flagged as copies", low=0.0, high=1.0)
    min_power: float = s.real(0.8, "share of planted copies that the audit must find", low=0.0, high=1.0)
    min_nearest_ratio: float = s.real(
        0.8, "how much nearer to training than to held-out pictures it may lie; 1: no nearer", low=0.0, high=1.0
    )


@frozen
class ReportSettings:
    """The report and the model card."""

    share: bool = s.flag(False, "leave out real pixels, file names, paths and host")
    title: str = s.text("", "heading of the report; empty: the run's name")


SECTIONS: dict[str, type] = {
    "run": RunSettings,
    "data": DataSettings,
    "gan": GanSettings,
    "sample": SampleSettings,
    "score": ScoreSettings,
    "classify": ClassifySettings,
    "release": ReleaseSettings,
    "report": ReportSettings,
}

# A slot holds one component: its kind, and the component that stands there when nobody names another.
SLOTS: dict[str, tuple[str, str]] = {
    "generator": ("generator", "lstm_wgan"),
    "critic": ("critic", "conv"),
    "loss": ("loss", "wgan_gp"),
    "augmentation": ("augmentation", "none"),
    "classifier": ("classifier", "effv2s_lstm"),
    "classifier_augmentation": ("augmentation", "wound"),
}
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
    components that it names and never chooses them. Raises ConfigError naming the key.
    """
    told = _layers(file, flags or {}, nest(settings or {}))
    preset = preset or _last(told, "preset") or ("standard" if _data_path(told) else "demo")
    for _, table in told:
        table.pop("preset", None)
    names = {slot: default for slot, (_, default) in SLOTS.items()}
    names |= _named(told)
    suggestions = _suggestions(registry, names, _named(told))
    layers = [*suggestions, (f"preset {preset}", _matching(read_preset(preset), names)), *told]

    merged, origins = _merge(layers, names)
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
    for name in merged.get("metric", {}):
        registry.find("metric", name)
    for name, values in merged.get("extractor", {}).items():
        registry.choose("extractor", name, values, f"extractor.{name}")
    for section in ("gan", "score"):
        if (name := sections[section].extractor) != "auto":
            try:
                registry.find("extractor", name)
            except ConfigError as error:
                raise ConfigError(f"{section}.extractor: {error}") from None
    config = RunConfig(
        preset=preset,
        **sections,
        **slots,
        metrics=metrics,
        extractors=merged.get("extractor", {}),
        origins=origins,
    )
    _check_together(config)
    return config


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
    layers: list[Layer] = []
    settled = set(named)
    for slot in ("generator", "critic", "loss", "augmentation", "classifier"):
        component = registry.find(SLOTS[slot][0], names[slot]).component
        table = copy.deepcopy({key: dict(values) for key, values in component.suggests.items()})
        for other in SLOTS:
            suggested = table.get(other, {}).get("name")
            if suggested and other not in settled:
                names[other] = suggested
                settled.add(other)
        layers.append((f"suggested by {component.name}", table))
    # What was suggested first counts most: the generator's, then its critic's, and so on.
    return [(label, _matching(table, names)) for label, table in reversed(layers)]


def _matching(table: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Without the sections that are about components that were not chosen."""
    return {
        section: values
        for section, values in table.items()
        if section not in SLOTS or values.get("name", names[section]) == names[section]
    }


def _merge(layers: list[Layer], names: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    merged: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    current = dict.fromkeys(SLOTS, "")
    for label, table in layers:
        for section, values in table.items():
            values = dict(values)
            if section in SLOTS and (name := values.pop("name", None)) is not None:
                if current[section] not in ("", name):
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
    if config.data.positive and not config.data.path:
        from dfukit.images import choose_positive
        from dfukit.phantom import CLASSES

        choose_positive(CLASSES, config.data.positive)
    for slot in SLOTS:
        chosen: Chosen = getattr(config, slot)
        # A settings class may check itself against the size of the pictures, without any heavy import.
        if (check := getattr(chosen.settings, "check", None)) is not None:
            check(config.gan.size)
