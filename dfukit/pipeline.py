"""A run, from photographs to a report: one function that reads from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import evolve

from dfukit import (
    absent,
    ancestry,
    classify,
    coverage,
    device,
    environment,
    extension,
    fitting,
    gan,
    registry,
    release,
    report,
    rundir,
    scoring,
    settings,
    sums,
    weights,
)
from dfukit import config as configuration
from dfukit.component import Chosen, ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import ConfigError, DataError, PluginError
from dfukit.finished import Run
from dfukit.gan import GanPictures, TrainedGan
from dfukit.images import ImageSet, Split, make_split, read_split, write_split
from dfukit.images.prepare import refuse_inside
from dfukit.images.split import PARTS
from dfukit.interfaces import Classifier, Critic, Parts
from dfukit.interrupt import continued_by
from dfukit.pairing import check_classifier_augmentation
from dfukit.pictures import image_spec, load_images
from dfukit.postmortem import traceback_kept
from dfukit.progress import Progress, Silent
from dfukit.rows import Rows
from dfukit.rundir import RunDir
from dfukit.sample import Samples, read_samples
from dfukit.sections import GanSettings
from dfukit.synthetic import draw_samples, save_samples, score_samples
from dfukit.world import ALONE, World, joined

MIN_VALIDATION = 10
"""Validation pictures below which there is no stopping distance."""


def run(
    data: str | Path = "",
    *,
    preset: str = "",
    generator: str = "",
    critic: str = "",
    loss: str = "",
    classifier: str = "",
    augmentation: str = "",
    metrics: Sequence[str] = (),
    positive: str = "",
    patients: str | Path = "",
    patient_pattern: str = "",
    settings: Mapping[str, Any] | None = None,
    config: str | Path = "",
    out: str | Path = "runs",
    name: str = "",
    device: str = "",
    precision: str = "",
    seed: int | None = None,
    resume: str | Path = "",
    extend: int | str = "",
    progress: Progress | None = None,
) -> Run:
    """The same as `dfukit run`. `settings` takes what `--set` takes: {"gan.steps": 1000}.

    Empty arguments are not set. `resume` goes on with a run that was interrupted, by its folder, its name in `out` or
    "latest"; its settings are its own. `extend` trains its GAN on, once that has ended, for so many steps or a time
    such as "30m". Raises the errors of dfukit.errors; Interrupted says how to go on.
    """
    named = {
        "data": str(data),
        "positive": positive,
        "patients": str(patients),
        "patient_pattern": patient_pattern,
        "generator": generator,
        "critic": critic,
        "loss": loss,
        "classifier": classifier,
        "augmentation": augmentation,
        "metric": list(metrics),
        "device": device,
        "precision": precision,
        "seed": seed,
    }
    given = {configuration.OPTIONS[name]: value for name, value in named.items() if value not in ("", None, [])}
    if resume:
        others = {"preset": preset, "settings": settings, "config": config, "name": name}
        configuration.refuse_with_resume([*given, *(key for key, value in others.items() if value)])
        folder = rundir.open_run(resume, Path(out))
        resolved = absent.resume(folder, registry.load())
        return _go(resolved, folder, progress or Silent(), str(extend))
    if extend:
        raise ConfigError("extend is for a run that has ended: name it with resume")
    resolved = configuration.resolve(
        registry.load(),
        preset=preset,
        file=Path(config) if config else None,
        flags=configuration.nest(given),
        settings=settings or {},
    )
    refuse_inside(Path(out), resolved.data)
    folder = rundir.create(Path(out), name, (resolved.generator.name, resolved.classifier.name))
    rundir.write_toml(folder.config, resolved.as_table())
    return _go(resolved, folder, progress or Silent())


def _go(config: RunConfig, folder: RunDir, progress: Progress, extend: str = "") -> Run:
    asked = rundir.unchanged(folder.training)

    def line() -> str:
        again = f", extend={extend!r}" if extend and asked() else ""
        return f"dfukit.run(resume={str(folder.path)!r}{again})"

    with continued_by(line), rundir.at_work(folder), traceback_kept(folder):
        return execute(config, folder, progress, extend)


def execute(config: RunConfig, folder: RunDir | None, progress: Progress, extend: str = "") -> Run:
    """Everything: pictures, GAN, synthetic set, scores, classifiers, report.

    In the folder of a run that was interrupted, the GAN goes on where it was, and what comes after it is made anew.
    Under torchrun the processes share the GAN and the scores; the first one does the rest, and it alone knows the
    folder, which may be None in the others.
    """
    with joined() as world:
        config, run, compute, images, split, image = _begin(config, folder, extend, progress, world)
        if image.positive is not None:
            fitting.check_classes(image, images.labels[split.train])
            _look_for_weights(config.classifier, image, progress)
        again = run.training.is_file()
        trained = train_gan(config, run, compute, images, split, image, progress, world)
        if again and world.first:
            _begin_anew(run, "what follows the GAN is made anew", progress)
        config = _as_trained(config, run)
        samples = draw_samples(config, run, trained, split)
        samples, verdict = score_samples(config, run, compute, images, split, samples, progress, world)
    if world.first:
        coverage.write(run, images, split, samples, image.size)
        classify_arms(config, run, compute, images, split, image, samples, progress, "run")
        release.settle(run, verdict)
        finish(run, config, images, split, config.report.share or report.is_shared(run))
    return Run(run)


def execute_train(config: RunConfig, folder: RunDir | None, progress: Progress, extend: str = "") -> Run:
    """The pictures, the GAN and its synthetic set."""
    with joined() as world:
        config, run, compute, images, split, image = _begin(config, folder, extend, progress, world)
        trained = train_gan(config, run, compute, images, split, image, progress, world)
        samples = draw_samples(config, run, trained, split)
    # A set that is there may have been audited: it is not put back to what was drawn.
    if world.first and not run.manifest.is_file():
        save_samples(run, samples)
    return Run(run)


def _begin(
    config: RunConfig, folder: RunDir | None, extend: str, progress: Progress, world: World
) -> tuple[RunConfig, RunDir, Compute, ImageSet, Split, ImageSpec]:
    """What `prepare` gives, in the run's folder; an extension changes the run once all that it needs is there."""
    run = RunDir(world.folder(folder.path if folder else None))
    if world.first:
        run.traceback.unlink(missing_ok=True)
        rundir.sweep(run)
    if extend:
        extension.check(config, run, extend)
    if config.gan.extractor != "auto" and (extend or not run.training.is_file()):
        scoring.choose_extractor(registry.load(), config.gan.extractor, config.extractors)  # before pictures are read
    prepared = prepare(config, run, progress, world)
    if extend:
        if world.first:
            _keep_edited_card(run, progress)
        config = extension.extend(config, run, extend, world)
    return config, run, *prepared


