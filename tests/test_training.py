"""Training end to end on a random encoder of two layers: fit, resume, calibrate, export, publish, load."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from toy import save_toy_base

from annotator.classifier import SegmentClassifier
from annotator.dataset import read_pages
from annotator.errors import InputError, ModelError
from annotator.pipeline import score
from annotator.records import LABELS, Span
from annotator.registry import Calibration, current_version, list_versions, model_path, promote, read_manifest
from annotator.segmentation import breaks
from annotator.training import publish as publishing
from annotator.training.base import load_base
from annotator.training.calibrate import HeldOut, calibrate
from annotator.training.examples import TAGS, Augmentation, build_packs, caption, collate, targets, vary
from annotator.training.fit import Hardware, TrainConfig, fit, predict
from annotator.training.model import LossWeights, SegmentTagger, read_weights
from annotator.training.publish import held_out, parity, publish
from annotator.training.recipe import Recipe, hold_out, train
from annotator.windows import WindowConfig, encode, special_ids

# torch, transformers and the exporter announce their own deprecations; they are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
CONFIG = TrainConfig(epochs=2, pack_tokens=512, windows=WindowConfig(max_tokens=256, context_tokens=32))
HARDWARE = Hardware(device="cpu", bf16=False, save_steps=6)


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    save_toy_base(folder)
    return str(folder)


@pytest.fixture(scope="module")
def gate_pages(repository):
    return read_pages(repository / "labels" / "gate.jsonl")


@pytest.fixture(scope="module")
def pages(gate_pages):
    return gate_pages[:3]


@pytest.fixture(scope="module")
def trained(base_folder, pages, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = tmp_path_factory.mktemp("run")
        return fit(pages, load_base(base_folder), CONFIG, run, hardware=HARDWARE), run


def test_typographic_variation_keeps_every_offset(pages):
    chances = Augmentation(quote_style=1, plain_spaces=1, lost_mark=0.5, capitals=0.5)
    for page in pages:
        spans = [segment.span for segment in page.segments]
        varied = vary(page.article.text, spans, chances, random.Random(3))
        assert len(varied) == len(page.article.text)
        assert varied != page.article.text
        assert all(span.of(varied).strip() for span in spans)
        assert [c.isspace() for c in varied].count(True) >= [c.isspace() for c in page.article.text].count(True)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_captions_come_between_and_leave_the_rest_as_it_is(gate_pages, seed):
    page = gate_pages[seed % len(gate_pages)]
    varied = caption(page, random.Random(seed))
    text, waiting, added = varied.article.text, list(page.segments), []
    for after in varied.segments:
        before = waiting[0] if waiting else None
        if before is None or after.span.of(text) != before.span.of(page.article.text):
            added.append(after)
            continue
        waiting.pop(0)
        assert after.label == before.label
        for name in ("source", "cue"):
            old, new = (getattr(s.attribution, name, None) for s in (before, after))
            assert (old and old.of(page.article.text)) == (new and new.of(text))
    assert waiting == []
    assert len(added) <= 3
    for one in added:
        assert one.label == "boilerplate"
        assert one.span.of(text).casefold() in page.article.text.casefold()
        assert one.span.of(text) in text.splitlines()


def test_captions_are_put_into_the_pages_that_train(gate_pages, base_folder):
    tokenizer = load_base(base_folder).tokenizer

    def labels(chance):
        chances = Augmentation(captions=chance)
        packs = build_packs(gate_pages, tokenizer, CONFIG.windows, epochs=1, pack_tokens=512, chances=chances, seed=1)
        return Counter(LABELS[label] for pack in packs for row in pack["rows"] for label in row["labels"])

    more = labels(1) - labels(0)
    assert more["boilerplate"] >= len(gate_pages)  # one to three a page


def test_weights_that_cannot_be_read_are_one_line(trained, tmp_path):
    model, run = trained
    (tmp_path / "text.safetensors").write_text("no weights", encoding="utf-8")
    for path in (tmp_path / "none.safetensors", tmp_path, tmp_path / "text.safetensors"):
        with pytest.raises(ModelError, match="no weights to read"):
            read_weights(model, [path])
    save_toy_base(tmp_path / "wider", hidden=64)
    wider = SegmentTagger(load_base(str(tmp_path / "wider")).encoder, LossWeights())
    with pytest.raises(ModelError, match="of a network of another shape"):
        read_weights(wider, [run / "model.safetensors"])


def test_targets_lay_source_and_cue_on_their_tokens(pages, base_folder):
    base = load_base(base_folder)
    checked = 0
    for page in pages:
        text, spans = page.article.text, [segment.span for segment in page.segments]
        encoded = encode(text, spans, breaks(text, spans), base.tokenizer, CONFIG.windows)
        gold = targets(encoded, page.segments)
        assert [LABELS[i] for i in gold.labels] == [segment.label for segment in page.segments]
        for segment, tags, offsets in zip(page.segments, gold.tags, encoded.offsets, strict=True):
            source = segment.attribution and segment.attribution.source
            if source is None:
                assert not np.isin(tags, [TAGS.index("B-source"), TAGS.index("I-source")]).any()
                continue
            inside = np.flatnonzero(np.isin(tags, [TAGS.index("B-source"), TAGS.index("I-source")]))
            assert text[offsets[inside[0], 0] : offsets[inside[-1], 1]].strip() == source.of(text)
            assert (tags == TAGS.index("B-source")).sum() == 1
            checked += 1
    assert checked > 5


def test_packs_are_the_same_for_the_same_seed_and_cover_every_segment(pages, base_folder):
    base = load_base(base_folder)

    def build(seed):
        return build_packs(pages, base.tokenizer, CONFIG.windows, epochs=2, pack_tokens=512,
                           chances=Augmentation(), seed=seed)  # fmt: skip

    first, again, other = build(1), build(1), build(2)
    assert first.to_list() == again.to_list()
    assert first.to_list() != other.to_list()
    plain = build_packs(pages, base.tokenizer, CONFIG.windows, epochs=1, pack_tokens=512, chances=None, seed=1)
    pieces = sum(len(collate([pack], pad=1)["labels"]) for pack in plain)
    assert pieces >= sum(len(page.segments) for page in pages)
    batch = collate([plain[0]], pad=special_ids(base.tokenizer)["<pad>"])
    assert batch["segment"].max() + 1 == len(batch["labels"])
    assert ((batch["segment"] >= 0) <= (batch["attention_mask"] == 1)).all()


def test_dropout_spares_attention(base_folder, pages, tmp_path):
    base = load_base(base_folder)
    fit(pages[:1], base, replace(CONFIG, epochs=1, dropout=0.2), tmp_path, hardware=HARDWARE)
    shares = {name: m.p for name, m in base.encoder.named_modules() if isinstance(m, torch.nn.Dropout)}
    spared = {name for name, share in shares.items() if not share}
    assert spared == {f"encoder.layer.{n}.attention.self.dropout" for n in (0, 1)}
    assert set(shares.values()) == {0, 0.2}


def test_training_learns(trained, pages, base_folder):
    model, _ = trained
    predicted = predict(model, pages, load_base(base_folder), CONFIG.windows)
    best = np.concatenate([pooled.labels.argmax(1) for _, pooled in predicted])
    truth = np.array([LABELS.index(s.label) for page in pages for s in page.segments])
    majority = np.bincount(truth).max() / len(truth)
    assert (best == truth).mean() >= majority


@pytest.mark.parametrize("step", [13, 37])  # 37: after averaging began
def test_a_run_that_was_cut_ends_where_an_unbroken_one_does(base_folder, pages, tmp_path, trained, step, repository):
    _, whole = trained
    script = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from pathlib import Path\n"
        "from transformers import TrainerCallback\n"
        "import annotator.training.fit as fitting\n"
        "from annotator.dataset import read_pages\n"
        "from annotator.training.base import load_base\n"
        "from test_training import CONFIG, HARDWARE\n"
        "import os, signal, torch\n"
        "torch.set_num_threads(int(sys.argv[5]))\n"  # sums in another order end in other bits
        "class Cut(TrainerCallback):\n"
        "    def on_step_begin(self, args, state, control, **kwargs):\n"
        "        if state.global_step == int(sys.argv[4]):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "original = fitting.Trainer\n"
        "fitting.Trainer = lambda **k: original(**{**k, 'callbacks': [*k['callbacks'], Cut()]})\n"
        "pages = read_pages(Path(sys.argv[2]))[:3]\n"
        "fitting.fit(pages, load_base(sys.argv[1]), CONFIG, Path(sys.argv[3]), hardware=HARDWARE)\n"
    )
    gate = str(repository / "labels" / "gate.jsonl")
    done = subprocess.run(
        [sys.executable, "-c", script, base_folder, gate, str(tmp_path), str(step), str(torch.get_num_threads())],
        cwd=repository / "tests", capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr.decode()[-2000:]
    assert not (tmp_path / "model.safetensors").exists()
    fit(pages, load_base(base_folder), CONFIG, tmp_path, hardware=HARDWARE)
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_run_goes_on_from_another_fold_by_fold(base_folder, gate_pages, tmp_path):
    pages = gate_pages[:4]
    first = Recipe(base=base_folder, config=replace(CONFIG, epochs=1), folds=2)
    hold_out(pages, pages, first, tmp_path / "first", hardware=HARDWARE)
    train(pages, first, tmp_path / "first" / "full", hardware=HARDWARE)
    still = replace(CONFIG, epochs=1, learning_rate=0.0, head_learning_rate=0.0, average_last=0.0)
    more = replace(first, config=still, seeds=(2,), warm_start=tmp_path / "first")
    sample = hold_out(pages, pages, more, tmp_path / "more", hardware=HARDWARE)
    assert np.array_equal(sample.logits, np.load(tmp_path / "first" / "fold-0" / "held-out.npz")["logits"])
    model = train(pages, more, tmp_path / "more" / "full", hardware=HARDWARE)
    reached = load_file(tmp_path / "first" / "full" / "seed-1" / "model.safetensors")
    assert all(torch.equal(value, reached[name]) for name, value in model.state_dict().items())

    with pytest.raises(InputError, match="of other pages than are held out now"):
        hold_out(gate_pages[:5], gate_pages[2:5], more, tmp_path / "other", hardware=HARDWARE)
    (tmp_path / "first" / "full" / "seed-1").rename(tmp_path / "first" / "full" / "gone")
    with pytest.raises(InputError, match="0 trainings in 'full'"):
        train(pages, more, tmp_path / "again" / "full", hardware=HARDWARE)


def test_temperature_mends_overconfident_logits():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 4000)
    logits = rng.normal(size=(4000, 4)).astype(np.float32)
    logits[np.arange(4000), truth] += 1.5
    # Softmax of `logits` is calibrated up to a factor; three times the logits asks for three times the temperature.
    once = calibrate(HeldOut(logits=logits, truth=truth))
    thrice = calibrate(HeldOut(logits=logits * 3, truth=truth))
    assert thrice.temperature == pytest.approx(3 * once.temperature, rel=0.01)
    assert 0.25 < once.review_below < 1


def test_segments_without_an_agreed_label_calibrate_nothing(trained, base_folder, pages):
    model, _ = trained
    unsure = [replace(p, segments=(replace(p.segments[0], weight=0.0), *p.segments[1:])) for p in pages]
    base = load_base(base_folder)
    both = [held_out(model, some, base, CONFIG.windows, bf16=False) for some in (pages, unsure)]
    firsts = np.cumsum([0, *(len(page.segments) for page in pages[:-1])])
    assert len(both[0].truth) == sum(len(page.segments) for page in pages)
    for name in ("logits", "truth", "articles"):
        assert np.array_equal(np.delete(getattr(both[0], name), firsts, axis=0), getattr(both[1], name))


def test_publish_writes_a_version_that_scores(trained, base_folder, pages, tmp_path):
    model, _ = trained
    base = load_base(base_folder)
    calibration = Calibration(temperature=1.3, review_below=0.5)
    version = publish(model, base, CONFIG, calibration, tmp_path, parity_pages=pages, train_pages=pages,
                      details={"note": "toy"}, quantisation="none")  # fmt: skip
    assert list_versions(tmp_path) == [version]
    promote(tmp_path, version)
    assert current_version(tmp_path) == version
    folder = model_path(tmp_path)
    manifest = read_manifest(folder)
    assert (manifest.windows, manifest.calibration) == (CONFIG.windows, calibration)
    assert manifest.details["parity"] >= publishing.PARITY
    classifier = SegmentClassifier(folder, threads=1)
    scored = score(pages[0].article, classifier)
    assert scored.model_version == version
    assert len(scored.segments) > 5
    assert parity(model, base, folder, pages, CONFIG.windows) > 0.99
    again = publish(model, base, CONFIG, calibration, tmp_path, parity_pages=pages, train_pages=pages,
                    details={"note": "other"}, quantisation="none")  # fmt: skip
    assert again == version
    other = publish(model, base, CONFIG, replace(calibration, temperature=2.0), tmp_path, parity_pages=pages,
                    train_pages=pages, details={}, quantisation="none")  # fmt: skip
    assert other != version


def test_quantised_export_is_smaller_and_close(trained, tmp_path):
    model, _ = trained
    publishing.export_onnx(model, tmp_path / "float.onnx", quantisation="none")
    publishing.export_onnx(model, tmp_path / "int8.onnx", quantisation="int8")
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "float.onnx").stat().st_size
    import onnxruntime  # noqa: PLC0415

    ids = np.random.default_rng(0).integers(20, 60, (1, 40))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    outputs = [
        onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"), providers=["CPUExecutionProvider"]).run(None, feed)
        for name in ("float", "int8")
    ]
    for exact, rough, width in zip(*outputs, (4, 5, 5), strict=True):
        assert exact.shape == rough.shape == (1, 40, width)
        assert np.abs(exact - rough).max() < 0.25 * np.abs(exact).max()


def test_a_graph_that_disagrees_with_torch_is_not_written(trained, base_folder, pages, tmp_path, monkeypatch):
    model, _ = trained
    monkeypatch.setattr(publishing, "parity", lambda *_: 0.98)
    with pytest.raises(ModelError, match="nothing is written"):
        publish(model, load_base(base_folder), CONFIG, Calibration(), tmp_path, parity_pages=pages,
                train_pages=pages, details={}, quantisation="none")  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_base_that_does_not_exist_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_base("no/such-encoder")
    assert "\n" not in str(caught.value)


def test_the_shipped_base_encodes_french(repository):
    base = load_base(str(repository / "models" / "base"))
    text = "Le maire a démenti. La mairie conteste ces chiffres."
    spans = [Span(0, 19), Span(20, len(text))]
    encoded = encode(text, spans, breaks(text, spans), base.tokenizer, WindowConfig())
    assert all("<unk>" not in [base.tokenizer.id_to_token(i) for i in ids] for ids in encoded.ids)
    assert base.encoder.config.num_hidden_layers == 12
    assert base.encoder.get_input_embeddings().num_embeddings == base.tokenizer.get_vocab_size()


def test_the_train_script_explains_a_wrong_setting(repository, tmp_path):
    done = subprocess.run(
        [sys.executable, "scripts/train.py", "--data", "labels/gate.jsonl", "--run", str(tmp_path), "--set", "epoch=3"],
        cwd=repository, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "epoch=3: no such setting" in done.stderr


def test_the_train_script_makes_a_version(repository, base_folder, tmp_path):
    lines = (repository / "labels" / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text("".join(lines[:6]), encoding="utf-8")
    command = [
        sys.executable, "scripts/train.py", "--data", str(tmp_path / "few.jsonl"), "--base", base_folder,
        "--run", str(tmp_path / "run"), "--models", str(tmp_path / "models"), "--promote", "--folds", "2",
        "--set", "epochs=1", "pack_tokens=512", "windows.max_tokens=256", "--quantisation", "none", "--device", "cpu",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    version = done.stdout.strip()
    assert current_version(tmp_path / "models") == version
    manifest = json.loads((tmp_path / "models" / version / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["details"]["training"]["epochs"] == 1
    assert manifest["details"]["calibration_segments"] > 0
    scores = [value for value in manifest["details"]["held_out"]["f1"] if value is not None]
    assert manifest["details"]["held_out"]["macro_f1"] == pytest.approx(np.mean(scores), abs=1e-3)
    again = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=400, check=False)
    assert again.stdout.strip() == version, "a finished run given again trains nothing and gives the same version"

    (tmp_path / "unseen.jsonl").write_text("".join(lines[60:66]), encoding="utf-8")
    models, fold = tmp_path / "models", tmp_path / "run" / "fold-0" / "held-out.npz"
    given = ["--models", str(models), "--held-out", str(fold), "--pages", str(tmp_path / "unseen.jsonl")]
    refit = [sys.executable, "scripts/recalibrate.py", *given]
    done = subprocess.run(refit, cwd=repository, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    other = done.stdout.strip()
    assert other != version
    assert current_version(models) == version, "nothing is in use that was not promoted"
    before, after = (read_manifest(models / name) for name in (version, other))
    assert after.files == before.files
    assert after.calibration != before.calibration
    assert after.details["calibration_segments"] > before.details["calibration_segments"]
    assert after.details["calibration"]["sources"] == 2
    assert after.details["recalibrated"] == version
    assert not (models / other / "README.md").exists()
    gate, empty = ["--gate", str(tmp_path / "unseen.jsonl")], tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    for wrong, said in (
        (["--pages", str(empty)], "no pages are held out"),
        (gate, "gate outlets"),
        (["--held-out", str(tmp_path / "no.npz")], "no held-out logits"),
    ):
        done = subprocess.run(
            [*refit, *wrong], cwd=repository, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 2
        assert said in done.stderr
        told = [line for line in done.stderr.splitlines() if "loaded model" not in line]
        assert len(told) == 1, "one line, and no traceback"


def test_an_exported_graph_names_no_file_of_the_machine(trained, tmp_path):
    for quantisation in ("none", "int8"):
        publishing.export_onnx(trained[0], tmp_path / "graph.onnx", quantisation=quantisation)
        data = (tmp_path / "graph.onnx").read_bytes()
        assert b".py" not in data
        assert b"site-packages" not in data


def test_variants_are_compared_on_a_fold_and_their_weights_averaged(repository, base_folder, tmp_path):
    lines = (repository / "labels" / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    gate = (repository / "labels" / "gate.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, part in (("own", lines[:3]), ("press", lines[20:60:5]), ("gate", gate[:2])):
        (tmp_path / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    small = "epochs=1,pack_tokens=512,windows.max_tokens=256"
    command = [
        sys.executable, "scripts/compare_training.py", f"one:{small}", "alone:epochs=1,pack_tokens=512",
        f"mean@one:{small}+two:{small},seed=2", "--base", base_folder, "--run", str(tmp_path / "run"), "--fold", "0",
        *(word for name in ("own", "press", "gate") for word in (f"--{name}", str(tmp_path / f"{name}.jsonl"))),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line for line in done.stdout.splitlines() if ", held out |" in line]
    assert [row.split(":")[0] for row in rows] == ["| one", "| alone", "| mean@one"]
    assert len(list((tmp_path / "run" / "fold0").iterdir())) == 3
    wrong = subprocess.run([*command[:2], "none-such", *command[5:]], cwd=repository, capture_output=True, text=True,
                           timeout=120, check=False)  # fmt: skip
    assert wrong.returncode == 2
    assert "none-such: no such variant" in wrong.stderr


def test_weights_of_one_change_nothing_and_others_scale_what_a_segment_teaches(pages, base_folder):
    base = load_base(base_folder)
    network = SegmentTagger(base.encoder, LossWeights()).eval()

    def loss(weigh):
        changed = [
            replace(p, segments=tuple(replace(s, weight=weigh(n)) for n, s in enumerate(p.segments))) for p in pages
        ]
        packs = build_packs(changed, base.tokenizer, CONFIG.windows, epochs=1, pack_tokens=512, chances=None, seed=1)
        batch = collate([packs[0]], pad=special_ids(base.tokenizer)["<pad>"])
        return batch, network(**batch)["loss"]

    batch, plain = loss(lambda _: 1.0)
    assert "weights" not in batch
    batch["weights"] = torch.ones(len(batch["labels"]))
    assert torch.allclose(network(**batch)["loss"], plain, atol=1e-6)
    halved, same = loss(lambda _: 0.5)
    assert torch.allclose(same, plain, atol=1e-6)  # a mean over weights: what is equal stays equal
    assert "weights" in halved
    ignored, without = loss(lambda n: float(n % 2))
    assert not torch.allclose(without, plain, atol=1e-6)
    spoilt = dict(ignored)
    spoilt["labels"] = torch.where(ignored["weights"] == 0, (ignored["labels"] + 1) % 4, ignored["labels"])
    assert torch.equal(network(**spoilt)["loss"], without)
    assert torch.isfinite(loss(lambda _: 0.0)[1])
