"""Build the model into the image of its service, so that one digest names, releases and rolls back both."""
