"""The command line of the processors: `python -m processors <verb>`."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, cast

from processors.co2_terms import Term, render_terms, terms_shown
from processors.co2_views import render_views, views_shown
from processors.energies_shown import energies_shown, render_energies
from processors.lines_shown import lines_shown, render_lines
from processors.ports import OutsideError
from processors.replay import Replay, run
from processors.show import StopRow, render, rolling, shown, stops_shown
from processors.stop_at import StopAt
from schemas import topics
from schemas.calendar import DAY_MS, window_start
from schemas.completion import add_completion
from schemas.factors import default_pack
from schemas.failure_point import VARIABLE
from schemas.settings import Settings, SettingsError
from schemas.wire import LayoutError

if TYPE_CHECKING:
    from processors.store import Store

_EPILOG = """examples:
  python -m ingest simulate --hours 48 --seed 7 | python -m processors replay        what units are told, no server
  python -m ingest simulate --hours 48 --seed 7 | python -m processors replay --show UNIT
  python -m processors migrate --url "$WEIR_DATABASE_URL"                            bring a database up to date
  python -m processors registry load deploy/example/registry.toml                    take a registry into force
  python -m processors packs examples                                                coefficients, factors and limits at work
  python -m processors worker                                                        digest the log into the database
  python -m processors show 91510100SYN0000001                                       where a unit stands
  python -m processors recompute --unit 91510100SYN0000001 --dry-run                 is what is kept what the readings say?
  python -m processors aggregator                                                    sum regions and industries, hour by hour
  python -m processors show 91510100SYN0000001 --energies                            its energy gross, net of feedstock, of non-fossil, by the standards
  python -m processors show --region 510400                                          where a city stands
  python -m processors landing show 91510100SYN0000001                               will it keep its quota, and what can it still use?
  python -m processors report --unit 91510100SYN0000001 --out unit.html              the same as a page to print or send
  python -m processors stop list                                                     stops and maintenances that were declared
  python -m processors dlq list                                                      records that nobody could digest
  python -m processors offsets show                                                  where the database is in the log
  python -m processors partitions resize 16 --check                                  another number of partitions

Settings come from WEIR_... in the environment; `python3 -m deploy.local env` prints those of the local parts."""


_WITH_VERBS = {
    "migrate": "bring the database's tables up to date",
    "registry": "check, compare or load a registry file",
    "factors": "the factors in force: compare with your packs",
    "try": "what would become of readings, by the engine and a registry: nothing is stored",
    "stop": "declared stops and maintenances: declare, withdraw, list",
    "objection": "a figure is contested until it is decided: file, decide, list",
    "restate": "other factors, for the past as well: foretell, propose, approve by another login",
    "recompute": "work units out again from their readings: compare, or restate",
    "dlq": "records that could not be digested: list, show, replay",
    "offsets": "where the database is in the log: show, accept",
    "partitions": "how many partitions the log has: resize",
    "retention": "what is old and not needed: plan, apply; hold, lift, holds",
    "aggregator": "sum regions and industries hour by hour from what units told",
    "targets": "targets of regions and industries: check, diff, load",
    "roles": "who may see what in the database: plan, apply; log of exports and acts",
    "deductions": "feedstock and non-fossil energy that is deducted, by evidence: check, diff, load, show",
    "report": "a page, a workbook or CSV of where a unit or region stands",
    "barometer": "levels of regions and industries in double control, and what moved them",
    "packs": "coefficients, factors and limits: check, list, compare, examples",
    "doctor": "look at database, Kafka, the log, ticks and clocks: ok, or what to do",
    "feedback": "send units what was refused of what they sent, within seconds",
    "landing": "where a unit's year lands, and its headroom: show; backtest",
}
"""Modules with a command line of their own, loaded when they are named."""

_NAMED_OTHERWISE = {
    "landing": "landing_command",
    "feedback": "feedback_service",
    "try": "trial_command",
}
"""Where the verb's own name is that of the pure module."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Exit codes: 0 done, 1 it could not be done, 2 the words are wrong."""
    parser = argparse.ArgumentParser(
        "python -m processors",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_replay(
        verbs.add_parser("replay", help="digest the pipe's lines, print what units are told")
    )
    _add_show(verbs.add_parser("show", help="where a unit, region or industry stands"))
    _add_worker(verbs.add_parser("worker", help="digest the log into the database"))
    for name, help_text in _WITH_VERBS.items():
        verbs.add_parser(name, help=help_text, add_help=False)
    add_completion(parser, "weir-processors", make_whole=lambda: _load_verbs(verbs.choices))
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] and words[0] in _WITH_VERBS:
            code: int = _module(words[0]).main(words[1:])
            sys.stdout.flush()
            return code
        options = parser.parse_args(words)
        work: Callable[[argparse.Namespace], int] = options.run
        return work(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SettingsError, LayoutError, OutsideError) as error:
        print(str(error).strip(), file=sys.stderr)
        return 1


def _module(verb: str) -> ModuleType:
    return import_module(f"processors.{_NAMED_OTHERWISE.get(verb, verb)}")


