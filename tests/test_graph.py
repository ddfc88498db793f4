"""Exported graphs and what is made from them: equal to torch, small, quick kernels, a student that shares its table."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from toy import save_toy_base
from transformers import RobertaConfig, RobertaModel

from annotator.classifier import SegmentClassifier
from annotator.dataset import read_pages
from annotator.errors import InputError, ModelError
from annotator.pipeline import Annotator
from annotator.registry import Calibration, find_version, read_manifest, write_manifest
from annotator.training.base import load_base
from annotator.training.distil import DistilConfig, Lesson, claim, distil, make_student
from annotator.training.examples import build_packs, collate
from annotator.training.export import export_fast, export_onnx
from annotator.training.fit import Hardware, TrainConfig
from annotator.training.graph import bert_graph
from annotator.training.local import LocalLayer
from annotator.training.masked import MaskedConfig, warm_up
from annotator.training.model import LossWeights, SegmentTagger, read_weights
from annotator.training.smoothing import smooth
from annotator.windows import WindowConfig

# torch, transformers and the exporter announce their own deprecations; they are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
HARDWARE = Hardware(device="cpu", bf16=False, save_steps=50)
WINDOWS = WindowConfig(max_tokens=128, context_tokens=16)


def tagger(folder, *, layers=4):
    save_toy_base(folder, layers=layers)
    torch.manual_seed(1)
    return SegmentTagger(load_base(str(folder)).encoder, LossWeights()).eval()


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def network(base_folder):
    return tagger(base_folder)


@pytest.fixture
def version(network, base_folder, tmp_path):
    """A model folder with the network's graph."""
    folder = tmp_path / "models" / "fr-toy"
    folder.mkdir(parents=True)
    export_onnx(network, folder / "model.onnx")
    load_base(str(base_folder)).tokenizer.save(str(folder / "tokenizer.json"))
    write_manifest(folder, WINDOWS, Calibration(), {})
    (tmp_path / "models" / "CURRENT").write_text("fr-toy\n")
    return folder


def run(graph, ids, mask):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})


def padded():
    ids = torch.from_numpy(np.random.default_rng(0).integers(20, 60, (2, 33)))
    mask = torch.ones_like(ids)
    mask[1, 20:] = 0
    return ids, mask


@pytest.mark.parametrize("unpadded", [True, False])
def test_the_graph_says_what_torch_says(network, unpadded):
    ids, mask = padded()
    mask = torch.ones_like(mask) if unpadded else mask
    with torch.no_grad():
        expected = network.logits(ids, mask)
    found = run(bert_graph(network, bits=None).SerializeToString(), ids, mask)
    for exact, logits, width in zip(expected, found, (4, 5, 5), strict=True):
        assert logits.shape == (2, 33, width)
        assert np.abs(exact.numpy() - logits)[mask.numpy() > 0].max() < 1e-4


@pytest.mark.parametrize("bits", [7, 8])
def test_the_quantised_graph_is_close_with_and_without_smoothing(network, bits):
    ids, mask = padded()
    with torch.no_grad():
        expected = network.logits(ids, mask)[0].numpy()
    smoothed = smooth(network, [ids[:1]], alpha=0.75, outlier=1.0)
    own = smoothed.encoder.encoder.layer[0].attention.self
    assert torch.equal(own.query.inverse, own.key.inverse)
    assert torch.equal(own.query.inverse, own.value.inverse)
    for model in (network, smoothed):
        found = run(bert_graph(model, bits=bits).SerializeToString(), ids, mask)[0]
        assert np.abs(expected - found)[mask.numpy() > 0].max() < 0.2 * np.abs(expected).max()


