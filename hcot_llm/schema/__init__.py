"""What an annotation may say: clauses, vocabularies, instances."""
