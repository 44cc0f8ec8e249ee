"""What the knowledge tasks make of raw rows: of every dataset in the mirror, and of rows written by
hand in the documented columns of the others."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sdg_assets.catalog import SubtaskSpec, cached_catalog
from sdg_assets.mapping import Fields, RowMapping
from sdg_assets.sources import DirectorySource

SHARED = Path(__file__).parents[3] / "shared" / "hub"
MIRROR = Path(os.environ.get("SDG_TEST_HUB", SHARED))
needs_mirror = pytest.mark.skipif(
    not MIRROR.is_dir(), reason=f"no mirror of real rows at {MIRROR}; set SDG_TEST_HUB"
)
CATALOG = cached_catalog()
ENABLED = [task for task in CATALOG.enabled() if task.family == "knowledge"]
YES_NO = ["yes", "no"]


class Seen(NamedTuple):
    """Three rows of a seed split as a person read them: position, question, choices, answer."""

    subtask: str
    under: str
    rows: list[tuple[int, str, list[str], str]]


SEEN = [
    Seen(
        "arc/arc_easy",
        ".",
        [
            (
                0,
                "Which factor will most likely cause a person to develop a fever?",
                [
                    "a leg muscle relaxing after exercise",
                    "a bacterial population in the bloodstream",
                    "several viral particles on the skin",
                    "carbohydrates being digested in the stomach",
                ],
                "a bacterial population in the bloodstream",
            ),
            (
                1,
                "Lichens are symbiotic organisms made of green algae and fungi. What do the green "
                "algae supply to the fungi in this symbiotic relationship?",
                ["carbon dioxide", "food", "protection", "water"],
                "food",
            ),
            (
                2000,
                "The distance between the Sun and the next closest star, Proxima Centauri, is most "
                "accurately measured in",
                ["magnitudes.", "light years.", "perigees.", "red shifts."],
                "light years.",
            ),
        ],
    ),
    Seen(
        "arc/arc_challenge",
        ".",
        [
            (
                0,
                "George wants to warm his hands quickly by rubbing them. Which skin surface will "
                "produce the most heat?",
                ["dry palms", "wet palms", "palms covered with oil", "palms covered with lotion"],
                "dry palms",
            ),
            (
                1,
                "Which of the following statements best explains why magnets usually stick to a "
                "refrigerator door?",
                [
                    "The refrigerator door is smooth.",
                    "The refrigerator door contains iron.",
                    "The refrigerator door is a good conductor.",
                    "The refrigerator door has electric wires in it.",
                ],
                "The refrigerator door contains iron.",
            ),
            (
                1118,
                "A scientist is measuring the amount of movement along a fault. Which tool is best "
                "used for making this measurement?",
                ["barometer", "stopwatch", "meter stick", "magnifying lens"],
                "meter stick",
            ),
        ],
    ),
    Seen(
        "openbookqa/openbookqa",
        ".",
        [
            (
                0,
                "The sun is responsible for",
                [
                    "puppies learning new tricks",
                    "children growing up and getting old",
                    "flowers wilting in a vase",
                    "plants sprouting, blooming and wilting",
                ],
                "plants sprouting, blooming and wilting",
            ),
            (
                1,
                "When standing miles away from Mount Rushmore",
                [
                    "the mountains seem very close",
                    "the mountains are boring",
                    "the mountains look the same as from up close",
                    "the mountains seem smaller than in photographs",
                ],
                "the mountains seem smaller than in photographs",
            ),
            (
                4956,
                "Harriet wants to know the area of a rectangular sheet of paper. Its size is "
                "unknown to her. Which one of these will be the only tool that she needs?",
                ["a ruler", "a compass", "a calculator", "a protractor"],
                "a ruler",
            ),
        ],
    ),
    Seen(
        "boolq/boolq",
        ".",
        [
            (0, "is ghost in the shell based on the anime?", YES_NO, "no"),
            (1, "is there gonna be a season 8 of the walking dead?", YES_NO, "yes"),
            (31, "is ready player one based on a true story?", YES_NO, "no"),
        ],
    ),
    Seen(
        "boolq/boolq",
        "_tiny",
        [
            (0, "do iran and afghanistan speak the same language?", YES_NO, "yes"),
            (1, "do good samaritan laws protect those who help at an accident?", YES_NO, "yes"),
            (2, "is windows movie maker part of windows essentials?", YES_NO, "yes"),
        ],
    ),
    Seen(
        "multirc/multirc",
        ".",
        [
            (
                0,
                "How does Jason react to the stranger who arrives with Susan? "
                'Is "He welcomes him with open arm" a correct answer?',
                YES_NO,
                "no",
            ),
            (
                1,
                "How does Jason react to the stranger who arrives with Susan? "
                'Is "He objects to the stranger\'s presence and challenges him to a shootout" '
                "a correct answer?",
                YES_NO,
                "yes",
            ),
            (
                153,
                "From where did she order the tastiest kind of each vegetable and the prettiest "
                'kind of each flower? Is "Seed magazines" a correct answer?',
                YES_NO,
                "yes",
            ),
        ],
    ),
    Seen(
        "pubmedqa/pubmedqa",
        ".",
        [
            (
                0,
                "Does histologic chorioamnionitis correspond to clinical chorioamnionitis?",
                ["yes", "no", "maybe"],
                "yes",
            ),
            (
                27,
                "Cancer of the buccal mucosa: are margins and T-stage accurate predictors of local "
                "control?",
                ["yes", "no", "maybe"],
                "no",
            ),
            (
                45,
                "Is the international normalised ratio (INR) reliable?",
                ["yes", "no", "maybe"],
                "maybe",
            ),
        ],
    ),
    Seen(
        "webqs/webqs",
        ".",
        [
            (0, "what is the name of justin bieber brother?", [], "Jazmyn Bieber"),
            (1, "what character did natalie portman play in star wars?", [], "Padmé Amidala"),
            (3777, "what kind government does the us have?", [], "Presidential system"),
        ],
    ),
    Seen(
        "sciq/sciq",
        "_tiny",
        [
            (
                0,
                "What type of organism is commonly used in preparation of foods such as cheese and "
                "yogurt?",
                ["gymnosperms", "mesophilic organisms", "protozoa", "viruses"],
                "mesophilic organisms",
            ),
            (
                1,
                "What phenomenon makes global winds blow northeast to southwest or the reverse in "
                "the northern hemisphere and northwest to southeast or the reverse in the southern "
                "hemisphere?",
                ["centrifugal effect", "coriolis effect", "muon effect", "tropical effect"],
                "coriolis effect",
            ),
            (
                2,
                "Changes from a less-ordered state to a more-ordered state (such as a liquid to a "
                "solid) are always what?",
                ["endothermic", "exothermic", "reactive", "unbalanced"],
                "exothermic",
            ),
        ],
    ),
    Seen(
        "nq_open/nq_open",
        "_tiny",
        [
            (0, "where did they film hot tub time machine?", [], "Fernie Alpine Resort"),
            (1, "who has the right of way in international waters?", [], "Neither vessel"),
            (4, "when was puerto rico added to the usa?", [], "1950"),
        ],
    ),
    Seen(
        "triviaqa/triviaqa",
        "_tiny",
        [
            (
                0,
                "Which American-born Sinclair won the Nobel Prize for Literature in 1930?",
                [],
                "Sinclair Lewis",
            ),
            (1, "Where in England was Dame Judi Dench born?", [], "York"),
            (2, "In which country did he widespread use of ISDN begin in 1988?", [], "Japan"),
        ],
    ),
    Seen(
        "coqa/coqa",
        "_tiny",
        [
            (
                0,
                "When was the Vat formally opened?",
                [],
                "It was formally established in 1475",
            ),
            (0, "how many printed books does it contain?", [], "1.1 million"),
            (0, "what will this allow?", [], "them to be viewed online."),
        ],
    ),
]


@needs_mirror
@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: f"{seen.under}/{seen.subtask}")
def test_rows_of_the_mirror_come_out_as_a_person_reads_them(seen: Seen) -> None:
    spec = _spec(seen.subtask)
    raw = list(DirectorySource("mirror", MIRROR / seen.under).rows(spec, spec.split))
    for position, question, choices, answer in seen.rows:
        found = [f for f in _mapping(spec)(raw[position]) if f.question == question]
        assert len(found) == 1, f"row {position}"
        got = found[0]
        if spec.record and spec.record.shuffle:
            assert sorted(got.choices) == choices
        else:
            assert got.choices == choices
        assert got.answer == answer
        if choices:
            assert got.choices[got.answer_index or 0] == answer


@needs_mirror
@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: f"{seen.under}/{seen.subtask}")
def test_no_row_of_the_mirror_is_a_mapping_error(seen: Seen) -> None:
    spec = _spec(seen.subtask)
    mapping = _mapping(spec)
    rows = 0
    for row in DirectorySource("mirror", MIRROR / seen.under).rows(spec, spec.split):
        assert list(mapping(row))
        rows += 1
    assert rows > max(position for position, *_ in seen.rows)


@needs_mirror
@pytest.mark.parametrize("under", [".", "_tiny"])
def test_every_seed_split_that_the_mirror_has_is_in_the_table(under: str) -> None:
    there = {
        f"{task.task}/{key}"
        for task in ENABLED
        for key in task.enabled_subtasks()
        if _has_seed_split(MIRROR / under, task.resolve(key))
    }
    assert there == {seen.subtask for seen in SEEN if seen.under == under}


@needs_mirror
def test_webqs_takes_further_answers_as_other_wordings() -> None:
    spec = _spec("webqs/webqs")
    row = next(iter(DirectorySource("mirror", MIRROR).rows(spec, spec.split)))
    assert next(iter(_mapping(spec)(row))).aliases == ["Jaxon Bieber"]


@needs_mirror
def test_coqa_puts_the_conversation_so_far_into_the_context_and_skips_what_nobody_knows() -> None:
    spec = _spec("coqa/coqa")
    row = next(iter(DirectorySource("mirror", MIRROR / "_tiny").rows(spec, spec.split)))
    turns = list(_mapping(spec)(row))
    assert len(turns) == 19, "of the twenty answers one is unknown"
    assert turns[0].context == row["story"].strip()
    assert turns[2].context.endswith(
        "\n\nQ: When was the Vat formally opened?\nA: It was formally established in 1475"
        "\n\nQ: what is the library for?\nA: research"
    )


def says(
    question: str,
    answer: str,
    choices: Sequence[str] = (),
    *,
    context: str = "",
    aliases: Sequence[str] = (),
    solution: str = "",
) -> Fields:
    """The example that is expected of a row."""
    return Fields(
        question=question,
        answer=answer,
        context=context,
        choices=list(choices),
        answer_index=choices.index(answer) if choices else None,
        aliases=list(aliases),
        solution=solution,
    )


def squad(context: str, question: str, *answers: str, **more: Any) -> dict[str, Any]:
    """A raw row in SQuAD's columns."""
    texts = {"text": list(answers), "answer_start": [context.find(a) for a in answers]}
    return {"id": "1", "title": "t", "context": context, "question": question, "answers": texts} | (
        more
    )


