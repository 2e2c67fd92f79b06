"""Models of a hub, here one on this machine: safetensors are fetched and run, code and pickles never."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from accelsim.models import load  # noqa: E402

pytestmark = pytest.mark.torch

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the protocol as a client of a model repository asks for; `root`/owner/name are its files."""

    root = Path()
    asked: list[str] = []  # noqa: RUF012, one hub for one test

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        place = self.path.partition("?")[0].strip("/")
        Hub.asked.append(place)
        if place.startswith("api/models/"):
            name = "/".join(place.split("/")[2:4])
            files = sorted(file.name for file in (self.root / name).glob("*"))
            about = {
                "id": name,
                "modelId": name,
                "sha": COMMIT,
                "siblings": [{"rfilename": file} for file in files],
            }
            tree = [
                {
                    "type": "file",
                    "path": file,
                    "size": (self.root / name / file).stat().st_size,
                    "oid": COMMIT,
                }
                for file in files
            ]
            found = (self.root / name).is_dir()
            self.answer(
                200 if found else 404, json.dumps(tree if "/tree/" in place else about).encode(), body
            )
            return
        file = self.root / place.replace("/resolve/" + COMMIT, "").replace("/resolve/main", "")
        self.answer(200, file.read_bytes(), body) if file.is_file() else self.answer(404, b"", body)

    def answer(self, status: int, content: bytes, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", hashlib.sha1(content).hexdigest())
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    Hub.root, Hub.asked = tmp_path / "hub", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    for module in ("constants", "hf_api", "file_download", "_snapshot_download"):
        for name, value in (("ENDPOINT", address), ("HF_HUB_CACHE", str(tmp_path / "cache"))):
            monkeypatch.setattr(f"huggingface_hub.{module}.{name}", value, raising=False)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield Hub.root
    server.shutdown()
    server.server_close()
    thread.join()


def tiny_bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 32}
    BertModel(BertConfig(num_hidden_layers=2, **sizes)).save_pretrained(folder)


def test_safetensors_of_a_hub_are_fetched_once_and_load(hub: Path) -> None:
    tiny_bert(hub / "someone" / "tiny")
    (hub / "someone" / "tiny" / "pytorch_model.bin").write_bytes(b"a pickle")
    (hub / "someone" / "tiny" / "modeling.py").write_text("raise SystemExit")
    model = load("someone/tiny", tokens=5)
    assert (model.name, model.metadata["class"]) == ("someone/tiny", "BertModel")
    assert model.folder is not None
    assert sorted(file.name for file in model.folder.iterdir()) == ["config.json", "model.safetensors"]
    assert not any("pytorch_model" in place or "modeling" in place for place in Hub.asked)
    Hub.asked.clear()
    load("someone/tiny", tokens=5)
    assert Hub.asked == []


def test_pickles_of_a_hub_are_refused_before_they_are_fetched(hub: Path) -> None:
    tiny_bert(hub / "someone" / "old")
    (hub / "someone" / "old" / "model.safetensors").rename(hub / "someone" / "old" / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match="must hold safetensors, and does not: a pickle may hold code"
    ) as refusal:
        load("someone/old")
    assert "\n" not in str(refusal.value)
    assert not any("resolve" in place for place in Hub.asked)


def test_code_of_a_hub_is_refused(hub: Path) -> None:
    folder = hub / "someone" / "own"
    tiny_bert(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "own.Own"}}))
    (folder / "own.py").write_text("raise SystemExit")
    with pytest.raises(ValueError, match="no code that comes with a model is run") as refusal:
        load("someone/own")
    assert "\n" not in str(refusal.value)
    assert not any(place.endswith((".py", ".safetensors")) for place in Hub.asked)


def test_a_model_that_the_hub_has_not_is_one_line(hub: Path) -> None:
    with pytest.raises(ValueError, match="someone/none") as refusal:
        load("someone/none")
    assert "\n" not in str(refusal.value)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="not in the cache, and the hub cannot be reached"):
        load("nobody/has-this-model")
