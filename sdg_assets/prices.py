"""What teachers cost: the prices of tokens or of GPU-hours in the setting `SDG_PRICES`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MILLION = 1_000_000
HOUR = 3600


class Price(BaseModel):
    """The price of one teacher: of its tokens, or of the GPUs that compute them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: float | None = Field(default=None, ge=0, description="of a million prompt tokens")
    output: float | None = Field(default=None, ge=0, description="of a million output tokens")
    gpu_hour: float | None = Field(default=None, ge=0, description="of one GPU for an hour")

    @model_validator(mode="after")
    def _of_tokens_or_of_gpus(self) -> Self:
        has_tokens = {self.prompt is not None, self.output is not None}
        if has_tokens != {self.gpu_hour is None}:
            raise ValueError(
                "write prompt and output (the prices of a million tokens), or gpu_hour, not both"
            )
        return self

    def money(
        self, prompt_tokens: float, output_tokens: float, gpu_seconds: float | None
    ) -> float | None:
        """What so much work costs; None if the price is one of GPUs and nobody measured them."""
        if self.prompt is not None and self.output is not None:
            return (prompt_tokens * self.prompt + output_tokens * self.output) / MILLION
        if gpu_seconds is None or self.gpu_hour is None:
            return None
        return gpu_seconds / HOUR * self.gpu_hour


class Prices(BaseModel):
    """The prices of a deployment's teachers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="three letters, such as EUR")
    teachers: dict[str, Price] = Field(
        min_length=1, description="key of teachers.yaml, or the model's name → price"
    )
