"""dfukit compare: generators, or configurations, on the same pictures at the same expense."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from dfukit.cli.options import data_options, json_option, showing, tell
from dfukit.interrupt import StopRequest, continued_by

SHARED = ("data", "positive", "patients", "patient_pattern", "device", "precision", "seed", "metric")


@click.command()
@click.argument("contestants", nargs=-1, required=True, metavar="CONTESTANT...")
@click.option("--time", default="", metavar="TIME", help="Train each for this long, such as 40m.")
@click.option("--pictures", type=int, default=0, metavar="N", help="Show each critic so many real pictures.")
@click.option("--seeds", type=int, default=1, metavar="N", help="Trainings of each contestant [1].")
@click.option("--together", type=int, default=1, metavar="N", help="Trainings side by side [1].")
@click.option("--smaller", type=int, default=0, metavar="WIDTH", help="Score pictures reduced to this width, too.")
@click.option("--data", metavar="DIR", help="Folder of pictures [the built-in phantom set].")
@data_options
@click.option("--preset", default="", metavar="NAME", help="Of contestants that name none [standard, or demo].")
@click.option("--metric", multiple=True, metavar="NAME", help="A metric of the table; may be repeated.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 [auto].")
@click.option("--precision", metavar="auto|fp32|bf16", help="[auto]")
@click.option("--seed", type=int, metavar="N", help="The first seed [0].")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of all: gan.size=64.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("compare"), help="Folder of it all [compare].")
@json_option
def compare(
    contestants: tuple[str, ...],
    time: str,
    pictures: int,
    seeds: int,
    together: int,
    smaller: int,
    preset: str,
    assignments: tuple[str, ...],
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Which generator is best on these pictures, at equal time or equal pictures?

    A CONTESTANT is a generator's name or a file of settings (mine.toml), either with further settings behind commas:
    fastgan,augmentation=ada,gan.ema=0.99. The same command goes on where it was interrupted.
    """
    from dfukit import config, settings

    shared: dict[str, Any] = {}
    for name in SHARED:
        if (value := options[name]) not in (None, ()):
            shared[config.OPTIONS[name]] = list(value) if isinstance(value, tuple) else value
    shared |= dict(settings.read_assignment(assignment) for assignment in assignments)
    with continued_by(lambda: shlex.join(["dfukit", *sys.argv[1:]])), showing() as progress:
        with StopRequest():  # an import that is cut short leaves halves of packages behind
            from dfukit import comparing
        finished = comparing.compare(
            comparing.read_contestants(contestants, preset=preset, shared=shared),
            out,
            time=time,
            pictures=pictures,
            seeds=seeds,
            together=together,
            smaller=smaller,
            progress=progress,
        )
    tell(finished, as_json)
