"""The command line of the doors: `python -m ingest VERB`.

Exit codes: 0 done, 1 something outside is missing or refused, 2 the command itself is not right.
"""

import argparse
import os
import sys
from collections.abc import Callable

from ingest import (
    access_arguments,
    clock_command,
    doctor_command,
    feedback_command,
    history_ends_command,
    import_command,
    kafka_command,
    mqtt_command,
    publish_command,
    schema_command,
    send_mqtt_command,
    simulate_command,
    storm_command,
    topics_command,
    verify_command,
    watch_command,
)
from ingest.command import say
from ingest.complaint import ComplaintError
from schemas.completion import add_completion
from schemas.settings import SettingsError


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; its exit code."""
    parser = _parser()
    told = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = told.run
    try:
        code = run(told)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("stopped")
        return 1
    except (ComplaintError, SettingsError) as error:
        say(str(error))
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ingest",
        description="The doors of Weir: what people send becomes records of the log.",
        epilog="Each verb has --help, with an example. Settings: WEIR_KAFKA, WEIR_PARTITIONS,"
        " WEIR_TOPIC_PREFIX.",
    )
    add_completion(parser, "weir-ingest")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for command in (
        simulate_command,
        storm_command,
        schema_command,
        publish_command,
        import_command,
        history_ends_command,
        clock_command,
        watch_command,
        topics_command,
        access_arguments,
        mqtt_command,
        kafka_command,
        send_mqtt_command,
        feedback_command,
        verify_command,
        doctor_command,
    ):
        command.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
