"""What the model server gains from batches, protocols and threads, and how it stands beside MLServer."""
