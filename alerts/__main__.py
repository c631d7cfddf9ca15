"""The command line: `python -m alerts VERB`."""

import argparse
import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from schemas.completion import add_completion
from schemas.rule import DEFAULT_RULES, BadRules, Rules, milliseconds, read_rules
from schemas.settings import SettingsError

if TYPE_CHECKING:
    from alerts.backtest import Backtest
    from alerts.channels import Alertmanager
    from alerts.keeper import Duties
    from alerts.roster import Roster
    from alerts.settings import AlertSettings

OK, WRONG, USAGE = 0, 1, 2

DESCRIPTION = """\
Says who is about to break a limit, who has, and who cannot be judged: each once, with its cause.

Without a server, from a simulated stream to what people would be told:

  python -m ingest simulate --hours 48 --seed 7 |
  python -m processors replay | python -m alerts replay

On the servers:

  python -m alerts check rules.toml    is the rule file right?
  python -m alerts test rules-test.toml      do its rules do what their tests say?
  python -m alerts backtest rules.toml --from 2026-10-01 --to 2026-11-01    what would it have told?
  python -m alerts run --rules rules.toml --alertmanager http://127.0.0.1:9093
  python -m alerts list                who is pending or firing now; --cases, --silences, --log
  python -m alerts ack CASE --owner WHO --reason WHY --for PT4H
  python -m alerts silence city=510400 --owner WHO --reason WHY --for P1D
  python -m alerts doctor              what it stands on: rules, database, Kafka, Alertmanager, people
  python -m alerts deadman             raise when the alarms themselves are dead
  python -m alerts roster on-call.toml is somebody on duty, always?
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


TEST = """\
Tries rules on what a file says that units are told, and compares the transitions that come of it
with those that it expects (deploy/example/rules-test.toml is one). Each difference is told with
what may explain it. Exit code 1: there are some.
"""

BACKTEST = """\
Runs a rule file over what was told of units (WEIR_DATABASE_URL), before it is put in force: how
often each rule would have fired, on whom, beside which rules in force (--against FILE, else the
default ones), and what those told that none of the new ones says. Nothing is stored or sent.

What retention has dropped is not there; `first` and `last` say from when to when there was history.
"""

DEADMAN = """\
Hears the alarm that always fires (Watchdog: deploy/prometheus/rules, routed here by
deploy/alertmanager/alertmanager.yml) and tells the receivers of WEIR_ALERTS_RECEIVERS when it stays
away, and when it is back. Run it on another machine. GET /healthz answers 503 while it is silent.

  python -m alerts deadman --listen 0.0.0.0:9104 --patience PT5M --tell duty-room
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
Prints the alerts that are pending or firing, from the database (WEIR_DATABASE_URL); or the open
cases (one fact each, as people hear of it), the silences that hold, or the newest words to people:
to whom each went, and why to nobody.
"""

ACK = """\
Takes a case up: until then nobody farther is told of it. It is told anew when it becomes worse,
and goes on up when the time is over and it is still open. Kept in the table `act`.
"""

SILENCE = """\
Tells nothing of what matches, until then: to people, and, where the alerts' worker has one, to
Alertmanager (its silences API). What is still so when the silence ends is told then.

  python -m alerts silence unit=9151010000EXAMPLE1 --owner Li --reason 'meters exchanged' --for P1D
  python -m alerts silence 'city=~5104.*' kind='silent points' --owner Li --reason '...' --for PT6H

Labels: alertname (the rule), city, kind, province, severity, unit. Kept in the table `act`.
"""

UNSILENCE = """\
Ends a silence now, here and in Alertmanager.
"""

ROSTER = """\
Checks a file of who is on duty (deploy/example/on-call.toml is one): everything wrong with it, the
gaps between duties from now on, receivers without an address (WEIR_ALERTS_RECEIVERS), and until
when the calendar of working days is known. A gap is told by exit code 1.
"""


DOCTOR = """\
Looks at the rule file, the database (tables, rights, clock), Kafka and what was heard of it,
Alertmanager (its clock, its route for the watchdog), the channels' addresses, the roster from now
on, the calendar of working days, and the dead man's switch. Nothing is changed, nobody is told.

  python -m alerts doctor --rules /etc/weir/rules.toml --deadman http://other-machine:9104
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
        code = _carry_out(options)
        if code is None:
            parser.print_help()
            code = USAGE
        sys.stdout.flush()
    except (UsageError, SettingsError) as error:
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


