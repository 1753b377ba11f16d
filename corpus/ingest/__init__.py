"""GeoTIFF scenes in, tiles of a corpus out."""