def letters(texts: Sequence[str], first: str = "A") -> dict[str, list[str]]:
    """Options as the ARC family has them."""
    labels = [chr(ord(first) + i) for i in range(len(texts))]
    return {"text": list(texts), "label": labels}


def paper(*answers: Mapping[str, Any]) -> dict[str, Any]:
    """A paper of Qasper with one question, and an annotator for each answer."""
    blank = {"unanswerable": False, "extractive_spans": [], "yes_no": None, "free_form_answer": ""}
    told = [
        {**blank, "evidence": ["We used BERT."], "highlighted_evidence": [], **a} for a in answers
    ]
    annotators = [str(i) for i in range(len(told))]
    return {
        "id": "1",
        "title": "On parsing",
        "abstract": "We parse.",
        "full_text": {"section_name": ["Intro"], "paragraphs": [["We used BERT."]]},
        "qas": {
            "question": ["Which model?"],
            "question_id": ["q"],
            "answers": [{"answer": told, "annotation_id": annotators, "worker_id": annotators}],
        },
    }


def medical(subject: str, cop: int = 1) -> dict[str, Any]:
    """A question of MedMCQA."""
    options = {"opa": "Liver", "opb": "Spleen", "opc": "12", "opd": None}
    more = {"choice_type": "single", "exp": "Ans. is b", "topic_name": None}
    return {"id": "1", "question": "Which?", **options, "cop": cop, "subject_name": subject, **more}