def _load_verbs(verbs: dict[str, argparse.ArgumentParser]) -> None:
    """The parsers of modules with a command line of their own."""
    for verb in _WITH_VERBS:
        own: Callable[[], argparse.ArgumentParser] | None = getattr(_module(verb), "_parser", None)
        if own is not None:
            verbs[verb] = own()


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", help="lines of the pipe; standard input unless given")
    parser.add_argument(
        "--show",
        metavar="UNIT",
        help="print where this unit stands in the end instead of what is told",
    )
    parser.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> int:
    replay = Replay(default_pack(), partitions=Settings.read().partitions)
    with (
        Path(options.file).open(encoding="utf-8")
        if options.file
        else nullcontext(sys.stdin) as source
    ):
        if not options.show:
            run(replay, source)
            return 0
        for _ in replay.lines(source):
            pass
    windows = [
        (row.as_of, row.judged)
        for key, row in sorted(replay.store.windows.items())
        if key[0] == options.show
    ]
    return _print_shown(options.show, windows, as_json=True)


class Beside(NamedTuple):
    """What is shown of a unit beside its windows."""

    more: Sequence[dict[str, object]] = ()
    lines: Sequence[tuple[str, str, int, bytes]] = ()
    views: Sequence[dict[str, object]] = ()
    stops: Sequence[StopRow] = ()
    energies: Sequence[dict[str, object]] = ()
    terms: Sequence[dict[str, object]] = ()


