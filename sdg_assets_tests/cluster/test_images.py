"""The package runs without the distributions that the images omit."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from sdg_assets_tests.cluster.cluster import ROOT
from sdg_assets_tests.cluster.manifests import K8S

# Never installed in the test environment: they break vLLM on a CPU.
ABSENT = {"torchvision", "torchaudio", "torchcodec"}
# Only in the extra `dev`, which no image has.
FOR_TESTS = {"pyspark", "py4j", "text-dedup", "click-option-group"}
Run = Callable[..., str]

WITHOUT_ENGINE = """
from importlib.util import find_spec
from sdg_assets.definitions import defs
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets_tests.support.records import enriched

assert not any(map(find_spec, ("pyspark", "triton", "text_dedup")))
assert len(list(defs.assets or ())) > 100
search = Duplicates()
search.add([enriched(question="How many are seven and eight of them together?") for _ in "ab"])
print(len(search.refusals()), "copy")
"""
WITH_ENGINE = """
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.engine import BACKEND
from sdg_assets.teacher.requests import Message, Sampling
from sdg_assets_tests.support.requests import request_of

teacher = BACKEND.open(TeacherSpec("smollm2-135m"))
schema = {"type": "object", "properties": {"big": {"type": "boolean"}}, "required": ["big"]}
sampling = Sampling(temperature=0.0, max_tokens=12)
messages = [Message(role="user", content="Is Paris big?")]
for asked in (None, schema):
    teacher.submit(request_of(teacher.identity, messages, sampling, asked))
answers = []
while completions := teacher.poll():
    answers += completions
print(len(answers), "answers of", sum(answer.output_tokens for answer in answers), "tokens")
"""


def dropped(containerfile: str) -> set[str]:
    """The distributions that the image build uninstalls."""
    text = (K8S / containerfile).read_text("utf-8").replace("\\\n", " ")
    (names,) = re.findall(r"pip uninstall --yes ([^\n]+)", text)
    return set(names.split())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program in this environment, without the distributions that the image omits."""
    gone = set()
    for name in (dropped("Containerfile") - ABSENT) | FOR_TESTS:
        files = importlib.metadata.files(name)
        assert files, f"{name} is not installed: nothing needs to drop it"
        gone |= {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}
    packages = Path(sysconfig.get_path("purelib"))
    place = tmp_path_factory.mktemp("image")
    for entry in packages.iterdir():
        if entry.name not in gone and not entry.name.endswith(".pth"):
            (place / entry.name).symlink_to(entry)

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-S", "-c", program],  # -S: without site-packages
            env={**os.environ, "PYTHONPATH": f"{place}:{ROOT}", "PYTHONWARNINGS": "ignore"},
            cwd=place,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def test_the_pipeline_and_its_search_for_copies_need_none_of_it(image: Run) -> None:
    assert "1 copy" in image(WITHOUT_ENGINE)


@pytest.mark.engine
def test_an_engine_on_a_cpu_needs_none_of_it(image: Run) -> None:
    assert "2 answers of" in image(WITH_ENGINE)


def test_the_gpu_image_keeps_what_engines_on_gpus_need() -> None:
    assert "pip uninstall" not in (K8S / "Containerfile.gpu").read_text("utf-8")
    assert {"triton", "opencv-python-headless", *ABSENT} <= dropped("Containerfile")


def test_no_image_has_what_text_dedup_requires_and_nothing_calls() -> None:
    unwanted = {"pyspark", "onnxruntime", "onnx", "unisim", "sphinx", "text-dedup"}
    gpu = (ROOT / ".ci" / "constraints-gpu.txt").read_text("utf-8")

    assert not unwanted & {line.partition("==")[0].lower() for line in gpu.splitlines()}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-gpu.txt"])
def test_urllib3_is_a_release_that_is_still_mended(file: str) -> None:
    (pinned,) = re.findall(r"(?m)^urllib3==(\d+)\.", (ROOT / ".ci" / file).read_text("utf-8"))

    assert int(pinned) >= 2
