"""The two ways to fail: for good, or for now.

A message says what is wrong, where, and what to do. Assets turn a `PermanentError` into a failure
that no retry policy repeats; anything else may be retried.
"""


class SdgError(Exception):
    """Base of every error this package raises on purpose."""


class PermanentError(SdgError):
    """A rerun cannot change it: gated dataset, refused licence, wrong path, malformed file."""


class TransientError(SdgError):
    """A rerun may succeed: time-out, engine out of memory, evicted pod."""


class CatalogError(PermanentError):
    """A catalog file is malformed, or asks for something that must not be seeded."""


class SeedSourceError(PermanentError):
    """The seed rows cannot be read: gated, missing directory, missing split."""


class AbsentError(SeedSourceError):
    """A partial copy of the Hub, as a mirror or the samples are, does not hold a dataset."""


class MappingError(SdgError):
    """A task's `record` mapping does not fit a row. Rejects that row, never the partition."""


class StoreError(PermanentError):
    """A stage file is missing, incomplete or corrupt."""


class FullDiskError(StoreError):
    """No room is left to write to. What else would be asked of a teacher now could not be kept."""


class TeacherError(PermanentError):
    """The teacher cannot be used as configured."""


class TeacherGoneError(TransientError):
    """The teacher answers nobody now: its server is down or frozen, or its engine does not start.

    A step that meets one fails the partitions it has not begun at once. Each of them would wait out
    all attempts: 203 partitions held the GPU slot for two hours to learn the same.
    """
