"""A worker that is killed when it reaches a point: `python -m tests.alerts.doomed POINT [RULES]`."""

import os
import signal
import sys
from pathlib import Path

from alerts.__main__ import load_rules
from alerts.app import run
from alerts.channels import Channel, Webhook
from alerts.settings import AlertSettings


def main(point: str, rules: str | None = None) -> None:
    settings = AlertSettings.read()
    secret = settings.alerts_webhook
    channels: list[Channel] = [Webhook(secret.get_secret_value())] if secret else []

    def at_point(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    run(
        settings,
        load_rules(Path(rules) if rules else None),
        channels,
        notify_history=False,
        at_point=at_point,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
