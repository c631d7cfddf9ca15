"""What the /metrics pages of Weir's services say of how far they are, in words with their units."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal, NamedTuple

BUSINESS = timezone(timedelta(hours=8))
"""As in schemas.calendar, which needs numpy: this runs under a plain python3."""


class Figure(NamedTuple):
    """One series of a page."""

    series: str
    """Its labels are summed over."""
    says: str
    unit: str
    kind: Literal["count", "instant"] = "count"

    @property
    def key(self) -> str:
        """Its name for machines: that of the series, which ends in its unit."""
        return self.series.removeprefix("weir_").removesuffix("_total")


FIGURES: dict[str, tuple[Figure, ...]] = {
    "worker": (
        Figure("weir_lag_records", "lag", "records"),
        Figure(
            "weir_watermark_timestamp_seconds",
            "watermark",
            "the least tick of all partitions",
            "instant",
        ),
        Figure("weir_last_write_timestamp_seconds", "last write", "", "instant"),
        Figure("weir_readings_total", "digested", "readings since its start"),
        Figure("weir_partitions_owned", "owns", "partitions"),
    ),
    "alerts": (
        Figure("weir_alerts_lag_records", "lag", "indicators"),
        Figure("weir_alerts_heard_timestamp_seconds", "heard up to", "data time", "instant"),
        Figure("weir_alerts_last_progress_timestamp_seconds", "last batch", "", "instant"),
        Figure("weir_alerts_undelivered", "undelivered", "notices, all channels"),
    ),
    "aggregator": (
        Figure("weir_aggregator_lag_hours", "lag", "full hours that are not told"),
        Figure("weir_aggregator_last_hour_timestamp_seconds", "last hour", "data time", "instant"),
        Figure("weir_aggregator_leads", "leads", "(1: tells; 0: stands by)"),
        Figure("weir_aggregator_level_changes_total", "changed", "levels since its start"),
    ),
    "feedback": (
        Figure("weir_feedback_sent_total", "sent", "messages to Kafka since its start"),
        Figure("weir_feedback_leads", "leads", "(1: sends; 0: stands by)"),
    ),
    "passer": (
        Figure("weir_feedback_mqtt_passed_total", "passed", "messages to MQTT since its start"),
        Figure("weir_feedback_mqtt_refused_total", "refused by the broker", "of them"),
    ),
    "clock": (
        Figure("weir_clock_last_tick_timestamp_seconds", "last tick", "", "instant"),
        Figure("weir_clock_ticks_skipped_total", "skipped", "ticks since its start"),
    ),
}


def metric(page: str, name: str) -> float | None:
    """A series of a /metrics page, or one of them where labels are written with the name."""
    return next((value for series, value in _series(page) if series == name), None)


def figures(service: str, page: str) -> dict[str, float]:
    """What a service's page says, for machines."""
    return {
        figure.key: value
        for figure in FIGURES.get(service, ())
        if (value := summed(page, figure.series)) is not None
    }


def sentences(service: str, told: dict[str, float], *, now: float) -> Iterator[str]:
    """The same for people, a line a figure; `now` in seconds."""
    for figure in FIGURES.get(service, ()):
        if figure.key in told:
            value = told[figure.key]
            yield f"{figure.says:<12} {_words(figure, value, now)}".rstrip()


def _words(figure: Figure, value: float, now: float) -> str:
    if figure.kind == "count":
        return f"{value:,.0f} {figure.unit}"
    if not value:
        return "none yet"
    at = datetime.fromtimestamp(value, UTC).astimezone(BUSINESS)
    remark = f", {figure.unit}" if figure.unit else ""
    return f"{at:%Y-%m-%d %H:%M:%S} +08:00, {now - value:,.0f} s ago{remark}"


def summed(page: str, name: str) -> float | None:
    """A series, summed over its labels; None where there is none."""
    found = [value for series, value in _series(page) if series.partition("{")[0] == name]
    return sum(found) if found else None


def _series(page: str) -> Iterator[tuple[str, float]]:
    for line in page.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            yield series, float(value)
