"""One row: its line, its name, the seeds that it was written after, and its raw completions."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdg_assets.browse.columns import REFUSED
from sdg_assets.browse.index import Index
from sdg_assets.browse.tables import Part, Table, read_range
from sdg_assets.enrichment.correction import id_with
from sdg_assets.enrichment.votes import presented, read_ballot, sameness
from sdg_assets.errors import StoreError
from sdg_assets.records import Equivalence, Example, Role, VerdictWord, content_id
from sdg_assets.store.disk import clear_errors
from sdg_assets.store.places import Place, listing
from sdg_assets.teacher.log.seal import unsealed
from sdg_assets.teacher.requests import Completion


@dataclass(frozen=True)
class Row:
    """A row as it is stored, with the refusal around it if there is one."""

    number: int
    """Its place in the table, from 0."""
    fields: Mapping[str, Any]
    """The record. Fields that this version does not know are there, too."""
    gate: str = ""
    reason: str = ""
    detail: str = ""
    scores: Mapping[str, float] | None = None

    @property
    def is_refused(self) -> bool:
        """Whether a gate refused it."""
        return bool(self.gate)

    @property
    def id(self) -> str:
        """The id in the row; for a row without one, a hash of its content."""
        own = self.fields.get("id")
        return own if isinstance(own, str) and own else content_id(self.fields)


def row_of(number: int, state: str, line: bytes) -> Row:
    """The row in a line.

    Raises:
        StoreError: The line is no JSON object.
    """
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise StoreError(f"row {number}: is not JSON; materialize the partition again") from error
    if not isinstance(entry, dict):
        raise StoreError(f"row {number}: is no record; materialize the partition again")
    if state != REFUSED:
        return Row(number, entry)
    fields, scores = entry.get("row"), entry.get("scores")
    return Row(
        number,
        fields if isinstance(fields, dict) else {},
        gate=str(entry.get("gate")),
        reason=str(entry.get("reason") or ""),
        detail=str(entry.get("detail") or ""),
        scores=scores if isinstance(scores, dict) else None,
    )


def first_rows(table: Table, count: int) -> list[Row]:
    """The first rows of a table, read without its index."""
    return [
        row_of(number, part.state, line) for number, (part, line) in enumerate(table.head(count))
    ]


def rows_at(index: Index, numbers: Sequence[int]) -> list[Row]:
    """The rows with these numbers, in that order."""
    return [row_of(number, part.state, line) for number, part, line in lines_at(index, numbers)]


def lines_at(index: Index, numbers: Iterable[int]) -> Iterator[tuple[int, Part, bytes]]:
    """The lines of rows: number, file and line."""
    parts, starts, sizes = (index.columns[name] for name in ("part", "start", "size"))
    for number in numbers:
        part = index.table.parts[int(parts[number])]
        start, size = int(starts[number]), int(sizes[number])
        yield number, part, read_range(part.place, start, size)


def records_with(place: Place, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The records of a file of examples that have these ids.

    An id is the first field of a line, so the file is searched for it without being parsed.
    """
    prefixes = {i: f'{{"id":{json.dumps(i)}'.encode() for i in ids}
    lines = _lines_beginning(place, prefixes, are_unique=True)
    return {row_id: json.loads(line) for row_id, (line,) in lines.items()}


def completions_with(folder: Place, role: Role, ids: Iterable[str]) -> dict[str, Completion]:
    """Completions by request id, from all completion logs of a role in a folder.

    A request that was asked again, with a larger limit, has several; the last one counts.
    Logs are only read: `CompletionLog` would lock them and cut off half a line.
    """
    prefixes = {i: f'{{"request_id":{json.dumps(i)}'.encode() for i in ids}
    completions: dict[str, Completion] = {}
    for file in sorted(listing(folder), key=lambda listed: listed.name):
        if not file.name.startswith(f"{role}-"):
            continue
        place = folder
        for part in file.name.split("/"):
            place = place / part
        for request, lines in _lines_beginning(place, prefixes).items():
            for completion in filter(None, (unsealed(line, place) for line in lines)):
                other = completions.get(request)
                if other is None or completion.replaces(other):
                    completions[request] = completion
    return completions


