"""Putting the page and the model card together from their parts."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from dfukit import registry
from dfukit import settings as s
from dfukit.config import SLOTS, RunConfig
from dfukit.images import ImageSet, Split
from dfukit.images.split import PARTS
from dfukit.report import answers, copies, judging, numbers, pictures, training
from dfukit.report.clinic import read_clinic
from dfukit.report.facts import Facts, Table
from dfukit.report.lift import read_lift
from dfukit.report.marks import Marks, read_marks
from dfukit.report.privacy import LEFT_OUT, Redaction
from dfukit.report.scores import read_scores, scored_with
from dfukit.rundir import RunDir
from dfukit.sections import SECTIONS

EXCLUDED = 200
"""Excluded files listed at most."""
SHARED = Markup('<meta name="dfukit-report" content="shared">')
"""What tells a page that was made to be shared from one that shows real pixels."""


@frozen
class Part:
    """A part of the split, counted from the split itself."""

    name: str
    pictures: int
    patients: int
    labels: Mapping[str, int]


@frozen
class Leak:
    """What lies on more than one side of the split."""

    patients: int
    files: int


def report(
    folder: RunDir, config: RunConfig, images: ImageSet, split: Split, facts: Facts, private: Redaction, share: bool
) -> str:
    """The page as HTML text.

    A shared page shows pictures of a set that passed its release check and no others: what was flagged is a copy, and
    nobody has looked for copies among the samples drawn during training.
    """
    size = config.gan.size
    released = facts.release is not None and facts.release.passed is True
    kept = (facts.training or {}).get("kept_step")
    steps = pictures.grid_steps(folder)
    step = kept if kept in steps else steps[-1] if steps else 0
    clean = private.free_text if share else str
    template = _environment(html=True).get_template("report.html.j2")
    return template.render(
        _common(config, images, split, facts, read_marks(folder, facts), clean),
        clean=private.text if share else str,
        title=config.report.title or (_models(config, facts) if share else folder.name),
        share=share,
        shared_mark=SHARED,
        real=[] if share else pictures.real_pictures(images, split, size),
        synthetic=pictures.synthetic_pictures(facts, images.classes) if released or not share else [],
        grids=[] if share else pictures.sample_grids(folder),
        sheets=[] if share else pictures.sheets(folder),
        neighbours=None if share else pictures.neighbours(folder, images, split, size, step),
        flagged=[] if share else pictures.flagged(facts, images, size),
        thumbnail=pictures.THUMBNAIL,
        size=size,
        look=judging.look(facts.classification),
        places=[] if share else judging.places(folder),
        curves=training.curves(facts),
        confusions=answers.confusions(facts.classification),
        plots=answers.plots(facts.tested),
        clinic=read_clinic(facts, "patient" if images.patients_known else "group", share),
        lift=read_lift(facts.lift, "patient" if images.patients_known else "group", share, clean),
        excluded=[] if share else facts.data.get("excluded", [])[:EXCLUDED],
        excluded_reasons=Counter(clean(one["reason"]) for one in facts.data.get("excluded", [])).most_common(),
        settings=_settings(config, share),
    )


def model_card(
    folder: RunDir,
    config: RunConfig,
    images: ImageSet,
    split: Split,
    facts: Facts,
    private: Redaction,
    classifier: bool,
) -> str:
    """The model card as Markdown text: no path, file name, patient or host in it, but what the licence says.

    `classifier`: the weights of the classifier lie beside it.
    """
    common = _common(config, images, split, facts, read_marks(folder, facts), private.free_text)
    clinic = read_clinic(facts, "patient" if images.patients_known else "group", share=True)
    template = _environment(html=False).get_template("model_card.md.j2")
    return template.render(common, clean=private.text, clinic=clinic, size=config.gan.size, classifier=classifier)


def _common(
    config: RunConfig, images: ImageSet, split: Split, facts: Facts, marks: Marks, clean: Callable[[str], str]
) -> dict[str, Any]:
    drawn = "drawn" if images.phantom else "real"
    who = "patient" if images.patients_known else "group"

    def clean_of_whom(text: str) -> str:
        return clean(text).replace("patient", who)

    alarms = [
        f"{event.get('alarm', 'alarm')} at step {event.get('step', '?')}: {event.get('text', '')}"
        for event in facts.of_phase("alarm")
    ]
    return {
        "phantom": images.phantom,
        "models": _models(config, facts),
        "drawn": drawn,
        "name": images.name,
        "classes": images.classes,
        "positive": images.positive,
        "other": next((label for label in images.classes if label != images.positive), "")
        if len(images.classes) == 2
        else "other",
        "config": config,
        "components": [(slot.replace("_", " "), getattr(config, slot)) for slot in SLOTS],
        "citations": citations(config, facts),
        "facts": facts,
        "verdict": answers.verdict(facts, images.classes, who, clean),
        "arms": answers.arms(facts.classification),
        "steps_made": answers.steps(facts.classification),
        "figures": answers.rows(facts.classification, who),
        "chosen": (facts.classification or {}).get("chosen"),
        "classification": facts.classification,
        "scores": read_scores(facts.scores, registry.load(), clean_of_whom),
        "copying": copies.verdict(facts, clean),
        "release_line": copies.release_line(facts.release, clean),
        "checks": [(check.passed, clean(check.text)) for check in facts.release.checks] if facts.release else [],
        "audit": copies.audit(facts, clean_of_whom, drawn),
        "marks": marks,
        "parts": parts(images, split),
        "leak": leak(images, split),
        "patients_known": images.patients_known,
        "pictures_used": len(images.labels),
        "patients": len(np.unique(images.groups)),
        "excluded_count": len(facts.data.get("excluded", [])),
        "duplicates": facts.data.get("duplicates"),
        "stage": training.stage(facts),
        "classifier_stage": training.classifier_stage(facts.classification),
        "classifier_origins": training.classifier_origins(facts.classification),
        "alarms": [clean(alarm) for alarm in alarms],
        "warnings": [clean(str(warning)) for warning in facts.data.get("warnings", [])],
        "version": facts.environment.get("dfukit", ""),
        "environment_rows": _flat(facts.environment),
    }


def _models(config: RunConfig, facts: Facts) -> str:
    return config.generator.name + (f" and {config.classifier.name}" if facts.classification is not None else "")


def parts(images: ImageSet, split: Split) -> list[Part]:
    """The three parts with their counts."""
    found = []
    for name in PARTS:
        index = getattr(split, name)
        counts = np.bincount(images.labels[index], minlength=len(images.classes))
        labels = {label: int(number) for label, number in zip(images.classes, counts, strict=True)}
        found.append(Part(name, len(index), len(np.unique(images.groups[index])), labels))
    return found


def leak(images: ImageSet, split: Split) -> Leak:
    """Patients, and contents of files, that are in more than one part."""
    patients: Counter[int] = Counter()
    files: Counter[str] = Counter()
    for name in PARTS:
        index = getattr(split, name)
        patients.update(set(images.groups[index].tolist()))
        files.update({images.sha256[i] for i in index})
    return Leak(sum(n > 1 for n in patients.values()), sum(n > 1 for n in files.values()))


def citations(config: RunConfig, facts: Facts) -> list[tuple[str, str]]:
    """What the components of the run ask to be cited with: (their names, citation)."""
    names: dict[str, list[str]] = {}
    slots = [slot for slot in SLOTS if facts.classification is not None or not slot.startswith("classifier")]
    chosen = [getattr(config, slot).component for slot in slots]
    for component in (*chosen, *scored_with(facts.scores, registry.load())):
        if component.citation and component.name not in names.setdefault(component.citation, []):
            names[component.citation].append(component.name)
    return [(", ".join(those), citation) for citation, those in names.items()]


def _settings(config: RunConfig, share: bool) -> list[tuple[str, str, str]]:
    """(key, value, where it came from) of every setting; on a shared page without texts that may be paths."""
    tables = {name: s.as_table(getattr(config, name)) for name in SECTIONS}
    tables |= {slot: getattr(config, slot).as_table() for slot in SLOTS}
    tables |= {f"metric.{metric.name}": s.as_table(metric.settings) for metric in config.metrics}
    tables |= {f"extractor.{name}": dict(values) for name, values in config.extractors.items()}
    rows = []
    for section, table in tables.items():
        for key, value in table.items():
            name = f"{section}.{key}"
            hidden = share and bool(value) and (name in PRIVATE_SETTINGS or _may_be_a_path(value))
            shown = LEFT_OUT if hidden else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            if name == "report.licence":  # words for the public: as they were given
                shown = escape(value)
            origin = config.origins.get(name, "default")
            told = not share or origin.startswith(PUBLIC_ORIGINS)
            rows.append((name, shown, origin if told else "configuration file"))
    return rows


def _may_be_a_path(value: Any) -> bool:
    return isinstance(value, str) and any(mark in value for mark in ("/", "\\", "."))


PUBLIC_ORIGINS = ("default", "option", "--set", "preset ", "suggested by ")
PRIVATE_SETTINGS = ("data.path", "data.patients", "data.patient_pattern")


def _flat(table: Table) -> list[tuple[str, str]]:
    """Nested tables as rows: ("packages", {"torch": "2.15"}) becomes ("torch", "2.15")."""
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(value)
        elif isinstance(value, list):
            rows += [(key.replace("_", " "), ", ".join(map(str, value)))] if value else []
        else:
            rows.append((key.replace("_", " "), str(value)))
    return rows


@functools.cache  # compiling the templates takes longer than filling them
def _environment(html: bool) -> Environment:
    """Templates whose every text goes on its way to the page through the `clean` that they are rendered with."""

    @pass_context
    def finalize(context: Context, value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, Markup) and not _is_picture(value):
            return context["clean"](value)
        return value

    environment = Environment(
        loader=PackageLoader("dfukit.report", "."),
        autoescape=html,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "plural": numbers.plural,
        "count": numbers.count,
        "fixed": numbers.fixed,
        "breaks": _breaks,
        "cell": lambda text: " ".join(str(text).replace("|", "\\|").split()),
    }
    return environment


def _breaks(text: str) -> Markup:
    """The text, which may go on in the next line after an underscore."""
    return Markup("_<wbr>").join(text.split("_"))


def _is_picture(text: str) -> bool:
    return text.startswith("data:image/")