def test_onnx_runtime_keeps_the_quick_kernels(network, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    graph = bert_graph(network).SerializeToString()
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "SkipLayerNormalization" not in operators
    assert operators.count("LayerNormalization") == 9
    assert operators.count("DynamicQuantizeMatMul") == 12
    assert operators.count("MatMulIntegerToFloat") == 12


def local_tagger(folder):
    return SegmentTagger(load_base(str(folder)).encoder, LossWeights(), local=[0, 1, 3]).eval()


@pytest.mark.parametrize(
    ("lengths", "tokens"), [([5], 5), ([191], 191), ([192], 192), ([384], 384), ([384, 250, 192], 384), ([90, 40], 90)]
)
def test_local_layers_are_in_the_graph_as_in_torch(base_folder, lengths, tokens, capfd):
    network = local_tagger(base_folder)
    ids = torch.from_numpy(np.random.default_rng(0).integers(20, 60, (len(lengths), tokens)))
    mask = (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()
    with torch.no_grad():
        expected = network.logits(ids, mask)
    found = run(bert_graph(network, bits=None).SerializeToString(), ids, mask)
    for exact, logits in zip(expected, found, strict=True):
        assert np.abs(exact.numpy() - logits)[mask.numpy() > 0].max() < 1e-4
    assert "onnxruntime" not in capfd.readouterr().err, "a warning that people would see at every start"


@pytest.mark.parametrize(("length", "reach"), [(191, [0, 191]), (300, [0, 100]), (384, [0, 128])])
def test_a_token_of_a_local_layer_sees_its_part_only(base_folder, length, reach):
    network = SegmentTagger(load_base(str(base_folder)).encoder, LossWeights(), local=[0]).eval()
    del network.encoder.encoder.layer[1:]
    ids = torch.from_numpy(np.random.default_rng(1).integers(20, 60, (1, length)))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        before = network.logits(ids, mask)[0][0, 0]
        seen = []
        for place in range(1, length):
            changed = ids.clone()
            changed[0, place] += 1
            seen.append(not torch.equal(before, network.logits(changed, mask)[0][0, 0]))
    assert seen == [place < reach[1] for place in range(1, length)]


def test_local_layers_are_refused_where_there_are_none(base_folder):
    encoder = load_base(str(base_folder)).encoder
    with pytest.raises(ModelError, match="has layers 0 to 3"):
        SegmentTagger(encoder, LossWeights(), local=[4])
    with pytest.raises(ModelError, match=r"a list is expected, as in local=\[3\]"):
        SegmentTagger(encoder, LossWeights(), local=3)
    config = RobertaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    with pytest.raises(ModelError, match="a BERT encoder is needed"):
        SegmentTagger(RobertaModel(config, add_pooling_layer=False), LossWeights(), local=[0])


@pytest.mark.parametrize(("bits", "near"), [(None, 1e-5), (8, 0.02)])
def test_weights_come_back_from_a_graph(network, tmp_path, bits, near):
    ids, mask = padded()
    onnx.save(bert_graph(smooth(network, [ids[:1]], outlier=1.0), bits=bits), tmp_path / "model.onnx")
    other = tagger(tmp_path / "other")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    read_weights(other, [tmp_path / "model.onnx"])
    with torch.no_grad():
        expected, found = (model.logits(ids, mask)[0] for model in (network, other))
    assert float((expected - found)[mask > 0].abs().max()) < near * float(expected.abs().max())
    again = onnx.load_from_string(bert_graph(other).SerializeToString())
    if bits:  # codes and steps of the table stay to the last bit: a student taught by it can share the version's
        tables = [{t.name: t.raw_data for t in graph.graph.initializer}
                  for graph in (again, onnx.load(tmp_path / "model.onnx"))]  # fmt: skip
        assert tables[0]["words"] == tables[1]["words"]
        assert tables[0]["words.scale"] == tables[1]["words.scale"]


def test_a_file_without_weights_is_one_line(network, tmp_path):
    for name, content in (("text.onnx", b"no graph"), ("missing.onnx", None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=r"no graph to read weights from"):
            read_weights(network, [tmp_path / name])
    foreign = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match="not a graph of annotator's own layout"):
        read_weights(network, [tmp_path / "foreign.onnx"])


def test_an_encoder_that_is_not_a_bert_goes_through_the_exporter(base_folder, tmp_path, caplog):
    vocabulary = load_base(str(base_folder)).tokenizer.get_vocab_size()
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=514, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = SegmentTagger(RobertaModel(config, add_pooling_layer=False), LossWeights()).eval()
    ids, mask = padded()
    with torch.no_grad():
        expected = model.logits(ids, mask)
    with caplog.at_level(logging.INFO):
        export_onnx(model, tmp_path / "graph.onnx", quantisation="none")
    assert any("SkipLayerNormalization" in record.getMessage() for record in caplog.records)
    found = run((tmp_path / "graph.onnx").read_bytes(), ids, mask)
    for exact, logits in zip(expected, found, strict=True):
        assert np.abs(exact.numpy() - logits)[mask.numpy() > 0].max() < 1e-4
    with pytest.raises(ModelError, match="a BERT encoder"):
        make_student(model, DistilConfig(layers=(0,), intermediate=32))
    with pytest.raises(ModelError, match="a fast model is a BERT"):
        export_fast(model, tmp_path)


def test_a_student_learns_from_its_teacher_and_shares_its_table(network, base_folder, version, repository, tmp_path):
    pages = read_pages(repository / "labels" / "gate.jsonl")[:2]
    config = DistilConfig(
        layers=(0, 3), intermediate=32,
        training=TrainConfig(epochs=1, pack_tokens=512, train_embeddings=False, windows=WINDOWS, local=[0]),
    )  # fmt: skip
    untaught = make_student(network, config)
    table, places = (getattr(network.encoder.embeddings, f"{name}_embeddings").weight for name in ("word", "position"))
    assert torch.equal(untaught.encoder.embeddings.word_embeddings.weight, table)
    assert [isinstance(layer, LocalLayer) for layer in untaught.encoder.encoder.layer] == [True, False]
    student = distil(pages, network, load_base(str(base_folder)), config, tmp_path / "run", hardware=HARDWARE)
    assert torch.equal(student.encoder.embeddings.word_embeddings.weight, table)
    assert torch.equal(student.encoder.embeddings.position_embeddings.weight, places)
    assert student.encoder.config.num_hidden_layers == 2
    ids, mask = padded()
    packs = build_packs(pages, load_base(str(base_folder)).tokenizer, WINDOWS, epochs=1, pack_tokens=512, chances=None,
                        seed=1)  # fmt: skip
    with torch.no_grad():
        before, after = (
            np.mean([float(Lesson(network, pupil, config)(**collate([pack], pad=1))["loss"]) for pack in packs])
            for pupil in (untaught, student)
        )
    assert after < before

    once_more = {"hardware": HARDWARE, "warm_start": tmp_path / "run" / "model.safetensors"}
    still = replace(config, training=replace(config.training, learning_rate=0.0, head_learning_rate=0.0))
    with torch.no_grad():
        table += 1  # another teacher, another table
    further = distil(pages, network, load_base(str(base_folder)), still, tmp_path / "more", **once_more)
    assert torch.equal(further.encoder.embeddings.word_embeddings.weight, table)
    for name in ("encoder.encoder.layer.1.output.dense.weight", "label_head.weight"):
        assert torch.allclose(further.state_dict()[name], student.state_dict()[name])
    with torch.no_grad():
        table -= 1
    with pytest.raises(ModelError, match="of a network of another shape"):
        distil(pages, network, load_base(str(base_folder)), replace(config, layers=(0,)), tmp_path / "no", **once_more)

    export_fast(student, version)
    alone = bert_graph(student).SerializeToString()
    assert (version / "fast.onnx").stat().st_size < len(alone) - table.numel() - 4 * places.numel() + 2000
    for one, other in zip(run(str(version / "fast.onnx"), ids, mask), run(alone, ids, mask), strict=True):
        assert np.array_equal(one, other)
    made = write_manifest(version, WINDOWS, Calibration(review_below=0.9), {}, fast=True)
    assert made.version.endswith("-fast")
    models = version.parent
    text = "Le maire a promis une enquête. « Nous irons vite », a-t-il dit."
    plain, fast = (Annotator.load(models, fast=which, threads=1).score(text) for which in (False, True))
    assert plain.model_version == read_manifest(version).version
    assert fast.model_version == made.version
    assert [s.span for s in plain.segments] == [s.span for s in fast.segments]
    assert plain.segments[0].probabilities != fast.segments[0].probabilities
    assert find_version(models, made.version) == (version, True)
    assert Annotator.load(models, made.version, threads=1).score(text) == fast
    assert find_version(models, "fr-toy") == (version, False)


def test_a_student_is_not_taken_for_one_that_was_taught_on_other_pages(repository, tmp_path):
    pages = read_pages(repository / "labels" / "gate.jsonl")[:3]
    claim(tmp_path / "run", pages[:2])
    claim(tmp_path / "run", pages[:2])
    with pytest.raises(InputError, match="taught on other pages"):
        claim(tmp_path / "run", pages)


def test_a_student_of_another_teacher_is_refused(base_folder, version, tmp_path):
    del base_folder
    other = tagger(tmp_path / "other")
    with torch.no_grad():
        other.encoder.embeddings.word_embeddings.weight.mul_(torch.linspace(0.5, 1.5, 32))
    with pytest.raises(ModelError, match="teach one from this model"):
        export_fast(make_student(other, DistilConfig(layers=(0,), intermediate=32)), version)
    with pytest.raises(ModelError, match="no layers"):
        make_student(other, DistilConfig(layers=(9,), intermediate=32))
    assert not (version / "fast.onnx").exists()


def test_without_a_fast_model_or_a_device_it_is_one_line(version, tmp_path):
    with pytest.raises(ModelError, match="has no fast model: leave out --fast"):
        SegmentClassifier(version, fast=True)
    (tmp_path / "page.txt").write_text("Le port rouvre lundi.\n", encoding="utf-8")
    program = Path(sys.executable).with_name("annotator")
    command = [str(program), "score", str(tmp_path / "page.txt"), "--models", str(version.parent)]
    refused = {"--fast": "no fast model"}
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        refused["--device=cuda"] = "onnxruntime-gpu"
    for option, expected in refused.items():
        done = subprocess.run([*command, option], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        assert expected in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def trimmed(base_folder, folder):
    """A folder as scripts/build_base.py makes them, in float32, of the toy base."""
    loaded = load_base(str(base_folder))
    folder.mkdir()
    state = {name: value.contiguous() for name, value in loaded.encoder.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    loaded.tokenizer.save(str(folder / "tokenizer.json"))
    shutil.copyfile(base_folder / "config.json", folder / "config.json")
    (folder / "base.json").write_text(json.dumps({"base": "toy"}), encoding="utf-8")
    return folder


def test_a_warmed_up_base_is_a_base_that_guesses_better(base_folder, repository, tmp_path):
    base = trimmed(base_folder, tmp_path / "base")
    pages = read_pages(repository / "labels" / "gate.jsonl")[:2]
    config = MaskedConfig(epochs=2, learning_rate=3e-3, pack_tokens=512, windows=WINDOWS)
    first = warm_up(pages, str(base), MaskedConfig(epochs=1, learning_rate=1e-6, pack_tokens=512, windows=WINDOWS),
                    tmp_path / "cold", hardware=HARDWARE)  # fmt: skip
    last = warm_up(pages, str(base), config, tmp_path / "warm", hardware=HARDWARE)
    assert last < first
    assert json.loads((tmp_path / "warm" / "base.json").read_text())["warm_up"]["config"]["epochs"] == 2
    warm, cold = (load_base(str(folder)) for folder in (tmp_path / "warm", base))
    assert warm.tokenizer.to_str() == cold.tokenizer.to_str()
    assert not torch.equal(warm.encoder.encoder.layer[0].output.dense.weight,
                           cold.encoder.encoder.layer[0].output.dense.weight)  # fmt: skip
    with pytest.raises(ModelError, match="only a folder made by scripts/build_base"):
        warm_up(pages, str(base_folder), config, tmp_path / "other", hardware=HARDWARE)
