"""Settings of the alerts' worker, beside those of all services: `WEIR_ALERTS_...`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas import topics
from schemas.settings import HostAndPort, HttpUrl, Secret, Settings, SettingsError

TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class AddressesError(SettingsError):
    """Addresses of receivers that cannot be used; says which, and never the address."""


class AlertSettings(Settings):
    """Where indicators come from, whom to tell, and how often."""

    alerts_webhook: Secret | None = None
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
    alerts_roster: str = ""
    """File of who is on duty, how far a case goes up and when it is quiet: `/etc/weir/on-call.toml`. Without one, only Alertmanager and the webhook are told."""
    alerts_receivers: Secret | None = None
    """Addresses of the roster's receivers, lines of `name = "mailto://..."`; better as a file."""
    alerts_language: Literal["zh", "en"] = "zh"
    """In which language people are told."""
    alerts_dashboard: HttpUrl | None = None
    """A unit's page, `{unit}` in it: `https://grafana.example/d/weir-unit?var-unit={unit}`."""
    alerts_gather_seconds: Annotated[float, Field(ge=0, le=600)] = 30
    """How long alerts that may have one cause wait for each other before people hear of them."""
    alerts_many: Annotated[int, Field(ge=2)] = 3
    """Units with one cause that are one case; a number beyond all units lets each alert stand alone."""

    @property
    def heard_topic(self) -> str:
        """The topic to hear."""
        return self.alerts_topic or self.indicators_topic

    @property
    def group(self) -> str:
        """Under which name the workers share the partitions out."""
        return self.alerts_group or self.topic_prefix + topics.ALERTS
