"""What is deployed: the image's recipe, the systemd unit, the check script."""

import configparser
import fnmatch
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alchemiser.domain import errors
from alchemiser.service.settings_load import load_settings

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[int, str, str]]:
    """Return the instructions of the Dockerfile as (stage, word, rest), continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    stage, found = -1, []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        stage += word == "FROM"
        found.append((stage, word, rest))
    return found


def copied() -> list[tuple[list[str], str]]:
    """Return the sources and the target of every COPY from the build context."""
    return [(rest.split()[:-1], rest.split()[-1]) for _, word, rest in instructions() if word == "COPY" and "--from" not in rest]


def test_everything_the_image_copies_is_there_and_reaches_the_builder() -> None:
    """Each COPY source exists and is let through by ``.dockerignore``."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    sources = [source for group, _ in copied() for source in group]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), f"{source} is kept from the builder"


def test_the_image_is_hardened() -> None:
    """No root, pinned and hashed dependencies, a health check, two stages, and no build tools in the last."""
    words = instructions()
    last = max(stage for stage, _, _ in words)

    assert last == 1
    assert [rest for stage, word, rest in words if (stage, word) == (last, "USER")] == ["10001:10001"]
    assert [rest.partition(" CMD ")[2] for _, word, rest in words if word == "HEALTHCHECK"] == ['["alchemiser", "health"]']
    assert all("--require-hashes" in rest for _, word, rest in words if word == "RUN" and "pip install" in rest and ".lock" in rest)
    assert not any("pip install" in rest for stage, word, rest in words if word == "RUN" and stage == last)
    assert {rest for _, word, rest in words if word == "FROM"} == {"${BASE} AS builder", "${BASE}"}
    assert [rest for _, word, rest in words if word == "STOPSIGNAL"] == ["SIGTERM"]
    assert all(rest.startswith("[") for _, word, rest in words if word in ("ENTRYPOINT", "CMD"))  # A shell would keep the signal.
    labels = " ".join(rest for stage, word, rest in words if (stage, word) == (last, "LABEL"))
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{label}=" in labels


def test_the_image_lists_what_is_in_it() -> None:
    """The list is made from the environment that the result takes over, after the last change to what is installed in it."""
    built = [rest for stage, word, rest in instructions() if (stage, word) == (0, "RUN")]
    (listing,) = [number for number, rest in enumerate(built) if "cyclonedx-py" in rest]

    assert "--output-file /opt/alchemiser/sbom.cdx.json" in built[listing]
    assert [number for number, rest in enumerate(built) if "/opt/alchemiser/bin/pip" in rest][-1] < listing


def unit() -> configparser.RawConfigParser:
    """Return the systemd unit; a key that comes several times keeps all its values, a line each."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    text = (ROOT / "deploy" / "alchemiser.service").read_text()
    parser.read_string(re.sub(r"^(LoadCredential|SystemCallFilter)=(.*)$", lambda m: f"{m[1]}.{m[2]}=yes", text, flags=re.MULTILINE))
    return parser


def test_the_unit_is_watched_and_fenced_in() -> None:
    """Systemd is told when it is ready, watches it, and gives it nothing that it does not need."""
    service = unit()["Service"]

    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"]) >= 10
    assert (
        float(service["TimeoutStopSec"])
        > load_settings(environ={}, directory=ROOT / "deploy" / "nowhere", secrets=()).settings.service.stop_seconds
    )
    for key in (
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "RestrictNamespaces",
        "DynamicUser",
        "MemoryDenyWriteExecute",
    ):
        assert service[key] == "yes", key
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


def test_a_person_is_needed_for_the_codes_that_do_not_restart() -> None:
    """Wrong usage, wrong settings and refusals are not tried again; an unreachable venue is."""
    codes = {int(code) for code in unit()["Service"]["RestartPreventExitStatus"].split()}

    assert {errors.UsageError.exit_code, errors.ConfigError.exit_code, errors.SafetyRefused.exit_code} == codes
    assert errors.VenueError.exit_code not in codes


def test_the_credentials_of_the_unit_are_found_by_the_settings(tmp_path: Path) -> None:
    """Each ``LoadCredential`` has the name that the daemon looks for."""
    names = [key.partition(".")[2].partition(":")[0] for key in unit()["Service"] if key.startswith("LoadCredential")]
    for name in names:
        (tmp_path / name).write_text("a-secret-value")

    settings = load_settings(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, directory=tmp_path).settings

    assert len(names) == 3
    assert settings.alpaca.has_credentials
    assert settings.service.token is not None


@pytest.mark.slow  # With the stage that installs what it asks.
def test_the_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    """systemd-analyze finds no mistake, where there is one to ask."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    # The program is not installed here; its place in the unit is taken by one that is.
    copy = tmp_path / "alchemiser.service"
    copy.write_text(
        (ROOT / "deploy" / "alchemiser.service").read_text().replace("/opt/alchemiser/bin/alchemiser", shutil.which("true") or "/bin/true")
    )

    found = subprocess.run([analyze, "verify", "--man=no", copy], capture_output=True, text=True, timeout=30)

    newer = ("RestartSteps", "RestartMaxDelaySec")  # systemd 254; an older one ignores them.
    assert [] == [line for line in found.stderr.splitlines() if "alchemiser.service" in line and not any(key in line for key in newer)]


