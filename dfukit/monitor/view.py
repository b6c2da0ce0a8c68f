"""Drawing a state: lines that fit a terminal of any width and height, the most important ones kept."""

from __future__ import annotations

import math
import shlex
import time

from rich.text import Text

from dfukit.monitor.page import ASCII, FIRST, HIGH, LOW, MIDDLE, UNICODE, Page, sparkline
from dfukit.monitor.series import Series
from dfukit.monitor.state import State, Told
from dfukit.monitor.training import Arm, Gan, Training

NOTES = 3
"""Notes shown, the latest."""
TITLES = {
    "critic_loss": "critic loss",
    "generator_loss": "generator loss",
    "critic_penalty": "penalty",
    "wasserstein": "real - fake",
}
COLOURS = {
    "waiting": "yellow",
    "running": "green",
    "stopping": "yellow",
    "silent": "red",
    "trained": "green",
    "classified": "green",
    "finished": "green",
}
HEADLINES = {"silent": "NO SIGN OF LIFE", "trained": "GAN DONE", "classified": "CLASSIFIERS DONE"}
"""Of a status, where it is not its name in capitals."""


def draw(
    state: State,
    now: float,
    width: int,
    height: int | None = None,
    footer: Text | None = None,
    ascii_only: bool = False,
) -> list[Text]:
    """The view: lines of at most `width` cells, at most `height` of them; `footer` is the last."""
    page = Page(max(width, 1), ASCII if ascii_only else UNICODE)
    status = state.status(now)
    _header(page, state, status, now)
    _GAN[state.phase](page, state, status, now)
    _classifiers(page, state, status, now)
    _ending(page, state, status, now)
    _told(page, state)
    if footer is not None:
        page.blank()
        page.add(FIRST, footer)
    return page.lines(height)


def _header(page: Page, state: State, status: str, now: float) -> None:
    name = _plain(state.folder.path.resolve().name)
    headline = HEADLINES.get(status, status.upper())
    style = f"bold {COLOURS[status]}"
    room = page.column - len(name) - len(headline)
    if room >= 3:
        page.add(HIGH, Text.assemble((name, "bold"), " " * room, (headline, style)))
    else:
        page.add(LOW, Text(name, "bold"))
        page.add(HIGH, Text(headline, style))
    items = [_plain(str(state.setting(slot, "name") or "")) for slot in ("generator", "classifier")]
    silence = state.silence(now)
    if silence is not None and status in ("running", "stopping"):
        items.append(f"last event {duration(silence)} ago")
    page.flow(LOW, [(item, "dim") for item in items if item])
    if status == "silent":
        _silent(page, state, silence or 0.0)
    if status == "waiting":
        since = "" if state.started is None else f", {duration(now - state.started)} after its start"
        page.words(HIGH, f"waiting for the first event{since}: pictures and networks are made ready", "yellow")
    if status == "stopping":
        page.words(HIGH, "asked to stop training now and to go on to the report", "bold yellow")


def _silent(page: Page, state: State, silence: float) -> None:
    page.words(
        FIRST,
        f"no sign of life for {duration(silence)}: where it was interrupted, "
        f"dfukit run --resume {shlex.quote(_plain(str(state.folder.path)))} goes on with it",
        "bold red",
        most=5,
    )


def _gan(page: Page, state: State, status: str, now: float) -> None:
    """The GAN while it trains."""
    gan = state.gan
    if gan.step is None and status == "waiting":
        return
    page.blank()
    _progress(page, FIRST, "GAN", gan, status, now, gan.figures["pictures_per_second"])
    page.blank()
    _stopping_metric(page, gan, state.patience("gan"))
    for name, title in TITLES.items():
        _curve(page, MIDDLE, title, gan.series[name])
    page.blank()
    page.flow(MIDDLE, _facts(gan))


