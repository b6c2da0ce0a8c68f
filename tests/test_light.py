"""The light half stays light: no torch before something is computed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "kornia", "sklearn", "torch_fidelity", "matplotlib", "tensorboard")


def loaded_after(code: str) -> set[str]:
    """Heavy packages that are loaded after some code in a fresh interpreter."""
    script = f"{code}\nimport sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split("\n")[-2].split())


def run_command(*arguments: str) -> str:
    return (
        "import sys\nfrom dfukit.cli import main\n"
        f"sys.argv = ['dfukit', *{list(arguments)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import dfukit",
        "from dfukit import Component, hookimpl, whole, real, choice, flag, text, names, frozen",
        "import dfukit.component, dfukit.config, dfukit.errors, dfukit.hookspecs, dfukit.registry, dfukit.rundir",
        "import dfukit.settings, dfukit.progress, dfukit.images, dfukit.phantom, dfukit.environment, dfukit.hardware",
        "import dfukit.monitor",
        "import dfukit.lookup, dfukit.manifest, dfukit.provenance, dfukit.sums",
        "from dfukit import registry; assert registry.load().offers",
        "from dfukit import config, registry; config.resolve(registry.load())",
        run_command("--help"),
        run_command("run", "--help"),
        run_command("run", "--wrong"),
        run_command("run", "--generator", "wrong"),
        run_command("plugins", "list"),
        run_command("plugins", "check", "--help"),
        run_command("plugins", "new", "lstm_wgan", "--kind", "critic"),
        run_command("doctor"),
        run_command("monitor", "latest"),
        run_command("export", "--help"),
        run_command("verify", "nowhere"),
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_after(code) == set()


def test_help_loads_no_plugin() -> None:
    code = run_command("--help")
    script = f"{code}\nassert not any(name.startswith(('dfukit_', 'pluggy')) for name in sys.modules)"
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)


def test_every_public_name_can_be_had() -> None:
    code = "import dfukit\nfor name in dfukit.__all__: assert getattr(dfukit, name) is not None, name"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import dfukit

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dfukit.nonsense  # type: ignore[attr-defined]
