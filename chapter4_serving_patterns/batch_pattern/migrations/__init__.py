"""How the tables came to be: one file a step under versions/, in the order of their `down_revision`."""
