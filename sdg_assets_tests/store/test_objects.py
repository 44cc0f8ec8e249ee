from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sdg_assets.errors import PermanentError, SdgError, TransientError
from sdg_assets.store import objects
from sdg_assets.store.objects import ObjectPath
from sdg_assets.store.places import local_copy, place_of
from sdg_assets_tests.support.object_server import BUCKET, READER, ObjectServer, free_ports

Serve = Callable[[int, str], "Scripted"]
# An error of AWS: it repeats the access key.
UNKNOWN_KEY = (
    "<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message>"
    "<AWSAccessKeyId>AKIDWRITERQZX</AWSAccessKeyId></Error>"
)


class Scripted(ThreadingHTTPServer):
    """A server that always gives the same answer, or none, and counts the requests."""

    daemon_threads = True
    requests = 0
    status = 200
    body = ""


class Answer(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.requests += 1
        if not self.server.status:
            time.sleep(5)  # longer than the client waits in these tests
            return
        body = self.server.body.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Replaces the object store by a server with a fixed answer."""
    server = Scripted(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")

    def answer(status: int, body: str) -> Scripted:
        server.status, server.body = status, body
        return server

    yield answer
    server.shutdown()
    server.server_close()


@pytest.fixture
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "RETRIES", 2)
    monkeypatch.setattr(objects, "REQUEST_SECONDS", 1)


def error_of(action: Callable[[], object]) -> SdgError:
    with pytest.raises(SdgError) as caught:
        action()
    text = "".join(traceback.format_exception(caught.value))
    for secret in ("QZX", "qzx"):
        assert secret not in text
    return caught.value


def test_an_object_is_read_back_unchanged(bucket: str) -> None:
    place = ObjectPath.at(bucket) / "tä sk" / "a+b %41.jsonl"
    place.write_bytes(b"one\ntwo\n")

    assert place.exists()
    assert place.read_bytes() == b"one\ntwo\n"
    assert list(place.open()) == [b"one\n", b"two\n"]
    assert str(place) == f"{bucket}/tä sk/a+b %41.jsonl"
    assert [f.name for f in ObjectPath.at(bucket).listing()] == ["tä sk/a+b %41.jsonl"]
    place.unlink()
    assert not place.exists()
    with pytest.raises(FileNotFoundError, match="no such object"):
        place.read_bytes()


def test_a_folder_does_not_contain_keys_that_only_share_its_prefix(bucket: str) -> None:
    for name in ("quiz/a", "quiz/sub/b", "quiz_two/c"):
        (ObjectPath.at(bucket) / name).write_bytes(b"x")

    assert {f.name for f in (ObjectPath.at(bucket) / "quiz").listing()} == {"a", "sub/b"}


def test_an_object_larger_than_one_request_is_read_in_ranges(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 12.7 MB: the upload has several parts, too.
    lines = [f"{n:07}".encode() * 20 + b"\n" for n in range(90_000)]
    place = ObjectPath.at(bucket) / "large"
    place.write_bytes(b"".join(lines))
    range_sizes: list[int] = []
    read_range = ObjectPath.read_range

    def counted(this: ObjectPath, start: int, end: int) -> bytes:
        range_sizes.append(end - start)
        return read_range(this, start, end)

    monkeypatch.setattr(ObjectPath, "read_range", counted)

    with place.open() as file:
        assert next(iter(file)) == lines[0]
        assert len(range_sizes) == 1
        assert [lines[0], *file] == lines
    assert max(range_sizes) <= objects.READ_BYTES
    with local_copy(place.parent) as copy:
        assert (copy / "large").read_bytes() == b"".join(lines)


@pytest.mark.parametrize(
    "act",
    [
        lambda place: place.read_bytes(),
        lambda place: place.exists(),
        lambda place: place.write_bytes(b""),
        lambda place: list(place.listing()),
    ],
    ids=["read", "exists", "write", "list"],
)
def test_a_missing_bucket_is_named(bucket: str, act: Callable[[ObjectPath], object]) -> None:
    error = error_of(lambda: act(ObjectPath.at("s3://nowhere-to-be-found/data")))

    assert isinstance(error, PermanentError)
    assert "no bucket 'nowhere-to-be-found'; create it or set SDG_STORE" in str(error)


def test_a_read_only_key_gets_an_error_that_names_the_missing_permission(
    bucket: str, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ObjectPath.at(bucket) / "a").write_bytes(b"x")
    for name, value in objects.environment(READER).items():
        monkeypatch.setenv(name, value)

    place = ObjectPath.at(bucket) / "a"
    assert place.read_bytes() == b"x"
    error = error_of(lambda: place.write_bytes(b"y"))

    assert isinstance(error, PermanentError)
    assert f"not allowed to write in bucket {BUCKET!r} (AccessDenied)" in str(error)
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in str(error)


@pytest.mark.parametrize(
    ("key", "code"),
    [(("AKIDNOBODYQZX", "x-qzx"), "InvalidAccessKeyId"), ((READER[0], "x"), "SignatureDoesNot")],
)
def test_a_wrong_key_is_a_permanent_error(
    bucket: str,
    objects: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
    key: tuple[str, str],
    code: str,
) -> None:
    for name, value in objects.environment(key).items():
        monkeypatch.setenv(name, value)
    place = ObjectPath.at(bucket) / "a"

    for act in (place.exists, place.read_bytes, lambda: list(place.parent.listing())):
        error = error_of(act)
        assert isinstance(error, PermanentError)
        assert code in str(error)


def test_a_key_in_the_servers_message_is_not_shown(bucket: str, serve: Serve) -> None:
    serve(403, UNKNOWN_KEY)

    assert "(InvalidAccessKeyId)" in str(error_of((ObjectPath.at(bucket) / "a").read_bytes))


def test_a_missing_key_is_an_error_that_names_the_variables(
    bucket: str, short_retries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # A cloud machine would get a key here; nothing answers at this address.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")

    error = error_of((ObjectPath.at(bucket) / "a").read_bytes)

    assert isinstance(error, PermanentError)
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in str(error)


def test_a_bucket_of_another_region_names_the_variable(bucket: str, serve: Serve) -> None:
    serve(400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>")

    error = error_of((ObjectPath.at(bucket) / "a").read_bytes)

    assert isinstance(error, PermanentError)
    assert "set AWS_REGION" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (503, "<Error><Code>SlowDown</Code></Error>", "SlowDown"),
        (500, "", "HTTP 500"),
        (429, "", "HTTP 429"),
        (0, "", "no answer"),
    ],
    ids=["throttled", "broken", "too many", "silent"],
)
def test_a_failing_server_is_retried_a_few_times(
    bucket: str, serve: Serve, short_retries: None, status: int, body: str, cause: str
) -> None:
    server = serve(status, body)

    error = error_of((ObjectPath.at(bucket) / "a").read_bytes)

    assert isinstance(error, TransientError)
    assert f"could not read it after retries ({cause})" in str(error)
    assert server.requests == 1 + objects.RETRIES


def test_a_server_that_is_down_is_transient(
    bucket: str, short_retries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")

    error = error_of(lambda: (ObjectPath.at(bucket) / "a").write_bytes(b""))

    assert isinstance(error, TransientError)
    assert "AWS_ENDPOINT_URL" in str(error)


def test_an_invalid_endpoint_is_an_error_that_names_the_variable(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")

    error = error_of(lambda: (ObjectPath.at(bucket) / "a").read_bytes())

    assert "AWS_ENDPOINT_URL" in str(error)


@pytest.mark.parametrize("url", ["s3://", "s3://B", "s3://key:secret-qzx@bucket/prefix"])
def test_an_invalid_address_is_refused_without_repeating_it(url: str) -> None:
    assert "s3://bucket/prefix" in str(error_of(lambda: place_of(url)))