def ranked(*answers: tuple[int, int, str]) -> dict[str, Any]:
    """A question of MEDIQA with (rank, score, text) for each answer."""
    told = [
        {"Answer": {"AID": "1", "ReferenceRank": r, "ReferenceScore": s, "AnswerText": t}}
        for r, s, t in answers
    ]
    return {"QUESTION": {"QID": "1", "QuestionText": "What helps?", "AnswerList": told}}


STORY = {
    "story": "Tom has a cat. It is black.",
    "answers": {"input_text": ["a cat", "black"], "span_text": ["a cat", "black"]},
}
SUMMARIES = {
    kind: {a: f"{kind} {a}" for a in ("a1", "a2", "a3")}
    for kind in ("abstractive", "extractive", "extreme")
}
QUALITY = (
    "Why does he  leave?\n\n (A) He is tired\n of it.\n (B) He is ill.\n (C) 3\n (D) He is paid."
    "\n\nIt was night.\n\nHe left (D) at dawn."
)
SENTIMENTS = ["negative", "positive", "neutral"]
TOPICS = ["business", "entertainment", "health", "politics", "religion", "sports", "technology"]
NEWS = "What is this news article about?"
FOUR = ["w", "x", "y", "z"]
ABCD = dict(zip("ABCD", FOUR, strict=True))


class Case(NamedTuple):
    """A raw row, and the examples that come of it."""

    subtask: str
    row: Mapping[str, Any]
    gives: list[Fields]


def one(subtask: str, row: Mapping[str, Any], gives: Fields) -> Case:
    """A row of which one example comes."""
    return Case(subtask, row, [gives])


