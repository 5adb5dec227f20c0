"""Work on files that takes its time: done by a child of the agent, shut into a tree.

The agent never waits for it. The worker stands in a mount namespace of its own or of a container,
its root is the tree, and it has no descriptors but those of its task: no link and no `..` that it
meets leads anywhere else. It ends with the agent, and says on a pipe how it went.
"""

from __future__ import annotations

import contextlib
import json
import lzma
import os
import signal
import sys
import tarfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from natlab.errors import NatlabError
from natlab.kernel import overlays, syscalls
from natlab.kernel.inside import Inside
from natlab.kernel.mounting import mount_all, seal_trees
from natlab.kernel.rootfs import Mount, Tree, assemble
from natlab.kernel.waiting import readable
from natlab.kernel.wire import Fd
from natlab.model.refusal import Refusal

_FAILED: Final = 500
_CUT_OFF: Final = dict.fromkeys(("", "unexpected end of data"), "unexpected EOF")
"""What tarfile says of an archive that is cut off, and what Go says."""


@dataclass(frozen=True)
class RootRef:
    """Whose files: a running container's, by its pid, or a stopped one's, by its tree.

    Attributes:
        name: What messages call the container.
        pid: Of its first process, as the agent sees it; 0: it does not run.
        tree: Of a stopped one.
        mounts: What is mounted in it besides.
        read_only: Whether its tree is.
    """

    name: str
    pid: int = 0
    tree: Tree | None = None
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False


@dataclass(frozen=True)
class Job:
    """A worker: its pid, a pidfd, and the pipe on which it says how it went; see `finish`."""

    pid: int
    pidfd: Fd
    result: Fd


def submit(enter: Callable[[], None], work: Callable[[], Any], kept: Sequence[Fd] = ()) -> Job:
    """Do work in a child of the agent.

    Args:
        enter: Takes the child to the tree, and makes that its root.
        work: What it does there; what it returns must be JSON.
        kept: The descriptors that it needs.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    agent = os.getpid()
    child = os.fork()
    if child == 0:
        _be(agent, writer, {fd.number for fd in kept}, enter, work)
    os.close(writer)
    return Job(child, Fd(os.pidfd_open(child)), Fd(reader))


def _be(
    agent: int, writer: int, kept: set[int], enter: Callable[[], None], work: Callable[[], Any]
) -> NoReturn:
    try:
        _begin_anew(agent, {*kept, writer})
        overlays.in_user_namespace()  # remembered: there may be no /proc later
        enter()
        said = {"value": work()}
    except BaseException as error:  # noqa: BLE001 - whatever it is, `finish` raises it
        said = _told(error)
    with contextlib.suppress(OSError), os.fdopen(writer, "w") as result:
        json.dump(said, result)
    os._exit(0)


def _begin_anew(agent: int, kept: set[int]) -> None:
    """Have nothing of the agent's, and import nothing: files are the container's from here on."""
    syscalls.die_with_parent(signal.SIGKILL)
    if os.getppid() != agent:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) not in kept:  # noqa: PLR2004 - standard error
            with contextlib.suppress(OSError):
                os.close(int(name))
    sys.meta_path.clear()
    sys.path.clear()


def _told(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Refusal):
        return {"message": error.message, "status": error.status}
    if isinstance(error, NatlabError):
        return {"message": str(error), "status": _FAILED}
    if isinstance(error, (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)):
        return {"message": _CUT_OFF.get(str(error), str(error)), "status": 400}
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return {"message": f"{where}{(error.strerror or str(error)).lower()}", "status": _FAILED}
    return {"message": f"{type(error).__name__}: {error}", "status": _FAILED}


def finish(job: Job) -> Any:
    """Wait for a worker's answer and end, on the client's side; its descriptors are closed.

    Raises:
        Refusal: it could not be done; the message and the status that Docker has for it.
    """
    with os.fdopen(job.result.detach(), "rb") as result:
        said = result.read()
    readable([job.pidfd.number])
    job.pidfd.close()
    if not said:
        raise Refusal("the work on the container's files was cut off: try again", _FAILED)
    answer = json.loads(said)
    if "value" not in answer:
        raise Refusal(answer["message"], answer["status"])
    return answer["value"]


def entrance(root: RootRef) -> tuple[Callable[[], None], list[Fd]]:
    """How a worker gets to a container's files, and the descriptor that it needs for that.

    The descriptor is the caller's to close.

    Raises:
        NatlabError: the container has ended.
    """
    if not root.pid:
        return lambda: _stand_in_tree(root), []
    try:
        namespace = os.open(f"/proc/{root.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NatlabError(f"container {root.name} has ended: try again") from error
    return lambda: _stand_in(namespace), [Fd(namespace)]


def _stand_in(namespace: int) -> None:
    syscalls.setns(namespace, syscalls.CLONE_NEWNS)
    os.close(namespace)


def _stand_in_tree(root: RootRef) -> None:
    """Mount a stopped container's files, for this process only."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    mounted = assemble(root.tree or Tree((), "", ""))
    inside = Inside(mounted[0])
    mount_all(inside, root.mounts)
    if root.read_only:
        seal_trees(mounted)
    inside.close()
    stand_in_directory(mounted[0])


def stand_in_directory(directory: str) -> None:
    """Make a directory this process's root. Equivalent to: `chroot DIRECTORY`."""
    os.chroot(directory)
    os.chdir("/")
