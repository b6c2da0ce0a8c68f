"""What a plugin's author needs to see of a run that the plugin ended."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from dfukit import rundir
from dfukit.errors import PluginError
from dfukit.rundir import RunDir


@contextmanager
def traceback_kept(run: RunDir) -> Iterator[None]:
    """Where what a plugin raised ends the block, the traceback goes to the run folder, and the error says so."""
    try:
        yield
    except PluginError as error:
        if error.__cause__ is None:  # nothing was raised: the text says all
            raise
        rundir.write_text(run.traceback, "".join(traceback.format_exception(error)))
        raise PluginError(f"{error} (traceback in {run.traceback})") from error.__cause__
