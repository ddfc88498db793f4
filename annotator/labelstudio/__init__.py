"""Two-way sync with Label Studio: whole articles out, pre-annotated; labelled pages back.

``config`` and ``convert``, ``anchor``, ``pages`` are pure; ``client`` speaks to the server; ``push``, ``pull``,
``project`` and ``status`` are what the commands call. docs/label-studio.md tells the story.
"""
