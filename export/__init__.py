"""The repaired corpus and its model, written in the formats of other tools."""
