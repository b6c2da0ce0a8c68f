"""How a synthetic picture of the run is known again: what its file says, and the digest of its generator."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from dfukit import provenance
from dfukit.report.facts import Facts
from dfukit.rundir import RunDir


@frozen
class Marks:
    """What the first picture of the set says of itself, and the generator of the run folder."""

    xmp: bool
    """Whether it says trainedAlgorithmicMedia."""
    chunk: Sequence[tuple[str, str]]
    """The content of the PNG text chunk; empty where there is none."""
    generator: str
    """SHA-256 of the generator's weights file; empty where there is none."""
    foreign: bool
    """The picture names another generator than the one that lies in the folder."""


def read_marks(folder: RunDir, facts: Facts) -> Marks:
    """Raises DataError, naming the file, for one that cannot be read."""
    generator = provenance.file_sha256(folder.generator_weights) if folder.generator_weights.is_file() else ""
    if not facts.synthetic:
        return Marks(False, (), generator, False)
    picture = provenance.open_picture(facts.synthetic[0].file)
    said = provenance.read_marks(picture)
    run = said.get("run")
    return Marks(
        provenance.TRAINED in str(picture.info.get(provenance.XMP_CHUNK, "")),
        [(str(key), str(value)) for key, value in said.items()],
        generator,
        bool(generator and run and run != provenance.run_of(generator)),
    )
