"""Scoring: what scores.json says, what happens where something cannot be had, and the stopping distance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from PIL import Image
from safetensors.torch import save_file
from scoring_parts import CPU, R64, Colour, Odd, Said, noise, pictures, scores_of, with_ours

import dfukit
from dfukit import hardware, phantom
from dfukit import registry as registries
from dfukit.config import resolve
from dfukit.errors import ConfigError, DataError, DfukitError, PluginError, WeightsError
from dfukit.images import make_split, write_split
from dfukit.interfaces import Step
from dfukit.pretrained import KNOWN
from dfukit.progress import Silent
from dfukit.registry import Registry
from dfukit.rows import Rows
from dfukit.rundir import write_toml
from dfukit.scoring import StoppingDistance, as_text, choose_extractor, score_folders, stopping, stopping_distance
from dfukit_fidelity.kernel import jackknife

SHAPE = {"value", "n", "interval", "real_vs_real", "reason"}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


DEFAULTS = ("inception_score", "fid", "kid", "psnr", "ssim")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """The scores of an honest synthetic set, without the Inception weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_OFFLINE", "1")
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield scores_of({"train": pictures(0, 60), "test": pictures(1, 24)}, pictures(2, 60), DEFAULTS)


def test_every_figure_has_the_documented_shape_and_can_be_written(content: dict[str, dict[str, Any]]) -> None:
    assert set(content) == {
        *("inception_score", "fid", "fid@test", "kid", "kid@test", "psnr", "ssim"),
        *("fd[r64]", "fd[r64]@test", "kd[r64]", "kd[r64]@test"),
    }
    for name, entry in content.items():
        assert entry.keys() >= SHAPE
        assert entry["n"] == ([24, 60] if name.endswith("@test") else [60, 60])
        assert (entry["value"] is None) == (entry["reason"] is not None) == (entry["interval"] is None)
    json.dumps(content, allow_nan=False)


def test_what_needs_missing_weights_is_null_with_the_remedy(content: dict[str, dict[str, Any]]) -> None:
    for name in ("inception_score", "fid", "fid@test", "kid", "kid@test"):
        assert content[name]["value"] is None
        assert "dfukit weights add weights-inception-2015-12-05-6726825d.pth" in content[name]["reason"]


def test_a_run_without_those_weights_still_has_distances(content: dict[str, dict[str, Any]]) -> None:
    for name in ("fd[r64]", "kd[r64]"):
        entry = content[name]
        assert entry["interval"][0] < entry["value"] < entry["interval"][1]
        assert entry["n_half"] == 30
        assert entry["real_vs_real"] == pytest.approx(entry["at_half"], abs=3 * (entry["interval"][1] - entry["value"]))


def test_psnr_stands_beside_that_of_held_out_real_pictures(content: dict[str, dict[str, Any]]) -> None:
    expected = scores_of({"train": pictures(0, 60)}, pictures(1, 24), ["psnr"])
    assert content["psnr"]["real_vs_real"] == pytest.approx(expected["psnr"]["value"])
    assert content["psnr"]["better"] == "neither"
    assert expected["psnr"]["real_vs_real"] is None


def test_scores_are_a_function_of_the_seed_and_leave_the_global_random_state(
    content: dict[str, dict[str, Any]],
) -> None:
    before = torch.random.get_rng_state()
    again = scores_of({"train": pictures(0, 60), "test": pictures(1, 24)}, pictures(2, 60), DEFAULTS)
    assert again == content
    assert torch.equal(torch.random.get_rng_state(), before)


def test_noise_is_far_beyond_the_real_against_real_value() -> None:
    content = scores_of({"train": pictures(0, 40)}, noise(0, 40), ["fd", "kd"])
    for entry in content.values():
        assert entry["interval"][0] > 4 * abs(entry["real_vs_real"])


def test_copies_raise_psnr_above_that_of_held_out_pictures() -> None:
    train = pictures(0, 40)
    content = scores_of({"train": train, "test": pictures(1, 20)}, train[:20], ["psnr"])
    assert content["psnr"]["value"] > content["psnr"]["real_vs_real"] + 10


