"""The command line: results on standard output, one clear line and an exit code for whatever goes wrong."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Answer = tuple[int, str, str]
Ask = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two labels of six noise pictures each."""
    rng = np.random.default_rng(0)
    for label in ("infected", "clean"):
        for number in range(6):
            path = tmp_path / "pictures" / label / f"p{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    return tmp_path / "pictures"


def assert_one_line(answer: Answer, code: int, *words: str) -> None:
    assert answer[0] == code, answer
    assert answer[1] == ""
    last = answer[2].strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last, last
    assert "Traceback" not in answer[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--generator", "lstm_wgn"], ["no generator is called lstm_wgn", 'did you mean "lstm_wgan"']),
        (["run", "--classifier", "x"], ["no classifier is called x", "effv2s_lstm"]),
        (["run", "--metric", "fidd"], ["no metric is called fidd", 'did you mean "fid"']),
        (["run", "--preset", "smok"], ["no preset is called smok", 'did you mean "smoke"']),
        (["run", "--set", "gan.batch=3"], ["gan.batch is not a setting", "batch_size"]),
        (["run", "--set", "gan.batch_size=x"], ["gan.batch_size must be a whole number, got 'x'"]),
        (["run", "--set", "gan.batch_size=1"], ["gan.batch_size must be at least 2, got 1"]),
        (["run", "--set", "gan.batch_size"], ["--set gan.batch_size", "section.setting=value"]),
        (["run", "--set", "gan.size=100"], ["gan.size must be one of 16, 32"]),
        (["run", "--precision", "fp16"], ["run.precision must be one of auto, fp32, bf16, got 'fp16'"]),
        (["run", "--seed", "-1"], ["run.seed must be at least 0, got -1"]),
        (["run", "--seed", "x"], ["'x' is not a valid integer"]),
        (["run", "--device", "warp", "--preset", "smoke"], ["run.device warp is not available"]),
        (["run", "--positive", "sick", "--preset", "smoke"], ["sick", "infected"]),
        (["run", "--nonsense"], ["--nonsense"]),
        (["run", "--config", "absent.toml"], ["absent.toml", "No such file"]),
        (["run", "--name", "../x", "--preset", "smoke"], ["--name ../x"]),
        (["nonsense"], ["nonsense"]),
        (["plugins", "show", "nonsense"], ["no component is called nonsense"]),
        (["weights", "get", "incepton"], ['did you mean "inception"']),
        (["sample", "x.safetensors"], ["--count"]),
        (["data", "check", ".", "--fit", "squeeze"], ["data.fit must be one of crop, pad, stretch"]),
    ],
)
def test_wrong_usage_exits_2_with_one_line(ask: Ask, arguments: list[str], words: list[str]) -> None:
    assert_one_line(ask(*arguments), 2, *words)


