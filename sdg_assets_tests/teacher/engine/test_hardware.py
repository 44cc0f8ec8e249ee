from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.teacher.engine import starting
from sdg_assets.teacher.engine.core import Room
from sdg_assets.teacher.engine.hardware import ChosenDtype, countable_gpus, cpu_dtype, has_gpu
from sdg_assets.teacher.engine.starting import for_cpu

AVX2 = "fpu sse4_2 fma avx avx2 bmi2"


@pytest.mark.parametrize(
    ("line", "dtype", "reason"),
    [
        (f"flags\t\t: {AVX2}", "float32", "no instruction that multiplies bfloat16"),
        (f"flags\t\t: {AVX2} avx512f avx512bw", "float32", "no instruction"),
        (f"flags\t\t: {AVX2} avx512f avx512_bf16", "bfloat16", "has avx512_bf16"),
        (f"flags\t\t: {AVX2} amx_tile amx_bf16", "bfloat16", "has amx_bf16"),
        ("Features\t: fp asimd sve bf16 i8mm", "bfloat16", "has bf16"),
        ("Features\t: fp asimd", "float32", "no instruction"),
        ("uarch\t: rv64", "bfloat16", "lists no features"),
    ],
)
def test_a_cpu_computes_in_the_format_that_it_has_instructions_for(
    line: str, dtype: str, reason: str, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\nbogomips\t: 5192.29\n\nprocessor\t: 1\n", "utf-8")

    chosen = cpu_dtype.__wrapped__(cpuinfo)

    assert chosen.name == dtype
    assert reason in str(chosen)


def test_without_cpuinfo_vllms_own_default_stays(tmp_path: Path) -> None:
    assert cpu_dtype.__wrapped__(tmp_path / "none").name == "bfloat16"


def test_only_what_nobody_pinned_is_chosen_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "cpu_dtype", lambda: ChosenDtype("float32", "an old CPU"))

    chosen = {"block_size": starting.CPU_BLOCK, "dtype": "float32"}
    assert for_cpu({"seed": 1}) == {"seed": 1, **chosen}
    assert for_cpu({"dtype": "auto"}) == chosen
    assert for_cpu({"dtype": "bfloat16", "block_size": 64}) == {
        "dtype": "bfloat16",
        "block_size": 64,
    }


def set_visible(monkeypatch: pytest.MonkeyPatch, visible: str | None) -> None:
    """Limits this process to some GPUs; None: to none in particular."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        ("nvidia0", None, True),
        ("kfd", None, True),
        ("nvidiactl", None, False),
        ("nvidia0", "", False),
        ("nvidia0", "-1", False),
        ("nvidia0", "0", True),
    ],
)
def test_a_gpu_is_seen_by_its_device_file(
    device: str,
    visible: str | None,
    expected: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_visible(monkeypatch, visible)
    (tmp_path / device).touch()

    assert has_gpu(tmp_path) is expected


@pytest.mark.parametrize(
    ("devices", "visible", "expected"),
    [
        (["nvidia0", "nvidia1"], None, 2),
        (["nvidia0", "nvidia1"], "1", 1),
        ([], None, 0),
        (["kfd"], None, None),
        (["nvidia0"], "MIG-a,MIG-b", None),
    ],
)
def test_gpus_are_counted_where_device_files_tell(
    devices: list[str],
    visible: str | None,
    expected: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_visible(monkeypatch, visible)
    for device in devices:
        (tmp_path / device).touch()

    assert countable_gpus(tmp_path) == expected


@pytest.mark.parametrize(
    ("room", "tokens", "requests"),
    [
        (Room(sequences=256, tokens=37_000), 600, 78),  # the 1.5B on a CPU
        (Room(sequences=1024, tokens=2_000_000), 600, 1280),  # a small model on a big GPU
        (Room(sequences=1024, tokens=100_000), 10_000, 13),  # long thoughts
        (Room(sequences=256, tokens=1000), 4000, 1),
    ],
)
def test_the_capacity_is_what_the_engine_computes_and_a_short_queue(
    room: Room, tokens: int, requests: int
) -> None:
    assert room.requests(tokens) == requests