def test_a_small_set_is_not_scored() -> None:
    content = scores_of({"train": pictures(0, 40), "test": pictures(1, 9)}, pictures(2, 20), ["kd"])
    assert content["kd[r64]"]["value"] is not None
    assert content["kd[r64]@test"]["value"] is None
    assert content["kd[r64]@test"]["reason"] == "needs at least 10 pictures in each set, got 9 real and 20 synthetic"


def test_larger_sets_are_drawn_from() -> None:
    content = scores_of({"train": pictures(0, 40)}, pictures(2, 30), ["kd"], pictures=25)
    assert content["kd[r64]"]["n"] == [25, 25]


@pytest.fixture
def registry() -> Registry:
    return with_ours()


def test_an_extractor_runs_once_over_each_set(registry: Registry) -> None:
    Colour.shown = 0
    parts = {"train": pictures(0, 40), "test": pictures(1, 20)}
    content = scores_of(parts, pictures(2, 30), ["fd", "kd"], registry, extractor="colour")
    assert Colour.shown == 90
    assert set(content) == {"fd[colour]", "fd[colour]@test", "kd[colour]", "kd[colour]@test"}


def test_halves_of_the_real_set_share_no_patient(registry: Registry) -> None:
    groups = {"train": np.repeat(np.arange(10), 4)}
    content = scores_of(
        {"train": pictures(0, 40)}, pictures(2, 30), ["shared_patients"], registry, extractor="colour", groups=groups
    )
    assert content["shared_patients[colour]"]["real_vs_real"] == 0


def test_a_metric_that_fails_takes_no_other_score_with_it(registry: Registry) -> None:
    content = scores_of({"train": pictures(0, 40)}, pictures(2, 30), ["failing", "kd"], registry, extractor="colour")
    assert content["failing[colour]"]["reason"] == (
        "metric failing of dfukit-tests 1 failed: ZeroDivisionError: no luck"
    )
    assert content["kd[colour]"]["value"] is not None


@pytest.mark.parametrize("order", [("kd", "usurping"), ("usurping", "kd")])
def test_a_metric_cannot_overwrite_a_figure_of_another(registry: Registry, order: tuple[str, str]) -> None:
    parts, fake = {"train": pictures(0, 40)}, pictures(2, 30)
    alone = scores_of(parts, fake, ["kd"], registry, extractor="colour")
    content = scores_of(parts, fake, order, registry, extractor="colour")
    assert content["kd[colour]"] == alone["kd[colour]"]
    assert content["usurping[colour]"]["value"] == 0.0
    refused = content["kd of usurping[colour]"]
    assert (refused["value"], refused["failed"]) == (None, True)
    own = registries.load().find("metric", "kd").source
    assert refused["reason"] == (
        f"metric usurping of dfukit-tests 1 gives the figure kd, which is that of metric kd of {own}"
    )


@pytest.mark.parametrize(
    "said",
    [
        {"value": "high"},
        {"n": (40,)},
        {"interval": (None, None)},
        {"details": {"patients": {1, 2}}},
        {"details": {"classes": 2}},
        {"details": None},
    ],
    ids=str,
)
def test_a_score_that_cannot_be_written_down_takes_no_other_with_it(
    registry: Registry, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Odd, "said", said)
    labels = {"train": np.arange(40) % 2, "synthetic": np.arange(30) % 2}
    content = scores_of(
        {"train": pictures(0, 40)},
        pictures(2, 30),
        ["odd", "kd"],
        registry,
        extractor="colour",
        labels=labels,
        classes=("a", "b"),
    )
    odd = content["odd[colour]"]
    assert (odd["value"], odd["failed"]) == (None, True)
    assert odd["reason"].startswith("odd of dfukit-tests 1 failed: ")
    assert content["sound[colour]"]["value"] == 1.0
    assert content["kd[colour]"]["classes"]["a"]["value"] is not None
    json.dumps(content, allow_nan=False)


def test_an_extractor_that_fails_at_work_takes_no_score_of_pixels_with_it(registry: Registry) -> None:
    content = scores_of(
        {"train": pictures(0, 40)}, pictures(2, 30), ["equal", "kd", "fd", "psnr"], registry, extractor="breaking"
    )
    for name in ("equal", "kd[breaking]", "fd[breaking]"):
        assert content[name]["reason"] == "extractor breaking of dfukit-tests 1 failed: IndexError: no such layer"
        assert content[name]["n"] == [40, 30]
    assert content["psnr"]["value"] is not None


