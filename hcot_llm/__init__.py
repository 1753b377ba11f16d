"""HCoT annotations: schema, levels, prompts, wording, geographic knowledge, the encoder's feedback and the engine."""