def _carry_out(options: argparse.Namespace) -> int | None:
    """Carry out the verb; None where there is none."""
    verbs: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "check": lambda told: check(told.rules),
        "replay": lambda told: replay(told.rules),
        "test": lambda told: try_rules(told.tests),
        "backtest": try_on_history,
        "run": run,
        "list": list_what,
        "ack": act,
        "silence": act,
        "unsilence": act,
        "deadman": watch_for_watchdog,
        "roster": lambda told: check_roster(told.roster),
        "doctor": look_at_all,
    }
    work = verbs.get(options.verb)
    return None if work is None else work(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m alerts",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_completion(parser, "weir-alerts")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verb = _verb(verbs, "replay", "alerts of a log, without a server", REPLAY)
    verb.add_argument("--rules", type=Path, metavar="FILE", help=RULES_HELP)
    verb = _verb(verbs, "test", "unit tests of rules", TEST)
    verb.add_argument("tests", type=Path, metavar="FILE", help="tests in TOML")
    verb = _verb(verbs, "backtest", "what rules would have told", BACKTEST)
    verb.add_argument("rules", type=Path, metavar="RULES", help="rule file in TOML")
    verb.add_argument("--from", dest="begin", required=True, metavar="DAY", help="2026-10-01")
    verb.add_argument("--to", dest="end", required=True, metavar="DAY", help="not among them")
    verb.add_argument("--against", type=Path, metavar="FILE", help="rules in force")
    verb.add_argument("--json", action="store_true", help="one object")
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
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--cases", action="store_true", help="open cases, with who took them up")
    which.add_argument("--case", metavar="CASE", help="the alerts of one case")
    which.add_argument("--silences", action="store_true", help="silences that hold")
    which.add_argument(
        "--log", action="store_true", help="the newest 200 words, and their delivery"
    )
    verb = _act(verbs, "ack", "take a case up", ACK, lasting=True)
    verb.add_argument("case", metavar="CASE", help="as `list --cases` and every message name it")
    verb = _act(verbs, "silence", "tell nothing of what matches", SILENCE, lasting=True)
    verb.add_argument("matchers", nargs="+", metavar="NAME=VALUE", help="or NAME=~PATTERN")
    verb = _act(verbs, "unsilence", "end a silence", UNSILENCE, lasting=False)
    verb.add_argument("silence", type=int, metavar="NUMBER", help="as `list --silences` names it")
    verb = _verb(verbs, "deadman", "raise when the alarm that always fires stays away", DEADMAN)
    verb.add_argument("--listen", default="127.0.0.1:9104", metavar="HOST:PORT")
    verb.add_argument("--patience", default="PT5M", metavar="PT5M", help="silent for longer: raise")
    verb.add_argument("--tell", action="append", metavar="RECEIVER", help="again; else all")
    verb = _verb(verbs, "doctor", "look at all that alerts stand on: ok, or what to do", DOCTOR)
    verb.add_argument("--rules", type=Path, metavar="FILE", help="as `run` is given it")
    verb.add_argument("--alertmanager", metavar="URL", help="else WEIR_ALERTMANAGER")
    verb.add_argument("--no-alertmanager", action="store_true", help="it is told nothing")
    verb.add_argument("--deadman", metavar="URL", help="http://OTHER-MACHINE:9104: ask it, too")
    verb.add_argument("--json", action="store_true", help="a line of JSON each")
    verb = _verb(verbs, "roster", "who is on duty, and when nobody is", ROSTER)
    verb.add_argument("roster", type=Path, metavar="FILE", help="roster in TOML")
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


def _act(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    line: str,
    text: str,
    *,
    lasting: bool,
) -> argparse.ArgumentParser:
    verb = _verb(verbs, name, line, text)
    verb.add_argument("--owner", required=True, metavar="WHO", help="whose it is")
    verb.add_argument("--reason", required=True, metavar="WHY", help="why; kept")
    if lasting:
        verb.add_argument(
            "--for", dest="lasting", required=True, metavar="PT4H", help="until it ends by itself"
        )
    return verb


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


def try_rules(path: Path) -> int:
    """Print what each test of a file finds."""
    from alerts.rule_tests import BadTestsError, differences, read_tests

    try:
        tests = read_tests(_read(path))
    except BadTestsError as error:
        message = f"{path} is not used:\n{error}"
        raise UsageError(message) from error
    rules = load_rules(path.parent / tests.rules)
    failed = 0
    for test in tests.tests:
        found = differences(test, rules)
        print(f"{'FAIL' if found else 'ok':<4} {test.name}")
        for difference in found:
            print(f"     {difference}")
        failed += bool(found)
    print(f"alerts: {len(tests.tests)} tests, {failed} failed", file=sys.stderr)
    return WRONG if failed else OK


def try_on_history(options: argparse.Namespace) -> int:
    """Print what rules would have told."""
    from dataclasses import asdict

    from alerts.backtest import backtest
    from alerts.people import RefusedError
    from alerts.told_history import told_history

    begin, end = _day(options.begin), _day(options.end)
    if end <= begin:
        message = f"--to {options.end} is not after --from {options.begin}"
        raise UsageError(message)
    new, in_force = load_rules(options.rules), load_rules(options.against)
    try:
        messages = told_history(_database_of(_settings()))
        found = backtest(messages, new, in_force, begin=begin, end=end)
    except RefusedError as error:
        raise AwayError(error) from error
    if options.json:
        print(json.dumps(asdict(found)))
        return OK
    _print_backtest(found)
    return OK


def _print_backtest(found: "Backtest") -> None:
    from schemas.calendar import rfc3339

    if found.first is None or found.last is None:
        print("nothing was told in that time, or it was dropped")
        return
    print(
        f"{found.messages} messages of {found.units} units, {rfc3339(found.first)} to {rfc3339(found.last)}"
    )
    for one in found.rules:
        print(
            f"{one.rule}: fires {one.firings} times on {one.units} units; {one.retracted} retracted,"
            f" {one.flaps} over within a quarter of an hour, {one.still_firing} not over"
        )
        if one.firings:
            most = ", ".join(f"{unit} {count}" for unit, count in one.most_often.items())
            print(f"  most on {one.busiest_day}: {one.on_busiest_day}; most often: {most}")
            beside = ", ".join(f"{rule} {count}" for rule, count in sorted(one.overlaps.items()))
            print(f"  beside rules in force: {beside or 'none'}; alone: {one.alone}")
    for rule, count in sorted(found.missed.items()):
        units = ", ".join(found.missed_units[rule])
        print(f"missed, if they took its place: {rule} {count} times ({units} ...)")


def _day(text: str) -> int:
    from schemas.calendar import BUSINESS, instant

    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no day such as 2026-10-01, nor an instant with its offset"
        raise UsageError(message) from error
    return instant(when if when.tzinfo else when.replace(tzinfo=BUSINESS))


def run(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    from alerts import app
    from alerts.channels import Alertmanager, Channel, Webhook
    from alerts.stop_at import chosen_point

    rules = load_rules(options.rules)
    settings = _settings()
    secret = settings.alerts_webhook
    webhook = options.webhook or (secret.get_secret_value() if secret else None)
    channels: list[Channel] = []
    alertmanager = None
    if not options.no_alertmanager:
        url = _address(options.alertmanager or settings.alertmanager)
        alertmanager = Alertmanager(url, settings.alerts_repeat_seconds)
        channels.append(alertmanager)
    if webhook:
        channels.append(Webhook(_address(webhook)))
    app.run(
        settings,
        rules,
        channels,
        _duties(settings, alertmanager),
        notify_history=options.notify_history,
        at_point=chosen_point(),
    )
    return OK


def _duties(settings: "AlertSettings", alertmanager: "Alertmanager | None") -> "Duties":
    """Whom the cases are told to. Raises UsageError for a roster or addresses that cannot be used."""
    from alerts.cases import Grouping
    from alerts.keeper import Duties
    from alerts.receivers import receivers_of
    from schemas.working_days import read_working_days

    roster = load_roster(Path(settings.alerts_roster)) if settings.alerts_roster else None
    secret = settings.alerts_receivers
    networks = roster.networks if roster else ()
    return Duties(
        roster=roster,
        receivers=receivers_of(secret.get_secret_value() if secret else ""),
        calendar=read_working_days(),
        language=settings.alerts_language,
        dashboard=settings.alerts_dashboard,
        grouping=Grouping(
            gather_ms=int(settings.alerts_gather_seconds * 1_000),
            many=settings.alerts_many,
            networks={network.name: frozenset(network.units) for network in networks},
        ),
        alertmanager=alertmanager,
    )


def load_roster(path: Path) -> "Roster":
    """Return the roster of a file. Raises UsageError on a bad one."""
    from alerts.roster import RosterError, read_roster

    try:
        return read_roster(_read(path))
    except RosterError as error:
        message = f"{path} is not used:\n{error}"
        raise UsageError(message) from error


def list_what(options: argparse.Namespace) -> int:
    """Print alerts, cases, silences or the log."""
    if options.case is not None:
        return _print_rows("case", options.case, as_json=options.json)
    for question in ("cases", "silences", "log"):
        if getattr(options, question):
            return _print_rows(question, as_json=options.json)
    return list_alerts(as_json=options.json)


def _print_rows(question: str, *values: object, as_json: bool) -> int:
    from alerts.listing import LINES
    from alerts.people import RefusedError, connected, rows

    try:
        with connected(_database_of(_settings())) as link:
            found = rows(link, question, *values)
    except RefusedError as error:
        raise AwayError(error) from error
    for row in found:
        if as_json:
            print(json.dumps(row, default=str, ensure_ascii=False))
        else:
            print(LINES[question](row))
    print(f"alerts: {len(found)} rows", file=sys.stderr)
    return OK


def act(options: argparse.Namespace) -> int:
    """Take a case up, silence, or end a silence."""
    from alerts.people import RefusedError, acknowledge, connected, silence, unsilence
    from alerts.silences import matcher_of

    told = {"owner": options.owner, "reason": options.reason}
    try:
        with connected(_database_of(_settings())) as link:
            match options.verb:
                case "ack":
                    lasting = _lasting(options.lasting)
                    done = acknowledge(link, options.case, lasting=lasting, **told)
                case "silence":
                    matchers = [matcher_of(text) for text in options.matchers]
                    done = silence(link, matchers, lasting=_lasting(options.lasting), **told)
                case _:
                    done = unsilence(link, options.silence, **told)
    except ValueError as error:
        raise UsageError(error) from error
    except RefusedError as error:
        raise AwayError(error) from error
    print(f"alerts: {done}")
    return OK


def _lasting(text: str) -> timedelta:
    try:
        return timedelta(milliseconds=milliseconds(text))
    except ValueError as error:
        raise UsageError(error) from error


def watch_for_watchdog(options: argparse.Namespace) -> int:
    """Hear the watchdog until stopped by SIGTERM or SIGINT."""
    import signal
    import threading
    import time

    from alerts import logs
    from alerts.deadman import LOOK_S, Switch, serve
    from alerts.receivers import receivers_of

    logs.set_up()
    settings = _settings()
    addresses = settings.alerts_receivers
    receivers = receivers_of(addresses.get_secret_value() if addresses else "")
    wanted = options.tell or list(receivers)
    unknown = sorted(set(wanted) - set(receivers))
    if unknown or not wanted:
        message = f"nobody to tell: no address of {', '.join(unknown) or 'anybody'}"
        raise UsageError(message)
    switch = Switch(
        patience_s=_lasting(options.patience).total_seconds(),
        receivers={name: receivers[name] for name in wanted},
        language=settings.alerts_language,
        clock=time.monotonic,
    )
    host, _, port = options.listen.rpartition(":")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = serve(switch, host, int(port))
    print(f"alerts: listening on {host}:{server.server_port}", file=sys.stderr)
    while not stopped.wait(LOOK_S):
        switch.look()
    server.shutdown()
    return OK


def check_roster(path: Path) -> int:
    """Print who is on duty now, and what is wrong with a roster from now on."""
    from alerts.channels import wall
    from alerts.receivers import receivers_of
    from alerts.roster import doubts
    from schemas.calendar import instant
    from schemas.working_days import day_of, read_working_days

    roster = load_roster(path)
    settings = _settings()
    addresses = settings.alerts_receivers
    names = None if addresses is None else list(receivers_of(addresses.get_secret_value()))
    at = instant(wall())
    for duty in roster.duties:
        if duty.holds(at):
            print(f"{duty.level:<9} {duty.region} {duty.who}: {', '.join(duty.receivers)}")
    found = doubts(roster, at, names)
    calendar = read_working_days()
    unknown = not calendar.knows(day_of(at))
    if unknown:
        found.append(f"no calendar of {day_of(at).year}: holidays count as working days")
    for doubt in found:
        print(f"{path}: {doubt}", file=sys.stderr)
    return WRONG if found else OK


def look_at_all(options: argparse.Namespace) -> int:
    """Print each finding; WRONG where something is not ok."""
    from alerts.doctor import Asked, examine

    settings = _settings()
    alertmanager = _address(options.alertmanager or settings.alertmanager)
    asked = Asked(
        rules=options.rules,
        alertmanager=None if options.no_alertmanager else alertmanager,
        deadman=None if options.deadman is None else _address(options.deadman),
    )
    ok = True
    for finding in examine(settings, asked):
        ok = ok and finding.ok
        print(json.dumps(finding.told()) if options.json else finding, flush=True)
    return OK if ok else WRONG


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
        until = alert.stopped_until
        stopped = f", declared stop until {rfc3339(until)}" if until else ""
        print(
            f"{alert.state:<7} {alert.severity:<8} {alert.key.unit} {alert.key.rule}: "
            f"{alert.kind} since {rfc3339(alert.since)}{recovering}{stopped}"
        )
    print(f"alerts: {len(alerts)} pending or firing", file=sys.stderr)
    return OK


def _settings() -> "AlertSettings":
    from alerts.settings import AlertSettings

    return AlertSettings.read()


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
