"""Settings of the alerts' worker, beside those of all services: `WEIR_ALERTS_...`."""

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from schemas import topics
from schemas.settings import HostAndPort, Settings

TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class AlertSettings(Settings):
    """Where indicators come from, whom to tell, and how often."""

    alerts_webhook: SecretStr | None = None
    """Who is told of each transition by POST; a secret, since such addresses hold tokens."""
    alerts_repeat_seconds: Annotated[float, Field(gt=0, le=3_600)] = 60
    """How often Alertmanager hears again of what fires. It forgets after an hour, or four times as long."""
    alerts_http: HostAndPort = "127.0.0.1:9103"
    """Where /metrics, /healthz and /readyz are; on the loopback unless told otherwise."""
    alerts_topic: TopicName | None = None
    """Where indicators are; unless told, where this generation's worker puts them."""
    alerts_group: TopicName | None = None
    """The consumer group, by its whole name: who shares the partitions out among themselves."""
    alerts_session_seconds: Annotated[float, Field(ge=6, le=300)] = 10
    """How long a worker may be silent before the broker gives its partitions to another."""
    alerts_stuck_seconds: Annotated[float, Field(ge=10)] = 120
    """With indicators waiting and none heard for so long, the process ends itself."""

    @property
    def heard_topic(self) -> str:
        """The topic to hear."""
        return self.alerts_topic or self.indicators_topic

    @property
    def group(self) -> str:
        """Under which name the workers share the partitions out."""
        return self.alerts_group or self.topic_prefix + topics.ALERTS
