"""The search over stored signatures on Spark, for more rows than one machine carries.

Spark brings together what may be alike: by exact hash, by bucket, by row. What becomes of the rows
that meet is decided by the functions of `pairs`, the same that the search on one machine runs. The
similar pairs come back to the driver, 20 bytes each, and are settled there.

The session is the one that runs already, or what `spark-submit` and `spark-defaults.conf` say; with
neither it is this machine. Workers need this package and must be able to read the files.
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
from sdg_assets.signatures.pairs import Copies, bucket_pairs, settle, similarity
from sdg_assets.signatures.primitives import PERMUTATIONS
from sdg_assets.signatures.refusals import EXACT, NEAR
from sdg_assets.signatures.search import bucket_hashes, needed
from sdg_assets.signatures.shingles import PARTS
from sdg_assets.signatures.table import BEST_FIRST, STANDING, by_standing, check_format
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.signatures.verdicts import Found, Verdicts

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    Batches = Iterable[pa.RecordBatch]


def search_spark(
    files: Mapping[str, Path], thresholds: Callable[[str], DuplicateThresholds]
) -> Verdicts:
    """Finds the copies among the rows of all partitions.

    Args:
        files: Partition, as it is named in its file → its signature file.
        thresholds: Partition → where a row of it is a near copy.

    Raises:
        PermanentError: There is no Spark, or no Java to run it.
        StoreError: A file is of another format.
    """
    import pyarrow.parquet

    for name, path in files.items():
        check_format(pyarrow.parquet.read_schema(path).metadata, name)
    names = sorted(files)
    if not names:
        return Verdicts.of([], [])
    rows = _rows(_session(), [str(files[name]) for name in names], names).cache()
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
    # The workers of a session on this machine run this interpreter, not the first on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        return SparkSession.builder.appName("sdg-assets: duplicates").getOrCreate()
    except PySparkRuntimeError as error:
        raise PermanentError(
            f"Spark does not start: {error}. It needs Java 17 or newer (JAVA_HOME, or java on the "
            "path); SDG_DUPLICATE_SEARCH=local searches without it"
        ) from error


def _rows(session: SparkSession, paths: list[str], names: list[str]) -> DataFrame:
    """All signatures; `row` names one: number of its partition << 32 | its place."""
    from pyspark.sql import functions as sql

    numbers = sql.create_map(
        *[sql.lit(item) for pair in enumerate(names) for item in reversed(pair)]
    )
    rows = session.read.parquet(*paths)
    rows = rows.withColumn("partition", numbers[sql.col("partition")].cast("long"))
    place = sql.col("place").cast("long")
    return rows.withColumn("row", sql.shiftleft("partition", 32).bitwiseOR(place))


def _exact(rows: DataFrame) -> tuple[Found, DataFrame]:
    """The exact copies, and the rows that are none."""
    import polars as pl
    from pyspark.sql import Window
    from pyspark.sql import functions as sql

    order = [sql.desc(name) if name in BEST_FIRST else sql.asc(name) for name in STANDING]
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
    # The copies' own lines, and behind them one for each original.
    lines = copies.select("id", "partition", "place")
    named = {"partition": pl.col("original") // (1 << 32), "place": pl.col("original") % (1 << 32)}
    originals = copies.select("id", **named)
    found = Copies(np.arange(count), np.arange(count, 2 * count), np.ones(count, np.float32))
    left = rows.join(firsts.where("row = best.row").select("row"), "row")
    return Found(EXACT, lines.vstack(originals), found), left


def _near(
    rows: DataFrame, left: DataFrame, thresholds: Sequence[DuplicateThresholds]
) -> Iterator[Found]:
    """The near copies, round by round as `near_copies` finds them."""
    while True:
        pairs = left.mapInArrow(_in_buckets, _columns(left)).repartition("bucket")
        pairs = pairs.mapInArrow(_paired, "better long, worse long").distinct().cache()
        edges = _collected(_similar(pairs.where("worse >= 0"), left, thresholds))
        crowded = _collected(pairs.where("worse < 0").select("better"))["better"].to_numpy()
        pairs.unpersist()
        named = np.union1d(edges["better"].to_numpy(), edges["worse"].to_numpy())
        lines = _collected(_only(rows, named).select(*STANDING, "row"))
        lines = lines[by_standing(lines)]
        number = dict(zip(lines["row"].to_list(), range(len(lines)), strict=True))
        copies = settle(
            edges["better"].replace_strict(number, return_dtype=_int64()).to_numpy(),
            edges["worse"].replace_strict(number, return_dtype=_int64()).to_numpy(),
            edges["similarity"].to_numpy(),
        )
        yield Found(NEAR, lines, copies)
        still = np.setdiff1d(crowded, lines["row"].to_numpy()[copies.rows])
        if not len(copies.rows) or not len(still):
            return
        left = _only(rows, still)


def _only(rows: DataFrame, names: NDArray[np.int64]) -> DataFrame:
    import pyarrow as pa

    return rows.join(rows.sparkSession.createDataFrame(pa.table({"row": names})), "row")


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
            found = similarity(*own, *other)
            weak = batch["worse_weak"].to_numpy().astype(np.uint8)
            partitions = batch["worse_partition"].to_numpy()
            kept = pa.array(found >= needed(weak, thresholds, partitions))
            columns = [batch["better"], batch["worse"], pa.array(found)]
            names = ["better", "worse", "similarity"]
            yield pa.RecordBatch.from_arrays(columns, names).filter(kept)

    return both.mapInArrow(compared, "better long, worse long, similarity float")


_BUCKET_COLUMNS = (*STANDING, "row")


def _columns(rows: DataFrame) -> str:
    types = dict(rows.dtypes)
    return ", ".join(f"{name} {types[name]}" for name in _BUCKET_COLUMNS) + ", bucket long"


def _in_buckets(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Each row once for each of its bands, with the bucket that it falls into."""
    import pyarrow as pa

    for batch in batches:
        keys = batch["key"].to_numpy().view(np.uint64)
        bands = _matrix(batch["bands"]).view(np.uint32)
        for number in range(bands.shape[1]):
            # Rows meet within a band: its number is part of the bucket's name.
            hashes = bucket_hashes(keys ^ np.uint64(number), bands[:, number])
            columns = [batch[name] for name in _BUCKET_COLUMNS]
            columns.append(pa.array(hashes.view(np.int64)))
            yield pa.RecordBatch.from_arrays(columns, [*_BUCKET_COLUMNS, "bucket"])


def _paired(batches: Batches) -> Iterator[pa.RecordBatch]:
    """The pairs of the buckets that came here whole; `worse` is -1 for a row of a crowded one."""
    import polars as pl
    import pyarrow as pa

    taken = list(batches)
    if not taken:
        return
    lines = pl.from_arrow(pa.Table.from_batches(taken))
    assert isinstance(lines, pl.DataFrame)
    lines = lines[by_standing(lines)]
    names = lines["row"].to_numpy()
    hashes = lines["bucket"].to_numpy().view(np.uint64)
    pairs = bucket_pairs(hashes, np.arange(len(lines)))
    better = np.concatenate([names[pairs.better], names[pairs.crowded]])
    worse = np.concatenate([names[pairs.worse], np.full(len(pairs.crowded), -1)])
    yield pa.RecordBatch.from_arrays([pa.array(better), pa.array(worse)], ["better", "worse"])


def _collected(rows: DataFrame) -> pl.DataFrame:
    import polars as pl

    found = pl.from_arrow(rows.toArrow())
    assert isinstance(found, pl.DataFrame)
    return found


def _int64() -> Any:  # noqa: ANN401 – polars' type, imported late
    import polars as pl

    return pl.Int64


def _matrix(column: pa.Array) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(len(column), -1)
