"""To the Hub: never by accident, never public unasked, and nothing but the folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

import hilum
from hilum.errors import ConfigError, UserError
from hilum.exporting.hub import push
from hilum.model_card import Statement
from tests.exporting.encoders import vit_encoder

SAID = Statement("cc-by-nc-4.0", "751 synthetic films")


class Hub:
    """What a repository would have been told."""

    def __init__(self, *, private: bool = True, broken: Exception | None = None) -> None:
        self.private, self.broken = private, broken
        self.token: str | None = "never asked"
        self.made: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}

    def __call__(self, token: str | None = None) -> Hub:
        self.token = token
        return self

    def create_repo(self, repo: str, **options: Any) -> None:
        if self.broken is not None:
            raise self.broken
        self.made = {"repo": repo, **options}

    def repo_info(self, repo: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self.files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    fake = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", fake)
    return fake


def test_a_whole_folder_goes_to_a_private_repository(hub: Hub, tmp_path: Path) -> None:
    pushed = push(vit_encoder(), "org/name", statement=SAID, token="secret")
    assert hub.made == {"repo": "org/name", "private": True, "exist_ok": True}
    assert hub.token == "secret"
    assert set(hub.files) == {"README.md", "config.json", "files.json", "model.safetensors"}
    card = hub.files["README.md"].decode()
    assert 'hilum.load("org/name")' in card
    assert "license: cc-by-nc-4.0" in card
    assert pushed.lines()[-1] == "uploaded to https://huggingface.co/org/name (private)"
    for name, content in hub.files.items():
        (tmp_path / name).write_bytes(content)
    assert hilum.load(tmp_path).describe() == vit_encoder().describe()


def test_an_encoder_pushes_itself(hub: Hub) -> None:
    url = vit_encoder().push_to_hub("org/name", licence="mit", data="films", format="timm", private=False)
    assert url == "https://huggingface.co/org/name"
    assert hub.made["private"] is False
    assert "hf-hub:org/name" in hub.files["README.md"].decode()


def test_a_dry_run_leaves_the_folder_and_sends_nothing(hub: Hub, tmp_path: Path) -> None:
    pushed = push(vit_encoder(), "org/name", out=tmp_path / "out", statement=SAID, dry_run=True)
    assert not hub.made
    assert not hub.files
    assert (tmp_path / "out/model.safetensors").is_file()
    assert pushed.url is None
    assert pushed.lines()[-1] == "would be uploaded to org/name (private); not sent"
    with pytest.raises(ConfigError, match="a dry run leaves a folder"):
        push(vit_encoder(), "org/name", statement=SAID, dry_run=True)


def test_a_public_repository_is_refused_unless_asked_for(hub: Hub) -> None:
    hub.private = False
    with pytest.raises(UserError, match="org/name is public"):
        push(vit_encoder(), "org/name", statement=SAID)
    assert not hub.files
    push(vit_encoder(), "org/name", statement=SAID, private=False)
    assert hub.files


@pytest.mark.parametrize(
    ("repo", "statement", "says"),
    [
        ("org/name", Statement(None, "films"), "--licence: is not stated"),
        ("org/name", Statement("mit", "  "), "--data: is not stated"),
        ("name", SAID, "'name' names no repository"),
        ("../etc/name", SAID, "names no repository"),
        ("org/na me", SAID, "names no repository"),
    ],
)
def test_what_must_not_leave_does_not(repo: str, statement: Statement, says: str, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        push(vit_encoder(), repo, out=tmp_path / "out", statement=statement)
    assert not hub.made
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        LocalTokenNotFoundError("Token is required"),
        HFValidationError("Repo id must be shorter"),
        OSError("Name or service not known"),
    ],
)
def test_a_hub_that_refuses_is_one_sentence(error: Exception, hub: Hub, tmp_path: Path) -> None:
    hub.broken = error
    with pytest.raises(UserError, match=rf"org/name: the upload failed \({error}\)") as said:
        push(vit_encoder(), "org/name", out=tmp_path / "out", statement=SAID)
    assert "hf auth login" in str(said.value)
    assert (tmp_path / "out/model.safetensors").is_file()  # what was written stays, to be sent later
