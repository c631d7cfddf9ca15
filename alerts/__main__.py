"""The command line: `python -m alerts VERB`."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from schemas.rule import DEFAULT_RULES, BadRules, Rules, read_rules

OK, WRONG, USAGE = 0, 1, 2

DESCRIPTION = """\
Says who is about to break a limit, who has, and who cannot be judged: each once, with its cause.

Without a server, from a simulated stream to what people would be told:

  python -m ingest simulate --hours 48 --seed 7 |
  python -m processors replay | python -m alerts replay

On the servers:

  python -m alerts check rules.toml    is the rule file right?
  python -m alerts run --rules rules.toml --alertmanager http://127.0.0.1:9093
  python -m alerts list                who is pending or firing now
"""

EPILOG = """\
Exit codes: 0 done; 1 the input is wrong, and where was said; 2 the command itself was wrong.
"""

RULES_HELP = "rule file in TOML (deploy/example/rules.toml is one). Without it: " + ", ".join(
    rule.name for rule in DEFAULT_RULES
)

REPLAY = """\
Reads indicators and ticks from standard input, one JSON object a line, as `python -m processors
replay` writes them, and prints each transition of an alert as one line of JSON: the same lines for
the same input, however often a part of it is repeated. Holds pass by the ticks, not by the clock.
"""

CHECK = """\
Names everything that is wrong with a rule file, each with the value at fault; or says what the
rules are.
"""


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one verb and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        match options.verb:
            case "check":
                code = check(options.rules)
            case "replay":
                code = replay(options.rules)
            case _:
                parser.print_help()
                code = USAGE
        sys.stdout.flush()
    except UsageError as error:
        print(f"alerts: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # Who read us has seen enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return WRONG
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m alerts",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verb = _verb(verbs, "replay", "alerts of a log, without a server", REPLAY)
    verb.add_argument("--rules", type=Path, metavar="FILE", help=RULES_HELP)
    verb = _verb(verbs, "check", "name what is wrong with a rule file", CHECK)
    verb.add_argument("rules", type=Path, metavar="RULES", help="rule file in TOML")
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, line: str, text: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=line,
        description=text,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def check(path: Path) -> int:
    """Print everything that is wrong with a rule file, or what it says."""
    found = read_rules(_read(path))
    if isinstance(found, BadRules):
        for error in found.errors:
            print(f"{path}: {error}", file=sys.stderr)
        return WRONG
    for rule in found:
        watched = ", ".join(rule.units)
        spared = f" except {', '.join(rule.except_units)}" if rule.except_units else ""
        print(
            f"{rule.name}: {rule.kind}, {rule.severity}, fires after {rule.hold}, "
            f"ends after {rule.recover_hold}, units {watched}{spared}"
        )
    return OK


def replay(path: Path | None) -> int:
    """Print the transitions of the log on standard input."""
    from alerts.replay import replay as notices_of

    code = OK
    states: Counter[str] = Counter()
    for told in notices_of(sys.stdin.buffer, load_rules(path)):
        if isinstance(told, tuple):
            number, unreadable = told
            print(f"alerts: line {number}: {unreadable.reason}", file=sys.stderr)
            code = WRONG
            continue
        states[told.state] += 1
        print(told.model_dump_json(), flush=True)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    print(f"alerts: {counts or 'no transition'}", file=sys.stderr)
    return code


def load_rules(path: Path | None) -> Rules:
    """Return the rules of a file, or the default ones. Raises UsageError on a bad file."""
    if path is None:
        return DEFAULT_RULES
    found = read_rules(_read(path))
    if isinstance(found, BadRules):
        message = f"{path} is not used:\n{found}"
        raise UsageError(message)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {error}"
        raise UsageError(message) from error


if __name__ == "__main__":
    sys.exit(main())
