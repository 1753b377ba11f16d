"""Recipes of the literature, trained here on the corpus and the backbone of the encoder that they are compared with."""