def test_a_value_that_is_not_finite_is_null_with_its_reason(registry: Registry) -> None:
    content = scores_of({"train": pictures(0, 40)}, pictures(2, 30), ["infinite"], registry, extractor="colour")
    assert content["infinite[colour]"]["reason"] == "not a finite number (inf)"
    json.dumps(content, allow_nan=False)


def test_numbers_of_a_metric_may_be_numpys(registry: Registry) -> None:
    content = scores_of({"train": pictures(0, 40)}, pictures(2, 30), ["numpy"], registry, extractor="colour")
    entry = json.loads(json.dumps(content))["numpy[colour]"]
    assert (entry["value"], entry["n"], entry["interval"]) == (1.5, [40, 30], [1.0, 2.0])


def test_an_extractor_without_logits_is_a_reason(registry: Registry) -> None:
    content = scores_of({"train": pictures(0, 40)}, pictures(2, 30), ["unsure"], registry, extractor="colour")
    assert content["unsure[colour]"]["reason"] == "the extractor has no logits"


@pytest.mark.parametrize(
    ("name", "error"),
    [("absent", WeightsError("its weights are on another planet")), ("raising", PluginError("a defect of the plugin"))],
)
def test_an_extractor_that_was_named_and_cannot_be_had_is_an_error(
    registry: Registry, name: str, error: DfukitError
) -> None:
    with pytest.raises(type(error), match=str(error)):
        choose_extractor(registry, name, R64)


def test_where_the_inception_weights_are_not_here_auto_is_another_extractor_saying_so(registry: Registry) -> None:
    taken, extractor, line = choose_extractor(registry, "auto", R64)
    assert (taken, extractor.source) == ("r64", "random, seed 0")
    assert "(the Inception weights are not here: dfukit weights get inception)" in line


@pytest.mark.parametrize(("name", "said"), [("absent", "another planet"), ("raising", "a defect of the plugin")])
def test_scores_whose_extractor_cannot_be_had_are_those_of_another_one_by_its_name(
    registry: Registry, name: str, said: str
) -> None:
    progress = Said()
    content = scores_of(
        {"train": pictures(0, 40)}, pictures(2, 30), ["kd"], registry, extractor=name, progress=progress
    )
    assert set(content) == {"kd[r64]"}
    assert any(f"({name} cannot be had: " in line and said in line for line in progress.lines)


def test_an_unknown_extractor_is_an_error(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="no extractor is called colours"):
        scores_of({"train": pictures(0, 40)}, pictures(2, 30), ["kd"], registry, extractor="colours")


def test_the_stopping_distance_says_what_it_is_by() -> None:
    config = resolve(registries.load(), preset="smoke", flags={"extractor": R64})
    said = Said()
    assert stopping_distance(pictures(0, 20), config, CPU, said).name == "kd[r64]"
    assert any("stopping distance: kd[r64] to 20 validation pictures" in line for line in said.lines)
    inception = evolve(config, gan=evolve(config.gan, extractor="inception"))
    with pytest.raises(WeightsError, match="dfukit weights add"):
        stopping_distance(pictures(0, 20), inception, CPU, said)


def test_the_stopping_distance_falls_as_pictures_come_nearer() -> None:
    config = resolve(registries.load(), preset="smoke", flags={"extractor": R64})
    # Where the CPU has no bfloat16, emulating it takes half a minute.
    for compute in (CPU, evolve(CPU, bf16=True))[: 1 + hardware.cpu_bf16()]:
        distance = stopping_distance(pictures(0, 20), config, compute, Silent())
        near, blend = pictures(1, 20), (0.6 * pictures(1, 20) + 0.4 * noise(1, 20)).astype(np.uint8)
        assert distance.measure(near)[0] < distance.measure(blend)[0] < distance.measure(noise(1, 20))[0]
        assert distance.measure(near) == distance.measure(near)


