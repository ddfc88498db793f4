"""Scoring archives on a Ray cluster: the shards of :mod:`annotator.archive`, made by many actors.

Ray Data streams the parts through two stages: tasks read a part and cut it into shards, actors (one model load each)
make them, file included. The driver alone keeps the ledger. A task or actor that is lost with its node is run again by
Ray; a shard made twice has the same bytes and takes its own place, so nothing is doubled or missing. Inputs, model
and output folder are paths that every node sees.
"""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.archive import Summary, begin_part, finish, open_run
from annotator.bulk import EngineConfig
from annotator.classifier import SegmentClassifier
from annotator.errors import AnnotatorError, MissingExtraError
from annotator.ledger import Ledger, ShardRecord
from annotator.parts import Part, plan_parts, read_part
from annotator.reader import ReadFailure, Skipped
from annotator.records import Article
from annotator.registry import read_manifest
from annotator.repeats import digest
from annotator.shards import ShardConfig, ShardWork, Verdict, make_shard, repeated_id, shards_of

_log = logging.getLogger(__name__)

_BYTES = 16  # of a digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """Where to work: the ``address`` of a cluster (None: one started here), how many ``actors`` (None: what fits).

    Each actor takes ``threads`` cores, and a GPU where ``device`` is ``cuda``; readers take what is over, ``readers``
    at a time (None: a quarter of the actors). ``fast`` is which model of the version is loaded.
    """

    address: str | None = None
    actors: int | None = None
    threads: int = 1
    readers: int | None = None
    fast: bool = False
    device: str = "cpu"


def run_on_ray(
    inputs: Sequence[str | Path],
    folder: Path,
    model: Path,
    config: ShardConfig,
    cluster: ClusterConfig,
    *,
    resume: bool = False,
    force: bool = False,
    known: Sequence[Path] = (),
    on_failure: Callable[[ReadFailure], None] | None = None,
    on_shard: Callable[[ShardRecord], None] | None = None,
) -> Summary:
    """Score inputs into the shards of ``folder`` on a cluster; as :func:`annotator.archive.run_shards` otherwise.

    Args:
        inputs: files, folders, patterns; every node sees them under the same names.
        folder: for the shards; likewise.
        model: the folder of a model version; likewise.
        config: what the shards hold.
        cluster: where to work.
        resume: see run_shards.
        force: see run_shards.
        known: see run_shards.
        on_failure: called with each failure of this run.
        on_shard: called with each shard that is done, in no particular order.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: see run_shards.
        AnnotatorError: the cluster cannot be reached, or gives up.
    """
    ray = _ray()
    folder, model = folder.absolute(), model.absolute()
    version = read_manifest(model, fast=cluster.fast).version
    with open_run(folder, inputs, version, config, resume=resume, force=force, known=known) as ledger, _joined(cluster):
        try:
            parts = [(part, begin_part(ledger, folder, part)) for part in plan_parts(inputs, config.size, folder)]
            todo = [(part, done) for part, done in parts if done is not None]
            with ledger.transaction():
                for part, _ in todo:
                    ledger.begin_part(part.number, part.name, part.fingerprint())
            verdicts = _index(ray, ledger, [part for part, _ in todo], config)
            rows = [
                {"part": pickle.dumps((part, frozenset(done), verdicts.get(part.number, {})))} for part, done in todo
            ]
            for found in _made(ray, rows, folder, model, config, cluster) if rows else ():
                if isinstance(found, _PartEnd):
                    ledger.end_part(found.part, found.shards)
                    continue
                record, failures = found
                with ledger.transaction():
                    ledger.add_shard(record, failures)
                for _, failure in failures:
                    if on_failure is not None:
                        on_failure(failure)
                if on_shard is not None:
                    on_shard(record)
            return finish(ledger, folder, complete=True)
        except BaseException as error:
            finish(ledger, folder, complete=False)
            if isinstance(error, ray.exceptions.RayError):
                first = str(error).strip().splitlines()[0]
                raise AnnotatorError(f"the Ray cluster gave up: {first}: go on with --resume") from error
            raise


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415 -- an extra
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("--engine ray", "scale", error.name or "ray") from error
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = 1  # a shard is a block: any actor may take the next one
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # the command line shows progress of its own
    return ray


class _joined:  # noqa: N801 -- a context manager
    """Connect to the cluster, or start one here; leave it as it was found."""

    def __init__(self, cluster: ClusterConfig) -> None:
        self._address = cluster.address
        self._mine = False

    def __enter__(self) -> None:
        ray = _ray()
        if ray.is_initialized():
            return
        try:
            if self._address is None:
                # "local": never a cluster that someone started here, or whose traces are left
                ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            else:
                ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises bare ones when it does not start in time
            where = self._address or "a cluster on this machine"
            raise AnnotatorError(f"{where}: no Ray cluster answers ({' '.join(str(error).split())[:200]})") from error
        self._mine = True

    def __exit__(self, *_: object) -> None:
        if self._mine:
            _ray().shutdown()


# --- reading -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartEnd:
    part: int
    shards: int


def _enter(root: str) -> None:
    """Go to where the run was started: ids are made of paths as they were given, relative ones too."""
    with suppress(OSError):  # absent on this node: absolute inputs are found all the same
        os.chdir(root)


def _read(batch: Mapping[str, Any], config: ShardConfig, root: str) -> Iterator[dict[str, list[bytes]]]:
    """Cut a part into shards: the items of one each, and what ends the part."""
    _enter(root)
    part, done, verdicts = pickle.loads(batch["part"][0])  # noqa: S301 -- written by run_on_ray
    count = 0
    for number, cut in shards_of(read_part(part, any_language=config.any_language), config.size):
        count = number + 1
        items = list(cut)
        if number not in done:
            first = number * config.size
            work = ShardWork(part=part.number, number=number, input=part.name, first=first)
            own = {at: verdicts[at] for at in range(first, first + len(items)) if at in verdicts}
            yield {"work": [pickle.dumps((work, items, own))]}
    yield {"work": [pickle.dumps(_PartEnd(part=part.number, shards=count))]}


def _digests(batch: Mapping[str, Any], config: ShardConfig, root: str) -> dict[str, list[Any]]:
    """Read a part for the ids and texts that it holds: 16 bytes each an item, zeros where an item failed."""
    _enter(root)
    part: Part = pickle.loads(batch["part"][0])  # noqa: S301 -- written by run_on_ray
    ids, texts = bytearray(), bytearray()
    for item in read_part(part, any_language=config.any_language, check_language=False):
        if isinstance(item, Skipped):
            continue
        ids += digest(item.article_id) if isinstance(item, Article) else bytes(_BYTES)
        texts += digest(item.text) if isinstance(item, Article) else bytes(_BYTES)
    return {"number": [part.number], "ids": [bytes(ids)], "texts": [bytes(texts)]}


def _index(ray: Any, ledger: Ledger, parts: Sequence[Part], config: ShardConfig) -> dict[int, dict[int, Verdict]]:
    """Judge the articles of all parts before any is scored, as one reader going through them in order would.

    Costs one more reading, and only where a judgement can depend on another part: records with ids of their own,
    repeated pages, known articles.
    """
    known = bool(ledger.settings()["known"])
    wanted = parts if config.dedupe or known else [part for part in parts if part.own_ids]
    if not wanted:
        return {}
    by_number = {part.number: part for part in wanted}
    verdicts: dict[int, dict[int, Verdict]] = {number: {} for number in by_number}
    with tempfile.TemporaryDirectory() as temporary:
        rows = [{"part": pickle.dumps(part)} for part in wanted]
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _digests, batch_size=1, fn_kwargs={"config": config, "root": str(Path.cwd())}
        )
        for row in dataset.iter_rows():
            part = by_number[row["number"]]
            np.save(Path(temporary) / f"{part.number}.npy", _table(row["ids"], row["texts"]))
            if part.own_ids:
                with ledger.transaction():
                    for at, name in _rows(row["ids"]):
                        ledger.claim("ids", name, part.number, at)
        for number, part in sorted(by_number.items()):
            table = np.load(Path(temporary) / f"{number}.npy")
            with ledger.transaction():
                for at, name in _rows(table[0].tobytes()):
                    found = ledger.earlier("ids", name, number, at) if part.own_ids else None
                    if found:
                        # The id itself is put in where the article is at hand.
                        verdicts[number][at] = repeated_id(part, at, "", *found)
                    elif ledger.knows(name):
                        verdicts[number][at] = "known"
                    elif config.dedupe and ledger.claim(
                        "texts", table[1, at * _BYTES : (at + 1) * _BYTES].tobytes(), number, at
                    ):
                        verdicts[number][at] = "duplicate"
    return verdicts


def _table(ids: bytes, texts: bytes) -> NDArray[np.uint8]:
    return np.stack([np.frombuffer(ids, dtype=np.uint8), np.frombuffer(texts, dtype=np.uint8)])


def _rows(digests: bytes) -> Iterator[tuple[int, bytes]]:
    for at in range(len(digests) // _BYTES):
        name = digests[at * _BYTES : (at + 1) * _BYTES]
        if name != bytes(_BYTES):
            yield at, name


# --- scoring -----------------------------------------------------------------------------------------------------


class _Maker:
    """An actor: a loaded model that makes shards."""

    def __init__(self, model: str, folder: str, config: ShardConfig, cluster: ClusterConfig) -> None:
        engine = EngineConfig.for_threads(cluster.threads)
        self._classifier = SegmentClassifier(
            Path(model), threads=engine.session_threads, fast=cluster.fast, device=cluster.device
        )
        self._folder, self._config, self._engine = Path(folder), config, engine

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        found = pickle.loads(batch["work"][0])  # noqa: S301 -- written by _read
        if not isinstance(found, _PartEnd):
            work, items, verdicts = found

            def verdict(position: int, article: Article) -> Verdict:
                given: Verdict = verdicts.get(position)
                if isinstance(given, ReadFailure):
                    return ReadFailure(given.where, given.error.replace("''", repr(article.article_id), 1))
                return given

            found = make_shard(work, items, verdict, self._classifier, self._folder, self._config, self._engine)
        return {"made": [pickle.dumps(found)]}


def _check_room(ray: Any, cluster: ClusterConfig) -> None:
    """Refuse an actor that no node has room for: Ray would wait for such a node for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = int(max(node.get("CPU", 0) for node in nodes))
    if cluster.threads > most:
        raise AnnotatorError(f"--threads {cluster.threads}: no node of the Ray cluster has more than {most} cores")
    if cluster.device == "cuda" and not any(node.get("GPU") for node in nodes):
        raise AnnotatorError("--device cuda: no node of the Ray cluster has a graphics card: use --device cpu")


def _made(
    ray: Any, rows: list[dict[str, bytes]], folder: Path, model: Path, config: ShardConfig, cluster: ClusterConfig
) -> Iterator[Any]:
    """Yield what the actors make, as they make it."""
    _check_room(ray, cluster)
    cores = int(ray.cluster_resources().get("CPU", 1))
    actors = cluster.actors or max(1, cores // cluster.threads)
    dataset = (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .map_batches(
            _read,
            batch_size=1,
            fn_kwargs={"config": config, "root": str(Path.cwd())},
            num_cpus=0,  # actors take all cores; reading waits for room in the object store anyway
            concurrency=cluster.readers or max(1, actors // 4),
        )
        .map_batches(
            _Maker,
            batch_size=1,
            fn_constructor_args=(str(model), str(folder), config, cluster),
            num_cpus=cluster.threads,
            num_gpus=1 if cluster.device == "cuda" else None,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
        )
    )
    for row in dataset.iter_rows():
        yield pickle.loads(row["made"])  # noqa: S301 -- written by _Maker
