"""Patterns for how people announce an answer, by language. Data for `extraction`."""

from __future__ import annotations

import re

# Words allowed between "answer" and the verb: "the answer to part (b) is", "is therefore".
_EN_FILLER = r"(?:\s+(?:to|for|of|in)\s+[^.:!?\n]{1,60}?)?(?:,?\s+(?:therefore|thus|then|hence),?)?"
_EN_VERB = r"(?:is|was|are|would\s+be|should\s+be|must\s+be|will\s+be|has\s+to\s+be)\b(?!n't)"
_TWO_WORDS = r"(?:\s+[^\W\d_]+){0,2}?"

# The text before X in "the answer is X". In verb-final languages the verb follows X: see `COPULA`.
_BEFORE = {
    "en": rf"\b(?:answers?|(?:correct|right|best|final)\s+(?:option|choice|label|result|statement|"
    rf"response|value))(?:\s+(?:option|choice))?{_EN_FILLER}[*_]*"
    rf"(?:\s+{_EN_VERB}|\s*[:=]|\s*(?:→|->|=>|[–—-](?=\s)))(?:\s+(?:therefore|thus|hence),?)?",
    "es": rf"\b(?:respuesta|opci[óo]n\s+correcta){_TWO_WORDS}[*_]*\s*(?:\bes\b|\bsería\b|[:=])"
    r"(?:\s+(?:entonces|por\s+(?:lo\s+)?tanto),?)?",
    "fr": rf"\b(?:r[ée]ponse|(?:bonne|l')\s*option){_TWO_WORDS}[*_]*\s*(?:\best\b|\bserait\b|[:=])"
    r"(?:\s+donc)?",
    "de": rf"\b(?:antwort|l[öo]sung){_TWO_WORDS}[*_]*\s*(?:\bist\b|\blautet\b|\bwäre\b|[:=])"
    r"(?:\s+(?:also|daher|somit))?",
    "pt": rf"\bresposta{_TWO_WORDS}[*_]*\s*(?:é(?!\w)|és(?!\w)|\bseria\b|[:=])",
    "it": rf"\brisposta{_TWO_WORDS}[*_]*\s*(?:è(?!\w)|[:=])(?:\s+quindi)?",
    "nl": rf"\bantwoord{_TWO_WORDS}[*_]*\s*(?:\bis\b|[:=])",
    "pl": rf"\bodpowied[źz]{_TWO_WORDS}[*_]*\s*(?:\bto\b|\bbrzmi\b|\bjest\b|[:=])",
    "ru": rf"\b(?:ответ|відповідь|отговор)(?:ом)?{_TWO_WORDS}[*_]*\s*(?:это\b|[:=]|[—–-](?=\s))",
    "el": rf"\bαπάντηση{_TWO_WORDS}[*_]*\s*(?:είναι|[:=])",
    "tr": rf"\bcevap{_TWO_WORDS}[*_]*\s*[:=]",
    "eu": rf"\berantzuna{_TWO_WORDS}[*_]*\s*(?:da\b|[:=])",
    "id": rf"\bjawaban(?:nya)?{_TWO_WORDS}[*_]*\s*(?:adalah|ialah|[:=])",
    "sw": rf"\bjibu{_TWO_WORDS}[*_]*\s*(?:\bni\b|[:=])",
    "vi": rf"\b(?:đáp\s+án|câu\s+trả\s+lời){_TWO_WORDS}[*_]*\s*(?:\blà\b|[:=])",
    "th": r"คำตอบ(?:ที่ถูกต้อง|สุดท้าย)?[*_]*\s*(?:คือ|[:=])",
    "zh": r"(?:答案|正确选项|正確選項|答)[*_]*\s*(?:(?:应该|應該|应|應)?(?:是|为|為|选|選)"
    r"|[:\uff1a=])"
    r"|(?:故|所以|因此|应|應)(?:选|選)(?:择|擇)?[:\uff1a]?",
    "ja": r"(?:答え|正解|解答|回答|正答)[*_]*\s*(?:は|[:\uff1a=→])+",
    "ko": r"(?:정답|해답|답변|답)[*_]*\s*(?:은|는|이|[:\uff1a=])+(?=[\s*])",
    "ar": rf"(?:الإجابة|الاجابة|الجواب){_TWO_WORDS}[*_]*\s*(?:هي|هو|[:=])",
    "fa": rf"(?:پاسخ|جواب){_TWO_WORDS}[*_]*\s*[:=]",
    "he": rf"התשובה{_TWO_WORDS}[*_]*\s*(?:היא|[:=])",
    "hi": r"(?:उत्तर|जवाब)[*_]*\s*(?:(?:है|होगा)?\s*[:=]|(?=[^\n]+?\s(?:है|होगा)))",
    "bn": r"উত্তর(?:টি)?[*_]*\s*(?:হল|হলো|হচ্ছে|[:=])+",
    "te": r"(?:సమాధానం|జవాబు)[*_]*\s*[:=]",
    "ta": r"(?:பதில்|விடை)[*_]*\s*[:=]",
    "digits": r"^####",  # GSM8K's marker
}

