"""Suites without pytest, for `dfukit plugins check`."""

from __future__ import annotations

import time
import unittest
from collections.abc import Iterator

from attrs import frozen

from dfukit.testing.suite import Suite


@frozen
class Outcome:
    """What came of one check."""

    check: str
    """Its name in words."""
    status: str
    """"passed", "failed" or "skipped"."""
    message: str
    seconds: float


def check(suite: type[Suite], component: str) -> Iterator[Outcome]:
    """Make the checks of a suite on a component, in the order in which they are written."""
    under_test = suite()
    under_test.component = component
    for name in names(suite):
        started = time.monotonic()
        status, message = "passed", ""
        try:
            getattr(under_test, name)()
        except unittest.SkipTest as reason:
            status, message = "skipped", str(reason)
        except AssertionError as error:
            status, message = "failed", str(error)
        # A plugin may raise anything: that is what is looked for.
        except (Exception, SystemExit) as error:
            status, message = "failed", f"{type(error).__name__}: {error}"
        yield Outcome(
            name.removeprefix("test_").replace("_", " "), status, " ".join(message.split()), time.monotonic() - started
        )


def names(suite: type[Suite]) -> list[str]:
    """The checks of a suite, those that all kinds share first."""
    found: dict[str, None] = {}
    for owner in reversed(suite.__mro__):
        found.update(dict.fromkeys(name for name in vars(owner) if name.startswith("test_")))
    return list(found)
