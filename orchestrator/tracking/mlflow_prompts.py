"""The captioner's prompts in MLflow's prompt registry: one version for each hash of the templates, whoever enters it.

`MlflowClient.register_prompt` of MLflow 3.17 links the version to the active experiment of the process, in a thread of
its own, and `link_prompt_version_to_run` writes to the process' own store. Here the store is the run's, and nothing may
be lost, so that the same is done by the functions below them and by tags.
"""

import json

from mlflow import MlflowClient
from mlflow.entities import RunTag
from mlflow.entities.model_registry import PromptVersion
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import PROMPT_EXPERIMENT_IDS_TAG_KEY
from mlflow.tracing.constant import TraceTagKey

PROMPT = "knowlip-captioner"
"""Name of the prompt; runs of all experiments share it."""
PROMPT_HASH = "knowlip.prompt_sha256"
"""Tag of a version, and of a run."""
_TAKEN, _NO_PROMPT = "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE"


def enter_prompt(client: MlflowClient, experiment_id: str, run_id: str, sha256: str, text: str) -> bool:
    """Have a version of the prompt with this hash, and say in the run which it is. Done twice, it is the same as once.

    Args:
        client: of the store.
        experiment_id: of the run.
        run_id: the run whose captioner is asked with the prompt.
        sha256: hash of the templates.
        text: the templates.

    Returns:
        Whether it was entered; False where the store has a registered model of the prompt's name.
    """
    try:
        client.create_prompt(PROMPT, description="What the captioner is asked with: the templates of knowlip.")
    except MlflowException as error:
        if error.error_code != _TAKEN:
            raise
    try:
        version = _find(client, sha256)
    except MlflowException as error:
        if error.error_code != _NO_PROMPT:
            raise
        return False
    if version is None:
        version = client.create_prompt_version(
            PROMPT, text, description=f"Templates with hash {sha256[:12]}", tags={PROMPT_HASH: sha256}
        )
    _show_in(client, experiment_id)
    tags = {
        PROMPT_HASH: sha256,
        "knowlip.prompt": f"prompts:/{PROMPT}/{version.version}",
        TraceTagKey.LINKED_PROMPTS: json.dumps([{"name": PROMPT, "version": str(version.version)}]),
    }
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
    return True


def _find(client: MlflowClient, sha256: str) -> PromptVersion | None:
    """The first version with a hash: two runs that began at the same moment may have made two."""
    token, found = None, None
    while True:
        page = client.search_prompt_versions(PROMPT, page_token=token)  # the newest first
        for each in page:
            found = each if each.tags.get(PROMPT_HASH) == sha256 else found
        if not (token := page.token):
            return found


def _show_in(client: MlflowClient, experiment_id: str) -> None:
    """MLflow lists a prompt in the experiments that a tag of it names, with commas on both sides."""
    for prompt in client.search_prompts(f"name = '{PROMPT}'"):
        named = [each for each in prompt.tags.get(PROMPT_EXPERIMENT_IDS_TAG_KEY, "").split(",") if each]
        if experiment_id not in named:
            client.set_prompt_tag(PROMPT, PROMPT_EXPERIMENT_IDS_TAG_KEY, f",{','.join([*named, experiment_id])},")
