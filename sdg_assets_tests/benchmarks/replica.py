"""Whether a release teaches a small student more than the same tokens of a control corpus do.

    python -m sdg_assets_tests.benchmarks.replica --smoke
    python -m sdg_assets_tests.benchmarks.replica --store data --tokens 200000000 \
        --student HuggingFaceTB/SmolLM2-1.7B --sequence 2048 --batch 256 --micro-batch 16

Continues the student from the same weights on (a) the texts of a release and (b) as many tokens of
a control: the sentences of the release's seeds, shuffled, or the texts of `--control`. Evaluates
both, and the student as it was, with lm-eval on held-out splits that lie in `--local`. Repeats this
with several seeds, and prints one table. An interval covers other seeds and other items.

`--smoke` shows on a CPU that all of it runs: few rows, two steps, four items. It claims nothing.
Exits 1 if a run is not sound: unequal tokens, a loss that is no number, a task without a score, or
a smoke test of more than ten minutes by the clock: run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ |= {"HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch

from sdg_assets.errors import SdgError
from sdg_assets.release.published import release_named
from sdg_assets.teacher.models import resolve
from sdg_assets.texts import VARIANTS
from sdg_assets_tests.benchmarks.student.corpora import (
    Blocks,
    Corpus,
    directory_texts,
    release_texts,
    seeds_as_prose,
)
from sdg_assets_tests.benchmarks.student.evaluation import (
    Scores,
    local_tasks,
    over_seeds,
    scores,
)
from sdg_assets_tests.benchmarks.student.training import Recipe, Student
from sdg_assets_tests.support.builders import MIRROR

SMOKE_MINUTES = 10
SMOKE = {
    "tokens": 512, "sequence": 128, "batch": 2, "micro_batch": 2, "limit": 4,
    "variant": "answer_only",
}  # fmt: skip
SMOKE_SEEDS = ("arc/arc_easy", "commonsense_qa/commonsense_qa", "gsm8k/gsm8k")
TASKS = ("arc/arc_easy", "openbookqa/openbookqa")


@dataclass(frozen=True)
class Run:
    """One training and its evaluation."""

    corpus: str
    seed: int
    tokens: int
    epochs: int
    losses: list[float]
    scores: Scores

    def problems(self) -> Iterator[str]:
        """What makes it unsound."""
        if not all(map(math.isfinite, self.losses)):
            yield f"{self.corpus}, seed {self.seed}: the loss is no number"
        for task, items in self.scores.items():
            if not items:
                yield f"{self.corpus}, seed {self.seed}: {task} has no item"


def main() -> int:
    """Prints the table; returns 1 if a run is not sound."""
    options = _options()
    began = time.monotonic()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    # With more threads than free cores, they spend most of their time waiting for each other.
    if not torch.cuda.is_available() and os.getloadavg()[0] > (os.cpu_count() or 1):
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="sdg-") as scratch:
        os.environ.setdefault("HF_DATASETS_CACHE", scratch)
        try:
            missed = _compared(options, Path(scratch))
        except SdgError as error:
            print(f"replica: {error}", file=sys.stderr)
            return 1
    minutes, of_cpu = (time.monotonic() - began) / 60, time.process_time() / 60
    print(f"\n{minutes:.1f} minutes, {of_cpu:.1f} of CPU time")
    if options.smoke and minutes > SMOKE_MINUTES:
        missed.append(
            f"{minutes:.1f} minutes for a smoke test of {SMOKE_MINUTES} on two quiet cores"
        )
    for goal in missed:
        print(f"MISSED: {goal}")
    return 1 if missed else 0


def _compared(options: argparse.Namespace, scratch: Path) -> list[str]:
    release, corpora = _corpora(options, scratch)
    tasks = local_tasks(options.tasks, options.local)
    student = Student(_model(options.student), options.device)
    recipe = Recipe(
        options.tokens, options.sequence, options.batch, options.micro_batch, options.rate
    )
    print(
        f"student {options.student} on {options.device}, release {release.name} "
        f"({options.variant}); {recipe.steps} steps of {recipe.batch} × {recipe.sequence} tokens, "
        f"{options.seeds} seeds"
    )

    def evaluated() -> Scores:
        return scores(student.model, student.tokenizer, tasks, options.limit, options.micro_batch)

    before, runs = evaluated(), []
    for seed in range(options.seeds):
        for corpus in corpora:
            torch.manual_seed(seed)
            student.restart()
            blocks = Blocks(corpus, student.tokenizer, recipe.sequence, seed)
            losses = student.train(iter(blocks), recipe)
            tokens = len(losses) * recipe.batch * recipe.sequence
            run = Run(corpus.name, seed, tokens, blocks.epochs, losses, evaluated())
            runs.append(run)
            print(
                f"seed {seed}, {run.corpus}: {run.tokens:,} tokens, {run.epochs} epochs, loss "
                f"{losses[0]:.3f} → {losses[-1]:.3f}",
                flush=True,
            )
    _write_table(before, runs, corpora)
    if options.out:
        options.out.write_text(json.dumps([vars(run) for run in runs], indent=1), "utf-8")
    missed = [problem for run in runs for problem in run.problems()]
    if len({run.tokens for run in runs}) != 1:
        missed.append("the corpora were not trained on for equal numbers of tokens")
    if set(before) != {task["task"] for task in tasks}:
        missed.append(f"scores of {sorted(before)} alone")
    if options.smoke:
        print("\nA smoke test: a handful of steps and items, whose numbers claim nothing.")
    return missed


def _corpora(options: argparse.Namespace, scratch: Path) -> tuple[Path, list[Corpus]]:
    """The release, its texts and the control's."""
    store = options.store
    if options.smoke and not store:
        from sdg_assets_tests.benchmarks.mirrored_release import texts_only

        store = scratch / "store"
        release = texts_only(store, SMOKE_SEEDS, rows=60)
    elif not store:
        raise SystemExit("replica: name the store with --store, or try it out with --smoke")
    else:
        release = Path(str(release_named(store, options.release).place))
    control = directory_texts(options.control) if options.control else None
    texts = release_texts(release, options.variant)
    return release, [texts, control or seeds_as_prose(store, release)]


