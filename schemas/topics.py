"""Names of the topics, and what decides their shape."""

READINGS = "weir.readings.v1"
"""Records of sections, ticks and control records; partition = `section.partition_of(unit)`."""
CONFIG = "weir.config.v1"
"""Numbered configurations, one partition, kept for ever."""
INDICATORS = "weir.indicators.v1"
"""What units were told; the same partition number as the readings it came from."""
FEEDBACK = "weir.feedback.v1"
"""What was refused, for the enterprise."""

PROCESSORS = "weir-processors"
"""Consumer group of the workers."""
ALERTS = "weir-alerts"
"""Consumer group of the alerts' workers."""

PARTITIONS = 8


def mqtt_readings(unit: str) -> str:
    """Where a unit publishes its readings."""
    return f"energy/v1/{unit}/readings"


def mqtt_receipt(unit: str) -> str:
    """Where a unit hears that Kafka has its message."""
    return f"energy/v1/{unit}/receipt"
