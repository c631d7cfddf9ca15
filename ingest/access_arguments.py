"""The verb `access`: its words. What it does is in access_command."""

import argparse
from pathlib import Path

from ingest.command import USAGE, Verbs, place, positive, say, verb


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "access",
        "make the brokers know who may come in and do what, from the registry",
        "python -m ingest access plan --folder access --mosquitto mosquitto\n"
        "  python -m ingest access apply --folder access --mosquitto mosquitto"
        " --reload 'systemctl reload mosquitto'\n"
        "  python -m ingest access rotate --folder access 91510100SYN0000001 --overlap-days 7\n"
        "  python -m ingest access show --folder access 91510100SYN0000001.2\n\n"
        "plan   what apply would change; changes nothing\n"
        "apply  users, passwords and rights at Kafka and Mosquitto; again changes nothing\n"
        "rotate a second user with a new password; the first holds until the overlap is over.\n"
        "       Then `apply`, once now and once after the overlap.\n"
        "show   one user's password, to hand to the enterprise\n"
        "status since when each password holds, and until when\n"
        "watch  serve when certificates and passwords expire, for Prometheus, until SIGTERM:\n"
        "       --at mqtt.example.org:8883 --at kafka.example.org:9094 --metrics-port 9473\n\n"
        "As the administrator of Kafka: WEIR_KAFKA_USER=admin, or a broker that asks nobody.",
        _run,
    )
    parser.add_argument("action", choices=["plan", "apply", "rotate", "show", "status", "watch"])
    parser.add_argument("name", nargs="?", help="whose, for rotate and show")
    parser.add_argument("--folder", type=Path, required=True, help="where passwords are kept")
    parser.add_argument("--mosquitto", type=Path, help="folder of Mosquitto's passwords and acl")
    parser.add_argument("--reload", default="", help="command that makes Mosquitto read them again")
    parser.add_argument(
        "--registry", type=Path, help="a registry file (else what was published to Kafka)"
    )
    parser.add_argument(
        "--remove", action="store_true", help="also remove units that left (else they are named)"
    )
    parser.add_argument(
        "--overlap-days", type=positive, default=7, help="both passwords hold so long (7)"
    )
    parser.add_argument(
        "--at", type=place, action="append", default=[], help="HOST:PORT of a listener with TLS"
    )
    parser.add_argument("--metrics-port", type=int, default=9473, help="of watch (9473)")
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")


def _run(told: argparse.Namespace) -> int:
    from ingest import access_command

    needs = {"rotate": "name", "show": "name", "plan": "mosquitto", "apply": "mosquitto"}
    needed = needs.get(told.action)
    if needed and getattr(told, needed) is None:
        say(f"access {told.action} needs {'a name' if needed == 'name' else '--mosquitto'}")
        return USAGE
    access_command.run(told)
    return 0
