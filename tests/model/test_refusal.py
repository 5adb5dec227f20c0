"""A refusal keeps its status wherever it is raised again."""

from __future__ import annotations

import pickle

from natlab.errors import NatlabError
from natlab.model.refusal import Refusal


def test_a_refusal_says_its_message_only():
    assert str(Refusal("No such container: web", 404)) == "No such container: web"


def test_a_refusal_is_a_bad_request_unless_it_says_otherwise():
    assert Refusal("x").status == 400


def test_a_refusal_made_again_from_its_arguments_is_the_same():
    error: NatlabError = Refusal("gone", 409)
    again = type(error)(*error.args)
    assert (str(again), again.status, again.message) == ("gone", 409, "gone")


def test_a_refusal_survives_being_sent_to_another_process():
    again = pickle.loads(pickle.dumps(Refusal("gone", 409)))  # noqa: S301 - our own bytes
    assert (str(again), again.status) == ("gone", 409)
