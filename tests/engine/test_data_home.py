"""Where volumes are kept that outlive their lab."""

from __future__ import annotations

import os
from pathlib import Path

from natlab.engine.data_home import data_home, kept_volumes


def test_a_directory_that_was_chosen_comes_first(monkeypatch):
    monkeypatch.setenv("NATLAB_DATA_DIR", "/some/where")
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert kept_volumes("classroom", "ubuntu1") == Path("/some/where/volumes/classroom/ubuntu1")


def test_each_user_has_a_data_directory_of_his_own(monkeypatch):
    monkeypatch.delenv("NATLAB_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", "/srv/me")
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert data_home() == Path("/xdg/natlab")
    for unset in ("", "relative/is/not/valid"):
        monkeypatch.setenv("XDG_DATA_HOME", unset)
        assert data_home() == Path("/srv/me/.local/share/natlab")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert data_home() == Path("/var/lib/natlab")
