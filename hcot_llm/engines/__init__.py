"""What generates answers: vLLM engines, vision-language models, endpoints."""
