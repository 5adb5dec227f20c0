"""An engine on a lab host, and clients for it."""

from __future__ import annotations

import pytest

from natlab.api.service import DockerEngine


@pytest.fixture
def engine(lab):
    """The Docker engine of ubuntu1."""
    with DockerEngine(lab.ubuntu1) as engine:
        yield engine