def _gan_done(page: Page, state: State, status: str, now: float) -> None:
    """The GAN once it is done: what became of it."""
    gan, training = state.gan, state.training or {}
    page.blank()
    steps = training.get("steps", gan.step)
    why = _plain(str(training.get("stopped") or ""))
    _bar(page, FIRST, "GAN", 1.0, "done")
    said = [f"{_count(steps, page)} steps", *([why] if why else [])]
    kept = training.get("kept_step")
    if kept is not None:
        said.append(f"those of step {_count(kept, page)} are kept")
    lost = [
        (f"{training[key]} {name}", "yellow")
        for key, name in (("skipped_steps", "steps skipped"), ("roll_backs", "roll-backs"))
        if isinstance(training.get(key), int) and training[key]
    ]
    page.flow(MIDDLE, [*((item, "") for item in said), *lost], _indent(page))
    _stopping_metric(page, gan, 0)


_GAN = {"gan": _gan, "scores": _gan_done, "classifier": _gan_done, "report": _gan_done, "done": _gan_done}


def _stopping_metric(page: Page, gan: Gan, patience: int) -> None:
    distance = gan.series["distance"]
    if distance.lowest is None:
        if gan.distance_name:
            page.words(LOW, f"the {gan.distance_name} could not be measured", "dim")
            page.flow(HIGH, _counter(gan.waited, patience, "evaluations"), _indent(page))
        elif gan.figures["diversity"] is not None:
            page.words(LOW, "no stopping metric: training ends after its last step", "dim")
        return
    _curve(page, HIGH, gan.distance_name or "distance", distance, "bold cyan")
    lowest = f"lowest {_figure(distance.lowest)} at step {_count(distance.lowest_step, page)}"
    page.flow(HIGH, [(lowest, ""), *_counter(gan.waited, patience, "evaluations")], _indent(page))


def _counter(waited: int, patience: int, unit: str) -> list[tuple[str, str]]:
    """How near training is to being stopped; nothing where it never is."""
    if not patience:
        return []
    style = "bold yellow" if waited >= 0.7 * patience else ""
    return [(f"no better for {waited} of {patience} {unit}", style)]


def _facts(gan: Gan) -> list[tuple[str, str]]:
    """Figures of which the latest is enough, where they are known."""
    figures = gan.figures
    memory, rate, skipped, back = (figures[name] for name in ("memory_gib", "rate", "skipped", "roll_backs"))
    found = []
    if memory is not None:
        found.append((f"memory {memory:.1f} GiB", ""))
    if rate is not None:
        found.append((f"learning rate factor {rate:g}", "yellow" if rate < 1 else ""))
    if skipped is not None:
        found.append((f"{skipped:g} steps skipped", "yellow" if skipped else ""))
    if back is not None:
        found.append((f"{back:g} roll-backs", "yellow" if back else ""))
    if figures["diversity"] is not None:
        found.append((f"diversity {_figure(figures['diversity'])}", ""))
    if figures["critic_overfitting"] is not None:
        found.append((f"overfitting {figures['critic_overfitting']:.2f}", ""))
    return found


def _classifiers(page: Page, state: State, status: str, now: float) -> None:
    if state.phase == "scores" and status == "running":
        page.blank()
        page.words(HIGH, "drawing and scoring the synthetic set", "")
    if state.arms:
        page.blank()
        page.add(LOW, Text("classifier", "dim"))
    for name, arm in state.arms.items():
        name = _plain(name)
        if arm is state.now_training:
            _progress(page, FIRST, name, arm, status, now, arm.pictures_per_second)
        else:
            _bar(page, HIGH, name, 1.0, "done")
        _classifier(page, arm, state.patience("classify") if arm is state.now_training else 0)


def _classifier(page: Page, arm: Arm, patience: int) -> None:
    if arm.validation.lowest is not None:
        _curve(page, HIGH, "validation loss", arm.validation, "bold cyan")
        lowest = f"lowest {_figure(arm.validation.lowest)} at step {_count(arm.validation.lowest_step, page)}"
        page.flow(HIGH, [(lowest, ""), *_counter(arm.validation.since_lowest, patience, "epochs")], _indent(page))
    _curve(page, MIDDLE, "loss", arm.loss)


