"""The search over stored signatures on Spark, for more rows than fit on one machine.

Spark groups rows that may be similar: by exact hash, by bucket, by row. The functions of `pairs`,
which the one-machine search uses as well, then compare the rows of a group. The similar pairs are
collected on the driver, 20 bytes each, and resolved there.

The session is the one that is already running, or the one that `spark-submit` and
`spark-defaults.conf` configure; without either, this machine. Workers need this package installed
and must be able to read the files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sdg_assets.errors import PermanentError
from sdg_assets.signatures.pairs import Copies, bucket_pairs, resolve, similarity
from sdg_assets.signatures.primitives import PERMUTATIONS
from sdg_assets.signatures.refusals import EXACT, NEAR
from sdg_assets.signatures.search import bucket_hashes, needed
from sdg_assets.signatures.shingles import PARTS
from sdg_assets.signatures.table import LARGER_IS_BETTER, RANK_COLUMNS, best_first, check_format
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.signatures.verdicts import CopiesOfKind, Verdicts

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    Batches = Iterable[pa.RecordBatch]


def search_spark(
    files: Mapping[str, Path],
    thresholds: Callable[[str], DuplicateThresholds],
    without: Mapping[str, Sequence[int]],
) -> Verdicts:
    """Finds the duplicates among the rows of all partitions.

    Args:
        files: Partition, by the name in its file → its signature file.
        thresholds: Partition → the thresholds for its rows.
        without: Partition → places of rows that take no part.

    Raises:
        PermanentError: Spark is not installed, or there is no Java to run it.
        StoreError: A file has another format.
    """
    import pyarrow.parquet

    for name, path in files.items():
        check_format(pyarrow.parquet.read_schema(path).metadata, name)
    names = sorted(files)
    if not names:
        return Verdicts.of([], [])
    rows = _rows(_session(), [str(files[name]) for name in names], names)
    left_out = [
        (number << 32) + place
        for number, name in enumerate(names)
        for place in without.get(name, ())
    ]
    if left_out:
        rows = rows.join(_named(rows, np.array(left_out, np.int64)), "row", "left_anti")
    rows = rows.cache()
    try:
        exact, left = _exact(rows)
        return Verdicts.of(names, [exact, *_near(rows, left, [thresholds(name) for name in names])])
    finally:
        rows.unpersist()


def _session() -> SparkSession:
    try:
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise PermanentError(
            "SDG_DUPLICATE_SEARCH=spark needs pyspark; install sdg-assets[spark]"
        ) from error
    # Workers on this machine must run this interpreter, not the first one on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        return SparkSession.builder.appName("sdg-assets: duplicates").getOrCreate()
    except PySparkRuntimeError as error:
        raise PermanentError(
            f"Spark does not start: {error}. It needs Java 17 or newer (JAVA_HOME, or java on the "
            "path); SDG_DUPLICATE_SEARCH=local searches without it"
        ) from error


def _rows(session: SparkSession, paths: list[str], names: list[str]) -> DataFrame:
    """All signatures, with the column `row`: number of the partition << 32 | place in it."""
    from pyspark.sql import functions as sql

    numbers = sql.create_map(
        *[sql.lit(item) for pair in enumerate(names) for item in reversed(pair)]
    )
    rows = session.read.parquet(*paths)
    rows = rows.withColumn("partition", numbers[sql.col("partition")].cast("long"))
    place = sql.col("place").cast("long")
    return rows.withColumn("row", sql.shiftleft("partition", 32).bitwiseOR(place))


def _exact(rows: DataFrame) -> tuple[CopiesOfKind, DataFrame]:
    """The exact duplicates, and the other rows."""
    import polars as pl
    from pyspark.sql import Window
    from pyspark.sql import functions as sql

    order = [sql.desc(name) if name in LARGER_IS_BETTER else sql.asc(name) for name in RANK_COLUMNS]
    window = Window.partitionBy("exact").orderBy(*order)
    firsts = rows.select(
        "row", "partition", "place", sql.first(sql.struct("row", "id")).over(window).alias("best")
    )
    copies = _collected(
        firsts.where("row != best.row").select(
            "partition", "place", "best.id", (sql.col("best.row")).alias("original")
        )
    )
    count = len(copies)
    # First the lines of the duplicates, then one line per original.
    lines = copies.select("id", "partition", "place")
    named = {"partition": pl.col("original") // (1 << 32), "place": pl.col("original") % (1 << 32)}
    originals = copies.select("id", **named)
    exact = Copies(np.arange(count), np.arange(count, 2 * count), np.ones(count, np.float32))
    left = rows.join(firsts.where("row = best.row").select("row"), "row")
    return CopiesOfKind(EXACT, lines.vstack(originals), exact), left


def _near(
    rows: DataFrame, left: DataFrame, thresholds: Sequence[DuplicateThresholds]
) -> Iterator[CopiesOfKind]:
    """The near duplicates, round by round as in `near_copies`."""
    while True:
        pairs = left.mapInArrow(_in_buckets, _columns(left)).repartition("bucket")
        pairs = pairs.mapInArrow(_paired, "better long, worse long").distinct().cache()
        edges = _collected(_similar(pairs.where("worse >= 0"), left, thresholds))
        crowded = _collected(pairs.where("worse < 0").select("better"))["better"].to_numpy()
        pairs.unpersist()
        named = np.union1d(edges["better"].to_numpy(), edges["worse"].to_numpy())
        lines = _collected(_only(rows, named).select(*RANK_COLUMNS, "row"))
        lines = lines[best_first(lines)]
        number = dict(zip(lines["row"].to_list(), range(len(lines)), strict=True))
        copies = resolve(
            edges["better"].replace_strict(number, return_dtype=_int64()).to_numpy(),
            edges["worse"].replace_strict(number, return_dtype=_int64()).to_numpy(),
            edges["similarity"].to_numpy(),
        )
        yield CopiesOfKind(NEAR, lines, copies)
        still = np.setdiff1d(crowded, lines["row"].to_numpy()[copies.rows])
        if not len(copies.rows) or not len(still):
            return
        left = _only(rows, still)


def _only(rows: DataFrame, names: NDArray[np.int64]) -> DataFrame:
    return rows.join(_named(rows, names), "row")


def _named(rows: DataFrame, names: NDArray[np.int64]) -> DataFrame:
    """A table of rows' names, in the session of other rows."""
    import pyarrow as pa

    return rows.sparkSession.createDataFrame(pa.table({"row": names}))


