"""A real small model that thinks: the quick teacher's weights with the thinking tags of Qwen3.

Two tokens that it never writes become `<think>` and `</think>`, and its chat template takes
`enable_thinking`. Nothing taught it to think, so its thoughts end by a bias on the closing tag,
which is most likely after a sentence. The bias also acts on the answer, where only structured
output keeps the tag out.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sdg_assets.records import Role
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.backends.engine import EngineTeacher
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Request
from sdg_assets.teacher.thought_parser import Preparation
from sdg_assets_tests.support.vllm_server import COMPACT

NAME, PARSER = "thinker", "qwen3"
SPARE = {"<file_sep>": "<think>", "<issue_start>": "</think>"}
CLOSE_ID = 8
BIAS = 13.5
NEVER = -100.0
ENDS = (0, 1, 2)
"""The tokens that end or begin a turn. An answer ends by structured output alone."""
REASONING = (
    r"The (farmer|sailor|baker|tailor) (carries|follows|measures|repairs) the "
    r"(lantern|ladder|basket|compass), because the (river|orchard|harbour|meadow) "
    r"(freezes|floods|ripens|glows) before the (winter|festival|sunrise|thunder)\."
)
_REGEX_SIGN = re.compile(r"[\\^$.|?*+(){}\[\]/-]")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% else %}<think>\nOkay, so{% endif %}{% endif %}"
)


def thinking_model(folder: Path) -> Path:
    """Makes the model's directory; its weights are links."""
    source, model = Path(resolve("smollm2-135m").path_or_id), folder / NAME
    model.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.suffix == ".safetensors":
            (model / file.name).symlink_to(file)
        else:
            shutil.copy(file, model / file.name)
    tokenizer = json.loads((model / "tokenizer.json").read_text("utf-8"))
    for token in tokenizer["added_tokens"]:
        if tag := SPARE.get(token["content"]):
            token |= {"content": tag, "special": False}
            vocabulary = tokenizer["model"]["vocab"]
            vocabulary[tag] = vocabulary.pop(next(k for k, v in SPARE.items() if v == tag))
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    (model / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    return model


def catalog_of(folder: Path, model: Path, budget: int) -> Path:
    """A catalog whose `teachers.yaml` has the model's card.

    Args:
        folder: Where it is written.
        model: The model's directory.
        budget: Tokens of a thought.
    """
    card: Mapping[str, Any] = {
        "model": str(model),
        "license": "Apache-2.0",
        "license_source": "the quick teacher's",
        "outputs_may_train": "yes",
        "terms": "None.",
        "commercial_use": "yes",
        "certainty": "known",
        "judges": False,
        "served_as": [NAME],
        "thinking": {
            "default": "on",
            "switch": "template",
            "on": {"enable_thinking": True},
            "off": {"enable_thinking": False},
            "parser": PARSER,
            "max_tokens": budget,
        },
        "sampling": {"thinking": {"temperature": 0.8, "top_p": 0.95, "top_k": 50, "min_p": 0.02}},
        "engine": {
            "dtype": "float32",
            "max_model_len": 2048,
            "enforce_eager": True,
            "kv_cache_memory_bytes": 1 << 29,
            "structured_outputs_config": COMPACT,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "teachers.yaml").write_text(yaml.safe_dump({NAME: card}), "utf-8")
    return folder


class ThinkingEngine(EngineTeacher):
    """The real engine. Thoughts end by the bias, and votes after a sentence of reasoning.

    Without a thought there is no bias: it would put closing tags into the strings of the answer.
    """

    bias = BIAS

    def parameters(self, request: Request, prepared: Preparation | None = None) -> Any:
        from vllm.sampling_params import StructuredOutputsParams

        made = super().parameters(request, prepared)
        if self.bias and request.sampling.thinking != "off":
            made.logit_bias = biases(self.bias)
        if request.role is Role.SOLVER:
            made.structured_outputs = StructuredOutputsParams(regex=vote(request))
        return made


class ThinkingEndpoint(EndpointTeacher):
    """The same model behind a real server."""

    bias = BIAS

    def body(self, request: Request) -> dict[str, Any]:
        body = super().body(request)
        if self.bias and request.sampling.thinking != "off":
            body["logit_bias"] = {str(token): bias for token, bias in biases(self.bias).items()}
        if request.role is Role.SOLVER:
            body.pop("response_format", None)
            body["structured_outputs"] = {"regex": vote(request)}
        return body


def biases(close: float) -> dict[int, float]:
    """Token id → bias, for a bias of the closing tag."""
    return {CLOSE_ID: close, **dict.fromkeys(ENDS, NEVER)}


def vote(request: Request) -> str:
    """The regular expression of a vote: a sentence, then an answer that its schema allows.

    By the schema alone half of its votes were cut off while reasoning. Of sentences of its own that
    it was made to end, a quarter repeated the question and were rightly dropped.
    """
    assert request.json_schema is not None
    answers = request.json_schema["properties"]["answer"]["enum"]
    texts = (json.dumps(answer, ensure_ascii=False) for answer in answers)
    choices = "|".join(_REGEX_SIGN.sub(r"\\\g<0>", text) for text in texts)
    return rf'\{{"reasoning":"{REASONING}","answer":({choices})\}}'