def _ending(page: Page, state: State, status: str, now: float) -> None:
    """What follows the classifiers."""
    if state.phase == "report" and status == "running":
        page.words(HIGH, "writing the report", "")
    if state.phase == "done":
        page.blank()
        page.words(HIGH, f"report {_plain(str(state.folder.report))}", "", most=4)
    silence = duration(state.silence(now) or 0.0)
    if status == "trained":
        page.words(HIGH, f"no event for {silence}: this run ends here, or is drawing and scoring its pictures", "")
    if status == "classified":
        again = f"dfukit report {shlex.quote(_plain(str(state.folder.path)))} writes one"
        page.words(HIGH, f"no event for {silence}: this run ends here, or is writing its report; {again}", "", most=4)


def _told(page: Page, state: State) -> None:
    """Alarms, all of them; the latest notes; lines of the log that are none."""
    if state.alarms or state.notes or state.unreadable:
        page.blank()
    for told in state.alarms:
        page.words(FIRST, f"ALARM {_place(told, page)}{told.alarm}: {told.text}", "bold red")
    for told in list(state.notes)[-NOTES:]:
        page.words(MIDDLE, f"note {_place(told, page)}{told.text}", "", most=2)
    if state.unreadable:
        page.words(LOW, f"left out, being no events: {state.unreadable} of the lines in metrics.jsonl", "dim", most=2)


def _progress(
    page: Page, weight: int, name: str, training: Training, status: str, now: float, pictures: float | None
) -> None:
    """A bar, and under it the figures that go with it."""
    _bar(page, weight, name, training.share, COLOURS[status] if status != "silent" else "")
    items = []
    if training.step is not None:
        of = f" of {_count(training.steps, page)}" if training.steps else ""
        items.append((f"step {_count(training.step, page)}{of}", ""))
    if training.epoch is not None:
        items.append((f"epoch {training.epoch:.4g}", ""))
    if pictures is not None:
        items.append((f"{_figure(pictures)} pictures/s", ""))
    left = training.seconds_left(now)
    if left is not None and status in ("running", "stopping"):
        items.append((f"{duration(left)} left{_until(now, left)}", "bold"))
    page.flow(HIGH, items, _indent(page))


def _bar(page: Page, weight: int, name: str, share: float | None, style: str = "") -> None:
    room = page.room
    done = 0 if share is None else math.floor(share * room)
    middle = Text.assemble((page.glyphs.done * done, "green"), (page.glyphs.left * (room - done), "dim"))
    value = style if style == "done" else page.glyphs.unknown if share is None else f"{math.floor(share * 100)} %"
    page.row(weight, name, middle, value, "bold")


def _curve(page: Page, weight: int, name: str, series: Series, style: str = "") -> None:
    if not series.points:
        return
    room = page.room
    spark = Text(sparkline(series.points, room, page.glyphs.steps), "cyan")
    value = page.glyphs.unknown if series.last is None else _figure(series.last)
    page.row(weight, name, spark, value, style)


def _indent(page: Page) -> int:
    """Under the bars and curves, where there is room for that."""
    return page.names if page.width >= 60 else 2


def _place(told: Told, page: Page) -> str:
    return "" if told.step is None else f"step {_count(told.step, page)}, "


def _plain(text: str) -> str:
    """Nothing that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _count(value: object, page: Page) -> str:
    return f"{value:,}" if isinstance(value, int) else page.glyphs.unknown


def _figure(value: float) -> str:
    """Four digits, in at most nine characters."""
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}"


def duration(seconds: float) -> str:
    """In the two largest units."""
    left = max(int(seconds), 0)
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} min"
    if left < 86_400:
        return f"{left // 3600} h {left % 3600 // 60:02} min"
    return f"{left // 86_400} d {left % 86_400 // 3600} h"


def _until(now: float, left: float) -> str:
    """The time of day, where it is near enough to be one and far enough to be asked for."""
    if not 600 <= left < 7 * 86_400:
        return ""
    until = time.localtime(now + left)
    day = "" if left < 43_200 else "%a "
    return f" ({time.strftime(day + '%H:%M', until)})"
