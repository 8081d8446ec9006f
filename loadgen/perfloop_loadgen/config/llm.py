"""The section `llm`: the prompts of a language model, and the form in which they are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from perfloop_loadgen.config.strict import Strict

Api = Literal["chat", "completions", "responses", "messages", "ollama_chat", "ollama_generate"]
# By the end of a path, the longest first.
_API_PATHS: tuple[tuple[str, Api], ...] = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/responses", "responses"),
    ("/messages", "messages"),
    ("/api/chat", "ollama_chat"),
    ("/api/generate", "ollama_generate"),
)
# By distribution, what it needs besides what it may have.
_NEEDED = {
    "fixed": ("value",),
    "uniform": ("min", "max"),
    "normal": ("mean", "stddev"),
    "lognormal": ("mean", "stddev"),
    "file": ("file",),
}
_BOUNDED = frozenset({"normal", "lognormal", "uniform"})


class LengthConfig(Strict):
    """A length, or how lengths are distributed.

    `normal` and `lognormal` have the mean and the standard deviation of the lengths themselves, cut at `min` and `max`;
    `file` draws from the lengths of a file, one on each line, or a JSON list.
    """

    distribution: Literal["fixed", "uniform", "normal", "lognormal", "file"]
    value: int | None = Field(default=None, ge=1)
    min: int | None = Field(default=None, ge=1, description="Left out: 1.")
    max: int | None = Field(default=None, ge=1)
    mean: float | None = Field(default=None, gt=0)
    stddev: float | None = Field(default=None, ge=0)
    file: Path | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> LengthConfig:
        needed = _NEEDED[self.distribution]
        given = {name for name in type(self).model_fields if getattr(self, name) is not None} - {"distribution"}
        missing = [name for name in needed if name not in given]
        if missing:
            raise ValueError(f"{self.distribution} needs {' and '.join(missing)}")
        allowed = {*needed, *(("min", "max") if self.distribution in _BOUNDED else ())}
        if given - allowed:
            raise ValueError(f"{self.distribution} has no {' and no '.join(sorted(given - allowed))}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


def _to_distribution(value: Any) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return {"distribution": "fixed", "value": value} if is_number else value


Length = Annotated[LengthConfig, BeforeValidator(_to_distribution, json_schema_input_type=int | LengthConfig)]


class LlmConfig(Strict):
    """A streamed request to a language model.

    Prompts come from a file (one a line, or a JSON list), taken in turn, or are generated: no two of them are alike or
    begin alike, in any request, worker or run, unless a shared prefix is asked for.
    """

    model: str
    api: Api | None = Field(default=None, description="The form of the request; left out: by the path, else chat.")
    prompts_file: Path | None = None
    unique_prompts: bool = Field(
        default=False, description="Put a word before each prompt of the file that no other request has."
    )
    prompt_words: Length | None = Field(default=None, description="Words of a generated prompt; left out: 100.")
    prompt_tokens: Length | None = Field(
        default=None, description="Tokens of a generated prompt instead, as words by tokens_per_word."
    )
    tokens_per_word: float = Field(
        default=1.0, gt=0, description="Tokens that the model has for one generated word: a common English word."
    )
    shared_prefix_ratio: float = Field(
        default=0, ge=0, le=1, description="Share of each generated prompt that all prompts of the run begin with."
    )
    shared_prefix_words: int = Field(
        default=0, ge=0, description="Words before each generated prompt, the same all over the run."
    )
    system: str | None = Field(default=None, description="A system prompt, the same in every request.")
    max_tokens: Length | None = Field(default=None, description="Tokens of an answer at most; left out: 128.")
    max_completion_tokens: Length | None = Field(
        default=None, description="The same under the name that newer models of OpenAI need, instead of max_tokens."
    )
    temperature: float | None = Field(default=None, ge=0, description="Sent only if given, as ignore_eos is.")
    ignore_eos: bool | None = Field(default=None, description="Answers of exactly max_tokens, where servers know this.")
    body: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the request's body; null leaves one out that is sent else."
    )
    turns: int = Field(
        default=1, ge=1, le=1000, description="Turns of a conversation: each answer is sent back with the next prompt."
    )
    think_time_seconds: float = Field(default=0, ge=0, description="Pause between an answer and the next turn.")

    @model_validator(mode="after")
    def _choose_one_of_each(self) -> LlmConfig:
        generated = ("prompt_words", "prompt_tokens", "shared_prefix_ratio", "shared_prefix_words")
        if self.prompts_file is not None:
            for name in generated:
                if getattr(self, name):
                    raise ValueError(f"{name} is for generated prompts: leave prompts_file or {name} out")
        elif self.unique_prompts:
            raise ValueError("unique_prompts is for a prompts_file: generated prompts are unlike each other")
        for one, other in (generated[:2], generated[2:], ("max_tokens", "max_completion_tokens")):
            if getattr(self, one) and getattr(self, other):
                raise ValueError(f"choose one of {one} and {other}")
        return self

    def api_of(self, path: str) -> Api:
        """Return the form of the request: the one that is set, else the one that the path is known for, else chat."""
        if self.api is not None:
            return self.api
        bare = path.partition("?")[0].rstrip("/")
        return next((api for end, api in _API_PATHS if bare.endswith(end)), "chat")
