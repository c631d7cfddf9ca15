"""Weir's services as `make status` and `make down` see them; a web server stands for each of them."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.service_figures import figures, metric, sentences
from deploy.services import Services, main

ANY = ["http.server", "0", "--bind", "127.0.0.1"]
NOW = 1_790_000_000.0
WORKER = f"""\
# HELP weir_lag_records Records in Kafka beyond what is committed, all owned partitions.
# TYPE weir_lag_records gauge
weir_lag_records 5.0
weir_stage_seconds_total{{stage="write"}} 1.5
weir_readings_total 1.234567e+06
weir_last_write_timestamp_seconds {NOW - 7}
weir_watermark_timestamp_seconds 0.0
"""
ALERTS = """\
weir_alerts_undelivered{channel="webhook"} 2.0
weir_alerts_undelivered{channel="alertmanager"} 1.0
"""


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Of a state folder of the test's own."""
    monkeypatch.setenv("WEIR_LOCAL", str(tmp_path))
    found = Services()
    yield found
    for name in found.started():
        found.stop(name)


@contextmanager
def answering(readiness: tuple[int, str]) -> Iterator[str]:
    """A worker's pages."""
    pages = {"/metrics": (200, WORKER), "/readyz": readiness}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = pages[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_secret_is_on_no_command_line(services: Services) -> None:
    """Every user of the machine may read those; the environment only its owner."""
    secret = {"WEIR_DATABASE_URL": "postgresql://weir:hidden@127.0.0.1/weir"}
    started = services.start("worker", ANY, secret)
    proc = Path(f"/proc/{started.pid}")
    assert b"hidden" not in (proc / "cmdline").read_bytes()
    assert b"weir:hidden@" in (proc / "environ").read_bytes()


@pytest.mark.parametrize(
    ("readiness", "state"),
    [
        pytest.param((200, "{}"), "up", id="ready"),
        pytest.param((503, "no database"), "waits", id="not ready"),
        pytest.param((200, '{"alarms": ["no tick"]}'), "up", id="ready, with an alarm"),
    ],
)
def test_status_says_how_far_a_service_is(
    services: Services, readiness: tuple[int, str], state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people with units, for machines with names that end in them."""
    with answering(readiness) as page:
        pid = services.start("worker", ANY, {}, page=page).pid
        assert main(["status"]) == 0
        head, *rest = capsys.readouterr().out.splitlines()
        assert main(["status", "--json"]) == 0
    assert head.split() == ["worker", state, page, "pid", str(pid)]
    assert any(line.split() == ["lag", "5", "records"] for line in rest)
    assert ("no database" in rest[0]) == (state == "waits")
    assert ("ALARM: no tick" in rest[0]) == ("alarms" in readiness[1])
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["service"], told["state"], told["pid"]) == ("worker", state, pid)
    assert told["figures"]["lag_records"] == 5


def test_who_does_not_answer_is_silent_and_who_is_gone_has_ended(services: Services) -> None:
    """Neither is passed over: nobody stopped them."""
    services.start("worker", ANY, {}, page="http://127.0.0.1:1")
    services.start("clock", ANY, {}).signal(signal.SIGKILL)
    while "clock" in services.running():
        pass
    assert {one.service: one.state for one in services.status()} == {
        "clock": "ended",
        "worker": "silent",
    }


def test_down_stops_all(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    """And status knows of none."""
    started = [services.start(name, ANY, {}) for name in ("worker", "clock")]
    assert main(["down"]) == 0
    assert capsys.readouterr().out.split() == ["clock", "stopped", "worker", "stopped"]
    assert not any(one.is_running() for one in started)
    assert main(["status"]) == 0
    assert "no service" in capsys.readouterr().out


def test_a_folder_without_services_stays_as_it_is(services: Services) -> None:
    """`make status` on a fresh checkout makes nothing."""
    assert main(["down"]) == main(["status", "--json"]) == 0
    assert not services.folder.exists()


def test_figures_say_their_units() -> None:
    """Instants on the business calendar, with their age; what never happened is said so."""
    told = list(sentences("worker", figures("worker", WORKER), now=NOW))
    assert [line.split() for line in told] == [
        ["lag", "5", "records"],
        ["watermark", "none", "yet"],
        ["last", "write", "2026-09-21", "22:13:13", "+08:00,", "7", "s", "ago"],
        ["digested", "1,234,567", "readings", "since", "its", "start"],
    ]
    assert figures("alerts", ALERTS) == {"alerts_undelivered": 3}
    assert metric(WORKER, 'weir_stage_seconds_total{stage="write"}') == 1.5
    assert metric(WORKER, "weir_stage_seconds_total") is None
