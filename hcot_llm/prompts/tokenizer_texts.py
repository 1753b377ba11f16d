"""Texts to train a tokenizer on, with every word it will read: captions, prompts and answers of all values."""

from hcot_llm.knowledge.words import KNOWLEDGE_WORDS
from hcot_llm.prompts.prompts import answer_text, captioner_prompt
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.parts import first_piece
from hcot_llm.text.render import choose_variant, hedge, render_caption

_ANNOTATIONS = 64


def tokenizer_texts(schema: AnnotationSchema) -> list[str]:
    """Every sentence of the schema, and captions, prompts and answers of drawn annotations; the same at every call."""
    vocabulary = schema.vocabulary
    texts = list(schema.sentences)
    texts += [" ".join(KNOWLEDGE_WORDS), hedge(texts[0])]
    for index in range(_ANNOTATIONS):
        values = {clause: words[choose_variant(index, clause) % len(words)] for clause, words in vocabulary.items()}
        # "asked" is a part of the seed: another word would draw other clauses.
        queried = [clause for clause in schema.names if choose_variant(index, clause, "asked") % 2]
        queried = queried or [schema.names[0]]
        context = {clause: value for clause, value in values.items() if clause not in queried}
        feedback = {clause: _another(vocabulary[clause], index) for clause in queried}
        knowledge = " ".join(KNOWLEDGE_WORDS[choose_variant(index, n) % len(KNOWLEDGE_WORDS)] for n in range(6))
        texts.append(render_caption(schema, values, seed=index))
        texts.append(captioner_prompt(schema, context, queried, knowledge, feedback, index % 4 > 0))
        texts.append(answer_text(schema, values, queried))
    # Each value after a space and after a quote, wherever it can stand.
    pairs = [(clause, value) for clause, words in vocabulary.items() for value in words]
    texts += [f"{clause} {value}" for clause, value in pairs]
    texts += [answer_text(schema, {clause: value}, [clause]) for clause, value in pairs]
    return texts


def tokenizer_words(schema: AnnotationSchema) -> list[str]:
    """Words that have to be one token each: names of clauses, and the beginnings by which values are told apart."""
    return sorted({first_piece(value) for values in schema.vocabulary.values() for value in values} | {*schema.names})


def _another(words: tuple[str, ...], index: int) -> str:
    return f"{words[index % len(words)]} {words[(index + 1) % len(words)]}"
