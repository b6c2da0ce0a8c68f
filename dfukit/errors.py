"""Everything that can go wrong for a user, as one tree; each class carries the exit code of the command line."""

from __future__ import annotations


class DfukitError(Exception):
    """Base of all errors that dfukit raises on purpose; its text is one line for the user."""

    exit_code = 1


class ConfigError(DfukitError):
    """A wrong option, setting, component name or positive class (exit 2)."""

    exit_code = 2


class DataError(DfukitError):
    """Missing or unusable pictures, manifests or patients (exit 3)."""

    exit_code = 3


class WeightsError(DataError):
    """Foreign, corrupt or missing weights (exit 3)."""


class NotInstalledError(WeightsError):
    """Weights of a component that no installed package offers (exit 3)."""


class PluginError(DfukitError):
    """A plugin that does not load or breaks its promise (exit 4)."""

    exit_code = 4


class DivergedError(DfukitError):
    """Training left the finite numbers and could not be brought back (exit 5)."""

    exit_code = 5


class ReleaseCheckError(DfukitError):
    """A set of synthetic pictures failed its release check (exit 6)."""

    exit_code = 6


class Interrupted(DfukitError):
    """The user stopped the run; what was reached is saved (exit 130)."""

    exit_code = 130


def reason_of(error: BaseException) -> str:
    """An error in one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # a plugin's error may fail at that, too
        text = "no message"
    if isinstance(error, DfukitError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
