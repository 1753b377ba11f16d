"""HCoT annotations: schema, levels, prompts, wording, geographic knowledge, feedback and the engine."""