CASES = [
    one(
        "arc_multilingual/arc_de",
        {"id": "1", "instruction": "Was?", "option_a": "w", "option_b": "x", "option_c": "7"}
        | {"option_d": None, "option_e": None, "answer": "C"},
        says("Was?", "7", ["w", "x", "7"]),
    ),
    one(
        "arc_challenge_mt/arc_challenge_mt_fi",
        {"id": "1", "question": "Mikä?", "choices": letters(FOUR, "1"), "answerKey": "2"},
        says("Mikä?", "x", FOUR),
    ),
    one(
        "french_arc_challenge/french_bench_arc_challenge",
        {"id": "1", "question": "Quoi ?", "choices": FOUR, "answerKey": "D"},
        says("Quoi ?", "z", FOUR),
    ),
    one(
        "uhura_arc_easy/uhura_arc_easy_zu",
        {"id": "1", "question": "Yini?", "choices": letters(FOUR), "answerKey": "B"},
        says("Yini?", "x", FOUR),
    ),
    one(
        "noropenbookqa/noropenbookqa_nb",
        {"id": "1", "question_stem": "Sola er", "choices": letters(FOUR), "answer": "A"}
        | {"fact": "sola er en stjerne"},
        says("Sola er", "w", FOUR, context="sola er en stjerne"),
    ),
    one(
        "noropenbookqa/noropenbookqa_nn",
        {
            "id": "1",
            "question_stem": "Sola er",
            "choices": letters(FOUR),
            "answer": "D",
            "fact": "",
        },
        says("Sola er", "z", FOUR),
    ),
    one(
        "openbookqa_bn/openbookqa_bn",
        {"id": "1", "question_stem": "সূর্য", "choices": letters(FOUR), "answerKey": "C"},
        says("সূর্য", "y", FOUR),
    ),
    one(
        "mmlu_auxiliary_train/mmlu_auxiliary_train",
        {"question": "2 + 2?", "subject": "", "choices": ["3", "4", "5", "6"], "answer": 1},
        says("2 + 2?", "4", ["3", "4", "5", "6"]),
    ),
    one(
        "kmmlu/kmmlu_accounting",
        {
            "question": "자산은?",
            "answer": 4,
            **ABCD,
            "Category": "Accounting",
            "Human Accuracy": 0.5,
        },
        says("자산은?", "z", FOUR),
    ),
    one(
        "medmcqa/medmcqa_anatomy",
        medical("Anatomy"),
        says("Which?", "Spleen", ["Liver", "Spleen", "12"]),
    ),
    one(
        "medmcqa/medmcqa_social_and_preventive_medicine",
        medical("Social & Preventive Medicine", cop=2),
        says("Which?", "12", ["Liver", "Spleen", "12"]),
    ),
    one(
        "medmcqa/medmcqa_unknown",
        medical("Unknown", cop=0),
        says("Which?", "Liver", ["Liver", "Spleen", "12"]),
    ),
    one(
        "medqa_usmle/medqa_4options",
        {"id": "1", "sent1": "A man coughs.", "sent2": "", "label": 3}
        | {f"ending{i}": text for i, text in enumerate(FOUR)},
        says("A man coughs.", "z", FOUR),
    ),
    one(
        "pubmedqa/pubmedqa_artificial",
        {"QUESTION": "Does it help?", "CONTEXTS": ["We asked.", "It did."], "LABELS": ["A", "B"]}
        | {"MESHES": [], "final_decision": "yes", "LONG_ANSWER": "It helps."},
        says(
            "Does it help?",
            "yes",
            ["yes", "no", "maybe"],
            context="We asked.\nIt did.",
            solution="It helps.",
        ),
    ),
    one(
        "headqa/headqa_es",
        {"name": "x", "year": "2013", "category": "biology", "qid": 7, "qtext": "¿Qué?", "ra": 2}
        | {"image": None, "answers": [{"aid": 1, "atext": "w"}, {"aid": 2, "atext": "10"}]},
        says("¿Qué?", "10", ["w", "10"]),
    ),
    one(
        "headqa/headqa_en",
        {"qid": 7, "qtext": "What?", "ra": 1, "answers": {"aid": [1, 2], "atext": ["w", "x"]}},
        says("What?", "w", ["w", "x"]),
    ),
    one(
        "kormedmcqa/kormedmcqa_doctor",
        {"subject": "doctor", "year": 2012, "period": 1, "q_number": 1, "question": "진단은?"}
        | {**ABCD, "E": "5", "answer": 5, "cot": ""},
        says("진단은?", "5", [*FOUR, "5"]),
    ),
    one(
        "mediqa_qa2019/mediqa_qa2019",
        ranked((2, 2, "Rest."), (1, 4, "Sleep.")),
        says("What helps?", "Sleep."),
    ),
    one(
        "mediqa_qa2019/mediqa_qa2019_alexa",
        ranked((1, 3, "Sleep.")),
        says("What helps?", "Sleep."),
    ),
    one(
        "legalbench/legalbench_proa",
        {"index": "0", "text": "Anyone may sue.", "answer": "Yes"},
        says(
            "Does the clause specify a private right of action, so that a private citizen can "
            "enforce rights under the statute?",
            "yes",
            YES_NO,
            context="Anyone may sue.",
        ),
    ),
    one(
        "legalbench/legalbench_contract_nli_permissible_copy",
        {"index": "0", "text": "No copies.", "answer": "No", "document_name": "a.pdf"},
        says(
            "Does the clause provide that the receiving party may create a copy of some "
            "confidential information in some circumstances?",
            "no",
            YES_NO,
            context="No copies.",
        ),
    ),
    one(
        "legalbench/legalbench_abercrombie",
        {"index": "0", "text": 'The mark "Salt" for salt.', "answer": "generic"},
        says(
            "Is the mark generic (the product's common name), descriptive (of its purpose, nature "
            "or an attribute), suggestive (of a quality), arbitrary (a real word without relation "
            "to it) or fanciful (an invented word)?",
            "generic",
            ["generic", "descriptive", "suggestive", "arbitrary", "fanciful"],
            context='The mark "Salt" for salt.',
        ),
    ),
    one(
        "legalbench/legalbench_corporate_lobbying",
        {"index": "0", "bill_title": "T", "bill_summary": "S", "company_name": "C", "answer": "No"}
        | {"company_description": "D"},
        says(
            "Is the bill at least somewhat relevant to the company, so that it could impact its "
            "bottom line if it was enacted?",
            "no",
            YES_NO,
            context="Bill: T\nS\n\nCompany: C\nD",
        ),
    ),
    one(
        "legalbench/legalbench_function_of_decision_section",
        {"index": "0", "Citation": "1 U.S. 1", "Paragraph": "We affirm.", "answer": "Decree"},
        says(
            "Which function does this paragraph have in the court's decision?",
            "Decree",
            ["Facts", "Procedural History", "Issue", "Rule", "Analysis", "Conclusion", "Decree"],
            context="We affirm.",
        ),
    ),
    one(
        "legalbench/legalbench_international_citizenship_questions",
        {"index": "0", "question": "Does X allow dual citizenship?", "answer": "Yes"},
        says(
            "As the law stood on January 1st, 2020: Does X allow dual citizenship?", "yes", YES_NO
        ),
    ),
    one(
        "scrolls_qa/scrolls_narrativeqa",
        {"id": "1", "pid": "1_0", "input": "Who is he?\n\nA man.\n\nHe walks.", "output": "A man"},
        says("Who is he?", "A man", context="A man.\n\nHe walks."),
    ),
    one(
        "scrolls_qa/scrolls_quality",
        {"id": "1", "pid": "1_0", "input": QUALITY, "output": "He is tired\n of it."},
        says(
            "Why does he  leave?",
            "He is tired of it.",
            ["He is tired of it.", "He is ill.", "3", "He is paid."],
            context="It was night.\n\nHe left (D) at dawn.",
        ),
    ),
    one(
        "race/race_middle",
        {"example_id": "m1.txt", "article": "Li runs.", "answer": "C", "question": "Li  _  ."}
        | {"options": FOUR},
        says("Li  _  .", "y", FOUR, context="Li runs."),
    ),
    one(
        "squadv2/squadv2",
        squad("It opened in 1475.", "When?", "1475", "in 1475", "1475"),
        says("When?", "1475", context="It opened in 1475.", aliases=["in 1475"]),
    ),
    one(
        "triviaqa/triviaqa",
        {"question": "Which year?", "question_id": "tc_1", "question_source": "x"}
        | {"answer": {"value": "007", "aliases": ["007", "Bond"], "normalized_value": "007"}},
        says("Which year?", "007", aliases=["Bond"]),
    ),
    one(
        "nq_open/nq_open",
        {"question": "where is it", "answer": ["Rome", "in Rome"]},
        says("where is it?", "Rome", aliases=["in Rome"]),
    ),
    Case(
        "coqcat/coqcat",
        {**STORY, "id": "1", "source": "wiki", "questions": ["Què té en Tom?", "De quin color?"]},
        [
            says("Què té en Tom?", "a cat", context="Tom has a cat. It is black."),
            says(
                "De quin color?",
                "black",
                context="Tom has a cat. It is black.\n\nQ: Què té en Tom?\nA: a cat",
            ),
        ],
    ),
    one(
        "qasper/qasper_freeform",
        paper(
            {"free_form_answer": "BERT"}, {"unanswerable": True}, {"free_form_answer": "BERT-base"}
        ),
        says(
            "Which model?",
            "BERT",
            context="On parsing\n\nWe parse.\n\nWe used BERT.",
            aliases=["BERT-base"],
        ),
    ),
    one(
        "qasper/qasper_bool",
        paper({"yes_no": False, "evidence": ["We did not."]}, {"extractive_spans": ["BERT"]}),
        says("Which model?", "no", YES_NO, context="On parsing\n\nWe parse.\n\nWe did not."),
    ),
    one(
        "record/record",
        {
            "passage": "Ann won.\n@highlight\nShe is 30\n@highlight\nAnn smiled",
            "query": "@placeholder won",
        }
        | {"entities": ["Ann", "Bob"], "answers": ["Ann"], "idx": {"passage": 0, "query": 0}},
        says(
            "What does @placeholder stand for? @placeholder won",
            "Ann",
            context="Ann won.\n- She is 30\n- Ann smiled",
        ),
    ),
    one(
        "tydiqa_goldp/tydiqa_goldp_ko",
        squad("1443년에 만들었다.", "언제?", "1443년", id="korean-123-0"),
        says("언제?", "1443년", context="1443년에 만들었다."),
    ),
    one(
        "mlqa_translate_train/mlqa_translate_train_de",
        squad("Es war 1475.", "Wann?", "1475"),
        says("Wann?", "1475", context="Es war 1475."),
    ),
    one(
        "jsquad/ja_leaderboard_jsquad",
        squad("梅雨 [SEP] 梅雨は五月から七月にかけて。", "いつから？", "五月", is_impossible=False),
        says("いつから？", "五月", context="梅雨は五月から七月にかけて。"),
    ),
    one(
        "jaqket/ja_leaderboard_jaqket_v2",
        {"qid": "QA1", "question": "何？", "answers": {"text": ["富士山"], "answer_start": [0]}}
        | {"ctxs": {"id": ["1"], "title": ["富士山"], "text": ["富士山は山。"], "score": ["1"]}},
        says("何？", "富士山"),
    ),
    one(
        "norquad/norquad",
        squad("Oslo\n\nOslo er hovedstaden.", " Hva  er Oslo?\n", "hovedstaden"),
        says("Hva er Oslo?", "hovedstaden", context="Oslo\n\nOslo er hovedstaden."),
    ),
    one(
        "catalanqa/catalanqa",
        {"id": "1", "title": "t", "context": "Va ser el 1475.", "question": "Quan?"}
        | {"answers": [{"text": "1475", "answer_start": 10}]},
        says("Quan?", "1475", context="Va ser el 1475."),
    ),
    one(
        "kobest_boolq/kobest_boolq",
        {"paragraph": "물은 끓는다.", "question": "물은 끓는가?", "label": 1},
        says("물은 끓는가?", "예", ["예", "아니오"], context="물은 끓는다."),
    ),
    *(
        one(
            "boolq_bn/boolqa_bn",
            {"question": "এটি কি সত্য?", "passage": "এটি সত্য নয়।", "answer": answer},
            says("এটি কি সত্য?", "না", ["হ্যাঁ", "না"], context="এটি সত্য নয়।"),
        )
        for answer in ("no", False, "False")
    ),
    one(
        "boolq_bn/boolqa_bn",
        {"question": "এটি কি সত্য?", "passage": "এটি সত্য।", "answer": True},
        says("এটি কি সত্য?", "হ্যাঁ", ["হ্যাঁ", "না"], context="এটি সত্য।"),
    ),
    *(
        one(
            "afriqa/afriqa_bem_prompt_1",
            {"id": 1, "title": "t", "context": "It is Lusaka.", "question_lang": "Nshi?"}
            | {"question_translated": "What?", "answer_pivot": answer, "answer_lang": "Lusaka"},
            says("Nshi?", "Lusaka", context="It is Lusaka."),
        )
        for answer in ("Lusaka", {"text": ["Lusaka"], "answer_start": [6]})
    ),
    one(
        "sib200/sib_zul_prompt_1",
        {"index_id": 7, "category": "geography", "text": "Umfula mude."},
        says(
            "What is this text about?",
            "geography",
            [
                "science/technology",
                "travel",
                "politics",
                "sports",
                "health",
                "entertainment",
                "geography",
            ],
            context="Umfula mude.",
        ),
    ),
    *(
        one(
            "masakhanews/masakhanews_hau_prompt_1",
            {"headline": "Labari", "text": "Wasa.", "url": "/1", "headline_text": "x", **topic},
            says(NEWS, "sports", TOPICS, context="Labari\n\nWasa."),
        )
        for topic in ({"label": 5}, {"category": "sports"})
    ),
    one(
        "dbpedia_14/dbpedia_14",
        {"label": 11, "title": "Abbey Road", "content": " An album by the Beatles."},
        says(
            "Which kind of thing does this text describe?",
            "Album",
            [
                "Company",
                "Educational Institution",
                "Artist",
                "Athlete",
                "Office Holder",
                "Mean Of Transportation",
                "Building",
                "Natural Place",
                "Village",
                "Animal",
                "Plant",
                "Album",
                "Film",
                "Written Work",
            ],
            context="Abbey Road\n\nAn album by the Beatles.",
        ),
    ),
    one(
        "ag_news/ag_news",
        {"text": "Chip sales rise.", "label": 3},
        says(
            NEWS,
            "Sci/Tech",
            ["World", "Sports", "Business", "Sci/Tech"],
            context="Chip sales rise.",
        ),
    ),
    one(
        "yahoo_answers_topics/yahoo_answers_topics",
        {"id": 1, "topic": 2, "question_title": "Why sneeze?", "question_content": ""}
        | {"best_answer": "Dust."},
        says(
            "Which topic does this question belong to?",
            "Health",
            [
                "Society & Culture",
                "Science & Mathematics",
                "Health",
                "Education & Reference",
                "Computers & Internet",
                "Sports",
                "Business & Finance",
                "Entertainment & Music",
                "Family & Relationships",
                "Politics & Government",
            ],
            context="Why sneeze?",
        ),
    ),
    one(
        "medical_abstracts/medical_abstracts",
        {"condition_label": 5, "medical_abstract": "Ten patients."},
        says(
            "Which kind of condition is this abstract about?",
            "general pathological conditions",
            [
                "neoplasms",
                "digestive system diseases",
                "nervous system diseases",
                "cardiovascular diseases",
                "general pathological conditions",
            ],
            context="Ten patients.",
        ),
    ),
    one(
        "unfair_tos/unfair_tos",
        {"text": "We may end this at any time.", "labels": [1]},
        says(
            "Which kind of potentially unfair term is this sentence?",
            "Unilateral termination",
            [
                "Limitation of liability",
                "Unilateral termination",
                "Unilateral change",
                "Content removal",
                "Contract by using",
                "Choice of law",
                "Jurisdiction",
                "Arbitration",
                "None of these",
            ],
            context="We may end this at any time.",
        ),
    ),
    one(
        "afrisenti/afrisenti_hau_prompt_1",
        {"tweet": "Na gode", "label": "positive"},
        says("Which sentiment does this tweet express?", "positive", SENTIMENTS, context="Na gode"),
    ),
    *(
        one(
            "nollysenti/nollysenti_pcm",
            {"review": "Dis film bad", "label": label},
            says(
                "Which sentiment does this film review express?",
                "negative",
                ["positive", "negative"],
                context="Dis film bad",
            ),
        )
        for label in ("negative", 1)
    ),
    one(
        "polemo2/polemo2_in",
        {"sentence": "Hotel był dobry .", "target": "__label__meta_plus_m"},
        says(
            "Jaki sentyment wyraża ta opinia?",
            "Pozytywny",
            ["Neutralny", "Negatywny", "Pozytywny", "Niejednoznaczny"],
            context="Hotel był dobry .",
        ),
    ),
    one(
        "norec/norec_document",
        {"id": "1", "review": "En god film.", "sentiment": 1},
        says(
            "Er sentimentet i teksten positivt eller negativt?",
            "positiv",
            ["negativ", "positiv"],
            context="En god film.",
        ),
    ),
    one(
        "xlsum/xlsum_yoruba_prompt_1",
        {"id": "1", "url": "u", "title": "Ojo", "summary": "Ojo ro.", "text": "Ojo ro lana."},
        says(
            'Sum up the article "Ojo" in one or two sentences, in the language it is written in.',
            "Ojo ro.",
            context="Ojo ro lana.",
        ),
    ),
    *(
        one(
            f"cabreu/cabreu_{kind}",
            {"id": "1", "content": "El  text.", "summaries": SUMMARIES},
            says(
                question,
                f"{kind} a1",
                context="El text.",
                aliases=[f"{kind} a2", f"{kind} a3"],
            ),
        )
        for kind, question in {
            "abstractive": "Fes un resum abstractiu del text, amb unes altres paraules, més "
            "natural i concís.",
            "extractive": "Fes un resum extractiu del text, amb les frases més rellevants del text "
            "original.",
            "extreme": "Fes el resum més concís possible del text, en una sola frase.",
        }.items()
    ),
]