def _as_trained(config: RunConfig, run: RunDir) -> RunConfig:
    """With the steps that a time budget became, and the settings that hang on them."""
    if not config.gan.budget:
        return config
    return evolve(config, gan=settings.build(GanSettings, configuration.read_toml(run.config)["gan"], "gan"))


def execute_classify(folder: RunDir, progress: Progress) -> Run:
    """The classifiers of a run anew, on its pictures and its synthetic set."""
    rundir.sweep(folder)
    config = absent.reopen(folder, registry.load())
    compute = device.choose(config.run)
    images = load_images(config, progress)
    split = read_split(folder.split, images)
    image = image_spec(config, images)
    if image.positive is None:
        raise DataError(f"{images.name} has one class only ({images.classes[0]}): there is nothing to classify")
    samples = read_samples(folder, images.classes)
    # What cannot be had, a plugin or weights, leaves the run as it is.
    _look_for_weights(config.classifier, image, progress)
    weights.read(folder.critic_weights, "critic")
    before = sums.read(folder.path) if folder.sums.is_file() else None
    written = [folder.real_classifier_weights, folder.classifier_weights, folder.predictions, folder.classification]
    _begin_anew(folder, "the classifiers are trained by dfukit classify", progress)
    classify_arms(config, folder, compute, images, split, image, samples, progress, "classify")
    reported = folder.report.is_file()
    if reported:  # its figures are those of the classifiers that there were
        report.write(folder, config, images, split, config.report.share or report.is_shared(folder))
        written += [folder.report, folder.model_card]
    if before is not None:  # whatever else was changed since then stays so
        sums.add(folder.path, [path.name for path in written], before)
    elif reported:
        sums.record(folder)
    return Run(folder)


