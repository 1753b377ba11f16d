"""pyarrow's compute functions, and arrays with a row of numbers in each place.

pyarrow makes its compute functions as it is imported: type checkers know none of them by name.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

compute: Any = pyarrow.compute


def lists(array: np.ndarray) -> pa.ListArray:
    """The rows of an array [N, K] as N lists, without a Python object for any number."""
    return in_lists(pa.array(np.ascontiguousarray(array).reshape(-1)), *array.shape)


def in_lists(flat: pa.Array, count: int, length: int) -> pa.ListArray:
    """Values one after the other as `count` lists of `length` values each."""
    offsets = np.arange(count + 1, dtype=np.int32) * length
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def array_of(column: pa.ChunkedArray) -> np.ndarray:
    """The inverse of `lists`: array [N, K] of a column of N lists that are all of length K; [0, 0] of none."""
    numbers = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return numbers.reshape(len(column), -1 if len(column) else 0)