@pytest.mark.slow  # With the stage that installs what it asks.
def test_systemd_finds_little_exposed() -> None:
    """The score of systemd's own check is at most 1.5, of 10 for a service without any fence."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    words = [analyze, "security", "--offline=yes", "--threshold=15", "--no-pager", str(ROOT / "deploy" / "alchemiser.service")]

    found = subprocess.run(words, capture_output=True, text=True, timeout=30)

    score = re.search(r"Overall exposure level for \S+: (\S+)", found.stdout)
    assert score is not None, found.stdout + found.stderr
    assert float(score[1]) <= 1.5
    assert found.returncode == 0


def compose() -> dict[str, Any]:
    """Return the compose file."""
    return dict(yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text()))


def test_what_the_compose_file_mounts_is_there() -> None:
    """Every file that a service mounts exists, every named volume and secret is declared, every port is on loopback."""
    document = compose()
    assert set(document["services"]) == {"alchemiser", "prometheus", "grafana"}
    for name, service in document["services"].items():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / "deploy" / source).is_file(), f"{name}: {source}"
                assert volume.endswith(":ro"), volume
            else:
                assert source in document["volumes"], f"{name}: {source}"
        assert set(service.get("secrets", ())) <= set(document["secrets"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["cap_drop"] == ["ALL"]
        assert service["healthcheck"]["test"][0] == "CMD"


def test_the_daemon_of_the_compose_file_is_fenced_in(tmp_path: Path) -> None:
    """Read-only, without privileges, with time for an orderly stop; its secrets and variables are settings that exist."""
    service = compose()["services"]["alchemiser"]
    for name in service["secrets"]:
        (tmp_path / name).write_text("a-secret-value")

    settings = load_settings(
        config=ROOT / "deploy" / "alchemiser.toml", environ=service["environment"], directory=tmp_path, secrets=(tmp_path,)
    ).settings

    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert float(service["stop_grace_period"].removesuffix("s")) > settings.service.stop_seconds
    assert service["healthcheck"]["test"] == ["CMD", "alchemiser", "health"]
    assert settings.alpaca.has_credentials
    assert settings.service.token is not None
    assert settings.service.http == "0.0.0.0:8080"


def test_prometheus_and_grafana_find_one_another() -> None:
    """The rules ask for the job that is scraped, the dashboard lies where its provider looks, the source has the service's address."""
    services = compose()["services"]
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    (job,) = scraped["scrape_configs"]
    source = yaml.safe_load((ROOT / "deploy" / "grafana" / "datasource.yml").read_text())["datasources"][0]
    folder = yaml.safe_load((ROOT / "deploy" / "grafana" / "dashboards.yml").read_text())["providers"][0]["options"]["path"]

    assert f'job="{job["job_name"]}"' in (ROOT / "deploy" / "alerts.yml").read_text()
    assert job["static_configs"] == [{"targets": ["alchemiser:8080"]}]
    assert any(volume == "./alerts.yml:/etc/prometheus/alerts.yml:ro" for volume in services["prometheus"]["volumes"])
    assert scraped["rule_files"] == ["alerts.yml"]
    assert source["url"] == "http://prometheus:9090"
    assert any(volume.startswith(f"./grafana.json:{folder}/") for volume in services["grafana"]["volumes"])


def test_the_settings_that_are_deployed_are_valid() -> None:
    """The shipped settings file loads, with paper as its mode."""
    loaded = load_settings(config=ROOT / "deploy" / "alchemiser.toml", environ={}, secrets=())

    assert loaded.settings.alpaca.mode == "paper"


def test_the_check_script_is_a_program() -> None:
    """``.ci/run``, ``.ci/lock`` and ``.ci/container`` can be executed and stop at the first failure."""
    for name in ("run", "lock", "container"):
        script = ROOT / ".ci" / name
        assert os.access(script, os.X_OK)
        assert "set -euo pipefail" in script.read_text()
        subprocess.run(["bash", "-n", script], check=True, timeout=10)
