"""Gate: a row is written in its task's language.

The script is tested first; it alone decides for most languages with a non-Latin script. Other texts
go to py3langid (langid.py of Lui and Baldwin 2012, retrained; its wheel knows 140 languages). On
38,000 texts of at least 20 letters in 27 languages, it never named a wrong language with the
confidence that this gate demands, and it identified 97% correctly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sdg_assets.gates.base import Batch, Cost, GateSpec, Point, true_places
from sdg_assets.kinds import AnswerKind, AnswerPolicy
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.thresholds import OwnThresholds

if TYPE_CHECKING:
    import polars as pl
    from py3langid.langid import LanguageIdentifier

NAME = "language"
Part = Literal["context", "question", "choices", "answer"]


class LanguageThresholds(OwnThresholds):
    """Which parts of a row are tested, and how sure the identifier must be."""

    language_parts: frozenset[Part] = Field(
        default=frozenset({"context", "question", "choices", "answer"}),
        description="parts that must be in the row's language; empty: no language test",
    )
    language_confidence: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a row is refused if another language has at least this probability",
    )


# Fewer letters say too little; more characters of a text say nothing new.
_LETTERS = 20
_READ = 250
# A text is in another script if less than this share of its letters is in the language's own
# scripts: texts of every language contain formulae, names and quotations.
_SHARE = 0.1
# A language with at least this probability is still possible.
_POSSIBLE = 0.05

# Script → languages, by the catalog's codes; a language in no line is written in Latin script, a
# language with several scripts stands in several lines. langcodes 3.5 knows one script per
# language: of these 199 codes it has all scripts for 169, one of several for 25 (rows in the other
# script would be refused), and none or another for 5.
_SCRIPTS = {
    "Arabic": "ar arz ary arq aeb acm acq ajp apc ars fa prs ps ur ug sd ckb azb sdh ks ace bjn knc"
    " az ku tt uz ha ms",
    "Armenian": "hy", "Bengali": "bn as mni", "Cyrillic": "ru uk be bg mk sr sr-Cyrl kk ky mn tg tt"
    " ba uz az bs bos crh tk ce cv", "Devanagari": "hi mr ne sa mai mag awa bho hne ks gom sat kok",
    "Ethiopic": "am ti", "Georgian": "ka", "Greek": "el grc", "Gujarati": "gu", "Gurmukhi": "pa",
    "Han": "zh zh-Hans zh-Hant yue wuu ja ko", "Hangul": "ko", "Hebrew": "he yi",
    "Hiragana": "ja", "Katakana": "ja", "Kannada": "kn", "Khmer": "km", "Lao": "lo",
    "Malayalam": "ml", "Mongolian": "mn", "Myanmar": "my shn", "Nko": "nqo", "Ol_Chiki": "sat",
    "Oriya": "or", "Sinhala": "si", "Tamil": "ta", "Telugu": "te", "Thaana": "dv", "Thai": "th",
    "Tibetan": "bo dz", "Tifinagh": "tzm taq kab", "Vai": "vai", "Meetei_Mayek": "mni",
}  # fmt: skip
_ALSO_LATIN = "sr bs bos uz az tt tk crh ku ks ace bjn knc taq tzm kab ha ms ba kk mn vai ug sat"
# If these are a fifth of a text's words, and at least two, it is English: most rows are, and the
# identifier takes 0.2 ms a text. In 38,000 texts of 25 other languages, only quoted titles reach
# that. One word is not enough: "are" and "has" are also Romanian and Catalan.
# Polars counts them: Python's `re` takes 50 times as long.
_ENGLISH = (
    r"(?i)\b(?:the|and|of|for|to|with|from|about|into|than|between|after|before|while|because|if|but"
    r"|not|is|are|be|been|were|has|have|had|does|did|would|can|could|should|what|which|how|when|who|where"
    r"|why|this|that|these|there|his|her|its|their|your|she|they|it|you|each|many|much|some|most|only"
    r")\b"
)
_ENGLISH_SHARE = 0.2
# Terms of science and law are Latin in every language; zxx means "no language".
_IGNORED = ("la", "zxx")
# Codes of the same language, and neighbours that the identifier may confuse. No table of related
# languages can replace this list: langcodes calls only 35 of the 644 pairs near.
_FAMILIES = [
    frozenset(family.split())
    for family in (
        "zh zh-Hans zh-Hant yue wuu",
        "ar arz ary arq aeb acm acq ajp apc ars",
        "fa prs azb ckb sdh ku",
        "no nb nn da sv fo is",
        "bs bos hr sr sr-Cyrl sr-Latn sl mk bg",
        "cs sk pl szl",
        "ru uk be bg ba tt tg kk ky mn cv",
        "id ms jv su min bjn ace ban bug bcl tl war ceb ilo pag",
        "es pt gl ca oc an ast ext",
        "it lij lmo vec scn sc fur la co",
        "de nl af lb li fy",
        "fr wa ht gcf gcr oc",
        "hi mr ne mai mag awa bho hne sa gom ks",
        "bn as",
        "tr az azb tk crh tt uz uzs ug",
        "et fi",
        "lv ltg lt",
        "ga gd",
        "zu xh ss nr ts sn ny tum",
        "st nso tn",
        "rw rn lg kik ki sw kam kmb lua lu ln kg bem umb cjk",
        "tw ak ee fon guw fat",
        "en pcm",
        "am ti",
        "ha ff fuv",
        "gn gug",
        "ps ur sd",
    )
]


@dataclass(frozen=True)
class LanguageGate:
    """Refuses rows with a part in another language."""

    thresholds: LanguageThresholds
    name: str = NAME

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Names the first such part in the reason: `<part> in another language`."""
        first: dict[int, Refusal] = {}
        wanted = self.thresholds.language_parts & batch.untested
        all_languages = batch.columns("language")["language"].to_list()
        for part, places, texts, letters in _parts(batch, wanted):
            languages = [all_languages[place] for place in places]
            foreign = _foreign(texts, letters, languages, self.thresholds)
            for position, other, confidence in foreign:
                detail = f"{other}, not {languages[position]}"
                scores = {"language_confidence": confidence} if confidence else {}
                reason = f"{part} in another language"
                first.setdefault(places[position], Refusal(NAME, reason, detail, scores))
        return first


