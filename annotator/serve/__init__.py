"""The ML backend: pre-annotation for Label Studio and scoring over HTTP for anyone else.

``app`` puts the routes together, ``backend`` answers Label Studio, ``limits`` guards every request, ``model`` keeps
the model in use, ``hints`` turns webhooks into pulls. docs/label-studio.md tells how to use it.
"""