def _similar(
    pairs: DataFrame, rows: DataFrame, thresholds: Sequence[DuplicateThresholds]
) -> DataFrame:
    sides = [
        rows.select(
            *(rows[old].alias(new) for old, new in
              (("row", side), ("parts", f"{side}_parts"), ("present", f"{side}_present"),
               ("weak", f"{side}_weak"), ("partition", f"{side}_partition")))
        )
        for side in ("better", "worse")
    ]  # fmt: skip
    both = pairs.join(sides[0], "better").join(sides[1], "worse")

    def compared(batches: Batches) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            own, other = (
                (
                    _matrix(batch[f"{side}_parts"]).reshape(-1, len(PARTS), PERMUTATIONS),
                    _matrix(batch[f"{side}_present"]),
                )
                for side in ("better", "worse")
            )
            estimates = similarity(*own, *other)
            weak = batch["worse_weak"].to_numpy().astype(np.uint8)
            partitions = batch["worse_partition"].to_numpy()
            kept = pa.array(estimates >= needed(weak, thresholds, partitions))
            columns = [batch["better"], batch["worse"], pa.array(estimates)]
            names = ["better", "worse", "similarity"]
            yield pa.RecordBatch.from_arrays(columns, names).filter(kept)

    return both.mapInArrow(compared, "better long, worse long, similarity float")


_BUCKET_COLUMNS = (*RANK_COLUMNS, "row")


def _columns(rows: DataFrame) -> str:
    types = dict(rows.dtypes)
    return ", ".join(f"{name} {types[name]}" for name in _BUCKET_COLUMNS) + ", bucket long"


def _in_buckets(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Each row once per band, with its bucket in that band."""
    import pyarrow as pa

    for batch in batches:
        keys = batch["key"].to_numpy().view(np.uint64)
        bands = _matrix(batch["bands"]).view(np.uint32)
        for number in range(bands.shape[1]):
            # Rows meet within one band only, so the band's number is part of the bucket's hash.
            hashes = bucket_hashes(keys ^ np.uint64(number), bands[:, number])
            columns = [batch[name] for name in _BUCKET_COLUMNS]
            columns.append(pa.array(hashes.view(np.int64)))
            yield pa.RecordBatch.from_arrays(columns, [*_BUCKET_COLUMNS, "bucket"])


def _paired(batches: Batches) -> Iterator[pa.RecordBatch]:
    """The pairs of a worker's complete buckets; `worse` is -1 for rows of crowded buckets."""
    import polars as pl
    import pyarrow as pa

    received = list(batches)
    if not received:
        return
    lines = pl.from_arrow(pa.Table.from_batches(received))
    assert isinstance(lines, pl.DataFrame)
    lines = lines[best_first(lines)]
    names = lines["row"].to_numpy()
    hashes = lines["bucket"].to_numpy().view(np.uint64)
    pairs = bucket_pairs(hashes, np.arange(len(lines)))
    better = np.concatenate([names[pairs.better], names[pairs.crowded]])
    worse = np.concatenate([names[pairs.worse], np.full(len(pairs.crowded), -1)])
    yield pa.RecordBatch.from_arrays([pa.array(better), pa.array(worse)], ["better", "worse"])


def _collected(rows: DataFrame) -> pl.DataFrame:
    import polars as pl

    frame = pl.from_arrow(rows.toArrow())
    assert isinstance(frame, pl.DataFrame)
    return frame


def _int64() -> Any:  # noqa: ANN401 – a type of polars, which is imported late
    import polars as pl

    return pl.Int64


def _matrix(column: pa.Array) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(len(column), -1)
