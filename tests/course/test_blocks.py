"""The blocks of a README: which are typed, on which machine, and in which spelling."""

from __future__ import annotations

import pytest

from natlab import NatlabError
from natlab.course import blocks
from natlab.course.blocks import Block

README = """
# A step

    indented text is read, not typed

```sh ubuntu1
ls
```

```sh ubuntu1 hand fails
mount
```

```sh outside docker
docker ps
```

```
no machine is named here
```
"""


def test_a_block_that_names_its_machine_is_typed_there():
    assert blocks.parse(README) == [
        Block("ubuntu1", "ls\n"),
        Block("ubuntu1", "mount\n", "hand", fails=True),
        Block("outside", "docker ps\n", "docker"),
    ]


def test_an_unknown_word_on_a_fence_is_refused():
    with pytest.raises(NatlabError, match="a block for ubuntu1 has the unknown word 'by'"):
        blocks.parse("```sh ubuntu1 by hand\nls\n```\n")


def test_a_step_has_the_spellings_of_its_blocks():
    assert blocks.spellings(blocks.parse(README)) == ("hand", "docker")
    assert blocks.spellings([Block("ubuntu1", "ls", "iptables")]) == ("iptables",)


def test_a_step_without_spellings_is_typed_in_one_way():
    plain = [Block("ubuntu1", "ls"), Block("outside", "ls", fails=True)]
    assert blocks.spellings(plain) == (None,)
    assert blocks.chosen(plain, None) == plain


def test_of_two_spellings_one_is_typed_with_what_has_none():
    parsed = blocks.parse(README)
    assert [block.text for block in blocks.chosen(parsed, "hand")] == ["ls\n", "mount\n"]
    assert [block.text for block in blocks.chosen(parsed, "docker")] == ["ls\n", "docker ps\n"]