# Of tasks with dozens of labels: row, answer, how many labels, and the first and last of them.
LONG_LISTS: list[tuple[str, Mapping[str, Any], str, int, str, str]] = [
    (
        "ledgar/ledgar",
        {"text": "Delaware law governs.", "label": 47},
        "Governing Laws",
        100,
        "Adjustments",
        "Withholdings",
    ),
    (
        "banking77/banking77",
        {"text": "Where is my card?", "label": 11},
        "card arrival",
        77,
        "activate my card",
        "wrong exchange rate for cash withdrawal",
    ),
    (
        "injongointent/injongointent_swa_prompt_1",
        {"text": "Weka kengele", "intent": "travel_notification"},
        "travel notification",
        40,
        "alarm",
        "weather",
    ),
    (
        "financial_tweets/financial_tweets",
        {"text": "$MU beats", "label": 5},
        "Earnings",
        20,
        "Analyst Update",
        "Stock Movement",
    ),
    (
        "argument_topic/argument_topic",
        {"text": "Zoos save species.", "label": "zoos"},
        "zoos",
        71,
        "affirmative action",
        "zoos",
    ),
    (
        "argument_topic/argument_topic",
        {"argument": "It is cruel.", "topic": "whaling"},
        "whaling",
        71,
        "affirmative action",
        "zoos",
    ),
    (
        "claim_stance_topic/claim_stance_topic",
        {"text": "Boxing harms.", "label": "boxing"},
        "boxing",
        55,
        "advertising",
        "year round schooling",
    ),
]

