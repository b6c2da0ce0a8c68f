"""Layers of configuration: later wins, components bring suggestions, presets tune and never choose."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dfukit import Component, ConfigError, PluginError, config, frozen, registry, whole
from dfukit import settings as s
from dfukit.config import SLOTS
from dfukit.registry import Offer, Registry
from dfukit.sections import SECTIONS


@frozen
class TinySettings:
    width: int = whole(8, "channels", low=1)


@pytest.fixture
def with_tiny() -> Registry:
    """The installed components and a generator that suggests a critic of its own."""
    generator = Component(
        name="tiny",
        settings=TinySettings,
        target="nowhere:Tiny",
        summary="for this test",
        suggests={"critic": {"name": "tiny_critic", "width": 12}, "gan": {"beta1": 0.5, "batch_size": 7}},
    )
    critic = Component(name="tiny_critic", settings=TinySettings, target="nowhere:Critic", summary="for this test")
    offers = (Offer("generator", generator, "t", "t", "1"), Offer("critic", critic, "t", "t", "1"))
    return Registry(registry.load().offers + offers)


def resolve(known: Registry | None = None, **layers: object) -> config.RunConfig:
    return config.resolve(known or registry.load(), **layers)  # type: ignore[arg-type]


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[gan]\nbatch_size = 20\nlr_critic = 0.01\n[run]\nseed = 5\n")
    made = resolve(preset="smoke", file=file, flags={"run": {"seed": 6}}, settings={"gan.lr_critic": 0.02})
    assert (made.gan.steps, made.gan.batch_size, made.run.seed, made.gan.lr_critic) == (4, 20, 6, 0.02)
    assert made.origins["gan.steps"] == "preset smoke"
    assert made.origins["gan.batch_size"] == str(file)
    assert made.origins["run.seed"] == "option"
    assert made.origins["gan.lr_critic"] == "--set"


def test_a_generator_brings_what_it_suggests(with_tiny: Registry) -> None:
    made = resolve(with_tiny, preset="reference", flags={"generator": {"name": "tiny"}})
    assert made.critic.name == "tiny_critic"
    assert made.critic.settings.width == 12
    assert made.gan.beta1 == 0.0  # the preset says so, and it counts more than a suggestion


def test_suggestions_count_less_than_everything_else(with_tiny: Registry) -> None:
    flags = {"generator": {"name": "tiny"}, "critic": {"name": "conv"}}
    made = resolve(with_tiny, preset="smoke", flags=flags, settings={"gan.batch_size": 9})
    assert (made.critic.name, made.gan.batch_size, made.gan.beta1) == ("conv", 9, 0.5)


def test_the_generator_counts_more_than_the_critic_that_it_suggests(with_tiny: Registry) -> None:
    critic = Component(
        name="other_critic",
        settings=TinySettings,
        target="nowhere:Critic",
        summary="",
        suggests={"loss": {"name": "tiny_loss"}, "gan": {"batch_size": 5, "beta2": 0.5}},
    )
    generator = Component(
        name="other",
        settings=TinySettings,
        target="nowhere:G",
        summary="",
        suggests={
            "critic": {"name": "other_critic"},
            "loss": {"name": "wgan_gp", "critic_steps": 3},
            "gan": {"batch_size": 6},
        },
    )
    offers = (Offer("critic", critic, "t", "t", "1"), Offer("generator", generator, "t", "t", "1"))
    made = resolve(Registry(with_tiny.offers + offers), preset="reference", flags={"generator": {"name": "other"}})
    assert (made.critic.name, made.loss.name) == ("other_critic", "wgan_gp")
    made = resolve(Registry(with_tiny.offers + offers), preset="standard", flags={"generator": {"name": "other"}})
    assert made.loss.name == "wgan_gp"


def suggesting(table: dict[str, dict[str, object]]) -> Registry:
    """The installed components and a generator that suggests this."""
    generator = Component(name="tiny", settings=TinySettings, target="nowhere:Tiny", summary="", suggests=table)
    return Registry((*registry.load().offers, Offer("generator", generator, "t", "third-party", "1.2")))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"gan": {"beta1": 2}}, "gan.beta1 must be at most 0.9999, got 2"),
        ({"gan": {"betta1": 0.5}}, 'gan.betta1 is not a setting, did you mean "beta1"?'),
        ({"gann": {"beta1": 0.5}}, 'gann is not a section, did you mean "gan"?'),
        ({"loss": {"gradient_penalty": "much"}}, "loss.gradient_penalty must be a number, got 'much'"),
        ({"gan": {"extractor": "r46"}}, "gan.extractor: no extractor is called r46"),
        ({"critic": {"name": "cnv"}}, 'no critic is called cnv, did you mean "conv"?'),
    ],
)
def test_a_wrong_suggestion_is_the_fault_of_its_package(table: dict[str, dict[str, object]], reason: str) -> None:
    with pytest.raises(PluginError) as caught:
        resolve(suggesting(table), settings={"generator.name": "tiny"})
    blame = "generator tiny of third-party 1.2 suggests what cannot be: "
    assert str(caught.value).startswith(blame + reason)


def test_a_wrong_suggestion_harms_nobody_who_says_otherwise() -> None:
    made = resolve(suggesting({"gan": {"beta1": 2}}), settings={"generator.name": "tiny", "gan.beta1": 0.5})
    assert made.gan.beta1 == 0.5
    with pytest.raises(ConfigError, match=r"^gan\.beta1 must be at most 0\.9999, got 3"):
        resolve(suggesting({"gan": {"beta1": 2}}), settings={"generator.name": "tiny", "gan.beta1": 3})


def test_naming_another_component_drops_the_settings_of_lower_layers(with_tiny: Registry, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[generator]\nname = "lstm_wgan"\nlstm_hidden = 64\n')
    assert resolve(with_tiny, file=file).generator.settings.lstm_hidden == 64
    assert resolve(with_tiny, file=file, flags={"generator": {"name": "tiny"}}).generator.settings == TinySettings()
    file.write_text("[generator]\nlstm_hidden = 64\n")  # of the usual one, which needs no name
    assert resolve(with_tiny, file=file).generator.settings.lstm_hidden == 64
    assert resolve(with_tiny, file=file, flags={"generator": {"name": "tiny"}}).generator.settings == TinySettings()


def test_a_preset_tunes_the_components_that_it_names_and_no_others(with_tiny: Registry) -> None:
    assert resolve(preset="smoke").generator.settings.lstm_hidden == 32
    assert resolve(with_tiny, preset="smoke", flags={"generator": {"name": "tiny"}}).generator.name == "tiny"


@pytest.mark.parametrize("preset", config.PRESETS)
def test_a_generator_of_any_package_may_suggest_that_training_does_not_end_early(preset: str) -> None:
    made = resolve(suggesting({"gan": {"patience": 0}}), preset=preset, settings={"generator.name": "tiny"})
    assert made.gan.patience == 0
    assert made.origins["gan.patience"] == "suggested by tiny"


def test_a_preset_tunes_the_training_of_the_generator_that_it_names(with_tiny: Registry) -> None:
    assert resolve(preset="standard").gan.batch_size == 32
    made = resolve(with_tiny, preset="standard", flags={"generator": {"name": "tiny"}})
    assert (made.gan.batch_size, made.gan.steps) == (7, 10_000)
    assert made.origins["gan.batch_size"] == "suggested by tiny"


def test_a_file_tunes_the_training_of_the_generator_that_it_names(with_tiny: Registry, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[gan]\nbeta2 = 0.5\n[gan.tiny]\nbatch_size = 12\n[gan.lstm_wgan]\nbatch_size = 13\n")
    for name, batch_size in (("tiny", 12), ("lstm_wgan", 13)):
        made = resolve(with_tiny, file=file, flags={"generator": {"name": name}})
        assert (made.gan.batch_size, made.gan.beta2) == (batch_size, 0.5)
    file.write_text("[gan.tinny]\nbatch_size = 12\n")
    with pytest.raises(ConfigError, match=r"gan\.tinny is not a setting"):
        resolve(with_tiny, file=file)


def test_the_preset_depends_on_whether_there_is_data() -> None:
    assert resolve().preset == "demo"
    assert resolve(flags={"data": {"path": "somewhere"}}).preset == "standard"


@pytest.mark.parametrize("preset", config.PRESETS)
def test_a_written_configuration_repeats_itself(preset: str, tmp_path: Path) -> None:
    made = resolve(preset=preset, settings={"score.metrics": ["kid", "psnr"], "metric.kid.subsets": 7})
    file = tmp_path / "config.toml"
    file.write_text(tomli_w.dumps(made.as_table()))
    assert resolve(file=file) == made


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"settings": {"gan.batchsize": 3}}, 'gan.batchsize is not a setting, did you mean "batch_size"?'),
        ({"settings": {"gann.batch_size": 3}}, 'gann is not a section, did you mean "gan"?'),
        ({"settings": {"gan": 3}}, "gan in --set must be a section with settings, got 3"),
        ({"settings": {"gan.batch_size": "many"}}, "gan.batch_size must be a whole number, got 'many'"),
        ({"settings": {"generator.lstm_hidden": 0}}, "generator.lstm_hidden must be at least 8, got 0"),
        ({"settings": {"gan.size": 100}}, "gan.size must be one of 16, 32, 64"),
        ({"settings": {"metric.fidd.x": 1}}, 'no metric is called fidd, did you mean "fid"?'),
        ({"settings": {"score.metrics": ["psnr"], "metric.kid.x": 1}}, "metric.kid.x is not a setting"),
        ({"settings": {"classify.synthetic_ratio": 0.01}}, "0.01 synthetic pictures for each real one do not fit"),
        ({"settings": {"classify.synthetic_ratio": 100}}, "100 synthetic pictures for each real one do not fit"),
        ({"settings": {"score.metrics": ["fidd"]}}, 'no metric is called fidd, did you mean "fid"?'),
        ({"settings": {"data.train": 0.9, "data.validation": 0.2}}, "data.train + data.validation must be below 1"),
        ({"settings": {"gan.extractor": "r46"}}, 'gan.extractor: no extractor is called r46, did you mean "r64"?'),
        ({"settings": {"score.extractor": "nosuch"}}, "score.extractor: no extractor is called nosuch"),
        ({"settings": {"extractor.r64.size": 33}}, "extractor.r64.size must be a multiple of 32, got 33"),
        ({"settings": {"data.positive": "ill"}}, "data.positive 'ill' is not a label"),
        ({"flags": {"generator": {"name": "lstm_wgn"}}}, 'no generator is called lstm_wgn, did you mean "lstm_wgan"?'),
        ({"flags": {"generator": {"name": 3}}}, "generator.name must be a text, got 3"),
        ({"preset": "smok"}, 'no preset is called smok, did you mean "smoke"?'),
    ],
)
def test_a_wrong_configuration_is_named(layers: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(**layers)
    assert str(caught.value).startswith(message)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[gan\nbatch_size = 3")
    with pytest.raises(ConfigError, match=r"run\.toml is not valid TOML: .*line 1"):
        resolve(file=file)
    with pytest.raises(ConfigError, match="No such file"):
        resolve(file=tmp_path / "absent.toml")


def _all_keys() -> list[str]:
    known = registry.load()
    keys = [f"{name}.{row['name']}" for name, settings in SECTIONS.items() for row in s.known(settings)]
    for slot, (kind, default) in SLOTS.items():
        keys += [f"{slot}.{row['name']}" for row in s.known(known.find(kind, default).component.settings)]
    return keys


VALUES = st.one_of(
    st.integers(-2, 300),
    st.floats(allow_nan=False, width=32),
    st.booleans(),
    st.sampled_from(["auto", "conv", "crop", "fp32", "", "nonsense"]),
    st.lists(st.sampled_from(["fid", "kid", "nonsense"]), max_size=2),
)


@hypothesis_settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from([*_all_keys(), "gan.nonsense", "nonsense.x"]), VALUES, min_size=1, max_size=3))
def test_any_configuration_is_a_plan_or_names_the_key(assignments: dict[str, object]) -> None:
    try:
        made = resolve(settings=assignments)
    except ConfigError as error:
        named = str(error)
        assert "\n" not in named
        words = [*assignments, *(key.partition(".")[0] for key in assignments), "nonsense", "no preset"]
        assert any(word in named for word in words), named
    else:
        assert tomllib.loads(tomli_w.dumps(made.as_table()))["preset"] in config.PRESETS
