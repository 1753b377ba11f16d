"""Prompts of the native captioner and of the HCoT levels, and the chain through the levels."""

import re
import shutil
from pathlib import Path

import pytest

import hcot_llm.prompts.prompts
from hcot_llm.prompts.chain import run_chain
from hcot_llm.prompts.prompts import answer_text, captioner_prompt, chat_prompt, prompt_sha256
from hcot_llm.prompts.tokenizer_texts import tokenizer_texts
from hcot_llm.schema.errors import SchemaError
from support.hcot import CLAUSES, HCOT, SHIPS_IN_PORT, VOCABULARY


def without(*clauses):
    return {clause: value for clause, value in SHIPS_IN_PORT.items() if clause not in clauses}


def test_a_compact_prompt_says_what_is_known_and_asked():
    queried = ["water", "terrain"]
    prompt = captioner_prompt(HCOT, without(*queried), queried, "land urban shore dry", {"water": "lake sea"})
    assert len(prompt.split()) <= 60
    assert "\n" not in prompt
    assert "  " not in prompt
    assert prompt.startswith("place land urban shore dry earth boundary sharp society functionality port ")
    assert prompt.endswith("hint water lake sea ask terrain water")
    assert prompt == captioner_prompt(
        HCOT, dict(reversed(without(*queried).items())), queried[::-1], "land urban shore dry", {"water": "lake sea"}
    )


def test_without_levels_there_is_no_hierarchy_and_no_knowledge():
    prompt = captioner_prompt(HCOT, without("water"), ["water"], "land urban shore dry", {}, levels=False)
    assert prompt == " ".join(f"{c} {v}" for c, v in without("water").items()) + " ask water"


def test_all_clauses_can_be_asked_at_once():
    assert captioner_prompt(
        HCOT, {}, CLAUSES, "sea water shore marine", {}
    ) == "place sea water shore marine ask " + " ".join(CLAUSES)


def test_prompt_never_holds_the_answer():
    with pytest.raises(SchemaError, match="both context and queried"):
        captioner_prompt(HCOT, SHIPS_IN_PORT, ["water"], "", {})
    with pytest.raises(SchemaError, match="at least one"):
        captioner_prompt(HCOT, SHIPS_IN_PORT, [], "", {})


def test_hash_is_a_sha256_of_the_templates(tmp_path):
    """A word, a name, or where one file ends and the next begins: each is another version."""
    templates = Path(hcot_llm.prompts.prompts.__file__).parent / "templates"
    seen = {prompt_sha256()}
    assert re.fullmatch(r"[0-9a-f]{64}", *seen)
    assert prompt_sha256(shutil.copytree(templates, tmp_path / "same")) in seen

    def changed(name: str, change) -> str:
        folder = shutil.copytree(templates, tmp_path / name)
        change(folder)
        return prompt_sha256(folder)

    def move_a_line(folder: Path) -> None:
        first, second = folder / "level.j2", folder / "level0.j2"
        line = second.read_text().splitlines(keepends=True)[0]
        first.write_text(first.read_text() + line)
        second.write_text(second.read_text()[len(line) :])

    for name, change in {
        "word": lambda folder: (folder / "ask.j2").write_text((folder / "ask.j2").read_text() + "Be brief."),
        "name": lambda folder: (folder / "ask.j2").rename(folder / "asked.j2"),
        "gone": lambda folder: (folder / "said.j2").unlink(),
        "line": move_a_line,
    }.items():
        digest = changed(name, change)
        assert digest not in seen, name
        seen.add(digest)


def test_tokenizer_texts_show_every_value_and_are_always_the_same():
    texts = tokenizer_texts(HCOT)
    assert texts == tokenizer_texts(HCOT)
    words = set(re.findall(r"\w+", " ".join(texts)))
    assert words >= {str(clause) for clause in CLAUSES} | {value for clause in CLAUSES for value in VOCABULARY[clause]}
    assert len(words) < 400  # the native captioner's vocabulary has about a thousand tokens


def test_tokenizer_keeps_all_words_whole():
    from model.tokenizer import train_tokenizer

    words = sorted({str(clause) for clause in CLAUSES} | {value for clause in CLAUSES for value in VOCABULARY[clause]})
    tokenizer = train_tokenizer(tokenizer_texts(HCOT), 1024, words)
    prompt = captioner_prompt(HCOT, without("water"), ["water"], "land urban shore dry", {"water": "sea lake"})
    assert len(tokenizer.encode(prompt, add_special_tokens=False)) <= len(prompt.split()) + 2


