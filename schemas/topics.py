"""Names of the topics, and what decides their shape."""

from collections.abc import Mapping
from dataclasses import dataclass

READINGS = "weir.readings.v1"
"""Records of sections, ticks and control records; partition = `section.partition_of(unit)`."""
CONFIG = "weir.config.v1"
"""Numbered configurations, one partition, kept for ever."""
INDICATORS = "weir.indicators.v1"
"""What units were told; the same partition number as the readings it came from."""
REGIONS = "weir.regions.v1"
"""What regions and industries were told, hour by hour; one partition, so that hours stand in order."""
FEEDBACK = "weir.feedback.v1"
"""What was refused, for the enterprise."""
TRIES = "weir.tries.v1"
"""What units sent to be tried: records of sections, keyed by unit, answered on FEEDBACK and soon gone."""
STOPS = "weir.stops.v1"
"""Stops and maintenances that units declared, as they came, keyed by unit; answered on FEEDBACK."""

PROCESSORS = "weir-processors"
"""Consumer group of the workers."""
ALERTS = "weir-alerts"
"""Consumer group of the alerts' workers."""
KAFKA_GATEWAYS = "weir-kafka-gateways"
"""Consumer group of the Kafka door's gateways."""
FEEDBACK_GROUP = "weir-feedback"
"""Consumer group of those that pass feedback on to MQTT."""
TRIES_GROUP = "weir-tries"
"""Where the one that answers tries, and takes in declared stops, keeps how far it is."""

ENTERPRISES = "enterprise."
"""How the topics of the Kafka door begin: one a unit, and nobody else writes there."""

PARTITIONS = 8

_DAY_MS = 86_400_000
_MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be."""

    name: str
    partitions: int
    configs: Mapping[str, str]


def of_generation(topic: str, generation: int) -> str:
    """Name of a log of this generation: `weir.readings.v1`, then `weir.readings.v1.g2`, ...

    Each generation is a topic of its own, so that the last one stays readable for as long as it is kept.
    """
    return topic if generation == 1 else f"{topic}.g{generation}"


def wanted(partitions: int, *, generation: int = 1) -> tuple[Topic, ...]:
    """The topics of Weir. Readings stay as long as the usual horizon; the database keeps them."""
    ever = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
    return (
        *logs(partitions, generation=generation),
        Topic(CONFIG, 1, ever | {"max.message.bytes": str(64 * _MIB)}),
        Topic(REGIONS, 1, ever | {"max.message.bytes": str(4 * _MIB)}),
        Topic(FEEDBACK, partitions, {"retention.ms": str(7 * _DAY_MS)}),
        Topic(
            TRIES,
            partitions,
            {"retention.ms": str(_DAY_MS // 24), "max.message.bytes": str(4 * _MIB)},
        ),
        Topic(STOPS, partitions, {"retention.ms": str(40 * _DAY_MS)}),
    )


def logs(partitions: int, *, generation: int) -> tuple[Topic, Topic]:
    """The two that a generation has of its own: readings and indicators."""
    month = {"retention.ms": str(40 * _DAY_MS), "cleanup.policy": "delete"}
    # A message of 1 MiB, all of it refused, is kept as text beside its reasons.
    large = month | {"max.message.bytes": str(4 * _MIB)}
    return (
        Topic(
            of_generation(READINGS, generation),
            partitions,
            large | {"message.timestamp.type": "LogAppendTime"},
        ),
        Topic(of_generation(INDICATORS, generation), partitions, large),
    )


def enterprise_readings(unit: str) -> str:
    """Where a unit writes its readings by Kafka."""
    return f"{ENTERPRISES}{unit}.readings"


def enterprise_topic(name: str) -> Topic:
    """A unit's own: one partition, so that its order is kept; a week for the gateways to read it."""
    return Topic(
        name,
        1,
        {
            "retention.ms": str(7 * _DAY_MS),
            "cleanup.policy": "delete",
            "max.message.bytes": str(2 * _MIB),
            "message.timestamp.type": "LogAppendTime",
        },
    )


def mqtt_readings(unit: str) -> str:
    """Where a unit publishes its readings."""
    return f"energy/v1/{unit}/readings"


def mqtt_try(unit: str) -> str:
    """Where a unit publishes readings that are to be checked and answered, and not stored."""
    return f"energy/v1/{unit}/try"


def mqtt_feedback(unit: str) -> str:
    """Where a unit hears what was refused."""
    return f"energy/v1/{unit}/feedback"


def mqtt_receipt(unit: str) -> str:
    """Where a unit hears that Kafka has its message."""
    return f"energy/v1/{unit}/receipt"
