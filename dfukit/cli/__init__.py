"""The command line: parse, resolve, call. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import atexit
import importlib
import io
import os
import signal
import sys
import threading
import traceback

import click

# Each command lives in a module of this package that is imported when it is asked for.
COMMANDS = {
    "run": ("run", "photographs in; generator, synthetic pictures, scores, classifier and report out"),
    "train": ("run", "train a GAN and stop there"),
    "classify": ("run", "train and judge the classifiers of a run anew"),
    "report": ("run", "write the report of a run anew"),
    "monitor": ("monitor", "watch a run in another process, or look at a finished one"),
    "data": ("data", "look at, prepare or clear pictures"),
    "sample": ("use", "draw synthetic pictures from a trained generator"),
    "score": ("use", "score a folder of synthetic pictures against real ones"),
    "compare": ("compare", "generators or configurations at equal time or equal pictures"),
    "lift": ("lift", "do the synthetic pictures help a classifier on real patients?"),
    "evaluate": ("evaluate", "judge a classifier on the labelled pictures of another place"),
    "predict": ("use", "score photographs with a trained classifier"),
    "export": ("release", "a bundle for sharing, without anything of the photographs"),
    "verify": ("release", "check a run or a bundle, or find a picture in it"),
    "plugins": ("plugins", "list, show and check components; begin a new one"),
    "weights": ("weights", "pretrained weights: list, get, add, verify"),
    "doctor": ("doctor", "versions, devices, disk, weights, broken plugins"),
}


class LazyGroup(click.Group):
    """A group whose help needs no command's module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dfukit.cli.{COMMANDS[cmd_name][0]}_commands")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dfukit", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def group(debug: bool) -> None:
    """A GAN toolkit for wound photographs. Research use only: no diagnosis."""


def main() -> None:
    """Run the command line; errors become one line on standard error and an exit code."""
    from dfukit.errors import DfukitError
    from dfukit.interrupt import sigterm_like_ctrl_c

    threading.excepthook = _quietly
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8, nor the terminal
    # --debug counts wherever it stands, so that it can be added to the end of a failed command.
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        with sigterm_like_ctrl_c():
            code = group.main(arguments, prog_name="dfukit", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # click before 8.2 prints the help itself
            click.echo(error.format_message(), err=True)
            sys.exit(2)
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f" (see {error.ctx.command_path} --help)"
        _fail(error.format_message() + hint, 2)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)  # a run says how it goes on (`dfukit.interrupt.continued_by`)
    except DfukitError as error:
        if debug:
            traceback.print_exc()
        _fail(str(error), error.exit_code)
    except Exception as error:
        if debug:
            raise
        text = " ".join(str(error).split()) or "no message"
        _fail(f"internal error: {type(error).__name__}: {text} (add --debug for the traceback)", 1)


def _quietly(raised: threading.ExceptHookArgs) -> None:
    """A full disk in TensorBoard's thread is raised again in ours, where it becomes one line."""
    if not issubclass(raised.exc_type, OSError):
        threading.__excepthook__(raised)


def _fail(text: str, code: int) -> None:
    rank = os.environ.get("RANK", "0")
    where = "" if rank == "0" else f" in process {rank}"  # of those that torchrun started
    click.echo(f"Error{where}: {text}", err=True)
    if code == 130 and hasattr(signal, "pthread_sigmask"):
        # Where an interruption fell into exec() of a text (dataclasses do that while torch is imported), Python kills
        # itself by SIGINT at its end, although the interruption was caught; with SIGINT blocked it ends by our code.
        atexit.register(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGINT})
    sys.exit(code)
