"""Weir's own processes beside the local parts: started detached, recorded by process id, stopped by it.

Run as `python -m deploy.services status|down`; the demo and the plant year start what they need.
"""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local import process
from deploy.local.state import CHECKOUT, chosen_folder

_PATIENCE = 20.0


class Services:
    """Processes of this checkout, recorded in the state folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or chosen_folder()) / "services"
        self.folder.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> process.ServerProcess:
        """Start `python -m ARGUMENTS` under a name; one that runs under it is stopped first."""
        self.stop(name)
        settings = [f"{key}={value}" for key, value in environment.items()]
        command = ["/usr/bin/env", "-C", str(CHECKOUT), *settings, sys.executable, "-m", *arguments]
        started = process.launch(command, log=self.log(name))
        started.write(self.folder / f"{name}.json")
        return started

    def stop(self, name: str) -> bool:
        """Stop one; whether it ran."""
        path = self.folder / f"{name}.json"
        running = process.recorded(path)
        if running:
            process.stop(running, signal.SIGTERM, patience=_PATIENCE)
        path.unlink(missing_ok=True)
        return running is not None

    def running(self) -> dict[str, int]:
        """Names and process ids of what runs."""
        found = {path.stem: process.recorded(path) for path in sorted(self.folder.glob("*.json"))}
        return {name: one.pid for name, one in found.items() if one}

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self.folder / f"{name}.log"

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
    try:
        with urllib.request.urlopen(url, timeout=2) as page:  # noqa: S310 - our own loopback addresses
            text: str = page.read().decode()
            return text
    except (urllib.error.URLError, OSError):
        return None


def metric(text: str, name: str) -> float | None:
    """A series of a /metrics page."""
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return None


def main(words: Sequence[str]) -> int:
    """`status`, or `down` for what was started."""
    services = Services()
    if list(words) == ["down"]:
        for name in list(services.running()):
            services.stop(name)
            print(f"{name}: stopped")
        return 0
    if list(words) == ["status"]:
        running = services.running()
        if not running:
            print("no service of Weir runs here: `make demo` starts them")
        for name, pid in running.items():
            print(f"{name:10} pid {pid:<8} log {services.log(name)}")
        _print_state(services)
        return 0
    print("usage: python -m deploy.services status|down", file=sys.stderr)
    return 2


def _print_state(services: Services) -> None:
    """Lag, watermark and last write, from the worker's page."""
    path = services.folder / "addresses.txt"
    addresses = dict(json.loads(path.read_text())) if path.exists() else {}
    page = (
        answer(str(addresses.get("worker metrics", "")))
        if "worker metrics" in addresses and "worker" in services.running()
        else None
    )
    if page is None:
        return
    lag = metric(page, "weir_lag_records")
    last = metric(page, "weir_last_write_timestamp_seconds")
    tick = metric(page, "weir_watermark_timestamp_seconds")
    print(f"lag {lag:.0f} records" if lag is not None else "lag unknown")
    for name, value in (("last write", last), ("watermark (least tick of all partitions)", tick)):
        print(
            f"{name}: {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(value))} ({time.time() - value:.0f} s ago)"
            if value
            else f"{name}: none yet"
        )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main(sys.argv[1:]))