# Rows that are complete and yet no seed: nobody knows the answer, or text alone does not tell it.
DROPPED: list[tuple[str, Mapping[str, Any]]] = [
    ("medmcqa/medmcqa_anatomy", medical("Surgery")),
    ("medmcqa/medmcqa_unknown", medical("Surgery")),
    ("medmcqa/medmcqa_surgery", medical("Surgery", cop=-1)),
    ("headqa/headqa_en", {"qtext": "See image", "ra": 1, "image": "1.png", "answers": []}),
    ("mediqa_qa2019/mediqa_qa2019", ranked((1, 2, "Something else."))),
    ("squadv2/squadv2", squad("It opened.", "When?")),
    ("tydiqa_goldp/tydiqa_goldp_en", squad("1443.", "When?", "1443", id="korean-1-0")),
    ("qasper/qasper_freeform", paper({"extractive_spans": ["BERT"]})),
    ("qasper/qasper_freeform", paper({"unanswerable": True})),
    ("qasper/qasper_bool", paper({"yes_no": True}, {"yes_no": False})),
    ("qasper/qasper_bool", paper({"free_form_answer": "BERT"})),
    ("unfair_tos/unfair_tos", {"text": "We may change or end it.", "labels": [1, 2]}),
    ("multirc/multirc", {"paragraph": "p", "question": "q", "answer": "a", "label": -1}),
    ("scrolls_qa/scrolls_narrativeqa", {"input": "Who?\n\n" + "a" * 120_000, "output": "he"}),
    ("triviaqa/triviaqa", {"question": "q", "answer": {"value": "<unk>", "aliases": []}}),
    (
        "arc_multilingual/arc_de",
        {"instruction": "Was?", "option_a": "w", "option_b": "x", "option_c": "y", "option_d": None}
        | {"answer": "D"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.subtask)
def test_a_row_in_the_documented_columns_becomes_these_examples(case: Case) -> None:
    assert list(_mapping(_spec(case.subtask))(case.row)) == case.gives


@pytest.mark.parametrize(("subtask", "row", "answer", "number", "first", "last"), LONG_LISTS)
def test_a_label_is_read_in_the_order_of_the_datasets_class_names(
    subtask: str, row: Mapping[str, Any], answer: str, number: int, first: str, last: str
) -> None:
    (got,) = _mapping(_spec(subtask))(row)
    assert got.answer == answer
    assert len(set(got.choices)) == number
    assert (got.choices[0], got.choices[-1]) == (first, last)
    assert got.context == (row.get("text") or row["argument"])


@pytest.mark.parametrize(("subtask", "row"), DROPPED)
def test_a_row_that_cannot_be_seeded_is_dropped_without_an_error(
    subtask: str, row: Mapping[str, Any]
) -> None:
    assert list(_mapping(_spec(subtask))(row)) == []


def test_every_task_that_is_on_has_a_row_tested_by_value() -> None:
    tested = [c.subtask for c in CASES] + [s.subtask for s in SEEN] + [r[0] for r in LONG_LISTS]
    assert {task.task for task in ENABLED} == {subtask.split("/")[0] for subtask in tested}


def test_sciqs_right_answer_stands_at_every_place() -> None:
    mapping = _mapping(_spec("sciq/sciq"))
    places: Counter[int | None] = Counter()
    for i in range(200):
        row = {f"distractor{n}": f"wrong {n}" for n in (1, 2, 3)}
        (got,) = mapping({**row, "question": f"q{i}", "correct_answer": "right", "support": ""})
        assert got.choices[got.answer_index or 0] == got.answer == "right"
        places[got.answer_index] += 1
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) < 80


def test_every_subject_of_medmcqa_is_seeded_in_one_subtask_only() -> None:
    mappings = {key: _mapping(_spec(f"medmcqa/{key}")) for key in CATALOG.task("medmcqa").subtasks}
    assert len(mappings) == 21
    for subject in ("ENT", "Gynaecology & Obstetrics", "Skin", "Unknown", "Something new"):
        takers = [key for key, mapping in mappings.items() if list(mapping(medical(subject)))]
        assert len(takers) == 1, subject


def test_at_least_39_knowledge_tasks_are_on_and_each_says_what_it_asks_for() -> None:
    assert len(ENABLED) >= 39
    assert [task.task for task in ENABLED if not (task.frame and task.record)] == []


def _spec(subtask: str) -> SubtaskSpec:
    return CATALOG.subtask(*subtask.split("/"))


def _mapping(spec: SubtaskSpec) -> RowMapping:
    assert spec.record is not None
    return RowMapping(spec.record, spec.answer_kind, spec.where)


def _has_seed_split(root: Path, spec: SubtaskSpec) -> bool:
    directory = root / spec.dataset / spec.config
    return any(directory.glob(f"{spec.split}-[0-9]*.parquet"))
