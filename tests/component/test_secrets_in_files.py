"""CI looks for secrets in every file of the repository, and would find them."""

import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCANNER = ROOT / ".ci" / "secrets"


def scanned(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the scanner over a repository."""
    return subprocess.run([sys.executable, str(SCANNER), str(directory)], capture_output=True, text=True, timeout=60)


def invented(characters: str, length: int) -> str:
    """Return what a secret looks like; made here, so that this file holds none."""
    return "".join(random.Random(length).choices(characters, k=length))


LETTERS = string.ascii_letters + string.digits
KEY_ID = "PK" + invented(string.ascii_uppercase + string.digits, 18)
SECRET = invented(LETTERS, 40)

PLANTS = {
    "a key id alone": f"# {KEY_ID}\n",
    "a key id in the middle": f"curl -H 'APCA-API-KEY-ID: {KEY_ID}' https://paper-api.alpaca.markets\n",
    "a secret in settings": f'[alpaca]\nsecret_key = "{SECRET}"\n',
    "a secret in a shell": f"export APCA_API_SECRET_KEY={SECRET}\n",
    "a token in JSON": f'{{"service_token": "{SECRET}"}}\n',
    "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEow\n",
    "a token of GitHub": "ghp_" + invented(LETTERS, 36) + "\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one harmless file."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True, timeout=10)
    (tmp_path / "harmless.py").write_text('secret_key = "APCA_API_SECRET_KEY"\ntoken = settings.service.token\n')
    return tmp_path


def test_no_file_of_the_repository_holds_a_secret() -> None:
    """What is committed is for everybody to read."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a repository")
    found = scanned(ROOT)

    assert found.returncode == 0, found.stdout
    assert int(found.stdout.split()[0]) > 100


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_secret_is_found(repository: Path, plant: str) -> None:
    """File and line are named, the secret itself is not, and the check fails."""
    assert scanned(repository).returncode == 0
    (repository / "planted.txt").write_text("\n" + PLANTS[plant])

    found = scanned(repository)

    assert found.returncode == 1
    assert "planted.txt:" in found.stdout
    assert KEY_ID not in found.stdout
    assert SECRET not in found.stdout


def test_the_check_is_part_of_ci() -> None:
    """It runs in the first stage."""
    first, _, _ = (ROOT / ".ci" / "run").read_text().partition('stage "tests"')

    assert "\n.ci/secrets\n" in first
