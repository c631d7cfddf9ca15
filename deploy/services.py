"""Weir's own processes beside the local parts: started detached, recorded by process id, stopped by it.

Run as `python3 -m deploy.services status [--json] | down`; the demo and the plant year start what they need.
"""

import argparse
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from deploy.local import process
from deploy.local.state import CHECKOUT, chosen_folder
from deploy.service_figures import figures, sentences

_PATIENCE = 20.0
_TIMEOUT = 2.0

State = Literal["up", "waits", "silent", "ended"]
"""`waits`: it is not ready, and says why; `silent`: it runs and does not answer; `ended`: by itself."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one service."""

    service: str
    state: State
    pid: int | None
    page: str
    """Where it answers."""
    log: str
    figures: dict[str, float]
    """From its metrics: a name ends in the unit."""
    why: str = ""
    """What a service that waits says of it, or the alarms of one that is up."""


class Services:
    """Processes of this checkout, recorded in the state folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or chosen_folder()) / "services"

    def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, page: str = ""
    ) -> process.ServerProcess:
        """Start `python -m ARGUMENTS` under a name; one that runs under it is stopped first.

        `page`: where it answers /metrics, for `status`.
        """
        self.stop(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        started = process.launch(
            [sys.executable, "-m", *arguments],
            log=self.log(name),
            folder=CHECKOUT,
            environment=os.environ | environment,
        )
        self._page(name).write_text(page)
        started.write(self._record(name))
        return started

    def stop(self, name: str) -> bool:
        """Stop one; whether it ran."""
        running = process.recorded(self._record(name))
        if running:
            process.stop(running, signal.SIGTERM, patience=_PATIENCE)
        self._record(name).unlink(missing_ok=True)
        return running is not None

    def started(self) -> list[str]:
        """Names of what was started and not stopped since."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def running(self) -> dict[str, int]:
        """Names and process ids of what runs."""
        found = {name: process.recorded(self._record(name)) for name in self.started()}
        return {name: one.pid for name, one in found.items() if one}

    def status(self) -> Iterator[Standing]:
        """What was started, and how far it is by its own pages."""
        running = self.running()
        for name in self.started():
            page, log = self._page_of(name), str(self.log(name))
            if name not in running:
                yield Standing(name, "ended", None, page, log, {})
                continue
            metrics = answer(f"{page}/metrics") if page else None
            state, why = _readiness(page) if metrics is not None else ("silent", "")
            yield Standing(name, state, running[name], page, log, figures(name, metrics or ""), why)

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self.folder / f"{name}.log"

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _page(self, name: str) -> Path:
        return self.folder / f"{name}.page"

    def _page_of(self, name: str) -> str:
        path = self._page(name)
        return path.read_text() if path.exists() else ""

    def wait_ready(self, name: str, url: str, *, seconds: float) -> None:
        """Wait until a service answers 200 there; RuntimeError with the end of its log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer(url) is not None:
                return
            if name not in self.running():
                break
            time.sleep(0.2)
        tail = self.log(name).read_text(errors="replace").splitlines()[-15:]
        message = f"{name} is not ready at {url} (log: {self.log(name)}):\n" + "\n".join(tail)
        raise RuntimeError(message)


def answer(url: str) -> str | None:
    """What a page says; None where it does not answer 200."""
    status, text = _ask(url)
    return text if status == HTTPStatus.OK else None


def _readiness(page: str) -> tuple[State, str]:
    status, text = _ask(f"{page}/readyz")
    return ("up", _alarms(text)) if status == HTTPStatus.OK else ("waits", text.strip())


def _alarms(text: str) -> str:
    """What a service that does its work says somebody must look at; nothing where it knows of none."""
    try:
        told = json.loads(text)
    except ValueError:
        return ""
    alarms = told.get("alarms", []) if isinstance(told, dict) else []
    return "; ".join(f"ALARM: {alarm}" for alarm in alarms)


def _ask(url: str) -> tuple[int, str]:
    """Status and text of a page, asking no proxy; (0, "") where nobody answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=_TIMEOUT) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def main(words: Sequence[str]) -> int:
    """Do one verb."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.services", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    status = verbs.add_parser("status", help="what runs where, and how far it is")
    status.add_argument("--json", action="store_true", help="answer as JSON")
    verbs.add_parser("down", help="stop what was started")
    chosen = parser.parse_args(words)
    services = Services()
    if chosen.verb == "down":
        _stop_all(services)
        return 0
    standings = list(services.status())
    if chosen.json:
        print(json.dumps([asdict(standing) for standing in standings], indent=2))
        return 0
    for standing in standings:
        print("\n".join(_lines(standing, now=time.time())))
    if not standings:
        print("no service of Weir runs here: `make demo` starts them")
    return 0


def _stop_all(services: Services) -> None:
    """All at once: each may take seconds to finish what it has in hand."""
    names = services.started()
    with ThreadPoolExecutor(max_workers=len(names) or 1) as pool:
        for name, ran in zip(names, pool.map(services.stop, names), strict=True):
            print(f"{name:<13} {'stopped' if ran else 'had ended by itself'}")


def _lines(standing: Standing, *, now: float) -> Iterator[str]:
    """For people, in the columns of `deploy.local status`."""
    pid = f"pid {standing.pid}" if standing.pid else f"log {standing.log}"
    yield f"{standing.service:<13} {standing.state:<7} {standing.page:<24} {pid}"
    if standing.why:
        yield f"{'':13} {standing.why}"
    for sentence in sentences(standing.service, standing.figures, now=now):
        yield f"{'':13} {sentence}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
