"""Prometheus' Alertmanager, which groups what fires and posts it to a webhook."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import LOOPBACK
from deploy.local.private_root import PrivateRoot
from deploy.local.state import State, write_private
from deploy.local.wire import http_is_ok

_SETTINGS = """\
route:
  receiver: webhook
  # Each alert alone and at once, where an operator's would gather a plant's for a minute:
  # a demo and a test wait for every one of them.
  group_by: ['...']
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 12h
receivers:
  - name: webhook
    webhook_configs:
      - url: {webhook}
        send_resolved: true
"""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """The part `alertmanager`."""

    state: State
    root: PrivateRoot
    port: int
    webhook: str

    name = "alertmanager"
    stop_signal = signal.SIGTERM
    patience = 20.0

    @property
    def address(self) -> str:
        """Where its API and pages are."""
        return f"http://{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the settings. A running Alertmanager reads them again on SIGHUP."""
        settings = _SETTINGS.format(webhook=json.dumps(self.webhook))
        write_private(self._folder / "alertmanager.yml", settings)

    def command(self) -> list[str]:
        """Return what runs it."""
        return self.root.command(
            [
                "/usr/bin/prometheus-alertmanager",
                f"--config.file={self._folder / 'alertmanager.yml'}",
                f"--storage.path={self._folder}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                "--cluster.listen-address=",
            ]
        )

    def answers(self) -> bool:
        """Tell whether it is ready for alerts."""
        return http_is_ok(f"{self.address}/-/ready")

    def after_start(self) -> None:
        """Nothing."""

    @property
    def _folder(self) -> Path:
        return self.state.part_folder(self.name)
