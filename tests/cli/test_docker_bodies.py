"""What `natlab docker` asks an engine for is what the real client asks it for, word for word."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from natlab.cli import docker

NOTHING = (None, "", 0, [], {}, False)
SHUFFLED = ("Binds", "Env", "Config")
"""What the real client sends in any order."""
REFUSAL = b'{"message":"noted"}'


class Notes:
    """An engine that notes what it is asked, and refuses everything but a greeting."""

    def __init__(self, path) -> None:
        self.url, self.asked = f"unix://{path}", []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            client, _ = self._socket.accept()
            with client, client.makefile("rb") as lines:
                if not self._answer(client, lines):
                    return

    def _answer(self, client, lines) -> bool:
        while line := lines.readline():
            method, target, _ = line.decode().split()
            heads = {}
            while head := lines.readline().strip():
                key, _, value = head.decode().partition(":")
                heads[key.lower()] = value.strip()
            body = lines.read(int(heads.get("content-length", 0)))
            if target == "/stop":
                return False
            status, answer = b"500 No", REFUSAL
            if target.endswith(("/_ping", "/version")):
                status, answer = b"200 OK", b'{"ApiVersion":"1.50"}'
            else:
                self.asked.append((method, target, json.loads(body) if body else None))
            answer = b"" if method == "HEAD" else answer
            client.sendall(
                b"HTTP/1.1 %s\r\nApi-Version: 1.50\r\nOstype: linux\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(answer), answer)
            )
            return True
        return True

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.url.removeprefix("unix://"))
            client.sendall(b"GET /stop HTTP/1.1\r\n\r\n")
            self._thread.join()
        self._socket.close()


@pytest.fixture
def notes(tmp_path):
    notes = Notes(tmp_path / "notes.sock")
    yield notes
    notes.close()


def meant(value):
    """A value without what says nothing."""
    if isinstance(value, dict):
        kept = {key: meant(item) for key, item in value.items()}
        kept |= {
            key: sorted(kept[key], key=str) for key in SHUFFLED if isinstance(kept.get(key), list)
        }
        return {key: item for key, item in kept.items() if item not in NOTHING}
    return [meant(item) for item in value] if isinstance(value, list) else value


def plain(asked):
    """What was asked, without the order of a query's words."""
    found = []
    for method, target, body in asked:
        parts = urlsplit(target)
        query = {key: sorted(values) for key, values in parse_qs(parts.query).items()}
        found.append((method, parts.path, query, meant(body)))
    changes = [one for one in found if one[0] not in ("GET", "HEAD")]
    return changes or found  # before a change the client may look


ASKING = Path(__file__).with_name("docker_asking.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", ASKING.splitlines())
def test_the_engine_is_asked_the_same(notes, line, tmp_path, monkeypatch, capfd):
    binary = shutil.which("docker")
    if binary is None:
        pytest.skip("there is no docker client on this machine")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    env = {**os.environ, "DOCKER_HOST": notes.url, "DOCKER_CONFIG": str(tmp_path)}
    subprocess.run(
        [binary, *words],
        env=env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    theirs, notes.asked = notes.asked, []
    if words[0] != "commit":  # what is asked for its sentence has no meaning
        docker.main(["-H", notes.url, *words])
        assert plain(notes.asked) == plain(theirs)
    else:
        docker.main(["-H", notes.url, *words])
        assert notes.asked[0][:2] == ("POST", "/v1.50/commit")
    assert "noted" in "".join(capfd.readouterr())
