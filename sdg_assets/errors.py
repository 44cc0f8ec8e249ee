"""The errors of this package: permanent and transient ones.

Each message says what is wrong, where, and what to do. Assets turn a `PermanentError` into a
failure that no retry policy repeats; all other errors may be retried.
"""

CANNOT_BE_DONE = 2
"""Exit code of `sdg` for permanent errors. The pods of an Indexed Job with it are not retried."""


class SdgError(Exception):
    """Base of all errors that this package raises on purpose."""


class PermanentError(SdgError):
    """A rerun would fail again: gated dataset, refused licence, wrong path, malformed file."""


class TransientError(SdgError):
    """A rerun may succeed: time-out, engine out of memory, evicted pod."""


class CatalogError(PermanentError):
    """A catalog file is malformed, or asks for something that must not be seeded."""


class SeedSourceError(PermanentError):
    """The seed rows cannot be read: gated dataset, missing directory, missing split."""


class AbsentError(SeedSourceError):
    """A partial copy of the Hub (a mirror, or the samples) does not contain a dataset."""


class MappingError(SdgError):
    """A task's `record` mapping does not fit a row. Only that row is rejected."""


class StoreError(PermanentError):
    """A stage file is missing, incomplete or corrupt."""


class FullDiskError(StoreError):
    """The disk is full. The step fails its remaining partitions: it could not store their rows."""


class BudgetUsedUpError(PermanentError):
    """The run's budget of tokens was used up before there was anything to publish."""


class TeacherError(PermanentError):
    """The teacher cannot be used as configured."""


class TeacherGoneError(TransientError):
    """The teacher is unavailable: its server is down or frozen, or its engine does not start.

    The step that meets this error fails its remaining partitions at once. Otherwise each of them
    would go through all retries: 203 partitions once held the GPU slot for two hours that way.
    """
