"""A student model that is continued on a corpus: the corpora, the training, the evaluation."""
