"""The captioner: a vision tower whose tokens are the prefix of a Llama decoder."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from model.config import CaptionerConfig
from model.encoder import initialise
from model.slot_tokens import SlotReadout, SlotTokens
from model.vision import VisionTower

DECODER = "decoder"
"""Folder inside a captioner's folder that holds a plain Llama model and its tokenizer."""
WEIGHTS = "model.safetensors"


class SarCaptionerConfig(PreTrainedConfig):
    """Hugging Face's form of CaptionerConfig (`model.config`), in `sizes`, and what does not stand in it.

    That is the number of clauses, `slots`, how many values each of them has, `slot_values`, and the tokenizer's special
    tokens. Weights that were never trained have no `slot_values`.
    """

    model_type = "sar-captioner"
    sizes: dict | None = None
    slots: int = 1
    slot_values: list[int] | None = None
    pad_token_id: int | None = 0
    bos_token_id: int | None = 3
    eos_token_id: int | None = 4

    def typed(self) -> CaptionerConfig:
        """Return `sizes`, checked; the defaults stand for what it leaves out."""
        return CaptionerConfig.model_validate(self.sizes or {})

    def decoder_config(self) -> LlamaConfig:
        """Return the sizes of the decoder as `transformers` wants them."""
        sizes = self.typed()
        return LlamaConfig(
            vocab_size=sizes.vocab_size,
            hidden_size=sizes.width,
            num_hidden_layers=sizes.depth,
            num_attention_heads=sizes.heads,
            num_key_value_heads=sizes.key_value_heads,
            intermediate_size=sizes.intermediate,
            max_position_embeddings=sizes.max_tokens,
            # vLLM's weight reload silently serves wrong outputs when the embeddings are tied.
            tie_word_embeddings=False,
            pad_token_id=self.pad_token_id,
            bos_token_id=self.bos_token_id,
            eos_token_id=self.eos_token_id,
        )


