"""Each suite can fail: deliberately broken components are caught, with the reason, and sound ones pass."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfukit import cli, registry
from dfukit.testing import SUITES, Outcome, check
from dfukit.testing.checking import names

TOYS = Path(__file__).parent / "toys"

CAUGHT = [
    ("generator", "ignores_label", "the label matters", "the label is ignored"),
    ("generator", "unbounded", "pictures stay between minus one and one", "end with a tanh"),
    ("generator", "noisy", "the same latent gives the same picture", "draw noise from the latent"),
    ("generator", "mixes", "a picture is the same alone and in a batch", "depends on the others"),
    ("generator", "wrong_shape", "pictures have the promised shape", "must have shape [4, 3, 32, 32]"),
    ("generator", "unreached", "a gradient reaches every parameter", "no gradient reaches idle"),
    ("generator", "forgets", "weights rebuild from their file in another process", "gives other outputs"),
    ("generator", "orphan", "it is of its kind", "must inherit dfukit.interfaces.Generator"),
    ("generator", "helpless", "the component and every setting are described", "width has no help"),
    ("generator", "undeclared", "the component and every setting are described", "cannot be set"),
    ("generator", "demanding", "settings build with no arguments", "give every setting a default"),
    ("generator", "misspells", "what it suggests can be set", 'gan.batchsize is not a setting, did you mean "batch_s'),
    ("generator", "exaggerates", "what it suggests can be set", "gan.lr_generator must be at most 1.0, got 2"),
    ("generator", "dreams", "what it suggests can be set", "no critic is called unheard_of"),
    ("generator", "nowhere", "the target resolves", "cannot be imported"),
    ("critic", "sees_batch", "a score ignores the rest of the batch", "per_picture = False"),
    ("critic", "labelled_features", "features are a map free of the label", "change with the labels"),
    ("critic", "once_only", "it can be differentiated twice", "gradient penalty"),
    ("critic", "columns", "scores have the promised shape", "must have shape [4]"),
    ("critic", "views", "it runs forward and backward as in training", "channels_last memory"),
    ("classifier", "learns_nothing", "it learns eight pictures", "eight pictures are not learnt"),
    ("classifier", "one_size", "pictures of any size are taken", "resize inside"),
    ("classifier", "restless", "eval mode is deterministic", "different logits"),
    ("classifier", "mixes", "a logit is the same alone and in a batch", "depends on the others"),
    ("loss", "backwards", "a toy pair moves towards the data", "came no nearer"),
    ("loss", "vector", "terms are finite scalars", 'term "loss" must have shape []'),
    ("loss", "counts", "a capturable loss follows the step", "say `capturable = False`"),
    ("loss", "meddles", "the critic step leaves its batch as it was", "in place"),
    ("loss", "mistakes", "the generator step gives the generator gradients", "gives it no gradients"),
    ("loss", "one_place", "a critic may score several places", 'term "real" of scores [N, 3] must have shape [16]'),
    ("loss", "penalises", "it says that it takes gradients of single scores", "say `per_picture = True`"),
    ("metric", "not_finite", "figures are finite", "must be a finite number, got nan"),
    ("metric", "renames", "names are stable", "change with the pictures"),
    ("metric", "misnamed", "names are stable", "must begin with misnamed, got distance"),
    ("metric", "blind", "a set against its other half beats noise", "lower being better"),
    ("metric", "restless_figure", "the same sets give the same figures", "figures differ"),
    ("metric", "reads_more", "figures are finite", "Views hold what `reads` names (features)"),
    ("metric", "in_memory", "figures are finite", "come into memory where they are indexed"),
    ("metric", "needs_labels", "labels and groups may be unknown", "where they are known"),
    ("metric", "unwritable", "scores json can hold what it says", "scores.json cannot hold unwritable"),
    ("metric", "points_beyond", "scores json can hold what it says", "not in the views"),
    ("metric", "few_distances", "scores json can hold what it says", "59 distances of 60 synthetic pictures"),
    ("extractor", "double", "features have the promised shape", "must be float32"),
    ("extractor", "unseeded", "the same pictures give the same features", "other features"),
    ("extractor", "mixes", "features are the same alone and in a batch", "depend on the other pictures"),
    ("augmentation", "leaves_range", "pictures stay between zero and one", "must stay in [0, 1]"),
    ("augmentation", "alike", "each picture is drawn separately", "changed alike"),
    ("augmentation", "unrepeatable", "the same step draws the same", "step.rng(purpose)"),
    ("augmentation", "counts", "a capturable augmentation follows the step", "say `capturable = False`"),
    ("augmentation", "blocks_gradient", "it is differentiable where it says so", "no gradient passes"),
    (
        "augmentation",
        "once_only",
        "it is differentiable where it says so",
        "a gradient penalty, as of wgan_gp and r3gan",
    ),
    ("augmentation", "adapts_too_far", "pictures stay between zero and one", "must stay in [0, 1]"),
    ("augmentation", "forgets", "its state can be restored", "must hold what observe() moves"),
    ("augmentation", "adapts_unsaid", "it says that it adapts", "say `adapts = True`"),
]
SOUND = [
    ("generator", "sound"),
    ("generator", "tied"),
    ("critic", "sound"),
    ("critic", "admits_batch"),
    ("classifier", "sound"),
    ("loss", "sound"),
    ("metric", "sound"),
    ("extractor", "sound"),
    ("augmentation", "sound"),
    ("augmentation", "admits_no_gradient"),
    ("augmentation", "adapts"),
]


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toys as an installed distribution, here and in processes that a check starts."""
    for plugin in ("dfukit_toys", "dfukit_heavy_toys"):
        info = tmp_path / f"{plugin}-0.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plugin.replace('_', '-')}\nVersion: 0.5\n")
        (info / "entry_points.txt").write_text(f"[dfukit]\n{plugin} = {plugin}\n")
    separator = ";" if sys.platform == "win32" else ":"
    monkeypatch.setenv("PYTHONPATH", separator.join([str(TOYS), str(tmp_path), *sys.path]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(TOYS))
    registry.load.cache_clear()
    yield
    registry.load.cache_clear()


def outcomes(kind: str, name: str) -> dict[str, Outcome]:
    return {outcome.check: outcome for outcome in check(SUITES[kind], name)}


@pytest.mark.parametrize(
    ("kind", "name", "caught", "reason"), CAUGHT, ids=[f"{kind}/{name}" for kind, name, *_ in CAUGHT]
)
def test_a_broken_component_is_caught_with_its_reason(kind: str, name: str, caught: str, reason: str) -> None:
    suite = SUITES[kind]()
    suite.component = name
    with pytest.raises(AssertionError) as failed:
        getattr(suite, "test_" + caught.replace(" ", "_"))()
    assert reason in str(failed.value)


@pytest.mark.parametrize(("kind", "name"), SOUND)
def test_a_sound_component_passes_every_check(kind: str, name: str) -> None:
    assert {outcome.message for outcome in outcomes(kind, name).values() if outcome.status != "passed"} == set()


def test_a_plugin_that_imports_torch_is_caught() -> None:
    found = outcomes("augmentation", "heavy")["importing the plugin leaves torch unimported"]
    assert found.status == "failed"
    assert "dfukit_heavy_toys of dfukit-heavy-toys imports torch" in found.message


def test_missing_weights_skip_with_the_reason() -> None:
    found = outcomes("extractor", "weightless")
    assert found["the target resolves"].status == "passed"
    assert found["features have the promised shape"].status == "skipped"
    assert "toy weights are not here" in found["features have the promised shape"].message


def test_a_test_file_inherits_its_suite(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from dfukit.testing import AugmentationSuite\n"
        "class TestSound(AugmentationSuite):\n    component = 'sound'\n    size = 24\n"
        "class TestAlike(AugmentationSuite):\n    component = 'alike'\n    settings = {'width': 4}\n"
    )
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    count = len(names(SUITES["augmentation"]))
    assert f"1 failed, {2 * count - 1} passed" in answer.stdout
    assert "all pictures of a batch are changed alike" in answer.stdout


def ask(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dfukit", "plugins", "check", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_checking_a_sound_plugin_prints_a_line_for_each_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "augmentation/sound") == 0
    out = capsys.readouterr().out
    assert "augmentation/sound of dfukit-toys 0.5" in out
    assert "passed   the same step draws the same" in out
    assert f"  {len(names(SUITES['augmentation']))} passed in " in out


def test_checking_a_broken_plugin_exits_4_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "leaves_range") == 4
    captured = capsys.readouterr()
    assert "FAILED   pictures stay between zero and one: pictures must stay in [0, 1]" in captured.out
    assert captured.err.startswith("Error: augmentation/leaves_range of dfukit-toys 0.5 fails 1 of ")


def test_a_component_that_ends_the_process_fails_its_checks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "augmentation/ends") == 4
    assert "FAILED   pictures stay between zero and one: SystemExit: 0" in capsys.readouterr().out


def test_checking_as_json_is_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(monkeypatch, "metric/not_finite", "--json") == 4
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["kind"], entry["name"], entry["package"]) == ("metric", "not_finite", "dfukit-toys")
    assert {"check", "status", "message", "seconds"} == set(entry["checks"][0])
    assert "failed" in {one["status"] for one in entry["checks"]}


def test_checking_an_unknown_name_exits_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(monkeypatch, "augmentation/sound", "nonsense") == 2
    captured = capsys.readouterr()
    assert "no component is called nonsense" in captured.err
    assert captured.out == ""
