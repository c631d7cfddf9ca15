"""Settings come from the environment, secrets from files too, and show neither password."""

import os
from pathlib import Path

import pytest

from schemas.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets is set."""
    for name in [name for name in os.environ if name.upper().startswith("WEIR_")]:
        monkeypatch.delenv(name)


def test_what_is_not_set_has_the_local_defaults() -> None:
    """Everything on the loopback; secrets are none."""
    settings = Settings.read()
    assert (settings.kafka, settings.mqtt) == ("127.0.0.1:9092", "127.0.0.1:1883")
    assert (settings.partitions, settings.generation) == (8, 1)
    assert settings.database_url is None
    assert settings.mqtt_password is None


def test_secrets_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the line's end; blanks belong to the secret."""
    (tmp_path / "password").write_text(" p w \n")
    monkeypatch.setenv("WEIR_MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    password = Settings.read().mqtt_password
    assert password is not None
    assert password.get_secret_value() == " p w "


def test_a_secret_has_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would leave open which holds."""
    (tmp_path / "url").write_text("postgresql://a")
    monkeypatch.setenv("WEIR_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://b")
    with pytest.raises(SettingsError, match="both set"):
        Settings.read()


def test_who_we_are_is_told_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a password or an authority is no identity; a password never goes over plain TCP."""
    assert Settings.read().kafka_client() == {}
    monkeypatch.setenv("WEIR_KAFKA_USER", "worker")
    monkeypatch.setenv("WEIR_MQTT_CERTIFICATE", "/c.pem")
    with pytest.raises(SettingsError, match="KAFKA_USER, _PASSWORD and _AUTHORITY"):
        Settings.read()
    monkeypatch.setenv("WEIR_KAFKA_PASSWORD", "secret")
    monkeypatch.setenv("WEIR_KAFKA_AUTHORITY", "/ca.pem")
    with pytest.raises(SettingsError, match="MQTT_CERTIFICATE, _KEY and _AUTHORITY"):
        Settings.read()
    monkeypatch.setenv("WEIR_MQTT_CERTIFICATE", "")
    told = Settings.read().kafka_client()
    assert (told["security_protocol"], told["sasl_plain_username"]) == ("SASL_SSL", "worker")
    assert "secret" not in Settings.read().shown()


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a variable, with its value; a file that is not there among them."""
    monkeypatch.setenv("WEIR_PARTITIONS", "0")
    monkeypatch.setenv("WEIR_KAFKA", "nowhere")
    monkeypatch.setenv("WEIR_ALERTMANAGER", "127.0.0.1:9093")
    monkeypatch.setenv("WEIR_MQTT_PASSWORD_FILE", "/nowhere")
    with pytest.raises(SettingsError) as told:
        Settings.read()
    said = str(told.value)
    assert len(said.splitlines()) == 4
    for name in (
        "PARTITIONS='0'",
        "KAFKA='nowhere'",
        "ALERTMANAGER='127",
        "MQTT_PASSWORD_FILE='/no",
    ):
        assert f"WEIR_{name}" in said


def test_nothing_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's address without its password, other secrets as stars."""
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://weir:s3cret@db:5432/weir")
    monkeypatch.setenv("WEIR_MQTT_PASSWORD", "s3cret")
    settings = Settings.read()
    assert "s3cret" not in settings.shown() + repr(settings) + str(settings)
    assert "WEIR_DATABASE_URL=postgresql://weir:**********@db:5432/weir" in settings.shown()
    assert "WEIR_MQTT_PASSWORD=**********" in settings.shown()
    assert "WEIR_MQTT_USER=\n" in settings.shown()
    assert "WEIR_PARTITIONS=8" in settings.shown()


@pytest.mark.parametrize("secret", ["s3cret", "postgresql://u:s3cret@[bad", "//s3cret", "a:s3cret"])
def test_what_is_no_address_is_not_shown_at_all(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better stars than a password in a log."""
    monkeypatch.setenv("WEIR_DATABASE_URL", secret)
    assert "s3cret" not in Settings.read().shown()