def execute_report(folder: RunDir, share: bool, progress: Progress, licence: str | None = None) -> Run:
    """The report and the model card of a run anew; with `licence`, what the card says of it from now on.

    Where the run has sums, they take in these two, the configuration that they are made of, and an experiment that they
    do not know yet; what else was changed stays so.
    """
    config = absent.reopen(folder, registry.load())
    images = load_images(config, progress)
    split = read_split(folder.split, images)
    share = share or config.report.share
    if licence is not None:
        share = share or report.is_shared(folder)  # who adds a licence did not ask for real pixels
        config = evolve(config, report=evolve(config.report, licence=licence))
    pages = report.render(folder, config, images, split, share)
    _keep_edited_card(folder, progress)
    if sums.differs(folder.config):  # who moved the photographs had to change data.path
        progress.say(
            f"warning: {folder.config.name} was changed since the run ended: the report shows it, and {sums.FILE} has "
            "it, as it is now"
        )
    written = [folder.report.name, folder.model_card.name, folder.config.name]
    experiment = folder.lift_result.is_file()  # without a result it is not covered, whatever one before it was
    sums.strike(folder.path, written if experiment else [*written, folder.lift.name])
    if licence is not None:
        rundir.write_toml(folder.config, config.as_table())
    report.put(folder, *pages)
    if not folder.sums.is_file():
        sums.record(folder)
        return Run(folder)
    new = experiment and not any(name.startswith(f"{folder.lift.name}/") for name in sums.read(folder.path))
    sums.add(folder.path, [*written, folder.lift.name] if new else written)
    return Run(folder)


def _keep_edited_card(folder: RunDir, progress: Progress) -> None:
    """Put a model card that was edited by hand aside, before it is written anew."""
    if not sums.differs(folder.model_card):
        return
    card, kept = folder.model_card.read_bytes(), folder.edited_model_card
    before = kept.read_bytes() + b"\n" if kept.is_file() else b""
    if card not in before:
        rundir.write_bytes(kept, before + card)
    progress.say(
        f"warning: {folder.model_card.name} was edited by hand: it is made anew, and {kept.name} keeps what was there; "
        f"{sums.give_words(folder)}"
    )


def prepare(
    config: RunConfig, folder: RunDir, progress: Progress, world: World = ALONE
) -> tuple[Compute, ImageSet, Split, ImageSpec]:
    """Device, pictures and split, with what they are written down in the run folder.

    Raises DataError where the run began with other pictures: those of its test part may be among them.
    """
    compute = device.choose(config.run)
    progress.say(f"run folder {folder.path}, on {compute}")
    if config.gan.start_from and not folder.checkpoints.is_dir():
        weights.describe(RunDir(Path(config.gan.start_from)).generator_weights)  # before the pictures are read
    if world.first:
        for culprit in registry.load().broken:
            progress.say(f"warning: left out: {culprit}; {culprit.remedy}")
    images = load_images(config, progress)
    split = make_split(images, config.data)
    ancestry.check(config, images, split, progress)
    if world.first:
        known = environment.describe(registry.load(), str(compute), torch.get_num_threads())
        rundir.write_json(folder.environment, {**known, "components": config.sources})
        _write_data(folder, images, split)
    for warning in images.check.warnings:
        progress.say(f"warning: {warning}")
    image = image_spec(config, images)
    if image.positive is not None:
        # What is wrong with them should not wait until the GAN is trained.
        _check(config.classifier, image)
        check_classifier_augmentation(config.classifier_augmentation, config.classifier_augmentation.build(image))
    return compute, images, split, image


def _check(chosen: Chosen, image: ImageSpec) -> None:
    """Raise what building a network raises."""
    try:
        # There nothing is computed: a classifier takes a tenth of a second, not a whole one.
        with torch.device("meta"):
            chosen.build(image)
    except PluginError:  # it may be a network that needs numbers to be built
        chosen.build(image)


def _look_for_weights(chosen: Chosen, image: ImageSpec, progress: Progress) -> None:
    """Say which weights the classifiers will start from: that they cannot be had should not wait for the GAN either."""
    with torch.random.fork_rng(devices=[]):
        network: Classifier = chosen.build(image)
        if not network.needs:
            progress.say(f"weights of the classifiers to come: {network.prepare(Parts())}")