BEFORE = re.compile(
    rf"(?:{'|'.join(_BEFORE.values())})[\s*_:\uff1a]*", re.IGNORECASE | re.MULTILINE
)
"""Matches an announcement before the answer, with its Markdown."""

HEADING = re.compile(
    r"^[#*_ \t>]*(?:final\s+|the\s+)?answer[*_ \t]*$\n\s*", re.IGNORECASE | re.MULTILINE
)
"""Matches a line that says only "Answer"; the answer is on the next line."""

AFTER = re.compile(
    r"(?:,?\s+(?:therefore|thus|then|hence),?)?\s+"
    r"(?:is|are|would\s+be|must\s+be)\s+(?:therefore\s+|thus\s+)?(?:the\s+)?"
    r"(?:(?:(?:only\s+|most\s+)?(?:correct|right|best|final|accurate|appropriate)\s+)?"
    r"(?:answer|option|choice)\b|correct\b(?=\s*[.!*]*\s*$))"
    r"|\s*(?:が正解|是正确答案|是正確答案|是正确的|是正確的|(?:이|가)\s*정답)",
    re.IGNORECASE | re.MULTILINE,
)
"""Matches an announcement after the answer: "B is the correct option"."""

SENTENCE = re.compile(r"(?<!\\)[.!?;:]\s|[\n。\uff01\uff1f\uff1b\uff0c।؟]")
"""Matches the end of a sentence or clause."""

EXPLAINED = re.compile(
    r"\A(?P<answer>[^\n]{1,200})\n+[*_#\s]*(?:explanation|reasoning|rationale|reason|justification)\b",
    re.IGNORECASE,
)
"""Matches a text that starts with its answer and then explains it."""

CONCLUDING = re.compile(
    r"^\W*(?:(?:so|therefore|thus|hence|consequently|in\s+conclusion|in\s+short|finally)\b,?"
    r"(?:\s+(?:i\s+(?:choose|pick|select|conclude)(?:\s+that)?|(?:it|this|that|we\s+have)(?='s|\s+(?:is|must|has|would|gives))))?"
    r"|(?:it|that)(?='s\b|\s+(?:is|must\s+be)\b)|i\s+(?:choose|pick|select|go\s+with)\b"
    r"|por\s+(?:lo\s+)?tanto\b|donc\b|also\b|daher\b|поэтому|значит|所以|因此|故|したがって|よって|따라서|그러므로)"
    r"[,\uff0c、]?(?:\s*(?:'s|is|must\s+be|has\s+to\s+be|would\s+be|gives)\b)?[\s:]*",
    re.IGNORECASE,
)
"""Matches the start of a concluding line: "So it's"."""

CORRECTING = re.compile(
    r"(?:^|[.!?…,—–]|\s-)\s*(?:(?:oh|no|but|hmm)\b[,.]?\s+)*"
    r"(?:wait|hold\s+on|scratch\s+that|on\s+second\s+thought|correction|actually)\b[,:.!—–-]*",
    re.IGNORECASE | re.MULTILINE,
)
"""Matches a self-correction ("Wait,"), which cancels all text before it."""

COPULA = re.compile(
    r"\s*(?:です|である|となります|になります|입니다|이에요|예요)[.。]?$|\s+(?:है|हैं|होगा|হবে)[।.]?$"
)
"""Matches the verb after the answer in verb-final languages."""

REASONS = re.compile(
    r"[,;]?\s+(?:because|since|as\s+(?:it|he|she|they|this|that|the)|which|so|given|due\s+to|where)\b"
    r"|(?<!\\)[.!?。\uff01\uff1f।؟](?:\s+|(?=[\"'”*_]|[^\W\d_A-Za-z]))|[;\uff1b\n]|\s+[–—-]\s+|\s*[(\uff08]|,\s+|[\uff0c、،]|:\s+"
)
"""Matches positions where an answer may end and its explanation begin."""

ABSTAINING = re.compile(
    r"(?:i\s+(?:do\s+not|don't|cannot|can't)\b|i\s*(?:'m|am)\s+(?:not\s+sure|sorry|unable)|sorry\b"
    r"|n/?a$|(?:there\s+is\s+)?(?:not\s+enough|insufficient)\s+information|unable\s+to\b"
    r"|(?:it\s+)?(?:is\s+)?not\s+(?:stated|mentioned|given|specified|provided)\b)",
    re.IGNORECASE,
)
"""Matches a refusal to answer: "I don't know", "not enough information"."""
