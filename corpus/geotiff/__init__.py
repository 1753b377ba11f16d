"""Reading SAR GeoTIFFs: layout, units, metadata, pictures."""
