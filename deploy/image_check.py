"""`make image`: run the Dockerfile's own steps in a folder, then its services as its user.

There is no Docker here, so each stage is a Debian bookworm with Python 3.11 in a folder (the official image
builds its Python itself), RUN is chroot, and COPY is a copy. In the end each service starts as the image's user on a root that nobody can write to.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.complaint import ComplaintError
from deploy.local.private_root import make_sure_of_mmdebstrap, mirrors, remove_tree, tool
from deploy.local.state import CHECKOUT

DOCKERFILE = CHECKOUT / "deploy" / "Dockerfile"
FOLDER = CHECKOUT / "build" / "image"
_SUITE = "bookworm"
_PACKAGES = ("python3", "python3-venv", "ca-certificates")
_TRIED = (
    ("-m", "processors", "packs", "list"),
    ("-c", "import ingest.mqtt_gateway, processors.app, processors.aggregator, alerts.app"),
    *(
        ("-m", *service, "--help")
        for service in (
            ("ingest", "mqtt"),
            ("ingest", "clock"),
            ("processors", "worker"),
            ("processors", "aggregator"),
            ("processors", "migrate"),
            ("alerts", "run"),
        )
    ),
)
"""Run in the image: its data is there, its libraries load, its services start."""
_OUTSIDE = re.compile(r"^(PIP_|SSL_CERT|https?_proxy$|no_proxy$)", re.IGNORECASE)
"""What of the machine's own settings the build needs to reach its package registry."""
_MOUNTED = """
set -e
root=$1; shift
mount --rbind "$root" "$root"
mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"
for name in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs; do
  if [ -e "$name" ] && [ -e "$root$name" ]; then mount --rbind "$name" "$root$name"; fi
done
if [ -d /opt/wheels ]; then mount --bind /opt/wheels "$root/opt/wheels"; fi
if [ "$READ_ONLY" = 1 ]; then mount -o remount,ro,bind "$root"; mount -t tmpfs tmpfs "$root/tmp"; fi
exec chroot "$root" "$@"
"""


@dataclass(slots=True)
class Stage:
    """A stage of the Dockerfile: its root and what holds in it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The Dockerfile's instructions: (name, rest), comments left out, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        told = line.strip()
        if told and not told.startswith("#"):
            name, _, rest = told.partition(" ")
            yield name.upper(), rest.strip()


def build(text: str, folder: Path) -> Stage:
    """Run every instruction; the last stage."""
    remove_tree(folder)
    folder.mkdir(parents=True)
    base = folder / "base"
    _bootstrap(base)
    stages: dict[str, Stage] = {}
    stage = Stage(base)
    for name, rest in instructions(text):
        _say(f"{name} {rest[:100]}")
        match name:
            case "FROM":
                label = rest.split()[-1] if " AS " in rest else str(len(stages))
                stage = stages[label] = Stage(folder / label)
                _copy(base, stage.root)
            case "ENV":
                stage.environment |= dict(pair.split("=", 1) for pair in rest.split())
            case "WORKDIR":
                stage.folder = rest
                (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy_all(rest.split(), stage, stages)
            case "RUN":
                _run(stage, ["/bin/sh", "-c", f"cd {stage.folder} && {rest}"], _of_machine())
            case "USER":
                stage.user = rest
            case "ENTRYPOINT":
                stage.entrypoint = tuple(json.loads(rest))
            case "CMD":
                pass
            case _:
                message = f"the Dockerfile says {name}, which this check does not know"
                raise ComplaintError(message, "teach deploy/image_check.py")
    return stage


def try_services(stage: Stage) -> None:
    """Run what shows that the image works, as its user, on a root that is read-only but for /tmp."""
    user, group = stage.user.split(":")
    drop = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
    for words in _TRIED:
        _run(stage, [*drop, stage.entrypoint[0], *words], {}, read_only=True)
        _say(f"as {stage.user}, on a read-only root: python {' '.join(words)}")


def _bootstrap(base: Path) -> None:
    make_sure_of_mmdebstrap(_say)
    _say(f"a Debian {_SUITE} with {', '.join(_PACKAGES)}")
    _checked(
        [
            *(tool("mmdebstrap"), "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
            *("--quiet", "--dpkgopt=force-unsafe-io", _SUITE, str(base), *mirrors(_SUITE)),
        ]
    )
    (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (base / "opt/wheels").mkdir(parents=True, exist_ok=True)
    (base / "etc/pip.conf").touch()


def _copy_all(words: Sequence[str], stage: Stage, stages: Mapping[str, Stage]) -> None:
    source = CHECKOUT
    if words[0].startswith("--from="):
        source = stages[words[0].removeprefix("--from=")].root
        words = words[1:]
    *names, target = words
    place = stage.root / str(Path(stage.folder) / target).lstrip("/")
    for name in names:
        one = source / name.lstrip("/")
        to = (
            place / one.name
            if len(names) > 1 or (target.endswith("/") and one.is_file())
            else place
        )
        _copy(one, to)


def _copy(source: Path, target: Path) -> None:
    """As `cp -a` does it: a device stays a device."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _checked(["cp", "-a", "--no-target-directory", str(source), str(target)])


def _of_machine() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if _OUTSIDE.match(name)}


def _run(
    stage: Stage, command: Sequence[str], extra: Mapping[str, str], *, read_only: bool = False
) -> None:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root"}
    told = [f"{name}={value}" for name, value in (environment | stage.environment | extra).items()]
    inside = ["/usr/bin/env", "-i", *told, *command]
    _checked(
        [tool("unshare"), "--mount", tool("sh"), "-c", _MOUNTED, "in", str(stage.root), *inside],
        os.environ | {"READ_ONLY": "1" if read_only else "0"},
    )


def _checked(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        message = (
            f"{' '.join(command[-3:])[:200]} ended with {done.returncode}:\n{done.stdout[-2000:]}"
        )
        raise ComplaintError(
            message, "mend the Dockerfile, or this machine's way to its registries"
        )


def _say(line: str) -> None:
    print(f"image: {line}", flush=True)


def main() -> int:
    """Exit codes: 0 every step and service ran; 1 one did not, and which was said."""
    if os.geteuid() != 0:
        print("image: only root may mount and chroot; run as root", file=sys.stderr)
        return 1
    try:
        stage = build(DOCKERFILE.read_text(encoding="utf-8"), FOLDER)
        try_services(stage)
    except (ComplaintError, OSError) as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    remove_tree(FOLDER)
    _say("all steps ran, and what they made works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