def gate(thresholds: LanguageThresholds) -> LanguageGate:
    """Builds the gate.

    Args:
        thresholds: Its thresholds.
    """
    return LanguageGate(thresholds)


def _parts(
    batch: Batch[Example], wanted: Set[str]
) -> Iterator[tuple[Part, list[int], pl.Series, list[int]]]:
    """The parts that were written in the row's language and are long enough to tell.

    Each is (part, positions, texts, numbers of their letters).

    Given choices come from the catalog. A question may open with the task's frame (a
    classification, or a text to be written after the context), and the frame may be in English. So
    in a task of another language, the first sentence of such a question is not tested.
    """
    import polars as pl  # late: the thresholds are also read without polars

    framed = _is_of(lambda policy: policy.question_opens_with_frame)
    foreign = pl.col("language") != "en"
    after = pl.col("question").str.replace(r"^[^.?!]*(?:[.?!:]\s+|$)", "")
    texts: dict[Part, pl.Expr] = {
        "context": pl.col("context"),
        "question": pl.when(framed & foreign).then(after).otherwise("question"),
        "choices": pl.when(_is_of(lambda policy: policy.choices_are_written))
        .then(pl.col("choices").list.join("\n"))
        .otherwise(pl.lit("")),
        "answer": pl.when(_is_of(lambda policy: policy.is_prose))
        .then("answer")
        .otherwise(pl.lit("")),
    }
    # The context of a text that was written for a row; the other parts need all columns.
    frame = batch.columns("context") if wanted == {"context"} else batch.frame
    parts = [part for part in texts if part in wanted]
    read = {part: texts[part].str.slice(0, _READ) for part in parts}
    counts = {f"{part} letters": read[part].str.count_matches(r"\p{L}") for part in parts}
    written = frame.select(**read, **counts)
    for part in parts:
        letters = written[f"{part} letters"]
        if places := true_places(letters >= _LETTERS):
            yield part, places, written[part].gather(places), letters.gather(places).to_list()