def _add_show(parser: argparse.ArgumentParser) -> None:
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("unit", nargs="?", help="the unit's 18-character code")
    subject.add_argument(
        "--region",
        metavar="CODE",
        help="by its GB/T 2260 code, 510400; or a scope, city:510400+industry:31",
    )
    subject.add_argument("--industry", metavar="CODE", help="by its GB/T 4754 division, 31")
    parser.add_argument(
        "--rolling", action="store_true", help="of a unit: the last 7 and 30 days as well"
    )
    parser.add_argument(
        "--views",
        action="store_true",
        help="of a unit and its lines: the newest year's CO2 by each view of electricity, and by its terms",
    )
    parser.add_argument(
        "--energies",
        action="store_true",
        help="of a unit: gross, net of feedstock, of non-fossil energy and of both, and of its lines by the product standards",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    from processors.store import Store

    if options.region or options.industry:
        return _show_region(options.region or f"industry:{options.industry}", as_json=options.json)
    store = Store(_database(), patient=False)
    try:
        pending = store.pending_of(options.unit)
        if pending is not None:
            print(
                f"pending: configuration {pending} changes how readings count; the figures are still those before it",
                file=sys.stderr,
            )
        more = _rolling(store, options.unit) if options.rolling else []
        windows = store.windows_of(options.unit)
        lines = store.lines_of(options.unit)
        views = _views(options.unit, windows, lines) if options.views else []
        energies = _energies(options.unit) if options.energies else []
        terms = _terms(store, options.unit, lines) if options.views else []
        beside = Beside(more, lines, views, store.stops_of(options.unit), energies, terms)
        return _print_shown(options.unit, windows, beside, as_json=options.json)
    finally:
        store.close()


def _show_region(code: str, *, as_json: bool) -> int:
    from processors.aggregation import scope_of
    from processors.leader_store import AwayError, TablesError
    from processors.region_shown import region_shown, render_region
    from processors.region_store import RegionStore

    scope = scope_of(code)
    store = RegionStore(_database(), partitions=Settings.read().partitions)
    try:
        found = store.shown(scope)
    except (AwayError, TablesError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        store.close()
    if not found.windows and not found.standings:
        print(f"{scope}: nothing was told of it yet", file=sys.stderr)
        return 1
    told = region_shown(scope, found.windows, found.standings, found.changes, targets=found.targets)
    print(_line(told) if as_json else render_region(told))
    return 0


def _line(told: Mapping[str, object]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _rolling(store: "Store", unit: str) -> list[dict[str, object]]:
    """The 7 and the 30 days that end with the unit's last full hour."""
    end = store.last_full_hour(unit)
    spans = [] if end is None else [(days, (end - days * DAY_MS, end)) for days in (7, 30)]
    return [rolling(days, span, store.figures(unit, *span)) for days, span in spans]


def _terms(
    store: "Store", unit: str, lines: Sequence[tuple[str, str, int, bytes]]
) -> list[dict[str, object]]:
    """CO2 by its terms, of the year that the unit's last full hour ends or lies in."""
    end = store.last_full_hour(unit)
    if end is None:
        return []
    span = window_start("year", end - 1), end
    names = dict.fromkeys(line for line, *_ in lines)
    of = {f"unit {unit}": None, **{f"line {line}": line for line in names}}
    found = {name: store.co2_terms(unit, line, *span) for name, line in of.items()}
    return [terms_shown(name, span, map(Term._make, rows)) for name, rows in found.items() if rows]


def _views(
    unit: str,
    windows: Sequence[tuple[int, bytes]],
    lines: Sequence[tuple[str, str, int, bytes]],
) -> list[dict[str, object]]:
    """The newest year's CO2 of a unit and of its lines, by the views of the packs (WEIR_PACKS on ours)."""
    from processors.packs import with_ours

    packs = with_ours([Path(name) for name in Settings.read().packs.split(":") if name])
    told = {f"unit {unit}": [judged for _, judged in windows]}
    for line, _, _, judged in lines:
        told.setdefault(f"line {line}", []).append(judged)
    found = [views_shown(of, said, packs) for of, said in told.items()]
    return [one for one in found if one is not None]


def _energies(unit: str) -> list[dict[str, object]]:
    """The newest year's and month's energies, side by side."""
    from processors.energy_store import read_energies

    found = energies_shown(*read_energies(_database(), unit))
    if not found:
        print("no energies yet: start `python -m processors aggregator`", file=sys.stderr)
    return found


def _print_shown(
    unit: str,
    windows: Sequence[tuple[int, bytes]],
    beside: Beside = Beside(),  # noqa: B008 - it is empty, and never changed
    *,
    as_json: bool,
) -> int:
    if not windows:
        print(f"{unit}: nothing was told of such a unit yet", file=sys.stderr)
        return 1
    told = shown(unit, windows)
    told["windows"] = [*cast("list[object]", told["windows"]), *beside.more]
    of_lines = lines_shown(beside.lines)
    parts = {
        "lines": of_lines,
        "co2_views": beside.views,
        "co2_terms": beside.terms,
        "declared_stops": stops_shown(beside.stops),
        "energies": beside.energies,
    }
    told |= {name: part for name, part in parts.items() if part}
    people = (
        render(told),
        render_lines(of_lines),
        render_views(beside.views),
        render_terms(beside.terms),
        render_energies(beside.energies),
    )
    print(_line(told) if as_json else "".join(people))
    return 0


def _add_worker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--session",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long the group waits for a silent worker",
    )
    parser.add_argument(
        "--instance",
        help="stable name of this worker in its group (static membership), else WEIR_INSTANCE:"
        " started again within its session it takes nobody's partitions",
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=9465,
        help="of /metrics, /healthz and /readyz; 0 takes a free one",
    )
    parser.add_argument("--metrics-address", default="127.0.0.1", help="where they are (127.0.0.1)")
    parser.add_argument(
        "--step-records",
        type=int,
        default=0,
        metavar="N",
        help="take at most N records a step (tuning, tests)",
    )
    parser.set_defaults(run=_worker)


def _worker(options: argparse.Namespace) -> int:
    import asyncio
    import gc

    gc.disable()  # until the worker has its states: what it loads stays

    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from processors.app import Frame, Options
    from processors.config_log import published
    from processors.metrics import WorkerMetrics, serve
    from processors.recompute import look_at
    from processors.restater import Restater
    from processors.self_audit import SelfAudit
    from processors.store import Store
    from processors.worker import Worker

    settings = Settings.read()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    points = StopAt(os.environ.get(VARIABLE, ""))
    at_point = points.at_point
    metrics = WorkerMetrics(tick_silence_seconds=settings.tick_silence_seconds)
    store = Store(
        _database(),
        generation=settings.generation,
        partitions=settings.partitions,
        engine="1",
        at_point=at_point,
        progress=metrics.waiting,
    )
    worker = Worker(
        store,
        metrics,
        partitions=settings.partitions,
        generation=settings.generation,
        published=lambda: published(settings.kafka, settings.topic_prefix + topics.CONFIG),
        at_point=at_point,
    )
    points.watch(worker.is_ahead)
    server = serve(metrics, options.metrics_port, options.metrics_address)
    page = f"http://{options.metrics_address}:{server.server_port}/metrics"
    print(f"metrics on {page}", file=sys.stderr)
    joined = Options(
        settings.kafka,
        options.session,
        options.instance or settings.instance,
        settings.topic_prefix + topics.PROCESSORS,
        settings.readings_topic,
        settings.indicators_topic,
    )
    if options.step_records:
        joined = replace(joined, batch_records=options.step_records)

    def restater(fatal: Callable[[BaseException], None]) -> Restater:
        beside = Store(_database(), generation=settings.generation, progress=metrics.waiting)
        return Restater(
            beside,
            metrics,
            worker.pack,
            bootstrap=settings.kafka,
            topic=joined.readings,
            fatal=fatal,
        )

    beside = Store(_database(), generation=settings.generation, progress=metrics.waiting)
    audit = SelfAudit(beside, metrics, look_at)
    frame = Frame(worker, metrics, joined, restater=restater, audit=audit, at_point=at_point)
    frame.watch()
    frame.run()
    return 0


def _database() -> str:
    secret = Settings.read().database_url
    if secret is None:
        message = "WEIR_DATABASE_URL (or WEIR_DATABASE_URL_FILE) is not set; `python3 -m deploy.local env` prints that of the local parts"
        raise SettingsError(message)
    return secret.get_secret_value()


if __name__ == "__main__":
    sys.exit(main())
