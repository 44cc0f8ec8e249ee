"""Task-seeded synthetic Q&A for language-model pretraining, as a Dagster asset pipeline."""