def _lines_beginning(
    place: Place, prefixes: Mapping[str, bytes], *, are_unique: bool = False
) -> dict[str, list[bytes]]:
    """The lines of a file that begin with each prefix.

    Args:
        place: The file.
        prefixes: Name → prefix.
        are_unique: Whether the search for a prefix ends at its first line.
    """
    if isinstance(place, Path):
        try:
            with clear_errors(place), place.open("rb") as file:
                return _mapped_lines(file.fileno(), prefixes, are_unique=are_unique)
        except FileNotFoundError:
            return {}
    lines = dict[str, list[bytes]]()
    with place.open() as stream:
        for line in stream:
            for name, prefix in prefixes.items():
                if line.startswith(prefix):
                    lines.setdefault(name, []).append(line)
            if are_unique and len(lines) == len(prefixes):
                break
    return lines


def _mapped_lines(
    descriptor: int, prefixes: Mapping[str, bytes], *, are_unique: bool
) -> dict[str, list[bytes]]:
    lines = dict[str, list[bytes]]()
    try:
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file
        return {}
    with mapped:
        for name, prefix in prefixes.items():
            place = mapped.find(prefix)
            while place >= 0:
                if place == 0 or mapped[place - 1] == ord("\n"):  # else inside a text
                    end = mapped.find(b"\n", place)
                    line = mapped[place : end + 1 if end >= 0 else len(mapped)]
                    lines.setdefault(name, []).append(line)
                    if are_unique:
                        break
                place = mapped.find(prefix, place + 1)
    return lines


@dataclass(frozen=True)
class Trace:
    """A vote as the solver gave it."""

    number: int
    """From 1."""
    answer: str | None
    """The answer that was read from it; None if there is none."""
    agrees: bool | None
    """Whether that is the row's answer; None where only the sandbox can say so, or where the reply
    of the model that compares answers was cut off."""
    completion: Completion | None
    """None if it is in no completion log."""


def traces(row: Row, folder: Place) -> list[Trace]:
    """The votes of a row with their completions, in the order in which they were cast.

    Args:
        row: A row of `enriched` or of a later stage.
        folder: The subtask's completion logs.
    """
    ids = [i for i in row.fields.get("vote_ids", ()) if isinstance(i, str)]
    completions = completions_with(folder, Role.SOLVER, ids)
    solved = _solved(row.fields)
    votes = []
    for number, request in enumerate(ids):
        completion = completions.get(request)
        answer = agrees = None
        if completion and solved:
            answer = read_ballot(completion, presented(solved.voted, number)).answer
            if answer is not None and not solved.example.answer_kind.policy.runs_programs:
                agrees = solved.agrees(answer)
        votes.append(Trace(number + 1, answer, agrees, completion))
    return votes


@dataclass(frozen=True)
class _Solved:
    """A row that was voted on."""

    example: Example
    """The row as it is."""
    voted: Example
    """The row as the solver saw it: with the writer's answer, and the id of the row with that
    answer, by which its choices were shuffled."""
    verdicts: Mapping[str, VerdictWord]
    """Answer → whether a model found that it means the same as the writer's."""

    def agrees(self, answer: str) -> bool | None:
        """Whether an answer means the row's answer: as a model decided, else by rule.

        None if the model's reply was cut off: then the vote does not count.
        """
        is_corrected = self.voted is not self.example
        verdict = self.verdicts.get(answer)
        if verdict == "cut_off":
            return None
        if verdict in ("equal", "correct"):
            return not is_corrected
        if verdict and not is_corrected:
            return False
        return sameness(self.example)(answer, self.example.answer)


def _solved(fields: Mapping[str, Any]) -> _Solved | None:
    known = {name: fields[name] for name in Example.model_fields if name in fields}
    equivalence = fields.get("equivalence")
    try:
        example = Example.model_validate(known)
        verdicts = Equivalence.model_validate(equivalence).verdicts if equivalence else []
    except ValidationError:
        return None
    written = fields.get("written_answer")
    return _Solved(
        example,
        _as_written(example, written) if isinstance(written, str) and written else example,
        {verdict.answer: verdict.verdict for verdict in verdicts},
    )


def _as_written(example: Example, answer: str) -> Example:
    return example.model_copy(update={"id": id_with(example, answer), "answer": answer})
