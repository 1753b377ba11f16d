"""Where the image of each tile lies in the object store."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import ray.data


@dataclass(frozen=True)
class ImageIndex:
    """Where the image of each tile lies in the object store.

    Attributes:
        blocks: References to Arrow tables with an `image` column.
        where: tile_id -> (index into `blocks`, row).
    """

    blocks: list
    where: dict[str, tuple[int, int]]

    @staticmethod
    def of(images: "ray.data.Dataset") -> "ImageIndex":
        """The index of a dataset with the columns `tile_id` and `image`."""
        import ray

        blocks = images.to_arrow_refs()
        tile_ids = ray.remote(_tile_ids)  # one CPU: tasks without one are all started at once, each in a process
        ids = ray.get([tile_ids.remote(block) for block in blocks])
        return ImageIndex(
            blocks, {tile_id: (block, row) for block, tiles in enumerate(ids) for row, tile_id in enumerate(tiles)}
        )


def _tile_ids(table: pa.Table) -> list[str]:
    return table["tile_id"].to_pylist()
