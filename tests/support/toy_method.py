"""A method of the benchmark added from outside: two features of every image."""

import numpy as np

from benchmark.suite.base import METHODS

NAME = "toy_spread"


class Spread:
    """Mean deviation of rows and of columns."""

    about = "deviation of the rows' and of the columns' means"

    def open(self, inputs):
        return self

    def embed(self, images):
        return np.array([[image.array[0].mean(axis).std() for axis in (0, 1)] for image in images], np.float32)


METHODS.add(NAME, Spread())
