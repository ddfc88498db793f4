"""The report: one page in a file, without network, of outlets side by side and every article readable in colour.

``build`` reads scored articles and puts the page together, ``figures`` draws, ``data`` packs articles for the page's
script, ``page`` fills templates and seals the page with a Content-Security-Policy, ``words`` says everything in French
and English. ``annotator serve`` takes the article reader from here. docs/report.md tells how to read a report.
"""
