"""A backend of teachers in a third-party package, without changes to this package."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import sdg_assets
from sdg_assets.assets.teacher import TEACHERS, teacher_assets
from sdg_assets.cluster.pods import REACH_LABEL, stage_pod
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.cluster.sizing import PodSize, stage_size
from sdg_assets.errors import PermanentError, TeacherError
from sdg_assets.records import AnswerKind, Role, Stage
from sdg_assets.registry import members
from sdg_assets.settings import Settings, settings
from sdg_assets.store.partitions import Store
from sdg_assets.teacher import open_teacher, open_teachers
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.conversation import Desk, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Message, Teacher
from sdg_assets.teacher.stream import converse
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.packages import installed
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.runs import QUIET

GROUP = "sdg_assets.teacher.backends"
NAME = "bedrock:rock-1"
PACKAGE = '''
"""Teachers of a provider: `bedrock:<model>`."""

from sdg_assets.records import TeacherStamp
from sdg_assets.teacher.backend import Backend
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.requests import Completion, TeacherIdentity


class Rock:
    max_model_len = 8192
    gpus = None
    capacity = 16
    control_tokens = ControlTokens(())

    def __init__(self, identity):
        self.identity = identity
        self._open = []

    def count_tokens(self, messages):
        return sum(len(message.content.split()) for message in messages)

    def submit(self, request):
        self._open.append(request)

    def poll(self, *, wait=True):
        finished = [
            Completion(
                request_id=request.id,
                text=f"{request.messages[-1].content} A rock says yes.",
                finish_reason="stop",
                prompt_tokens=self.count_tokens(request.messages),
                output_tokens=4,
            )
            for request in self._open
        ]
        self._open.clear()
        return finished


class Bedrock(Backend):
    name = kind = "bedrock"

    def serves(self, spec):
        return spec.name.startswith("bedrock:")

    def names(self, catalog):
        return "bedrock:<model>"

    def open(self, spec):
        return Rock(self.identity(spec))

    def identity(self, spec):
        model = spec.name.removeprefix("bedrock:")
        return TeacherIdentity(TeacherStamp(model=model, revision="v7", license="Apache-2.0"))

    def needs_internet(self, spec, *, cached):
        return True


BACKEND = Bedrock()
'''


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for third-party packages; modules imported from it are removed afterwards."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    members.cache_clear()
    yield folder
    members.cache_clear()
    for name in [name for name in sys.modules if name.startswith("someones_")]:
        del sys.modules[name]


@pytest.fixture
def bedrock(site: Path, configure: Configure) -> None:
    """Installs the package, with its teacher in every role."""
    installed(site, "someones_bedrock", PACKAGE, group=GROUP)
    configure(teacher=NAME)


def asks(teacher: Teacher, text: str) -> Work[str]:
    """Sends one request and returns the text of its completion."""
    message = Message(role="user", content=text)
    request = request_of(teacher.identity, [message])
    (completion,) = yield [request]
    return completion.text


@pytest.mark.usefixtures("bedrock")
def test_its_teacher_answers_in_a_conversation_and_is_logged(store: Store) -> None:
    teacher = open_teacher(settings(), Role.WRITER)
    usage = Usage()

    with CompletionLog(store.completions_dir("quiz", "quiz_a") / "writer.jsonl") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        works = (asks(teacher, f"Is {number} a number?") for number in range(3))
        answers = list(converse(works, desks, usage))

    assert sorted(answers) == [f"Is {number} a number? A rock says yes." for number in range(3)]
    assert (usage.requests, usage.output_tokens) == (3, 12)


@pytest.mark.usefixtures("bedrock")
def test_its_pods_are_small_and_reach_it() -> None:
    code = stage_pod(
        Stage.ENRICHED, settings(), ClusterSettings(cache_claim="models"), AnswerKind.CODE
    )

    assert stage_size(Stage.GENERATED, settings(), cached=False) == PodSize()
    assert code["pod_template_spec_metadata"]["labels"][REACH_LABEL] == "hub"


@pytest.mark.usefixtures("bedrock")
def test_its_teacher_is_observed_as_what_it_is(
    instance: dg.DagsterInstance, configure: Configure
) -> None:
    configure(judge_may_be_writer=True, probe=settings().teacher)
    assets = teacher_assets()
    definitions = dg.Definitions(
        assets=[assets],
        jobs=[dg.define_asset_job("observe", dg.AssetSelection.assets(*TEACHERS.values()))],
    )

    definitions.resolve_job_def("observe").execute_in_process(
        instance=instance, run_config={"loggers": QUIET}
    )

    for key in TEACHERS.values():
        (record,) = instance.fetch_observations(key, limit=1).records
        version = (record.event_log_entry.tags or {})["dagster/data_version"]
        assert version.startswith("rock-1@v7+")
        assert assets.specs_by_key[key].kinds == {"bedrock"}


@pytest.mark.usefixtures("bedrock")
def test_it_is_named_to_whoever_misspells_its_teachers(configure: Configure) -> None:
    configure(teacher="bedrok:rock-1")

    with pytest.raises(TeacherError, match=r"'bedrok:rock-1': neither .* nor bedrock:<model>$"):
        teacher_assets()


@pytest.mark.usefixtures("bedrock")
def test_two_backends_that_serve_one_name_are_told_before_any_run(site: Path) -> None:
    other = PACKAGE.replace('name = kind = "bedrock"', 'name = kind = "gravel"')
    installed(site, "someones_gravel", other, group=GROUP)
    members.cache_clear()

    with pytest.raises(TeacherError, match="the backends bedrock and gravel both serve it"):
        teacher_assets()


def test_an_export_that_is_no_backend_is_named(site: Path) -> None:
    installed(site, "someones_mistake", "BACKEND = 'mine'\n", group=GROUP)

    with pytest.raises(PermanentError, match="'mine' is no backend of teachers"):
        open_teachers(settings(), [Role.WRITER])


@pytest.mark.usefixtures("bedrock")
def test_a_password_for_a_backend_that_uses_none_is_refused_without_telling_it(
    configure: Configure,
) -> None:
    configure(teacher="bedrock://user:s3cret@rock-1")

    with pytest.raises(
        TeacherError, match="the backend bedrock uses no user and password"
    ) as error:
        open_teacher(settings(), Role.WRITER)

    assert "s3cret" not in f"{error.value} {settings()!r} {TeacherSpec.of(settings(), Role.WRITER)}"


# The backends of this package

SERVED_BY = {
    "qwen2.5-coder-1.5b": "engine",
    "org/model@main": "engine",
    "/models/of-our-own": "engine",
    "http://vllm:8000": "endpoint",
    "HTTPS://host/v1": "endpoint",
}


@pytest.mark.parametrize("name", SERVED_BY)
def test_every_form_of_a_name_is_served_by_one_backend(name: str) -> None:
    assert backend_of(TeacherSpec(name)).name == SERVED_BY[name]


def test_a_name_that_no_backend_serves_is_told_with_those_that_one_does() -> None:
    with pytest.raises(TeacherError) as error:
        backend_of(TeacherSpec("no such teacher"))

    message = str(error.value)
    assert message.startswith("unknown teacher 'no such teacher': neither http://host:port, the ")
    assert "nor a directory, a hub id (org/name) or one of qwen2.5-coder-1.5b, " in message


@pytest.mark.parametrize("judge", [{}, {"judge": "qwen2.5-coder-1.5b"}])
@pytest.mark.parametrize("api", ["reward", "score", "verifier"])
def test_a_scoring_judge_must_be_a_server_of_its_own(
    api: str, judge: dict[str, str], configure: Configure
) -> None:
    configure(teacher="http://vllm:8000", judge_api=api, **judge)

    with pytest.raises(
        PermanentError,
        match=f"^SDG_JUDGE_API={api} needs SDG_JUDGE=http://..., the address of a (vLLM )?server "
        "that serves (the scoring|an answer-equivalence) model$",
    ):
        teacher_assets()


def test_a_scoring_judge_at_an_address_is_served_by_the_reward_backend() -> None:
    with_scores = Settings(judge="http://vllm:8000", judge_api="score")

    assert backend_of(TeacherSpec.of(with_scores, Role.JUDGE)).name == "reward"
    assert backend_of(TeacherSpec.of(with_scores, Role.SOLVER)).name == "engine"


COMPARING = ("startswith", "match", "fullmatch", "compile", "search", "partition", "removeprefix")
# Besides backends and `addresses`: the object store's client needs to know whether its endpoint
# uses TLS.
ADDRESS_READERS = ("teacher/backends/", "teacher/embedder.py", "addresses.py", "store/objects.py")


def looks_at_addresses(source: str) -> bool:
    """Whether code imports `is_url`, or compares a text with `http://` or `https://`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and any(a.name == "is_url" for a in node.names):
            return True
        compared: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            compared = node.args if node.func.attr in COMPARING else []
        parts = (part for expression in compared for part in ast.walk(expression))
        texts = (part.value for part in parts if isinstance(part, ast.Constant))
        if any(isinstance(text, str) and re.match(r"https?\??:", text.lower()) for text in texts):
            return True
    return False


@pytest.mark.parametrize(
    "source",
    [
        "from sdg_assets.addresses import is_url",
        "name.startswith(('http://', 'https://'))",
        "re.compile(r'https?://').match(name)",
        "'http://' in name",
        "name[:7] == 'http://'",
    ],
)
def test_a_look_at_an_address_is_recognized(source: str) -> None:
    assert looks_at_addresses(source)


def test_no_second_place_looks_at_the_form_of_an_address() -> None:
    package = Path(sdg_assets.__file__).parent
    readers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if looks_at_addresses(path.read_text("utf-8"))
    }

    assert {"teacher/backends/endpoint.py", "addresses.py"} <= readers
    assert not {reader for reader in readers if not reader.startswith(ADDRESS_READERS)}
