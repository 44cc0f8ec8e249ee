"""The processor and the GPUs of this machine, without importing vLLM or torch."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

CpuDtype = Literal["bfloat16", "float32"]
CPUINFO = Path("/proc/cpuinfo")
DEVICES = Path("/dev")
# An instruction that multiplies bfloat16, as Linux names it: AVX-512 and AMX on x86, BF16 on ARM.
FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
_GPU_DEVICE = re.compile(r"nvidia\d+|kfd")


@dataclass(frozen=True)
class ChosenDtype:
    """The number format of an engine on this CPU, and the reason."""

    name: CpuDtype
    reason: str

    def __str__(self) -> str:
        """`float32 (this CPU has no …)`."""
        return f"{self.name} ({self.reason})"


@lru_cache(maxsize=1)
def cpu_dtype(cpuinfo: Path = CPUINFO) -> ChosenDtype:
    """The number format in which this CPU decodes fastest.

    Without an instruction for bfloat16 a CPU converts every number: on two AVX2 cores the 1.5B
    wrote 2 tokens/s in bfloat16 and 4 to 7 in float32.

    Args:
        cpuinfo: The file in which Linux lists what the CPU can do.

    Returns:
        bfloat16 if the CPU can multiply it, or if it cannot be told (vLLM's own default).
    """
    try:
        text = cpuinfo.read_text("utf-8")
    except OSError:
        return ChosenDtype("bfloat16", f"{cpuinfo} cannot be read")
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    if not lines:
        return ChosenDtype("bfloat16", f"{cpuinfo} lists no features")
    features = set(lines[0].split())
    for feature in FAST_BFLOAT16:
        if feature in features:
            return ChosenDtype("bfloat16", f"this CPU has {feature}")
    return ChosenDtype("float32", "this CPU has no instruction that multiplies bfloat16")


def gpu_count(devices: Path = DEVICES) -> int:
    """GPUs of NVIDIA that this process sees, as far as device files tell; one for all of AMD."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip()
    if visible in ("", "-1"):
        return 0
    found = sum(bool(_GPU_DEVICE.fullmatch(device.name)) for device in devices.iterdir())
    return found if visible == "all" else min(found, len(visible.split(",")))


def has_gpu(devices: Path = DEVICES) -> bool:
    """Whether a GPU is visible to this process, as far as device files tell."""
    return gpu_count(devices) > 0


def countable_gpus(devices: Path = DEVICES) -> int | None:
    """GPUs that this process sees; None if device files do not tell their number.

    AMD's GPUs share one file, and each of NVIDIA's may be divided (MIG).
    """
    has_parts = "MIG-" in os.environ.get("CUDA_VISIBLE_DEVICES", "")
    is_amd = (devices / "kfd").exists()
    return None if has_parts or is_amd else gpu_count(devices)


def runs_on_cpu() -> bool:
    """Whether vLLM computes on the CPU here: its CPU build, or a machine without a GPU.

    Imports vLLM.
    """
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())
