"""A small store as the stages would leave it: gsm8k, written by two teachers, and a release."""

from __future__ import annotations

from collections.abc import Iterator

from sdg_assets.gates.licence import Terms
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    Example,
    GeneratedExample,
    Rejection,
    TeacherStamp,
    Vote,
    content_id,
)
from sdg_assets.release import Cut, write_release
from sdg_assets.stages.curated import curate
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion
from sdg_assets_tests.support.records import enriched, judgement, numeric, seed, source

TASK = {"task": "gsm8k", "subtask": "gsm8k", "domain": "mathematics", "family": "reasoning"}
SMALL = TeacherStamp(model="org/small", revision="r1", license="Apache-2.0")
STRONG = TeacherStamp(model="org/strong", revision="r2", license="MIT")
SEEDS = 12
SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
ARABIC = "كم يساوي ستة مضروبا في سبعة؟"
CHINESE = "小明有六盒苹果，每盒七个，一共有多少个苹果？"
QUESTIONS = {3: SCRIPT, 4: ARABIC, 5: CHINESE}
LANGUAGES = {4: "ar", 5: "zh"}


def seeds() -> list[Example]:
    return [
        numeric(
            f"A baker sells {n} loaves and {n} rolls. How many pieces?", source=source(n), **TASK
        )
        for n in range(SEEDS)
    ]


def written() -> Iterator[EnrichedExample]:
    """One row of each teacher after each seed; every third of the small one's is voted down."""
    for teacher in (SMALL, STRONG):
        for number, anchor in enumerate(seeds()):
            question = QUESTIONS.get(
                number, f"A farmer has {number} hens and buys 3. How many hens?"
            )
            question = f"{question} ({teacher.model})"
            is_wrong = teacher is SMALL and number % 3 == 1
            votes = [Vote(answer="41", count=2), Vote(answer="42", count=1)]
            yield enriched(
                **TASK,
                answer_kind=AnswerKind.NUMERIC,
                question=question,
                answer="42",
                language=LANGUAGES.get(number, "en"),
                source=anchor.source,
                seed_ids=[anchor.id],
                teacher=teacher,
                solver=STRONG,
                topic=f"farming/animals/hen {number}",
                variation=("new_topic", "harder")[number % 2],
                completion_id=content_id("written", teacher.model, number),
                votes=votes if is_wrong else [Vote(answer="42", count=3)],
                vote_ids=[content_id("vote", question, vote) for vote in range(3)],
                vote_share=1 / 3 if is_wrong else 1.0,
                outcome="majority_disagrees" if is_wrong else "agreed",
                judge=None if is_wrong else judgement(0.9 if number % 2 else 0.6),
                reasoning="" if is_wrong else f"Six times seven hens are 42, row {number}.",
                knowledge="" if is_wrong else "Multiplication adds a number several times.",
            )


def fill(root: Place) -> None:
    """Writes the store."""
    store, rows = Store(root), list(written())
    with store.write(_key("seeds")) as out:
        for number in range(SEEDS):
            out.accept(seed(number, question=f"A baker sells {number} loaves\nand rolls."))
    with store.write(_key("normalized")) as out:
        for example in seeds():
            out.accept(example)
    with store.write(_key("generated")) as out:
        for row in rows:
            out.accept(
                GeneratedExample(**{n: getattr(row, n) for n in GeneratedExample.model_fields})
            )
        spoken = Completion(request_id="cut", text='{"question": "A cow', finish_reason="length",
                            prompt_tokens=90, output_tokens=512)  # fmt: skip
        out.reject(
            Rejection(
                gate="generation",
                reason="truncated",
                row={"seed_ids": [seeds()[0].id], "completion": spoken.model_dump()},
            )
        )
    with store.write(_key("enriched")) as out:
        for row in rows:
            out.accept(row)
        out.info = {"verified": sum(row.verified for row in rows)}
    with store.write(_key("filtered")) as out:
        for row in rows:
            out.put(row if row.verified else refused(row))
    fill_logs(store, rows)
    kept = [row for row in rows if row.verified]
    terms = {stamp.model: Terms("yes", "yes") for stamp in (SMALL, STRONG)}
    released = curate([("all", kept)], lambda _: {}, lambda _: {}, {"gsm8k": "yes"}, terms)
    write_release(root, Cut({"gsm8k/filtered/gsm8k": "aa"}), released)


def refused(row: EnrichedExample) -> Rejection:
    return Rejection(
        gate="verification",
        reason=row.outcome.replace("_", " "),
        detail="2 of 3 votes say 41",
        scores={"vote_share": row.vote_share},
        row=row.model_dump(mode="json"),
    )


def fill_logs(store: Store, rows: list[EnrichedExample]) -> None:
    folder = store.completions_dir("gsm8k", "gsm8k")
    with CompletionLog(folder / "solver-aaaa-bbbb.jsonl") as log:
        for row in rows:
            answers = [vote.answer for vote in row.votes for _ in range(vote.count)]
            for request, answer in zip(row.vote_ids, answers, strict=True):
                log.append(completion(request, f"Step by step.\n\nThe answer is {answer}."))
    with CompletionLog(folder / "writer-aaaa-bbbb.jsonl") as log:
        for row in rows:
            log.append(completion(row.completion_id, f'{{"question": "{row.id}"}}'))


def completion(request: str, text: str) -> Completion:
    return Completion(
        request_id=request, text=text, finish_reason="stop", prompt_tokens=50, output_tokens=20
    )


def _key(stage: str) -> PartitionKey:
    return PartitionKey("gsm8k", stage, "gsm8k")
