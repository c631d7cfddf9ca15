"""python3 -m deploy.local: start, stop and see the servers on this machine."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from deploy.local import ports
from deploy.local.complaint import ComplaintError
from deploy.local.parts import PARTS, Endpoints, LocalParts
from deploy.local.state import chosen_folder, chosen_programs, complain_about


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one verb; a complaint is two lines and exit code 1."""
    chosen = _parser().parse_args(arguments)
    folder = chosen_folder(chosen.state)
    programs = chosen_programs(folder, chosen.programs)
    parts = LocalParts(folder, programs=programs, say=_tell)
    try:
        _VERBS[chosen.verb](parts, chosen)
    except ComplaintError as complaint:
        _tell(str(complaint))
        return 1
    except PermissionError as error:
        _tell(str(complain_about(error, folder)))
        return 1
    except KeyboardInterrupt:
        _tell("interrupted; `status` tells what runs, `down` stops it")
        return 130
    return 0


def _up(parts: LocalParts, chosen: argparse.Namespace) -> None:
    asked = dict(chosen.port)
    _print(parts.up(chosen.only, asked_ports=asked, webhook=chosen.webhook), chosen)


def _down(parts: LocalParts, chosen: argparse.Namespace) -> None:
    parts.down(chosen.only)


def _renew(parts: LocalParts, chosen: argparse.Namespace) -> None:
    parts.renew_certificates(chosen.only)


def _status(parts: LocalParts, chosen: argparse.Namespace) -> None:
    statuses = parts.status()
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(status) for status in statuses], indent=2) + "\n")
        return
    for status in statuses:
        pid = f"pid {status.pid}" if status.pid else ""
        sys.stdout.write(f"{status.part:<13} {status.state:<7} {status.address:<24} {pid}\n")


def _env(parts: LocalParts, chosen: argparse.Namespace) -> None:
    _print(parts.endpoints(), chosen, lines=True)


def _print(endpoints: Endpoints, chosen: argparse.Namespace, *, lines: bool = False) -> None:
    if chosen.json:
        told = {**asdict(endpoints), "environment": endpoints.environment()}
        sys.stdout.write(json.dumps(told, indent=2, default=str) + "\n")
    elif lines:
        for name, value in endpoints.environment().items():
            sys.stdout.write(f"{name}={value}\n")


def _tell(line: str) -> None:
    """Progress goes to stderr, so that stdout is the answer alone."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m deploy.local", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state", help="state folder (WEIR_LOCAL; else .local here)")
    common.add_argument(
        "--programs", help="another state folder whose programs to use (WEIR_LOCAL_PROGRAMS)"
    )
    common.add_argument("--json", action="store_true", help="answer as JSON")
    some = argparse.ArgumentParser(add_help=False)
    some.add_argument("--only", type=_names, default=PARTS, help=f"some of {','.join(PARTS)}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", parents=[common, some], help="start what is not up yet")
    up.add_argument(
        "--port",
        action="append",
        default=[],
        type=_port,
        metavar="PART=NUMBER",
        help=f"of {', '.join(ports.DEFAULTS)}; or WEIR_<PART>_PORT",
    )
    up.add_argument("--webhook", metavar="URL", help="where Alertmanager posts")
    verbs.add_parser("down", parents=[common, some], help="stop what runs")
    verbs.add_parser(
        "renew", parents=[common, some], help="new certificates, and what is revoked, while it runs"
    )
    verbs.add_parser("status", parents=[common], help="what runs where")
    for name in ("env", "paths"):
        verbs.add_parser(name, parents=[common], help="the services' WEIR_... settings")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        message = f"no part {unknown[0]!r}; there are {', '.join(PARTS)}"
        raise argparse.ArgumentTypeError(message)
    return names


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    port = ports.port_number(number)
    if name not in ports.DEFAULTS or port is None:
        message = f"{text!r} is not like kafka=19092; names: {', '.join(ports.DEFAULTS)}"
        raise argparse.ArgumentTypeError(message)
    return name, port


_VERBS = {"up": _up, "down": _down, "renew": _renew, "status": _status, "env": _env, "paths": _env}

if __name__ == "__main__":
    sys.exit(main())
