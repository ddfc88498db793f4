"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """Figures of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        within = self._registry
        self._requests = Counter("annotator_requests", "Requests.", ["route", "status"], registry=within)
        self._seconds = Histogram("annotator_request_seconds", "Seconds a request.", ["route"], registry=within)
        self._articles = Counter("annotator_articles", "Articles, scored or failed.", ["result"], registry=within)
        self._segments = Counter("annotator_segments", "Segments scored.", registry=within)
        self._pulls = Counter("annotator_pulls", "Pulls from Label Studio.", ["result"], registry=within)
        self._model = Gauge("annotator_model", "1 for the model in use.", ["version"], registry=within)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that is done."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def article(self, segments: int | None) -> None:
        """Count an article; ``segments`` None: it could not be scored."""
        self._articles.labels("failed" if segments is None else "scored").inc()
        self._segments.inc(segments or 0)

    def pull(self, *, done: bool) -> None:
        """Count a pull."""
        self._pulls.labels("done" if done else "failed").inc()

    def text(self, version: str) -> bytes:
        """Return everything in the text format of Prometheus; ``version`` is of the model in use."""
        self._model.clear()
        self._model.labels(version).set(1)
        return generate_latest(self._registry)
