"""Training rows for the tests, without a cluster."""

import numpy as np
import pyarrow as pa

from actors.data.round_rows import RoundRows
from actors.trainer.window import RowWindow

OF_IMAGES = ("image", "crops", "gsd_m", "level", "product")


def no_rows(*block_rows: int) -> RoundRows:
    """An order of one part whose rows nobody reads."""
    return RoundRows([], [], (len(block_rows),), block_rows)


def part_of(table: pa.Table) -> pa.Table:
    """What an order says of the rows of a table whose images are one block of images."""
    annotations = table.drop_columns([name for name in OF_IMAGES if name in table.column_names])
    annotations = annotations.append_column("image_block", pa.array(np.zeros(table.num_rows, np.int64)))
    return annotations.append_column("image_row", pa.array(np.arange(table.num_rows)))


def window_of(*tables: pa.Table) -> RowWindow:
    """Reads tables with images and annotations; each is a block of the order."""
    table = pa.concat_tables(tables)
    order = no_rows(*(each.num_rows for each in tables))
    return RowWindow(order, {0: table.select(["tile_id", *OF_IMAGES])}, {0: part_of(table)})
