"""Yes or no, in the words of the dataset's language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sdg_assets.answers.extraction import normalized
from sdg_assets.answers.label import Label

_AFFIRMING = (
    "yes,true,correct,sí,si,verdadero,cierto,oui,vrai,ja,wahr,richtig,да,верно,правда,истина,sim,"
    "verdadeiro,sì,vero,是,是的,对,正确,正確,對,はい,正しい,예,네,참,맞다,نعم,صحيح,हाँ,हां,जी हाँ,"
    "सही,सत्य,হ্যাঁ,সত্য,সঠিক,ndiyo,evet,doğru,có,đúng,ya,benar,bai"
)
_DENYING = (
    "no,false,incorrect,falso,non,faux,nein,falsch,нет,неверно,ложь,неправда,não,否,不是,不,错,错误,不对,"
    "不正确,錯,錯誤,いいえ,誤り,間違い,아니요,아니오,거짓,틀리다,لا,خطأ,خاطئ,नहीं,जी नहीं,"
    "गलत,असत्य,না,মিথ্যা,ভুল,hapana,hayır,yanlış,không,sai,tidak,salah,ez"
)
_POLARITY = {normalized(word): True for word in _AFFIRMING.split(",")} | {
    normalized(word): False for word in _DENYING.split(",")
}


class Boolean(Label):
    """A label with two values. A solver may also say true or false, in any known language."""

    name = "boolean"
    default_frame = "A question that is answered by yes or no."
    default_choices = ("yes", "no")

    def synonyms(self, choices: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Every affirmative and negative word, if one choice is affirmative and one negative."""
        by_polarity = {_POLARITY.get(normalized(choice)): choice for choice in choices}
        if set(by_polarity) != {True, False}:
            return []
        # "So my answer is correct" does not answer the question.
        excluded = {"correct", "incorrect", *map(normalized, choices)}
        return [(word, by_polarity[yes]) for word, yes in _POLARITY.items() if word not in excluded]

    def recognizes(self, choices: Sequence[str]) -> bool:
        """Whether the choices are yes and no, or true and false."""
        return set(choices) in ({"yes", "no"}, {"true", "false"})


ANSWER = Boolean()
