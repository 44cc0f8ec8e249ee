"""After any order of successful and failed writes, the last published version is read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sdg_assets.records import Example, Rejection
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.support.records import example

KEYS = [PartitionKey("quiz", "normalized", name) for name in ("one", "two")]
# Real rows contain line ends of all kinds, lone surrogates and JSON's special characters.
TEXTS = st.text(
    st.characters() | st.sampled_from('\n\r\u2028\x85"\\\ud800'), min_size=1, max_size=30
)


class BrokenError(Exception):
    """Raised by a stage in the middle of its rows."""


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.published: dict[PartitionKey, tuple[list[str], list[str], bytes | None]] = {}

    @property
    def store(self) -> Store:
        """A new store object, as in another process."""
        return Store(self.directory.name)

    @rule(
        key=st.sampled_from(KEYS), accepted=st.lists(TEXTS, max_size=4),
        rejected=st.lists(TEXTS, max_size=2), attached=st.none() | st.binary(max_size=9),
    )  # fmt: skip
    def publish(
        self,
        key: PartitionKey,
        accepted: Sequence[str],
        rejected: Sequence[str],
        attached: bytes | None,
    ) -> None:
        with self.store.write(key) as out:
            for text in accepted:
                out.put(example(question=text))
            for text in rejected:
                out.put(Rejection(gate="format", reason="debris", row={"question": text}))
            if attached is not None:
                out.attachments["extra"] = attached
        self.published[key] = [*accepted], [*rejected], attached

    @rule(key=st.sampled_from(KEYS), accepted=st.lists(TEXTS, max_size=4))
    def fail(self, key: PartitionKey, accepted: Sequence[str]) -> None:
        try:
            with self.store.write(key) as out:
                for text in accepted:
                    out.put(example(question=text))
                raise BrokenError
        except BrokenError:
            pass

    @rule(key=st.sampled_from(KEYS), text=TEXTS)
    def read_a_replaced_version(self, key: PartitionKey, text: str) -> None:
        if key not in self.published:
            return
        pinned = self.store.pinned([key])
        before = self.published[key]
        self.publish(key, [text], [], None)
        assert [row.question for row in pinned.read(key, Example)] == before[0]
        assert len([*pinned.read_rejected(key)]) == len(before[1])

    @invariant()
    def the_last_published_version_is_read(self) -> None:
        for key in KEYS:
            assert self.store.exists(key) == (key in self.published)
            if key not in self.published:
                continue
            accepted, rejected, attached = self.published[key]
            manifest = self.store.manifest(key)
            assert [row.question for row in self.store.read(key, Example)] == accepted
            rejected_rows = self.store.read_rejected(key)
            assert [str(row.row["question"]) for row in rejected_rows] == rejected
            assert manifest.rows == len(accepted)
            if attached is None:
                assert "extra" not in manifest.attached
            else:
                assert self.store.attachment(key, "extra") == attached

    def teardown(self) -> None:
        self.directory.cleanup()


TestStore = StoreMachine.TestCase
# Each write is synced to disk, which takes milliseconds.
TestStore.settings = settings(max_examples=20, stateful_step_count=12)