@pytest.mark.parametrize("level", range(6))
def test_chat_prompts_ask_level_by_level(level):
    prompt = chat_prompt(
        HCOT,
        level,
        context={"terrain": "coast"},
        knowledge="A place.",
        gsd_m=10.0,
        evidence={"mean sigma0 VV": "-11.0 dB"},
        feedback={"water": "sea"},
    )
    assert prompt.startswith(f"Level {level}")
    for clause in CLAUSES:
        assert (f'- "{clause}": ' in prompt) == (clause in HCOT.at_level(level))
    assert "-11.0 dB" in prompt
    assert ("metre" in prompt) == (level in (0, 4, 5))
    assert ("A place." in prompt) == (level in (1, 2))
    assert "{" not in prompt.replace("{}", "")


def test_chat_prompt_refuses_unknown_levels():
    with pytest.raises(SchemaError, match="levels 0 to 5"):
        chat_prompt(HCOT, 6)


def test_chain_corrects_a_contradiction_once():
    asked_at = []
    wrong = SHIPS_IN_PORT | {"water": "none"}

    def ask(prompt, clauses):
        asked_at.append((prompt.split(",")[0], tuple(clauses)))
        if not clauses:
            return "Ships at a quay."
        return answer_text(HCOT, SHIPS_IN_PORT if prompt.startswith("Level 5") else wrong, clauses)

    result = run_chain(ask, schema=HCOT, queried=CLAUSES, context={}, knowledge="A port.")
    assert result.values == SHIPS_IN_PORT
    assert result.contradictions == []
    assert result.failed == {}
    assert [level for level, _ in asked_at] == [f"Level {level}" for level in range(6)]
    assert "water" in asked_at[-1][1]


@pytest.mark.parametrize(
    ("correction", "kept"),
    [
        ({"water": "none", "target_region": "apron"}, False),  # more contradictions than before
        ({"water": "sea"}, True),
    ],
)
def test_a_correction_is_kept_only_where_it_leaves_fewer_contradictions(correction, kept):
    first = SHIPS_IN_PORT | {"water": "none"}

    def ask(prompt, clauses):
        return (
            answer_text(HCOT, first | correction if prompt.startswith("Level 5") else first, clauses) if clauses else ""
        )

    queried = ["water", "target_region"]
    result = run_chain(
        ask,
        schema=HCOT,
        queried=queried,
        context={c: v for c, v in SHIPS_IN_PORT.items() if c not in queried},
        knowledge="",
    )
    assert result.values == (first | correction if kept else first)
    assert bool(result.contradictions) is not kept
    assert result.failed == {}


def test_a_correction_that_cannot_be_used_leaves_the_first_answer():
    first = SHIPS_IN_PORT | {"water": "none"}

    def ask(prompt, clauses):
        return "no JSON" if prompt.startswith("Level 5") else answer_text(HCOT, first, clauses) if clauses else ""

    result = run_chain(ask, schema=HCOT, queried=CLAUSES, context={}, knowledge="")
    assert result.values == first
    assert result.failed == {5: "not_json"}


def test_a_correction_that_worked_makes_up_for_one_that_could_not_be_used():
    first, corrections = SHIPS_IN_PORT | {"water": "none"}, []

    def ask(prompt, clauses):
        if not clauses:
            return ""
        if not prompt.startswith("Level 5"):
            return answer_text(HCOT, first, clauses)
        corrections.append(clauses)
        return "no JSON" if len(corrections) == 1 else answer_text(HCOT, SHIPS_IN_PORT, clauses)

    result = run_chain(ask, schema=HCOT, queried=CLAUSES, context={}, knowledge="", attempts=2)
    assert len(corrections) == 2
    assert result.values == SHIPS_IN_PORT
    assert result.failed == {}


def test_chain_never_answers_what_was_not_asked_and_names_failures():
    def ask(prompt, clauses):
        return "no JSON" if "road" in clauses else answer_text(HCOT, SHIPS_IN_PORT, clauses) if clauses else ""

    result = run_chain(ask, schema=HCOT, queried=["water", "road"], context=without("water"), knowledge="")
    assert result.values == without("road")
    assert result.failed == {2: "not_json"}
