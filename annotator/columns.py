"""Scored articles as columns: the schema of the Parquet form, a row an article, and back (docs/schema.md)."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from annotator.errors import RecordError
from annotator.records import LABELS

if TYPE_CHECKING:
    from annotator.records import ScoredArticle

ROW_GROUP = 256


def from_columns(record: dict[str, Any], where: str) -> dict[str, Any]:
    """Undo what Parquet's columns ask for: the profile as JSON text, a probability for every label."""
    if isinstance(profile := record.get("profile"), str):
        try:
            record["profile"] = json.loads(profile)
        except ValueError as error:
            raise RecordError(f"{where}: profile is not JSON: {error}") from error
    segments = record.get("segments")
    for segment in segments if isinstance(segments, list) else ():
        if isinstance(segment, dict) and isinstance(found := segment.get("probabilities"), dict):
            segment["probabilities"] = {label: p for label, p in found.items() if p is not None}
    return record


def not_utf8(scored: ScoredArticle, fmt: str) -> RecordError:
    """Return the error of an article whose text the format cannot hold."""
    name = scored.article.article_id
    return RecordError(f"article {name!r}: it holds a lone surrogate, which {fmt} cannot: write JSON Lines")


def not_json(scored: ScoredArticle, error: Exception) -> RecordError:
    """Return the error of an article with a value that JSON has no form for."""
    return RecordError(f"article {scored.article.article_id!r}: a value has no form in JSON: {error}")


def _parquet_schema(pa: Any, *, lean: bool) -> Any:
    def text(name: str = "text") -> list[Any]:
        return [] if lean else [pa.field(name, pa.string(), nullable=False)]

    span = pa.struct(
        [
            pa.field("start", pa.int64(), nullable=False),
            pa.field("end", pa.int64(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
        ]
    )
    attribution = pa.struct(
        [
            ("source", span),
            ("cue", span),
            ("source_type", pa.string()),
            ("source_segment", pa.int64()),
            ("antecedent", span),
            ("anonymity_reason", span),
        ]
    )
    segment = pa.struct(
        [
            pa.field("start", pa.int64(), nullable=False),
            pa.field("end", pa.int64(), nullable=False),
            *text(),
            ("role", pa.string()),
            pa.field("label", pa.string(), nullable=False),
            pa.field("confidence", pa.float64(), nullable=False),
            pa.field("probabilities", pa.struct([(str(label), pa.float64()) for label in LABELS]), nullable=False),
            pa.field("needs_review", pa.bool_(), nullable=False),
            ("unverified", pa.bool_()),
            ("attribution", attribution),
        ]
    )
    return pa.schema(
        [
            pa.field("schema", pa.int32(), nullable=False),
            pa.field("article_id", pa.string(), nullable=False),
            *((name, pa.string()) for name in ("outlet", "url", "title", "date")),
            *text(),
            pa.field("text_sha256", pa.string(), nullable=False),
            pa.field("model_version", pa.string(), nullable=False),
            pa.field("segments", pa.list_(segment), nullable=False),
            ("profile", pa.string()),
            ("warnings", pa.list_(pa.string())),
        ]
    )


class ParquetSink:
    """Gathers articles into row groups."""

    def __init__(self, stream: BinaryIO, *, lean: bool) -> None:
        """Begin a file in ``stream``."""
        import pyarrow as pa  # noqa: PLC0415 -- 0.2 s, only for Parquet
        import pyarrow.parquet as pq  # noqa: PLC0415

        self._pa = pa
        self._lean = lean
        self._schema = _parquet_schema(pa, lean=lean)
        self._rows: list[dict[str, Any]] = []
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")

    def write(self, scored: ScoredArticle) -> None:
        """Take one article; raise RecordError for what the format cannot hold."""
        row = scored.to_dict(lean=self._lean)
        try:
            for value in row.values():
                if isinstance(value, str):
                    value.encode("utf-8")
            "".join(row["warnings"]).encode("utf-8")
            row["profile"] = None if row["profile"] is None else json.dumps(row["profile"], allow_nan=False)
        except UnicodeEncodeError as error:
            raise not_utf8(scored, "Parquet") from error
        except (TypeError, ValueError) as error:
            raise not_json(scored, error) from error
        self._rows.append(row)
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        self._writer.write_table(self._pa.Table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        """Write what is left and end the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def abort(self) -> None:
        """Let go of the file as it is."""
        with suppress(OSError, ValueError, self._pa.ArrowException):
            self._writer.close()
