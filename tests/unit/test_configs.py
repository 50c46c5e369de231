"""The files that operators begin with name only what there is."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatserver.settings import Settings, load
from chatserver.settings.environment import VARIABLES

_ROOT = Path(__file__).parents[2]
_CONFIGS = _ROOT / "configs"
_GIVEN = {"CHATSERVER_SECRET": "x" * 64, "POSTGRES_PASSWORD": "y" * 32}
_INSTANCES = ("one", "two")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (_CONFIGS / "compose.yaml").read_text()
    # As compose does it: ${NAME:-default} and ${NAME:?what to do}.
    filled = re.sub(r"\$\{(\w+):([-?])([^}]*)\}", lambda found: _filled(*found.groups()), text)
    assert "${" not in filled
    composed: dict[str, Any] = yaml.safe_load(filled)
    return composed


def _filled(name: str, kind: str, rest: str) -> str:
    return _GIVEN[name] if kind == "?" else rest


def _image_environment() -> dict[str, str]:
    """What the image sets by itself."""
    lines = (_ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    pairs = [pair for line in lines if line.startswith("ENV ") for pair in line.removeprefix("ENV ").split()]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs) if name in VARIABLES}


def _settings(compose: dict[str, Any], instance: str) -> Settings:
    environment = compose["services"][instance]["environment"]
    assert set(environment) <= set(VARIABLES)
    return load(None, {**_image_environment(), **environment}, {}).settings


@pytest.mark.parametrize("instance", _INSTANCES)
def test_instances_start_with_the_settings_of_the_composition(compose: dict[str, Any], instance: str) -> None:
    settings = _settings(compose, instance)
    assert "@postgres/" in settings.store.database_url
    assert settings.store.redis_url.startswith("redis://redis/")
    assert settings.server.port == 8000
    patience = compose["services"][instance]["stop_grace_period"]
    assert int(patience.removesuffix("s")) > settings.server.grace_s


def test_all_that_the_composition_names_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert set(service["networks"]) <= set(compose["networks"])
        for volume in service.get("volumes", ()):
            source, _, _ = volume.partition(":")
            assert (_CONFIGS / source).exists() if source.startswith(".") else source in compose["volumes"]
        if "build" in service:
            assert (_CONFIGS / service["build"] / "Dockerfile").exists()


def test_its_proxy_finds_the_instances_and_is_believed(compose: dict[str, Any]) -> None:
    services = compose["services"]
    script = shlex.split(services["nginx"]["command"][2])
    assert script[0] == "sed"
    adapted = subprocess.run(
        ["sed", script[1], _CONFIGS / "nginx.conf"], check=True, capture_output=True, text=True
    ).stdout
    addresses = [services[name]["networks"]["inside"]["ipv4_address"] for name in _INSTANCES]
    asked = set(re.findall(r"server ([\d.]+:\d+) ", adapted))
    assert asked == {f"{address}:8000" for address in addresses}
    (network,) = _settings(compose, "one").server.trusted_proxies
    assert network == compose["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert services["nginx"]["ports"] == ["127.0.0.1:8080:8080"]
    assert "listen 8080;" in adapted
