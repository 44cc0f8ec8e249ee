"""Drafts the YAML of a new seed task from lm-eval's own YAML. A person must fill in the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sdg_assets.answers import answer_formats
from sdg_assets.catalog.lm_eval_index import task_index
from sdg_assets.errors import CatalogError

# lm-eval does not say what a task trains. A draft needs valid names, because it is loaded.
GUESSED_BEHAVIOUR = "understand_question"
GUESSED_SKILLS = {"knowledge": "recall_general", "reasoning": "logic"}
_OPTION = re.compile(r"^[ \t]*\(?[A-J1-9][).:][ \t]*(\{\{.*?\}\})[ \t]*$", re.MULTILINE)
_CUES = re.compile(r"\A(?:Question|Q)\s*:\s*|\n[^\n:：]{1,20}[:：]\s*\Z")


def draft(name: str, family: str) -> str:
    """Writes the draft of a seed task.

    The task is off, and comments mark the facts that a person must look up.

    Args:
        name: A leaf, a group or a tag of lm-eval.
        family: `knowledge` or `reasoning`.

    Returns:
        The text of the YAML file.

    Raises:
        CatalogError: lm-eval has no such task, or it is written in Python.
    """
    index = task_index()
    if name not in index:
        raise CatalogError(f"lm-eval has no task {name!r}")
    leaves = {leaf: index[leaf].cfg for leaf in dict.fromkeys(_leaves(name, index))}
    leaves = {leaf: config for leaf, config in leaves.items() if config.get("dataset_path")}
    if not leaves:
        raise CatalogError(f"lm-eval's {name} is written in Python; it declares no dataset")
    return "\n".join(_lines(_task_name(name), family, leaves)) + "\n"


def _leaves(name: str, index: Mapping[str, Any]) -> Iterator[str]:
    entry = index.get(name)
    if entry is None:
        return
    if entry.kind.name in ("TASK", "PY_TASK"):
        yield name
    members = sorted(entry.tags) if entry.kind.name == "TAG" else entry.cfg.get("task", [])
    for member in members if isinstance(members, list) else []:
        child = member if isinstance(member, str) else member.get("task") or member.get("group")
        if isinstance(child, str):
            yield from _leaves(child, index)


def _task_name(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def _lines(task: str, family: str, leaves: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    first = next(iter(leaves.values()))
    dataset, seeds = first["dataset_path"], _seed_split(first)
    kind, why = _answer_kind(first)
    yield f"task: {task}"
    yield f"family: {family}"
    yield "domain: unknown # what the questions are about"
    yield f"behaviours: [{GUESSED_BEHAVIOUR}] # a guess; taxonomy.yaml defines them"
    yield f"skills: [{GUESSED_SKILLS[family]}] # a guess; taxonomy.yaml defines them"
    yield "languages: [en] # lm-eval does not say"
    yield f"dataset: {dataset}"
    yield "license: unknown # from the dataset's card; its SPDX identifier if it has one"
    yield "license_source: unknown"
    yield "commercial_use: unclear"
    yield f"answer_kind: {kind} # {why}"
    yield f"seed_split: {seeds}" + ("" if first.get("training_split") else " # a guess")
    yield f"heldout_splits: {json.dumps(_heldout(first))}"
    yield "derived_from: [] # the dataset, config and split that its rows were made from, if any"
    yield from _record(first)
    yield "subtasks:"
    for leaf, config in leaves.items():
        fields = {"config": str(config.get("dataset_name") or "default"), "lm_eval": leaf}
        if config["dataset_path"] != dataset:
            fields["dataset"] = config["dataset_path"]
        if _seed_split(config) != seeds:
            fields["split"] = _seed_split(config)
        entries = ", ".join(f"{key}: {json.dumps(value)}" for key, value in fields.items())
        key = re.sub(r"[^A-Za-z0-9_.+-]", "_", leaf)
        yield f"  {key}: {{{entries}}}"
    yield "enabled: false"
    yield f"why: a draft; check it with `sdg catalog show {task}`"


def _seed_split(config: Mapping[str, Any]) -> str:
    return config.get("training_split") or config.get("fewshot_split") or "train"


def _heldout(config: Mapping[str, Any]) -> list[str]:
    declared = (config.get("validation_split"), config.get("test_split"))
    return list(dict.fromkeys(split for split in declared if split))


def _answer_kind(config: Mapping[str, Any]) -> tuple[str, str]:
    """The most likely answer kind, and a comment with the reason or the alternatives."""
    choices = config.get("doc_to_choice") or _options(config)
    words = [str(c).strip().lower() for c in choices] if isinstance(choices, list) else []
    for kind in answer_formats():
        if kind.recognizes(words):
            return kind.name, f"its choices are {' and '.join(kind.default_choices or words)}"
    fitting = [kind for kind in answer_formats() if kind.selects == bool(choices)]
    guess = next(kind.name for kind in fitting if kind.is_first_guess)
    others = ", ".join(kind.name for kind in fitting if kind.name != guess)
    where = ", where every row has the same choices" if choices else ""
    return guess, f"or {others}{where}"


def _record(config: Mapping[str, Any]) -> Iterator[str]:
    text, target = config.get("doc_to_text"), config.get("doc_to_target")
    choices = config.get("doc_to_choice")
    yield "# lm-eval's own rendering:"
    for name in ("doc_to_text", "doc_to_choice", "doc_to_target", "process_docs"):
        if name in config:
            yield f"#   {name}: {json.dumps(config[name], ensure_ascii=False, default=str)}"
    yield "record:"
    if not isinstance(text, str) or "lm_eval/tasks/" in text:
        yield '  question: "{{question}}" # lm-eval calls a function'
    else:
        question = _CUES.sub("", _OPTION.sub("", text)).strip()
        yield f"  question: {_template(question)}"
        choices = _options(config) or choices
    if choices is not None:
        is_list = isinstance(choices, list)
        yield "  choices: " + (
            json.dumps(choices, ensure_ascii=False) if is_list else _template(str(choices))
        )
    field = "answer" if choices is None else "answer_index"
    yield f"  {field}: {_template(str(target))}"


def _options(config: Mapping[str, Any]) -> list[str]:
    """The templates of the options that follow letters in the question's text, as in `A. {{A}}`."""
    return _OPTION.findall(str(config.get("doc_to_text")))


def _template(text: str) -> str:
    """A quoted template. In lm-eval, a column's name alone stands for the column's value."""
    template = f"{{{{{text}}}}}" if re.fullmatch(r"\w+", text) else text
    return json.dumps(template, ensure_ascii=False)