def test_a_broken_toml_file_exits_2(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[gan\n")
    assert_one_line(ask("run", "--config", "run.toml"), 2, "run.toml is not valid TOML")


def test_unwritable_output_exits_2(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_one_line(ask("run", "--preset", "smoke", "--out", "file"), 2, "--out file: cannot write there")


@pytest.mark.parametrize("command", [["run", "--preset", "smoke", "--data"], ["data", "check"], ["data", "prepare"]])
def test_unusable_data_exits_3(ask: Ask, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.jpg").write_text("no picture")
    (tmp_path / "file").touch()
    assert_one_line(ask(*command, "absent"), 3, "absent")
    assert_one_line(ask(*command, "file"), 3, "file")
    assert_one_line(ask(*command, "empty"), 3, "empty")
    assert_one_line(ask(*command, "text"), 3, "notes.jpg")


def test_one_picture_exits_3(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "one" / "a.png")
    assert_one_line(ask("run", "--preset", "smoke", "--data", "one"), 3, "one")


@pytest.mark.parametrize(
    "command", [["run", "--preset", "smoke"], ["train", "--preset", "smoke"], ["run", "--dry-run"]]
)
def test_runs_among_the_photographs_exit_2_and_nothing_is_written(
    ask: Ask, pictures: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    before = set(pictures.rglob("*"))
    assert_one_line(
        ask(*command, "--data", pictures, "--out", pictures / "clean"), 2, "--out", "clean lies in data.path"
    )
    monkeypatch.chdir(pictures)
    assert_one_line(ask(*command, "--data", "."), 2, f"--out runs lies in data.path {pictures}")
    assert set(pictures.rglob("*")) == before


def test_a_folder_out_of_reach_exits_3(ask: Ask) -> None:
    assert_one_line(ask("data", "check", "~nobody_of_this_name"), 3, "there is no such user")
    assert_one_line(ask("run", "--preset", "smoke", "--data", 300 * "x"), 3, "cannot be reached: File name too long")


def test_an_empty_label_folder_exits_3(ask: Ask, pictures: Path) -> None:
    (pictures / "empty_label").mkdir()
    assert_one_line(ask("run", "--preset", "smoke", "--data", pictures), 3, "empty_label")


def test_an_unreadable_table_exits_3(ask: Ask, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_bytes(b"\xff\xfe\x00broken")
    assert_one_line(
        ask("run", "--preset", "smoke", "--data", pictures, "--patients", "patients.csv"), 3, "patients.csv"
    )
    assert_one_line(ask("run", "--preset", "smoke", "--data", pictures, "--patients", "absent.csv"), 3, "absent.csv")


def test_an_unknown_positive_class_exits_2(ask: Ask, pictures: Path) -> None:
    assert_one_line(
        ask("run", "--preset", "smoke", "--data", pictures, "--positive", "ill"), 2, "ill", "clean, infected"
    )


def test_data_check_refuses_an_unknown_positive_class(ask: Ask, pictures: Path) -> None:
    assert_one_line(ask("data", "check", pictures, "--positive", "ill"), 2, "ill", "clean, infected")


def test_three_labels_without_a_positive_one_exit_2(ask: Ask, pictures: Path) -> None:
    (pictures / "infected").rename(pictures / "ill")
    for label in ("worse", "worst"):
        (pictures / label).mkdir()
        for number in range(4):
            Image.new("RGB", (50, 50), (number, 80, 90)).save(pictures / label / f"{number}.png")
    assert_one_line(ask("run", "--preset", "smoke", "--data", pictures), 2, "--positive", "worst")


def test_a_wrong_pattern_exits_2(ask: Ask, pictures: Path) -> None:
    assert_one_line(ask("run", "--preset", "smoke", "--data", pictures, "--patient-pattern", "("), 2, "pattern")


def test_foreign_weights_exit_3(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(pickle.dumps([1]))
    assert_one_line(ask("sample", "w.safetensors", "--count", 1), 3, "w.safetensors is a pickle")
    assert_one_line(ask("predict", "w.safetensors", "x.png"), 3, "w.safetensors is a pickle")
    assert_one_line(ask("sample", "absent", "--count", 1), 3, "absent is no run folder")
    assert_one_line(ask("report", "latest"), 3, "no run in runs")
    assert_one_line(ask("weights", "add", "w.safetensors"), 3, "none of the files that dfukit knows")


def test_weights_without_a_network_exit_3_with_the_remedy(ask: Ask) -> None:
    assert_one_line(ask("weights", "get", "inception"), 3, "DFUKIT_OFFLINE", "dfukit weights add")


def test_data_check_as_json_has_the_promised_keys(ask: Ask, pictures: Path) -> None:
    (pictures / "clean" / "broken.jpg").write_text("no picture")
    code, out, _ = ask("data", "check", pictures, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["usable"] == 12
    assert found["labels"] == {"clean": 6, "infected": 6}
    assert [one["path"] for one in found["excluded"]] == ["clean/broken.jpg"]
    assert {"patients", "duplicates", "warnings"} <= set(found)


def test_plugins_list_as_json_has_the_promised_keys(ask: Ask) -> None:
    rows = json.loads(ask("plugins", "list", "--json")[1])
    generator = next(row for row in rows if row["name"] == "lstm_wgan")
    assert {"kind", "name", "package", "version", "summary", "settings"} <= set(generator)
    assert all({"name", "type", "default", "help"} <= set(setting) for row in rows for setting in row["settings"])


def test_plugins_show_names_bounds_and_help(ask: Ask) -> None:
    out = ask("plugins", "show", "generator/lstm_wgan")[1]
    assert "used by: dfukit run --generator lstm_wgan" in out
    assert "generator.lstm_hidden = 256  (whole number, 8 to 2048): hidden size of the LSTM" in out
    assert "suggests critic: name = 'conv'" in out
    assert "cite: Gulrajani et al." in out
    assert 'metric.kd.estimate = "whole"  (one of whole, subsets)' in ask("plugins", "show", "kd")[1]


def test_plugins_list_names_kind_package_version_and_summary(ask: Ask) -> None:
    lines = ask("plugins", "list")[1].splitlines()
    line = next(line for line in lines if " wgan_gp " in line)
    assert re.fullmatch(r"loss +wgan_gp +dfukit \S+ +Wasserstein loss with gradient penalty", line)


def test_a_dry_run_says_where_values_come_from_and_writes_nothing(ask: Ask, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    code, out, _ = ask(
        "run", "--preset", "smoke", "--classifier", "critic_lstm", "--set", "gan.batch_size=6", "--dry-run"
    )
    assert code == 0
    assert "batch_size = 6" in out
    assert "# --set" in out
    assert "# preset smoke" in out
    assert "nothing was written" in out
    assert set(tmp_path.rglob("*")) == before


def test_doctor_and_data_clear_answer(ask: Ask) -> None:
    assert json.loads(ask("doctor", "--json")[1])["broken_plugins"] == []
    assert json.loads(ask("data", "clear", "--json")[1])["bytes_freed"] == 0


def test_an_interrupt_exits_130(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dfukit.registry.load", interrupted)
    assert_one_line(ask("run", "--preset", "smoke"), 130, "interrupted")


def test_an_interrupt_within_exec_exits_130(tmp_path: Path) -> None:
    # Python itself would end by SIGINT then, although the interrupt was caught.
    (tmp_path / "one.py").write_text(
        """
import sys
from dfukit import cli, registry
registry.load = lambda *_, **__: exec("raise KeyboardInterrupt")
sys.argv = ["dfukit", "run", "--preset", "smoke"]
cli.main()
"""
    )
    ended = subprocess.run([sys.executable, "-m", "one"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert_one_line((ended.returncode, ended.stdout, ended.stderr), 130, "interrupted")


def test_an_internal_error_is_one_line_and_exits_1(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("dfukit.registry.load", broken)
    assert_one_line(ask("run", "--preset", "smoke"), 1, "internal error: RuntimeError: two lines", "--debug")


def test_scores_take_settings_of_metrics_and_extractors(ask: Ask, pictures: Path) -> None:
    fake = pictures.with_name("fake")
    for number, label in enumerate(("infected", "clean") * 5):
        (fake / label).mkdir(parents=True, exist_ok=True)
        shade = np.full((40, 40, 3), 20 * number, np.uint8)
        Image.fromarray(shade).save(fake / label / f"{number}.png")
    options = ("--metric", "kd", "--set", "extractor.r64.size=32", "--device", "cpu")
    code, out, _ = ask("score", pictures, fake, *options, "--json")
    assert code == 0
    assert json.loads(out)["kd[r64]"]["n"] == [12, 10]
    answer = ask("score", pictures, fake, "--metric", "kd", "--set", "extractor.r64.size=33")
    assert_one_line(answer, 2, "extractor.r64.size must be a multiple of 32, got 33")
    assert_one_line(ask("score", pictures, fake, "--set", "metric.kd.estimat=whole"), 2, 'did you mean "estimate"?')
    assert_one_line(ask("score", pictures, fake, "--set", "gan.steps=3"), 2, "score takes metric.NAME.KEY=VALUE")
    assert_one_line(ask("score", pictures, fake, *options, "--label", "wound"), 3, "no such label", "clean, infected")
    assert_one_line(ask("score", pictures, pictures, *options), 3, "12 of 12 pictures", "--metric copies")


def test_emptying_the_cache_says_what_it_held(ask: Ask) -> None:
    out = ask("data", "clear")[1]
    assert "(pictures)" in out
    assert "(features and scores)" in out


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_without_a_command_the_help_is_shown(ask: Ask, arguments: list[str]) -> None:
    _, out, err = ask(*arguments)
    assert (out + err).startswith("Usage: dfukit")
    assert "Error" not in err


def test_debug_shows_the_traceback_and_leaves_the_exit_code(ask: Ask) -> None:
    code, out, err = ask("plugins", "show", "nonsense", "--debug")
    assert (code, out) == (2, "")
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("Error: no component is called nonsense")


def test_an_interrupt_without_a_run_promises_none(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dfukit.images.inspect", interrupted)
    code, _, err = ask("data", "check", tmp_path)
    assert (code, err.strip()) == (130, "Error: interrupted")


def test_what_is_printed_on_the_way_is_not_in_the_document(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def loud(name: str) -> str:
        print("hello")
        return "1"

    monkeypatch.setattr("importlib.metadata.version", loud)
    _, out, err = ask("doctor", "--json")
    assert json.loads(out)["dfukit"] == "1"
    assert "hello" in err


def test_a_document_without_json_s_numbers_is_not_printed(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfukit.images.clear_cache", lambda: float("nan"))
    assert_one_line(ask("data", "clear", "--json"), 1, "not JSON compliant")


def test_a_bundle_without_a_classifier_says_how_to_get_one(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "generator.safetensors").touch()
    answer = ask("predict", "bundle", "x.png")
    assert_one_line(answer, 3, "bundle is a bundle without a classifier", "dfukit export RUN --classifier")


def test_a_name_that_is_not_utf_8_is_printed() -> None:
    script = """
import click, os, sys
from dfukit import cli
cli.LazyGroup.get_command = lambda *_: click.Command("x", callback=lambda: click.echo(os.fsdecode(b"\\xff.png")))
sys.argv = ["dfukit", "x"]
cli.main()
"""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stdout) == (0, "\\udcff.png\n"), ended.stderr


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = [sys.executable, "-m", "dfukit", "plugins", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1  # click's: what would have been printed was not


def test_sample_leaves_a_set_that_is_there_alone(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "manifest.csv").write_text("path\n")
    answer = ask("sample", "absent", "--count", 1, "--out", "made")
    assert_one_line(answer, 2, "already holds a synthetic set")
    assert (tmp_path / "made" / "manifest.csv").read_text() == "path\n"
