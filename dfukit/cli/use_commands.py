"""dfukit sample, score, predict: using what a run made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dfukit.cli.options import emit, json_option, showing


def _in_run(reference: str, name: str) -> Path:
    """A weights file as named, or that of a run folder, of a bundle, a run's name or `latest`."""
    from dfukit import rundir
    from dfukit.errors import DataError

    path = Path(reference)
    if path.is_file():
        return path
    folder = rundir.RunDir(path)
    in_folder: Path = getattr(folder, name)
    if in_folder.is_file():
        return in_folder
    if in_folder == folder.classifier_weights and folder.generator_weights.is_file() and not folder.config.is_file():
        raise DataError(
            f"{reference} is a bundle without a classifier: `dfukit export RUN --classifier` makes one with it "
            "(but for a classifier on the critic, which stays with its run)"
        )
    file: Path = getattr(rundir.open_run(reference), name)
    return file


@click.command()
@click.argument("source", metavar="WEIGHTS|RUN")
@click.option("--count", type=int, required=True, metavar="N", help="Number of pictures.")
@click.option("--label", default="", metavar="LABEL", help="One class [all, as often as in the training part].")
@click.option("--seed", type=int, default=0, metavar="N", help="[0]")
@click.option(
    "--truncation",
    type=float,
    default=1.0,
    metavar="FACTOR",
    help="Factor on the latents: below 1, more usual pictures, and more alike [1].",
)
@click.option("--device", "device_name", default="cpu", metavar="NAME", help="auto, cpu, cuda, cuda:1 [cpu].")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("synthetic"), help="New folder for them [synthetic]."
)
@json_option
def sample(source: str, count: int, device_name: str, out: Path, as_json: bool, **options: Any) -> None:
    """Draw synthetic pictures from a trained generator.

    They are saved as they are drawn; after an interruption the same command goes on in its folder.
    """
    from dfukit import manifest
    from dfukit.errors import ConfigError, Interrupted

    if (out / manifest.FILE).exists():
        raise ConfigError(f"--out {out} already holds a synthetic set: name another folder")
    with showing() as progress:
        from dfukit import device
        from dfukit.sample import load_generator
        from dfukit.sections import RunSettings

        compute = device.choose(RunSettings(device=device_name, precision="fp32"))
        generator = load_generator(_in_run(source, "generator_weights"))
        generator.network.to(compute.device)
        try:
            with compute.repeatable():
                generator.sample_into(out, count, progress, **options)
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; the pictures so far are in {out}: the same command goes on") from None
        except OSError as error:
            raise ConfigError(f"--out {out}: cannot write there ({error.strerror or error})") from None
    if as_json:
        emit({"folder": str(out), "pictures": count})
    else:
        click.echo(f"{count} pictures in {out}")


@click.command()
@click.argument("real", type=click.Path(path_type=Path))
@click.argument("fake", type=click.Path(path_type=Path))
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="May be repeated [those of a run's report].")
@click.option("--extractor", default="", metavar="NAME", help="Extractor of metrics that take any [auto].")
@click.option("--label", default="", metavar="LABEL", help="Score this class alone [all, and each class].")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting: metric.NAME.KEY=VALUE or extractor.NAME.KEY=VALUE.",
)
@click.option("--device", default="auto", metavar="NAME", help="[auto]")
@click.option("--seed", type=int, default=0, metavar="N", help="[0]")
@json_option
def score(real: Path, fake: Path, assignments: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Score a folder of synthetic pictures against a folder of real ones; a run (its folder, its name, or
    `latest`) stands for its pictures."""
    settings = _component_settings(assignments)
    with showing() as progress:
        from dfukit import scoring

        scores = scoring.score_folders(real, fake, progress=progress, **settings, **options)
    emit(scores) if as_json else click.echo(scoring.as_text(scores))
    scoring.insist(scores)


def _component_settings(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Arguments of `score_folders` for settings such as `metric.kd.subsets=10`."""
    from dfukit import settings
    from dfukit.errors import ConfigError

    found: dict[str, dict[str, dict[str, Any]]] = {"metric_settings": {}, "extractor_settings": {}}
    for assignment in assignments:
        key, value = settings.read_assignment(assignment)
        kind, *rest = key.split(".")
        if f"{kind}_settings" not in found or len(rest) != 2:
            raise ConfigError(f"--set {assignment}: score takes metric.NAME.KEY=VALUE and extractor.NAME.KEY=VALUE")
        found[f"{kind}_settings"].setdefault(rest[0], {})[rest[1]] = value
    return found


@click.command()
@click.argument("source", metavar="WEIGHTS|RUN")
@click.argument("images", metavar="IMAGE|DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--batch", type=int, default=1, metavar="N", help="Pictures scored at a time [1].")
@click.option("--device", "device_name", default="cpu", metavar="NAME", help="auto, cpu, cuda, cuda:1 [cpu].")
@json_option
def predict(source: str, images: tuple[Path, ...], batch: int, device_name: str, as_json: bool) -> None:
    """Score photographs, and folders of them, with a trained classifier.

    Research use only: a model's score, not a patient's risk.
    """
    with showing() as progress:
        from dfukit import device
        from dfukit.predict import load_classifier
        from dfukit.sections import RunSettings

        compute = device.choose(RunSettings(device=device_name, precision="fp32"))
        classifier = load_classifier(_in_run(source, "classifier_weights"), compute)
        predictions = classifier.predict(images, batch=batch, progress=progress)
    if as_json:
        emit([prediction.as_table() for prediction in predictions])
        return
    for prediction in predictions:
        click.echo(prediction.as_text())
    click.echo(classifier.about_calls, err=True)
    click.echo("research use only: a model's score, not a patient's risk", err=True)
