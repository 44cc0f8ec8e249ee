"""Continues a student's pretraining: AdamW, warm-up, cosine, clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CLIP = 1.0


@dataclass(frozen=True)
class Recipe:
    """How a student is trained."""

    tokens: int
    sequence: int
    batch: int
    """Sequences of a step."""
    micro_batch: int
    """Sequences in memory at a time."""
    rate: float
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises."""
    decay: float = 0.1
    """The last learning rate is this share of the highest one."""

    @property
    def steps(self) -> int:
        """Steps that see `tokens`, at least one."""
        return max(1, self.tokens // (self.sequence * self.batch))

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        rising = max(1, round(self.warmup * self.steps))
        if step < rising:
            return self.rate * (step + 1) / rising
        progress = (step - rising) / max(1, self.steps - rising)
        share = self.decay + (1 - self.decay) * (1 + math.cos(math.pi * progress)) / 2
        return self.rate * share


class Student:
    """A model that goes back to its first weights before each training."""

    def __init__(self, model: str, device: str) -> None:
        """Loads it: weights in float32; a GPU computes in bfloat16.

        Args:
            model: A directory or a hub id.
            device: `cpu` or `cuda`.
        """
        self.device = torch.device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        self._first = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.to(self.device)

    def restart(self) -> None:
        """Puts the first weights back."""
        self.model.load_state_dict(self._first)

    def train(self, blocks: Iterator[list[int]], recipe: Recipe) -> list[float]:
        """Trains on as many blocks as the recipe asks for; returns the loss of each step."""
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.rate, betas=(0.9, 0.95), weight_decay=0.1
        )
        self.model.train()
        losses = []
        for step in range(recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(step)
            losses.append(self._step(blocks, recipe, optimizer))
        self.model.eval()
        return losses

    def _step(self, blocks: Iterator[list[int]], recipe: Recipe, optimizer: Any) -> float:
        loss_of_step, left = 0.0, recipe.batch
        while left:
            size = min(left, recipe.micro_batch)
            batch = torch.tensor([next(blocks) for _ in range(size)], device=self.device)
            is_gpu = self.device.type == "cuda"
            with torch.autocast(self.device.type, torch.bfloat16, enabled=is_gpu):
                loss = self.model(batch, labels=batch).loss * size / recipe.batch
            loss.backward()
            loss_of_step, left = loss_of_step + float(loss.detach()), left - size
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss_of_step