def _model(name: str) -> str:
    """A directory or hub id as it is; a key of `teachers.yaml` as its directory."""
    is_key = "/" not in name and not Path(name).is_dir()
    return resolve(name).path_or_id if is_key else name


def _write_table(before: Scores, runs: list[Run], corpora: list[Corpus]) -> None:
    """One line a task: the scores before, after each corpus, and the difference of the two."""
    names = [corpus.name for corpus in corpora]
    print(f"\n| task | items | before | {' | '.join(names)} | {names[0]} − {names[1]} |")
    print(f"|---|{'---:|' * (len(names) + 3)}")
    for task, items in before.items():
        of: Mapping[str, list[list[float]]] = {
            name: [list(run.scores[task]) for run in runs if run.corpus == name] for name in names
        }
        differences = [
            [a - b for a, b in zip(*pair, strict=True)]
            for pair in zip(*(of[name] for name in names), strict=True)
        ]
        cells = [over_seeds([items]), *(over_seeds(of[name]) for name in names)]
        shown = " | ".join(map(str, cells))
        print(f"| {task} | {len(items)} | {shown} | {over_seeds(differences)} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a test on a CPU that claims nothing")
    parser.add_argument("--store", type=Path, help="the store with the release and its seeds")
    parser.add_argument("--release", help="id of the release; default: the latest")
    parser.add_argument("--variant", choices=VARIANTS, default="with_context")
    parser.add_argument("--control", type=Path, help="directory of .txt and .jsonl files")
    parser.add_argument("--local", type=Path, default=MIRROR, help="held-out data, as on the Hub")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="subtasks of the catalog")
    parser.add_argument("--limit", type=int, help="items of a task at most")
    parser.add_argument("--student", default="smollm2-135m", help="key, directory or hub id")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=100_000_000, help="of each training")
    parser.add_argument("--sequence", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=64, help="sequences of a step")
    parser.add_argument("--micro-batch", type=int, default=8, help="sequences at a time")
    parser.add_argument("--rate", type=float, default=1e-4, help="highest learning rate")
    parser.add_argument("--out", type=Path, help="JSON file for losses and scores of each item")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=device)
    if "--smoke" in sys.argv:
        parser.set_defaults(**SMOKE)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
