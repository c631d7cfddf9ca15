"""Completion for the shell of a command line: `eval "$(weir-ingest --completion bash)"`."""

import argparse
import sys
from collections.abc import Callable, Sequence

SHELLS = ("bash", "zsh", "fish")


def nothing() -> None:
    """The parser is whole already."""


def add_completion(
    parser: argparse.ArgumentParser, command: str, *, make_whole: Callable[[], None] = nothing
) -> None:
    """Give a parser `--completion SHELL`, which prints the completion of `command` and ends.

    `make_whole` gives it the verbs that it loads only when they are named.
    """

    class Print(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: argparse.Namespace,  # noqa: ARG002 - argparse's own arguments
            values: str | Sequence[object] | None,
            option_string: str | None = None,  # noqa: ARG002 - as above
        ) -> None:
            import shtab  # noqa: PLC0415 - every other command would wait for it

            make_whole()
            parser.prog = command
            sys.stdout.write(shtab.complete(parser, shell=str(values)))
            parser.exit()

    parser.add_argument(
        "--completion",
        action=Print,
        choices=SHELLS,
        metavar="SHELL",
        help=f'print completion for {", ".join(SHELLS)}: eval "$({command} --completion bash)"',
    )
