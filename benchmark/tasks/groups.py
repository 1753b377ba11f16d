"""The groups of clauses that accuracies are given for."""

from hcot_llm.schema.clauses import CLAUSES, GROUP


def clause_groups() -> dict[str, str]:
    """Clause -> group, in the order of the schema."""
    return {str(clause): GROUP[clause] for clause in CLAUSES}
