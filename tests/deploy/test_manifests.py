"""What compose and the chart start is what the services understand; `make manifests` reads both with their own programs."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
import yaml

from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
VALUES = ROOT / "deploy" / "helm" / "weir" / "values.yaml"


class _Loader(yaml.SafeLoader):
    """Compose's own tags stand for what they are put before."""


_Loader.add_multi_constructor("!", lambda loader, _, node: loader.construct_object(node))


def _reset(loader: yaml.Loader, node: yaml.Node) -> None:
    """`!reset` takes a setting away."""


_Loader.add_constructor("!reset", _reset)


def compose() -> dict[str, dict[str, object]]:
    return yaml.load(COMPOSE.read_text(encoding="utf-8"), _Loader)["services"]  # noqa: S506 - a SafeLoader


def values() -> dict[str, dict[str, object]]:
    return yaml.safe_load(VALUES.read_text(encoding="utf-8"))["services"]


def commands() -> Iterator[tuple[str, ...]]:
    for service in compose().values():
        if str(service["image"]).startswith("weir:") and "entrypoint" not in service:
            yield tuple(map(str, service["command"]))
    for service in values().values():
        yield tuple(map(str, service["args"]))


@cache
def help_of(module: str, verb: str) -> str:
    told = subprocess.run(
        [sys.executable, "-m", module, verb, "--help"], capture_output=True, text=True, check=True
    )
    return told.stdout


@pytest.mark.parametrize("command", sorted(set(commands())), ids=" ".join)
def test_every_command_is_understood(command: Sequence[str]) -> None:
    module, verb, *rest = command
    flags = [word.partition("=")[0] for word in rest if word.startswith("--")]
    known = set(re.findall(r"--[a-z-]+", help_of(module, verb)))
    assert set(flags) <= known


def test_every_setting_is_known() -> None:
    known = {f"WEIR_{name.upper()}" for name in Settings.model_fields}
    known |= {"WEIR_ALERTS_HTTP"}
    named = {
        key.removesuffix("_FILE")
        for service in compose().values()
        for key in service.get("environment", {})
        if key.startswith("WEIR_") and not key.startswith("WEIR_GRAFANA_")
    }
    named |= {
        key
        for service in values().values()
        for key in (*service.get("env", {}), *service["secrets"])
    }
    assert named <= known


def test_no_two_services_share_a_port() -> None:
    ports = [service["port"] for service in values().values()]
    assert len(set(ports)) == len(ports)


def test_every_image_is_pinned_and_nothing_is_privileged() -> None:
    for name, service in compose().items():
        assert re.search(r":[v0-9][0-9.]*", str(service["image"])), name
        assert "privileged" not in service
        assert "no-new-privileges:true" in service["security_opt"], name


def test_the_services_see_no_secret_but_their_own() -> None:
    for name, service in compose().items():
        if name == "setup" or not str(service["image"]).startswith("weir:"):
            continue
        mounted = [str(one) for one in service.get("volumes", ())]
        assert not [one for one in mounted if one.split(":")[0].endswith("/made")], name


def test_prometheus_asks_the_services_of_compose() -> None:
    told = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    services = compose()
    for job in told["scrape_configs"]:
        for target in (one for part in job["static_configs"] for one in part["targets"]):
            name, _, port = target.partition(":")
            said = f"{services[name].get('command')} {services[name].get('environment')}"
            assert port in said or services[name]["image"].startswith("prom/"), target