def train_gan(
    config: RunConfig,
    folder: RunDir,
    compute: Compute,
    images: ImageSet,
    split: Split,
    image: ImageSpec,
    progress: Progress,
    world: World = ALONE,
) -> TrainedGan:
    """Train the generator and the critic on the training part, stopped by the validation part; once for each run."""
    if world.any(folder.training.is_file()):
        progress.say(f"the GAN of {folder.name} is trained: only what comes after it is made anew")
        return gan.read(folder)
    pixels = images.at(image.size)
    pictures = GanPictures(
        Rows(pixels, split.train),
        images.labels[split.train],
        Rows(pixels, split.validation),
        images.labels[split.validation],
    )
    distance = None
    if len(split.validation) >= MIN_VALIDATION:
        distance = scoring.stopping_distance(
            pictures.validation, config, compute, progress, world, images.groups[split.validation]
        )
    else:
        progress.say(
            f"{len(split.validation)} validation pictures are too few for a stopping distance: all steps are done"
        )
    shares = np.bincount(pictures.training_labels, minlength=len(images.classes)) / len(pictures.training_labels)
    facts = {"phantom": images.phantom, "class_shares": [round(float(share), 6) for share in shares]}
    progress.say(f"to end the GAN's training early and go on to what comes after it: Ctrl-\\, or touch {folder.stop}")
    trained = gan.train(config, image, pictures, compute, folder, facts, distance, progress, world)
    if world.first:
        rundir.write_json(folder.training, trained.summary)
    progress.say(f"GAN: {trained.summary['steps']} steps, those of step {trained.summary['kept_step']} are kept")
    return trained


def _begin_anew(folder: RunDir, what: str, progress: Progress) -> None:
    """A run whose GAN is trained is not finished, or no longer: it has no sums, and an event that its report lacks."""
    steps = rundir.read_json(folder.training)["steps"]
    _keep_edited_card(folder, progress)
    folder.sums.unlink(missing_ok=True)
    if folder.metrics.is_file():
        folder.keep_events(lambda event: event["phase"] != "classifier")
    folder.event("note", step=steps, text=what)


def finish(folder: RunDir, config: RunConfig, images: ImageSet, split: Split, share: bool) -> None:
    """The report and the model card, and last the sums of all files, by which `dfukit verify` knows them again."""
    report.write(folder, config, images, split, share)
    sums.record(folder)


def classify_arms(
    config: RunConfig,
    folder: RunDir,
    compute: Compute,
    images: ImageSet,
    split: Split,
    image: ImageSpec,
    samples: Samples,
    progress: Progress,
    command: str,
) -> None:
    """Train the classifier on real pictures, and on real + synthetic ones, and judge both on the test part."""
    if image.positive is None:
        progress.say(f"one class only ({images.classes[0]}): the classifier step is skipped")
        return
    critic, critic_description = weights.read(folder.critic_weights, "critic")
    assert isinstance(critic, Critic)
    classify.compare_arms(
        config, folder, compute, images, split, image, samples, critic, critic_description, progress, command
    )


def _write_data(folder: RunDir, images: ImageSet, split: Split) -> None:
    """data.json and split.csv."""
    parts = {}
    patients: dict[str, set[int]] = {}
    for part in PARTS:
        index = getattr(split, part)
        counts = np.bincount(images.labels[index], minlength=len(images.classes))
        patients[part] = set(images.groups[index].tolist())
        parts[part] = {
            "pictures": len(index),
            "patients": len(patients[part]),
            "labels": {name: int(count) for name, count in zip(images.classes, counts, strict=True)},
        }
    test_side = patients["test"] | patients["validation"]
    write_split(folder.split, images, split)
    rundir.write_json(
        folder.data,
        {
            **images.check.as_table(),
            "phantom": images.phantom,
            "classes": list(images.classes),
            "positive": images.positive,
            "pictures": len(images.labels),
            "patients_known": images.patients_known,
            "parts": parts,
            "patients_on_both_sides": len(patients["train"] & test_side | patients["validation"] & patients["test"]),
        },
    )
