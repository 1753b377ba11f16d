"""Every expected error and every pydantic model has one base, over the whole product."""

import ast
import builtins

import pytest

from corpus.annotation_rows import AnnotationError
from corpus.annotations import ConcurrentCommitError
from corpus.storage.errors import ConfigError, UserError
from corpus.storage.models import StateModel, StrictModel
from support.paths import ROOT

# What another program writes may hold more than is read of it.
FOREIGN = {"hcot_llm/engines/endpoint_answer.py", "benchmark/reference.py"}
# What the program catches itself: no user reads it.
INTERNAL = {
    "AnswerError",
    "Conflict",
    "IllegalTransition",
    "MissingInput",
    "Moved",
    "NoPosition",
    "NoRoomForBlocks",
    "NothingToJudge",
    "TrackerAway",
    "TruncatedTiff",
    "Unreadable",
    "Stopped",
}
PACKAGES = ("actors", "benchmark", "corpus", "export", "hcot_llm", "model", "orchestrator")
BASES = {
    (str(path.relative_to(ROOT)), node.name): [ast.unparse(base) for base in node.bases]
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.ClassDef)
}


def is_builtin_error(base: str) -> bool:
    return isinstance(kind := getattr(builtins, base, None), type) and issubclass(kind, BaseException)


def test_every_error_is_a_user_error_or_known_as_internal():
    others = {
        name
        for (_, name), bases in BASES.items()
        if any(map(is_builtin_error, bases)) and not {"UserError", "InputError"} & {*bases, name}
    }
    assert others == INTERNAL


def test_every_model_is_strict_except_what_others_write():
    lenient = {path for (path, name), bases in BASES.items() if "BaseModel" in bases and name != "StrictModel"}
    assert lenient == FOREIGN


def test_a_strict_model_refuses_a_key_it_does_not_declare():
    class Section(StrictModel):
        rounds: int = 1

    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Section.model_validate({"rouns": 2})


def test_a_state_model_is_frozen_and_refuses_a_number_that_is_not_finite():
    class State(StateModel):
        loss: float

    with pytest.raises(ValueError, match="finite"):
        State(loss=float("nan"))
    with pytest.raises(ValueError, match="frozen"):
        State(loss=1.0).loss = 2.0  # pyright: ignore[reportAttributeAccessIssue]  # refused, which is what is shown


def test_the_command_line_prints_a_user_error_as_one_paragraph_and_exits_with_its_status(monkeypatch, capsys, tmp_path):
    import orchestrator.cli as cli

    monkeypatch.setattr("sys.argv", ["knowlip", "status", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert issubclass(ConfigError, UserError)


def test_a_scheduler_is_told_to_try_again_only_what_may_be_gone_the_next_time():
    statuses = {error.__name__: error.exit_status for error in (ConfigError, AnnotationError, ConcurrentCommitError)}
    assert statuses == {"ConfigError": 2, "AnnotationError": 2, "ConcurrentCommitError": 1}
