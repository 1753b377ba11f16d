"""pyarrow's compute functions, which pyarrow makes as it is imported: type checkers know none of them by name."""

from typing import Any

import pyarrow.compute

compute: Any = pyarrow.compute