class SarCaptioner(PreTrainedModel):
    """Image tokens, projected, then text tokens, to next-token predictions."""

    config_class = SarCaptionerConfig
    base_model_prefix = "captioner"
    main_input_name = "images"

    def __init__(self, config: SarCaptionerConfig, vision: VisionTower | None = None) -> None:
        """Build the modules.

        Args:
            config: Sizes of the modules.
            vision: The encoder's vision tower, to share it (an ablation); None gives the captioner its own.
        """
        super().__init__(config)
        sizes = config.typed()
        self.prefix_tokens = sizes.prefix_tokens
        self.decoder = LlamaForCausalLM(config.decoder_config())
        self.projector = nn.Sequential(
            nn.LayerNorm(sizes.vision.width),
            nn.Linear(sizes.vision.width, sizes.width),
            nn.GELU(approximate="tanh"),
            nn.Linear(sizes.width, sizes.width),
        )
        if vision is None:
            self.vision = VisionTower(sizes.vision)
            self.vision.apply(initialise)
        else:
            self.vision = vision
        self.slots = None
        if sizes.slot_tokens:
            self.slots = SlotTokens(sizes.vision.width, self.vision.summary.width, sizes.width, config.slots)
            self.slots.apply(initialise)
        self.readout = None
        if config.slot_values is not None:
            self.add_readout(config.slot_values)
        self.projector.apply(initialise)

    @classmethod
    def from_sizes(
        cls,
        sizes: CaptionerConfig,
        slots: int,
        tokenizer: PreTrainedTokenizerFast | None = None,
        vision: VisionTower | None = None,
    ) -> "SarCaptioner":
        """Make a captioner with new, untrained weights.

        Args:
            sizes: Sizes of the modules.
            slots: Number of clauses of an annotation.
            tokenizer: Tokenizer whose special tokens the decoder takes over; None leaves its defaults.
            vision: The encoder's vision tower, to share it; None gives the captioner its own.
        """
        special = {}
        if tokenizer is not None:
            special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
        return cls(SarCaptionerConfig(sizes=sizes.model_dump(mode="json"), slots=slots, **special), vision)

    def add_readout(self, slot_values: Sequence[int]) -> None:
        """Have the slot tokens read out, where they are not yet.

        Args:
            slot_values: Number of values of each clause.

        Raises:
            ValueError: The captioner has image tokens of another number of clauses, or reads other values.
        """
        if self.slots is None:
            return
        if len(self.slots.queries) != len(slot_values):
            raise ValueError(
                f"The captioner has image tokens for {len(self.slots.queries)} clauses, and the annotation schema has "
                f"{len(slot_values)}: they are of different schemas."
            )
        if self.readout is None:
            self.readout = SlotReadout(self.config.typed().width, tuple(slot_values))
            self.config.slot_values = list(slot_values)
        elif self.readout.sizes != tuple(slot_values):
            raise ValueError(
                f"The captioner reads clauses of {list(self.readout.sizes)} values, and those of the annotation schema "
                f"have {list(slot_values)}: they are of different schemas."
            )

    def read_slots(self, images: Tensor) -> list[Tensor]:
        """Images float32 [B, channels, H, W] to log-probabilities of the clauses' values, float32 [B, V] per clause.

        It needs `add_readout`.
        """
        assert self.slots is not None
        assert self.readout is not None
        image_tokens = self.vision(images)
        return self.readout(self.slots(image_tokens, self.vision.summary(image_tokens)))

    def prefix(self, images: Tensor) -> Tensor:
        """float32 [B, channels, H, W] to the image prefix [B, prefix_tokens + slots, decoder width]."""
        return self.project(self.vision(images))

    def project(self, image_tokens: Tensor) -> Tensor:
        """Tokens of the vision tower [B, N, vision width] to the image prefix [B, P, decoder width].

        The pooled tokens come first, then the slot tokens.
        """
        batch, count, width = image_tokens.shape
        slots = [] if self.slots is None else [self.slots(image_tokens, self.vision.summary(image_tokens))]
        if count != self.prefix_tokens:
            side, out = round(count**0.5), round(self.prefix_tokens**0.5)
            grid = image_tokens.transpose(1, 2).reshape(batch, width, side, side)
            image_tokens = F.avg_pool2d(grid, side // out).flatten(2).transpose(1, 2)
        return torch.cat([self.projector(image_tokens), *slots], dim=1)

    def hidden_states(self, prefix: Tensor, input_ids: Tensor) -> Tensor:
        """The decoder's last states of the text positions [B, L, width].

        They are of the image prefix [B, P, width] and right-padded tokens int64 [B, L]. No mask is needed: causal
        attention never looks right, where the padding is.
        """
        embeddings = torch.cat([prefix, self.decoder.get_input_embeddings()(input_ids)], dim=1)
        states = self.decoder.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        return states[:, prefix.shape[1] :]

    def forward(self, images: Tensor, input_ids: Tensor) -> Tensor:
        """Logits [B, L, vocabulary] of the token after each text position."""
        return self.decoder.lm_head(self.hidden_states(self.prefix(images), input_ids))

    @torch.no_grad()
    def prompt_embeddings(self, images: Tensor, input_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """One float32 [image prefix + len(ids), width] per tile.

        It is the whole prompt, as vLLM's `prompt_embeds` takes it.
        """
        table = self.decoder.get_input_embeddings()
        return [
            torch.cat([prefix, table(torch.as_tensor(ids, dtype=torch.int64, device=prefix.device))]).float()
            for prefix, ids in zip(self.prefix(images), input_ids, strict=True)
        ]

    def save_pretrained(  # type: ignore[override]  # the base takes Hugging Face's many options, none of which is used
        self, save_directory: str | Path, tokenizer: PreTrainedTokenizerFast | None = None
    ) -> None:
        """Write the vision tower and the projector into the folder, and the decoder into its subfolder `decoder`.

        The tokenizer lies beside the decoder, so that any Llama engine can load the subfolder.

        Args:
            save_directory: The folder; it is made where it does not exist.
            tokenizer: The decoder's tokenizer; None writes none.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.config.save_pretrained(folder)
        own = {
            name: tensor.contiguous() for name, tensor in self.state_dict().items() if not name.startswith("decoder.")
        }
        save_file(own, folder / WEIGHTS, metadata={"format": "pt"})
        self.decoder.save_pretrained(folder / DECODER)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder / DECODER)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the base also takes names of the hub; only our folders are read
        cls, directory: str | Path
    ) -> "SarCaptioner":
        """Read what `save_pretrained` wrote.

        Args:
            directory: The folder.

        Raises:
            FileNotFoundError: The folder holds no captioner.
        """
        folder = Path(directory)
        if not (folder / WEIGHTS).is_file() or not (folder / DECODER).is_dir():
            raise FileNotFoundError(
                f"{folder} holds no captioner: {WEIGHTS} and {DECODER}/ are expected. Save one with save_pretrained."
            )
        model = cls(SarCaptionerConfig.from_pretrained(folder))
        state = load_file(folder / WEIGHTS)
        state |= {f"decoder.{name}": tensor for name, tensor in load_file(folder / DECODER / WEIGHTS).items()}
        model.load_state_dict(state, strict=True)
        return model.eval()
