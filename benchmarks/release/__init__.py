"""What it costs to change a model: as an image, by a loader, as a package."""
