"""Other processes that make batches of rows beside this one, in as many as it has CPUs."""
