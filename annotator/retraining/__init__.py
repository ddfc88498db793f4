"""The loop from reviewed pages to a better model in use: pull, dataset, training, gate, promotion, predictions."""
