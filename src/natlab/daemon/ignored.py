"""What a client may ask for and does not get: said in a warning, as Docker does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from natlab.daemon.network import HOST

_NO_GROUPS: Final = "natlab makes no control groups"
_NO_OWN: Final = "a container of natlab always has its own"
_IGNORED: Final[Mapping[str, tuple[str, str]]] = {
    "BlkioWeight": ("--blkio-weight", _NO_GROUPS),
    "BlkioWeightDevice": ("--blkio-weight-device", _NO_GROUPS),
    "BlkioDeviceReadBps": ("--device-read-bps", _NO_GROUPS),
    "BlkioDeviceReadIOps": ("--device-read-iops", _NO_GROUPS),
    "BlkioDeviceWriteBps": ("--device-write-bps", _NO_GROUPS),
    "BlkioDeviceWriteIOps": ("--device-write-iops", _NO_GROUPS),
    "CgroupParent": ("--cgroup-parent", _NO_GROUPS),
    "CpuPeriod": ("--cpu-period", _NO_GROUPS),
    "CpuQuota": ("--cpu-quota", _NO_GROUPS),
    "CpuRealtimePeriod": ("--cpu-rt-period", _NO_GROUPS),
    "CpuRealtimeRuntime": ("--cpu-rt-runtime", _NO_GROUPS),
    "CpuShares": ("--cpu-shares", _NO_GROUPS),
    "CpusetCpus": ("--cpuset-cpus", _NO_GROUPS),
    "CpusetMems": ("--cpuset-mems", _NO_GROUPS),
    "DeviceCgroupRules": ("--device-cgroup-rule", _NO_GROUPS),
    "DeviceRequests": ("--gpus", "natlab has no device drivers"),
    "Devices": ("--device", "natlab gives containers no devices of the machine"),
    "Memory": ("--memory", _NO_GROUPS),
    "MemoryReservation": ("--memory-reservation", _NO_GROUPS),
    "NanoCpus": ("--cpus", _NO_GROUPS),
    "OomKillDisable": ("--oom-kill-disable", _NO_GROUPS),
    "OomScoreAdj": ("--oom-score-adj", "natlab leaves it as it is"),
    "PidMode": ("--pid", _NO_OWN),
    "SecurityOpt": ("--security-opt", "natlab uses no security modules"),
    "StorageOpt": ("--storage-opt", "natlab limits no storage"),
    "UTSMode": ("--uts", _NO_OWN),
}
_UNLIMITED: Final = (0, -1)


def warnings(body: Mapping[str, Any], host_config: Mapping[str, Any]) -> list[str]:
    """One line for each wish that is not granted; the client prints them after `WARNING: `."""
    return list(_warnings(body, host_config))


def _warnings(body: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    if config["NetworkMode"] == HOST and (config["PortBindings"] or config["PublishAllPorts"]):
        yield "Published ports are discarded when using host network mode"
    for key, (option, reason) in _IGNORED.items():
        if config.get(key):
            yield f"{option} is ignored: {reason}"
    if config.get("PidsLimit") not in (None, *_UNLIMITED):
        yield f"--pids-limit is ignored: {_NO_GROUPS}"
    ipc = config.get("IpcMode") or ""
    if ipc == HOST or ipc.startswith("container:"):
        yield f"--ipc is ignored: {_NO_OWN}"
    test = (body.get("Healthcheck") or {}).get("Test")
    if test and test != ["NONE"]:
        yield "--health-cmd is ignored: natlab looks after no container's health"
