"""The command line: `python -m alerts VERB`."""

import argparse
import gc
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from schemas.rule import DEFAULT_RULES, BadRules, Rules, read_rules

if TYPE_CHECKING:
    from alerts.settings import AlertSettings

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


RUN = """\
Hears the indicators, stores each transition of an alert with its cause and evidence, and tells
Alertmanager and a webhook. May run several times: the partitions are shared out.

Settings come from the environment: WEIR_KAFKA, WEIR_DATABASE_URL, WEIR_ALERTMANAGER,
WEIR_ALERTS_WEBHOOK (the last and the database's also from the file that WEIR_..._FILE names),
WEIR_ALERTS_HTTP (where /metrics, /healthz and /readyz are), WEIR_ALERTS_REPEAT_SECONDS.

The tables are made by `python -m processors migrate up`. SIGTERM ends it in order. Exit code 70:
it ended itself, said why, and is to be started again.
"""

LIST = """\
Prints the alerts that are pending or firing, from the database (WEIR_DATABASE_URL).
"""


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


class AwayError(Exception):
    """What the command needs is not there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one verb and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    # Messages are many small objects without cycles: collecting them took four fifths of the time.
    gc.set_threshold(100_000, 20, 20)
    try:
        match options.verb:
            case "check":
                code = check(options.rules)
            case "replay":
                code = replay(options.rules)
            case "run":
                code = run(options)
            case "list":
                code = list_alerts(as_json=options.json)
            case _:
                parser.print_help()
                code = USAGE
        sys.stdout.flush()
    except UsageError as error:
        print(f"alerts: {error}", file=sys.stderr)
        return USAGE
    except AwayError as error:
        print(f"alerts: {error}", file=sys.stderr)
        return WRONG
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
    verb = _verb(verbs, "run", "the worker: hear, store, tell", RUN)
    verb.add_argument("--rules", type=Path, metavar="FILE", help=RULES_HELP)
    verb.add_argument(
        "--notify-history",
        action="store_true",
        help="also tell what units in history had (imports, simulations); it is stored anyway",
    )
    verb.add_argument("--webhook", metavar="URL", help="tell it each transition by POST")
    verb.add_argument("--alertmanager", metavar="URL", help="else WEIR_ALERTMANAGER")
    verb.add_argument("--no-alertmanager", action="store_true", help="do not tell Alertmanager")
    verb = _verb(verbs, "list", "who is pending or firing now", LIST)
    verb.add_argument("--json", action="store_true", help="one object a line, with its evidence")
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


def run(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    from alerts import app
    from alerts.channels import Alertmanager, Channel, Webhook
    from alerts.stop_at import chosen_point
    from schemas.settings import SettingsError

    rules = load_rules(options.rules)
    settings = _settings()
    secret = settings.alerts_webhook
    webhook = options.webhook or (secret.get_secret_value() if secret else None)
    channels: list[Channel] = []
    if not options.no_alertmanager:
        url = _address(options.alertmanager or settings.alertmanager)
        channels.append(Alertmanager(url, settings.alerts_repeat_seconds))
    if webhook:
        channels.append(Webhook(_address(webhook)))
    try:
        app.run(
            settings,
            rules,
            channels,
            notify_history=options.notify_history,
            at_point=chosen_point(),
        )
    except SettingsError as error:
        raise UsageError(error) from error
    return OK


def list_alerts(*, as_json: bool) -> int:
    """Print the alerts that are pending or firing."""
    from alerts.store import MissingTablesError, Store
    from schemas.calendar import rfc3339

    def give_up(reason: str) -> NoReturn:
        raise AwayError(reason)

    store = Store(_database_of(_settings()))
    store.waits = give_up
    try:
        alerts = store.alerts()
    except MissingTablesError as error:
        raise AwayError(error) from error
    finally:
        store.close()
    if as_json:
        for alert in alerts:
            print(alert.model_dump_json())
        return OK
    for alert in alerts:
        recovering = ", over since " + rfc3339(alert.cleared_at) if alert.cleared_at else ""
        print(
            f"{alert.state:<7} {alert.severity:<8} {alert.key.unit} {alert.key.rule}: "
            f"{alert.kind} since {rfc3339(alert.since)}{recovering}"
        )
    print(f"alerts: {len(alerts)} pending or firing", file=sys.stderr)
    return OK


def _settings() -> "AlertSettings":
    from alerts.settings import AlertSettings
    from schemas.settings import SettingsError

    try:
        return AlertSettings.read()
    except SettingsError as error:
        raise UsageError(error) from error


def _database_of(settings: "AlertSettings") -> str:
    if settings.database_url is None:
        message = "no database named: set WEIR_DATABASE_URL or WEIR_DATABASE_URL_FILE"
        raise UsageError(message)
    return settings.database_url.get_secret_value()


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = f"{parts.scheme}://{parts.hostname or ''} is no address such as http://host:9093"
        raise UsageError(message)
    return url


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