def _is_of(holds: Callable[[AnswerPolicy], bool]) -> pl.Expr:
    """Whether a row's answer kind meets the condition."""
    import polars as pl

    return pl.col("answer_kind").is_in(AnswerKind.where(holds))


def _foreign(
    texts: pl.Series,
    letters: Sequence[int],
    languages: Sequence[str],
    thresholds: LanguageThresholds,
) -> Iterator[tuple[int, str, float]]:
    """(position, language or script found, confidence) of each text in another language.

    The confidence is 0 if the script alone shows it.
    """
    for language in dict.fromkeys(languages):
        mine = [place for place, of_text in enumerate(languages) if of_text == language]
        written = texts.gather(mine)
        own = written.str.count_matches(_own_script(language))
        latin = own
        if "Latin" not in _scripts(language):
            latin = written.str.count_matches(r"\p{Latin}")
        plainly = _plainly_english(written) if language == "en" else [False] * len(mine)
        for position, own_letters, latin_letters, is_english in zip(
            mine, own, latin, plainly, strict=True
        ):
            total = letters[position]
            alien = own_letters < _SHARE * total
            if alien and latin_letters < total / 2:
                yield position, "another script", 0.0
            elif not is_english and (alien or (_shares_script(language) and _known(language))):
                other, confidence = _identified(texts[position], language)
                if confidence >= thresholds.language_confidence:
                    yield position, other, round(confidence, 3)


def _plainly_english(texts: pl.Series) -> list[bool]:
    found = texts.str.count_matches(_ENGLISH)
    words = [len(text.split()) for text in texts]
    return [n >= max(2, _ENGLISH_SHARE * all_) for n, all_ in zip(found, words, strict=True)]


# In `enriched` a row's own texts are tested again with each text that was written for it.
@lru_cache(maxsize=4096)
def _identified(text: str, language: str) -> tuple[str, float]:
    """(most likely language, confidence); the confidence is 0 if the text may be in `language`."""
    family = _family(language)
    best, confidence = _identifier().classify(text)
    if best in family or best in _IGNORED:
        return best, 0.0
    likely = dict(_identifier().rank(text)[:8])
    possible = any(likely.get(code, 0.0) >= _POSSIBLE for code in family)
    return best, 0.0 if possible else float(confidence)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _scripts(language: str) -> frozenset[str]:
    own = {script for script, users in _SCRIPTS.items() if language in users.split()}
    return frozenset(own | ({"Latin"} if not own or language in _ALSO_LATIN.split() else set()))


@cache
def _own_script(language: str) -> str:
    return "[" + "".join(rf"\p{{{script}}}" for script in sorted(_scripts(language))) + "]"


@cache
def _shares_script(language: str) -> bool:
    """Whether an unrelated language (no variety of it) also uses one of its scripts."""
    others = {user for script in _scripts(language) for user in _SCRIPTS.get(script, "").split()}
    return "Latin" in _scripts(language) or not others <= _family(language) | {"ja", "ko"}


@cache
def _family(language: str) -> frozenset[str]:
    return frozenset({language}.union(*(f for f in _FAMILIES if language in f)))


@cache
def _known(language: str) -> bool:
    return not _family(language).isdisjoint(_identifier().labels)


GATE = GateSpec(
    name=NAME,
    rank=30,
    cost=Cost.TEXT,
    points=frozenset({Point.SEED, Point.DRAFT, Point.TEXT, Point.ROW}),
    thresholds=LanguageThresholds,
    build=gate,
    checked_in=(Stage.NORMALIZED, Stage.GENERATED, Stage.ENRICHED, Stage.FILTERED),
    description="rows are written in their task's language",
)
