from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.cluster.settings import cluster_settings
from sdg_assets.errors import PermanentError
from sdg_assets.records import Role
from sdg_assets.settings import Settings, settings
from sdg_assets_tests.conftest import Configure


def test_an_empty_environment_gives_the_embedded_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDG_STORE")

    defaults = Settings()

    assert defaults.store == Path("data")
    assert (defaults.seed_source, defaults.executor) == ("samples", "in_process")
    assert defaults.teacher == "qwen2.5-coder-1.5b"
    assert defaults.max_seeds is None
    assert not defaults.allow_unsandboxed_code


def test_a_setting_is_read_from_its_name_in_capitals(configure: Configure, tmp_path: Path) -> None:
    configure(votes=7, catalog=tmp_path, with_knowledge="false", seed_source="mirror:/data/hub")

    assert settings().votes == 7
    assert settings().catalog == tmp_path
    assert not settings().with_knowledge
    assert settings().seed_source == "mirror:/data/hub"


def test_the_store_is_a_directory_or_an_address_of_a_bucket(configure: Configure) -> None:
    configure(store="s3://my-bucket/some/prefix")
    assert settings().store == "s3://my-bucket/some/prefix"

    configure(store="relative/folder")
    assert settings().store == Path("relative/folder")


def test_paths_may_begin_with_the_home_directory(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    configure(store="~/store", catalog="~/catalog")

    assert settings().store == tmp_path / "store"
    assert settings().catalog == tmp_path / "catalog"

    configure(store="~no-such-user/store", catalog="~no-such-user/catalog")
    with pytest.raises(PermanentError, match=r"SDG_STORE.*give a full path") as caught:
        settings()
    assert "SDG_CATALOG" in str(caught.value)


def test_a_store_that_is_a_file_is_refused(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configure(store=tmp_path / "file")

    with pytest.raises(PermanentError, match=r"SDG_STORE.*is a file; name a directory"):
        settings()


@pytest.mark.parametrize(
    "store", ["s3://", "s3://Upper", "gs://bucket/prefix", "s3://key:s/secret@bucket/prefix"]
)
def test_another_address_is_refused_without_showing_its_secret(
    configure: Configure, store: str
) -> None:
    configure(store=store)

    with pytest.raises(PermanentError, match=r"SDG_STORE.*s3://bucket/prefix") as caught:
        settings()
    assert "secret" not in str(caught.value)


def test_every_wrong_variable_is_named_with_its_value_on_one_line(configure: Configure) -> None:
    configure(votes=0, executor="dask", seed_source="the-hub")

    with pytest.raises(PermanentError) as caught:
        settings()

    message = str(caught.value)
    assert message.startswith("environment: ")
    assert "\n" not in message
    for part in ("SDG_VOTES='0'", "SDG_EXECUTOR='dask'", "SDG_SEED_SOURCE='the-hub'"):
        assert part in message


@pytest.mark.parametrize("value", ["many", "0", "-1"])
def test_max_seeds_must_be_a_positive_number(configure: Configure, value: str) -> None:
    configure(max_seeds=value)

    with pytest.raises(PermanentError, match=f"SDG_MAX_SEEDS='{value}'"):
        settings()


def test_a_list_of_names_is_comma_separated(configure: Configure) -> None:
    configure(allow_canary=" bigbench_reasoning , ,other")

    assert settings().allow_canary == {"bigbench_reasoning", "other"}


def test_each_role_may_have_its_own_teacher(configure: Configure) -> None:
    configure(teacher="writer-model", solver="solver-model")

    assert settings().teacher_of(Role.WRITER) == "writer-model"
    assert settings().teacher_of(Role.SOLVER) == "solver-model"
    assert settings().teacher_of(Role.JUDGE) == "writer-model"


def test_a_mode_of_thinking_for_a_probe_that_is_not_named(configure: Configure) -> None:
    configure(thinking="probe:off")

    with pytest.raises(PermanentError, match="SDG_THINKING names the probe, but SDG_PROBE is"):
        settings()


def test_settings_do_not_change_after_they_are_read(configure: Configure) -> None:
    configure(votes=3)

    with pytest.raises(ValueError, match="frozen"):
        settings().votes = 5  # type: ignore[misc]


def test_a_threshold_that_no_gate_knows_is_refused(configure: Configure) -> None:
    configure(gates='{"question_charz": [1, 2]}')

    with pytest.raises(PermanentError, match="question_charz"):
        settings()


@pytest.mark.parametrize("name", ["engine", "gates"])
def test_a_variable_with_invalid_json_is_named(configure: Configure, name: str) -> None:
    configure(**{name: "{bad"})

    with pytest.raises(PermanentError) as caught:
        settings()

    assert str(caught.value).startswith(f"environment: SDG_{name.upper()}='{{bad': is not JSON: ")
    assert "\n" not in str(caught.value)


def test_a_cluster_variable_with_invalid_json_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SDG_K8S_PODS", "[")
    cluster_settings.cache_clear()

    with pytest.raises(PermanentError, match=r"^environment: SDG_K8S_PODS='\[': is not JSON"):
        cluster_settings()


@pytest.mark.parametrize("name", ["store", "teacher", "max_seeds", "catalog", "owners"])
def test_an_empty_variable_is_refused(configure: Configure, name: str) -> None:
    configure(**{name: " "})

    with pytest.raises(PermanentError, match=f"SDG_{name.upper()} is empty"):
        settings()


def test_an_unknown_variable_is_refused_with_the_nearest_name(configure: Configure) -> None:
    configure(max_seed=5, store="data")

    with pytest.raises(PermanentError, match=r"SDG_MAX_SEED is no setting; did you mean SDG_MAX_S"):
        settings()


def test_an_unknown_cluster_variable_is_refused_with_the_nearest_name(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDG_K8S_POD", "{}")
    cluster_settings.cache_clear()

    assert settings().votes  # `Settings` ignores variables of the cluster
    with pytest.raises(PermanentError, match=r"SDG_K8S_POD is no setting; did you mean SDG_K8S_PO"):
        cluster_settings()


def test_variables_of_other_readers_and_of_kubernetes_are_ignored(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "SDG_CACHE", "SDG_API_KEY", "SDG_TEACHER_SOURCE",
        "SDG_CODE_SERVICE_HOST", "SDG_CODE_SERVICE_PORT", "SDG_CODE_SERVICE_PORT_GRPC",
        "SDG_CODE_PORT", "SDG_CODE_PORT_3030_TCP", "SDG_CODE_PORT_3030_TCP_ADDR",
    ):  # fmt: skip
        monkeypatch.setenv(name, "x")
    configure(votes=2)

    assert settings().votes == 2


@pytest.mark.parametrize("source", ["mirror:", "mirror: ", "mirrors:/data", "the-hub"])
def test_an_invalid_seed_source_is_refused_with_the_valid_values(
    configure: Configure, source: str
) -> None:
    configure(seed_source=source)

    with pytest.raises(PermanentError, match="must be samples, hub or mirror:<directory>"):
        settings()


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ('{"currency": "EUR", "teachers": {}}', "SDG_PRICES.teachers={}: "),
        ('{"currency": "euro", "teachers": {"a": {"gpu_hour": 1}}}', "SDG_PRICES.currency='euro'"),
        ('{"currency": "EUR", "teachers": {"a": {"prompt": 1}}}', "write prompt and output (the"),
        (
            '{"currency": "EUR", "teachers": {"a": {"prompt": 1, "output": 1, "gpu_hour": 1}}}',
            "or gpu_hour, not both",
        ),
        ('{"currency": "EUR", "teachers": {"a": {"gpu_hour": -1}}}', "teachers.a.gpu_hour=-1: "),
    ],
)
def test_prices_that_cannot_be_are_named(configure: Configure, prices: str, message: str) -> None:
    configure(prices=prices)

    with pytest.raises(PermanentError) as raised:
        settings()

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("9464", "127.0.0.1", 9464),
        (":9464", "127.0.0.1", 9464),
        ("0.0.0.0:9464", "0.0.0.0", 9464),
        ("[::]:0", "::", 0),
        ("node-3.example:80", "node-3.example", 80),
    ],
)
def test_metrics_are_on_loopback_unless_an_address_is_given(
    configure: Configure, text: str, host: str, port: int
) -> None:
    configure(metrics=text)

    assert settings().metrics_served_at == (host, port)


@pytest.mark.parametrize("text", ["70000", "http://host:9464", "host", "::1:9464", "a b:1", "-1"])
def test_a_place_for_metrics_that_is_none_is_refused(configure: Configure, text: str) -> None:
    configure(metrics=text)

    with pytest.raises(PermanentError, match=r"SDG_METRICS=.*: is neither a port nor host:port"):
        settings()


@pytest.mark.parametrize(
    "url",
    [
        "ana:secret@gateway:9091",
        "ftp://ana:secret@gateway",
        "http://ana:secret@",
        "http://ana:secret@gateway:0",
        "http://ana:secret@gateway/?x=secret",
        "http://ana:secret@one,http://ana:secret@two",
    ],
)
def test_a_gateway_that_is_no_address_is_refused_without_showing_its_password(
    configure: Configure, url: str
) -> None:
    configure(metrics_push=url)

    with pytest.raises(PermanentError, match="SDG_METRICS_PUSH: ") as caught:
        settings()
    assert "secret" not in str(caught.value)
