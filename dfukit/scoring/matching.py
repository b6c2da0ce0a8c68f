"""What two sets of pictures must be so that a score of them means something."""

from __future__ import annotations

from collections.abc import Mapping

from dfukit.errors import DataError
from dfukit.scoring.reading import Source
from dfukit.scoring.trial import MIN_PICTURES

EXAMPLES = 3


def common_classes(parts: Mapping[str, Source], fake: Source) -> tuple[str, ...]:
    """The classes of both sets, sorted; none where one of them has no labels.

    Raises DataError where one has a label that the other lacks.
    """
    if fake.labels is None or any(part.labels is None for part in parts.values()):
        return ()
    known = {label for part in parts.values() for label in part.labels or ()}
    place = next(iter(parts.values())).place
    for here, there, lacking in (
        (place, fake.place, known - {*fake.labels}),
        (fake.place, place, {*fake.labels} - known),
    ):
        if lacking and known and fake.labels:
            raise DataError(
                f"labels do not match: {here} has {_some(sorted(lacking))}, which {there} lacks; score one class alone "
                "with --label LABEL, or name the folders that hold its pictures"
            )
    return tuple(sorted(known))


def refuse_shared(parts: Mapping[str, Source], fake: Source) -> None:
    """Raise DataError where pictures of the one set are, byte for byte, in the other."""
    for part in parts.values():
        where = {digest: name for digest, name in zip(part.digests, part.names, strict=True) if digest}
        shared = [
            f"{name} is {where[digest]}"
            for digest, name in zip(fake.digests, fake.names, strict=True)
            if digest in where
        ]
        if shared:
            raise DataError(
                f"{len(shared)} of {len(fake.names)} pictures in {fake.place} are byte for byte in {part.place} "
                f"({_some(shared)}): a score would reward copies; take them out of one set, or have all copies found "
                "with --metric copies alone"
            )


def refuse_few(place: str, n: int) -> None:
    """Raise DataError where a set is too small to be scored."""
    if n < MIN_PICTURES:
        raise DataError(f"{place} has {n} usable pictures; a score needs at least {MIN_PICTURES}")


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:EXAMPLES]) + (" and so on" if len(texts) > EXAMPLES else "")