@pytest.mark.parametrize("groups", [None, np.arange(40) // 14])
def test_the_stopping_distance_has_the_standard_error_over_the_patients(groups: np.ndarray | None) -> None:
    real, fake = pictures(0, 40), pictures(1, 30)
    chosen = registries.load().choose("metric", "kd", {})
    distance = StoppingDistance(chosen, "colour", Colour(None), real, CPU, Step(0, 0), groups=groups)
    value, error = distance.measure(fake)
    features = [pixels.astype(np.float32).mean((1, 2)).astype(float) for pixels in (real, fake)]
    own = jackknife(*features, np.arange(40) if groups is None else groups, np.arange(30))
    assert own is not None
    assert (value, error) == pytest.approx((own.value, own.error), rel=1e-3)


def test_validation_pictures_are_first_read_when_a_distance_is_measured() -> None:
    config = resolve(registries.load(), preset="smoke", flags={"extractor": R64})
    real, reads = pictures(0, 20), []

    class Watched:
        shape, dtype = real.shape, real.dtype

        def __getitem__(self, index: np.ndarray) -> np.ndarray:
            reads.append(len(index))
            return real[index]

    distance = stopping_distance(Rows(Watched(), np.arange(20)), config, CPU, Silent())
    assert reads == []
    assert distance.measure(pictures(1, 20)) == stopping_distance(real, config, CPU, Silent()).measure(pictures(1, 20))
    distance.measure(noise(1, 20))
    assert reads == [20]


def test_of_a_large_validation_part_no_more_than_a_share_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PICTURES", 12)
    real, patients, reads = pictures(0, 20), np.arange(20) // 2, []

    class Watched:
        shape, dtype = real.shape, real.dtype

        def __getitem__(self, index: np.ndarray) -> np.ndarray:
            reads.extend(index.tolist())
            return real[index]

    def distance(seed: int) -> tuple[float, float]:
        config = resolve(registries.load(), preset="smoke", flags={"extractor": R64, "run": {"seed": seed}})
        rows, said = Rows(Watched(), np.arange(20)), Said()
        made = stopping_distance(rows, config, CPU, said, groups=patients)
        assert any("stopping distance: kd[r64] to 12 of 20 validation pictures" in line for line in said.lines)
        return made.measure(pictures(1, 20))

    first, again, other = distance(0), distance(0), distance(1)
    assert first == again != other
    drawn = reads[:12]
    assert reads[12:24] == drawn != reads[24:]
    assert len(set(drawn)) == 12
    config = resolve(registries.load(), preset="smoke", flags={"extractor": R64})
    own = stopping_distance(real[drawn], config, CPU, Silent(), groups=patients[drawn])  # by their own patients
    assert first == own.measure(pictures(1, 20))


def test_parts_that_are_rows_of_a_larger_array_are_scored_as_copies_are() -> None:
    everything, index = pictures(0, 60), np.arange(0, 60, 2)
    parts = ({"train": Rows(everything, index)}, {"train": everything[index]})
    lazy, copied = (scores_of(part, pictures(1, 25), ("psnr", "kd"), pictures=20) for part in parts)
    assert lazy == copied


@pytest.fixture
def inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that holds the Inception network, with random weights."""
    from dfukit_fidelity.inception_network import InceptionNetwork

    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tensors = {name: tensor.contiguous() for name, tensor in InceptionNetwork().state_dict().items()}
    (tmp_path / "weights").mkdir()
    save_file(tensors, tmp_path / "weights" / f"inception-{KNOWN[0].sha256[:8]}.safetensors")


@pytest.mark.slow
@pytest.mark.usefixtures("inception")
def test_with_the_inception_weights_fid_kid_and_the_inception_score_are_numbers() -> None:
    content = scores_of({"train": pictures(0, 22)}, pictures(1, 20), ("inception_score", "fid", "kid", "kd"))
    assert set(content) == {"inception_score", "fid", "kid", "kd[inception]"}
    assert all(entry["value"] is not None and entry["real_vs_real"] is not None for entry in content.values())
    assert content["kid"]["value"] == content["kd[inception]"]["value"]
    config = resolve(registries.load(), preset="smoke", flags={"gan": {"extractor": "inception"}})
    distance = stopping_distance(pictures(0, 10), config, CPU, Silent())
    assert distance.name == "fid"
    assert distance.measure(pictures(1, 10))[0] >= 0


def save(folder: Path, pixels: np.ndarray) -> Path:
    for i, picture in enumerate(pixels):
        file = folder / f"label{i % 2}" / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return folder


def test_two_folders_of_pictures_of_other_sizes_are_scored_at_one_size(tmp_path: Path) -> None:
    real = save(tmp_path / "real", pictures(0, 12, size=64))
    fake = save(tmp_path / "fake", pictures(1, 11, size=32))
    (fake / "manifest.csv").write_text("path,label\n")
    (fake / "broken.png").write_bytes(b"no picture")
    said = Said()
    content = score_folders(real, fake, metrics=["psnr", "kd"], extractor_settings=R64, device="cpu", progress=said)
    assert content["psnr"]["n"] == content["kd[r64]"]["n"] == [12, 11]
    (line,) = [line for line in said.lines if "left out" in line]
    assert line.startswith(f"left out {fake / 'broken.png'}: not a picture")
    assert [row.split()[0] for row in as_text(content).splitlines()] == ["metric", "psnr", "kd[r64]", "kd[r64]:"]
    assert as_text(content).endswith("kd[r64]: no halves to compare, which would have 6 pictures, fewer than 10")


@pytest.mark.parametrize("named", ["runs/mine", "mine", "latest"])
def test_a_run_stands_for_its_synthetic_pictures(tmp_path: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = save(tmp_path / "real", pictures(0, 12))
    save(tmp_path / "runs" / "mine" / "synthetic", pictures(1, 12))
    (tmp_path / "runs" / "mine" / "config.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    content = score_folders(real, named, metrics=["psnr"], device="cpu")
    assert content["psnr"]["n"] == [12, 12]


def test_a_run_folder_as_the_real_set_stands_for_its_training_and_test_pictures(
    tmp_path: Path, fresh_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(fresh_cache(tmp_path / "cache")))
    config = resolve(registries.load(), preset="smoke")
    write_toml(tmp_path / "run" / "config.toml", config.as_table())
    images = phantom.image_set(config.data)
    write_split(tmp_path / "run" / "split.csv", images, make_split(images, config.data))
    content = score_folders(tmp_path / "run", pictures(1, 12), metrics=["kd"], extractor_settings=R64, device="cpu")
    patients, each = config.data.phantom_patients, config.data.phantom_pictures
    assert set(content) == {"kd[r64]", "kd[r64]@test"}
    assert content["kd[r64]"]["n"][0] == pytest.approx(0.7 * patients * each, abs=2 * each)


def test_arrays_are_scored_from_python() -> None:
    content = dfukit.score(pictures(0, 12), pictures(1, 12), metrics=["ssim"], device="cpu")
    assert 0 < content["ssim"]["value"] < 1


@pytest.mark.parametrize("n", [0, 9])
def test_fewer_than_ten_pictures_are_refused(tmp_path: Path, n: int) -> None:
    (tmp_path / "fake").mkdir()
    save(tmp_path / "fake", pictures(1, n))
    with pytest.raises(DataError, match=f"fake has {n} usable pictures; a score needs at least 10"):
        score_folders(pictures(0, 12), tmp_path / "fake", metrics=["psnr"], device="cpu")


def test_links_that_leave_the_folder_are_not_scored(tmp_path: Path) -> None:
    for name, n in (("fake", 9), ("elsewhere", 3)):
        (tmp_path / name).mkdir()
        save(tmp_path / name, pictures(1, n))
    for number, path in enumerate(sorted((tmp_path / "elsewhere").iterdir())):
        (tmp_path / "fake" / f"link{number}{path.suffix}").symlink_to(path)
    with pytest.raises(DataError, match="fake has 9 usable pictures"):
        score_folders(pictures(0, 12), tmp_path / "fake", metrics=["psnr"], device="cpu")


def test_a_missing_folder_and_a_wrong_array_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder of pictures"):
        score_folders(tmp_path / "nowhere", pictures(0, 12), device="cpu")
    with pytest.raises(DataError, match=r"real pictures must be uint8 \[N, S, S, 3\], got float64"):
        score_folders(pictures(0, 12).astype(float), pictures(0, 12), device="cpu")
