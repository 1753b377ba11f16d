"""Texts that show a tokenizer every word it will meet: captions, prompts and answers of all values."""

from hcot_llm.knowledge.words import KNOWLEDGE_WORDS
from hcot_llm.prompts.prompts import answer_text, captioner_prompt
from hcot_llm.schema.clauses import CLAUSES, VOCABULARY, Clause
from hcot_llm.text.render import choose_variant, hedge, render_caption
from hcot_llm.text.wording import every_sentence

_ANNOTATIONS = 64


def tokenizer_texts() -> list[str]:
    """Every sentence, and captions, prompts and answers of drawn annotations; the same every time."""
    texts = list(every_sentence())
    texts += [" ".join(KNOWLEDGE_WORDS), hedge(texts[0])]
    for index in range(_ANNOTATIONS):
        values = {
            clause: VOCABULARY[clause][choose_variant(index, clause) % len(VOCABULARY[clause])] for clause in CLAUSES
        }
        asked = [clause for clause in CLAUSES if choose_variant(index, clause, "asked") % 2]
        asked = asked or [Clause.TERRAIN]
        kept = {clause: value for clause, value in values.items() if clause not in asked}
        feedback = {clause: _another(clause, index) for clause in asked}
        knowledge = " ".join(KNOWLEDGE_WORDS[choose_variant(index, n) % len(KNOWLEDGE_WORDS)] for n in range(6))
        texts.append(render_caption(values, seed=index))
        texts.append(captioner_prompt(kept, asked, knowledge, feedback, index % 4 > 0))
        texts.append(answer_text(values, asked))
    # Each value after a space and after a quote, wherever it can stand.
    texts += [f"{clause} {value}" for clause in CLAUSES for value in VOCABULARY[clause]]
    texts += [answer_text({clause: value}, [clause]) for clause in CLAUSES for value in VOCABULARY[clause]]
    return texts


def _another(clause: Clause, index: int) -> str:
    words = VOCABULARY[clause]
    return f"{words[index % len(words)]} {words[(index + 1) % len(words)]}"
