"""Training: the only part of the library that imports torch and transformers (extra ``train``)."""
