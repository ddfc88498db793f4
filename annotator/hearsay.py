"""Is a conditional that of hearsay ("aurait versé"), or does it say something else?

A form counts unless one of :data:`REASONS` speaks against it: a supposition, a wish, a future told from the past, a
provision of a bill … Inside quotation marks, where people suppose more than they pass on, a simple conditional also
needs a sign of hearsay. Everything is decided within the sentence, and within one voice of it: what stands between
quotation marks does not bear on what stands outside.

The conditional of hearsay: Grevisse and Goosse, *Le bon usage* (14th ed., 2008), § 889; tenses with "si", § 1155.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from annotator.conditional import HAVE, Conditional, compiled, find_conditionals, has_imperfect
from annotator.records import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """A conditional in its sentence: the text before and after it, the mark that ends it, whether it is quoted."""

    verb: Conditional
    form: str
    before: str
    after: str
    mark: str
    quoted: bool

    @property
    def sentence(self) -> str:
        return f"{self.before}{self.form}{self.after}"


_REACH = 600  # characters of the sentence, to either side, that are looked at
_SENTENCE_MARK = re.compile(r"(?<!\bM)(?<!\bMM)[.!?…]+(?=\s|\Z)")
_QUOTATION_MARK = re.compile(r"[«»“”\"]")

_HEARSAY = compiled(
    r"\bparaît-il",
    r"\bà en croire\b",
    r"\bon en croit\b",
    r"\bcroit savoir\b",
    r"\b(?:rumeur|théorie|thèse|complot|internaute|adepte)s?\b",
    r"\bm'a (?:raconté|dit)\b",
    r"\b(?:selon|d'après) (?!moi|nous)",
)
# A noun of provision: what a bill, a plan, an agreement would do.
_PROVISION = (
    r"(?:textes?|projets? (?:de loi|de décret|d'ordonnance|de règlement|de directive|d'accord)|propositions?|lois?"
    r"|taxes?|amendements?|décrets?|ordonnances?|réformes?|directives?|règlements?|articles?|mesures?|dispositifs?|plans?|accords?"
    r"|traités?|conventions?|quotas?|arrêtés?|budgets?|clauses?|moratoires?)\b"
)
_DETERMINER = r"(?:l[ea]s? |l'|une? |d[eu]s? |ce(?:t|tte|s)? )?(?:futur\w* |nouve\w+ )?"


def _follows(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:\s+(?:bien|donc|plus|sans doute|\w+ment))*\s+(?:{words})\b", re.IGNORECASE)


_MODAL = re.compile(r"(?:pour|dev|voud|faud)r|(?:aim|souhait|préf[éè]r|désir|suffi|os)e?r")
_MODAL_PAST = re.compile(
    r"(?:-\w+)?(?:\s+[\w'-]+){0,2}?\s+(?:pu|dû|fallu|voulu|souhaité|aimé|préféré|suffi|valu|mieux valu)\b",
    re.IGNORECASE,
)
_ADVISABLE = _follows(
    "souhaitable|préférable|bon|mieux|utile|temps|dommage|sage|judicieux|nécessaire|(?:de |d')[a-zéê]+(?:er|ir|re)"
)


def _wish(use: _Use) -> bool:
    """Possibility, norm, wish, politeness, regret: "pourrait", "devrait", "aurait dû", "il serait temps"."""
    stem = use.verb.stem
    if _MODAL.fullmatch(stem) or (stem == "vaudr" and _follows("mieux").match(use.after)):
        return True
    if stem == "saur":
        return re.search(r"\bne \Z", use.before, re.IGNORECASE) is not None
    if stem == "ser":
        return _ADVISABLE.match(use.after) is not None or use.after.startswith("-ce que")
    return stem == "aur" and _MODAL_PAST.match(use.after) is not None


def _speaker(use: _Use) -> bool:
    """First or second person, or "je pense que": the speaker's own supposition, unless it is passed on."""
    mine = re.search(r"\b(?:je (?:pense|crois|suppose)|il me semble|à mon avis)\b", use.before, re.IGNORECASE)
    return (not use.verb.third or mine is not None) and not _HEARSAY.search(use.sentence)


_ASKING = re.compile(r"\b(?:pourquoi|comment|à quoi|que|qui|quel\w*)[ -]\Z", re.IGNORECASE)
_ASKED_ABOUT = re.compile(r"\bsavoir (?:si|quel|ce qu|comment|où|qui|pourquoi)", re.IGNORECASE)
_PRONOUN_AFTER = re.compile(r"-(?:t-)?(?:il|elle|on|ils|elles|je|nous|vous)\b", re.IGNORECASE)
_EXCLAIMING = re.compile(r"\b(?:on|se|s') ?\Z", re.IGNORECASE)


def _asked(use: _Use) -> bool:
    """A question, direct or not, or what "on dirait" and "on se croirait" say."""
    if "?" in use.mark or _ASKED_ABOUT.search(use.before):
        return True
    if _EXCLAIMING.search(use.before) and use.verb.stem in {"dir", "croir"}:
        return True
    return _ASKING.search(use.before) is not None and _PRONOUN_AFTER.match(use.after) is not None


_SI = re.compile(r"\b(?P<even>même )?(?:si|s'(?=ils?\b)) (?!l?'?on en croit|bien\b)|\bs'(?=ils?\b)", re.IGNORECASE)
_SUPPOSING = compiled(
    r"\ben cas (?:de\b|d'|où\b)",
    r"\b(?:au|dans le) cas où\b",
    r"\bà (?:supposer|condition|moins|défaut)\b",
    r"\bfaute d[e']",
    r"\b(?:quiconque|quand bien même|sinon|le cas échéant|en l'absence|sans quoi)\b",
    r"\b(?:hypothèse|sc[ée]nario)s?\b",
    r"\bdans (?:(?:le pire|le meilleur) des|un tel) cas\b|\bdans ce cas,",
    r"\bà ce (?:rythme|train)\b",
    r"\b(?:une?|de) tel(?:le|s|les)?\b",
    r"\b(?:intentions de vote|suffrages)\b",
    r"\bsuffirait\b",
)
# At the head of the sentence, or of what follows a colon: "Sans digue, …", "Supprimer l'aide toucherait …".
_SUPPOSING_FIRST = compiled(
    r"(?:.*[:;])?\W*(?:sans|avec) (?!surprise|doute|attendre)[^,]{2,80},(?!.*\bselon\b)",
    r"\W*(?!hier|premier|dernier)\w+(?:er|ir|dre|ttre|uire) "
    r"(?:l[ea]s? |l'|une? |d[eu]s? |d'|ce(?:t|tte|s)? |s(?:on|a|es) |aux? )[^,]*\Z",
)
_INVERTED = re.compile(r"\W*\w+rai(?:t|ent)-(?:t-)?(?:il|elle|on)s?\b[^,?]*,", re.IGNORECASE)


def _supposed(use: _Use) -> bool:
    """A hypothesis or its effect: "si … serait", "en cas de", "Sans digue, …", "une telle mesure"."""
    sentence = use.sentence
    for match in _SI.finditer(sentence):
        clause = sentence[match.end() :].split(",", 1)[0]
        # With a present, "si" may set one thing against another: "Si le maire nie, son adjoint aurait avoué."
        if has_imperfect(clause) or not (use.verb.past or match["even"]):
            return True
    return bool(_SUPPOSING.search(sentence) or _SUPPOSING_FIRST.match(use.before) or _INVERTED.match(sentence))


_SAYING = (
    "annonc|indiqu|déclar|affirm|assur|précis|expliqu|ajout|jur|espér|pens|imagin|ignor|décid|estim|confirm|rappel|propos"
    "|redout|demand|répét|martel|soulign|avertiss|garantiss|promett|prévoy|croy|sav|craign|préven|répond|juge|calcul|pari"
)
_SAID = (
    "annoncé|indiqué|déclaré|affirmé|assuré|précisé|expliqué|ajouté|juré|espéré|pensé|imaginé|ignoré|décidé|estimé|confirmé"
    "|rappelé|proposé|redouté|demandé|répété|martelé|souligné|averti|garanti|promis|prévu|cru|su|craint|prévenu|répondu"
    "|jugé|calculé|parié|dit|conclu|compris|fait savoir|laissé entendre|prédit|menacé|convenu|appris|écrit"
)
_TOLD_BEFORE = re.compile(
    rf"\b(?:(?:{_SAYING})(?:e?ai(?:t|ent|s)|a|èrent)\b|disai(?:t|ent|s)\b"
    rf"|(?:{HAVE}|s'est|est|était|étaient)\s(?:[\w'-]+\s){{0,3}}?(?:{_SAID})(?:es?|s)?\b"
    r"|vien(?:t|nent) de (?:dire|annoncer|déclarer|promettre|prévenir|faire savoir)\b"
    r"|(?:promesse|certitude|assurance|sachant|persuadée?s?|convaincue?s?|certaine?s?|sûre?s?)\b)[^.;?!]*?\b(?:que|qu'|si|s'ils?|quand|où|comment|combien)",
    re.IGNORECASE,
)


def _future_in_past(use: _Use) -> bool:
    """The future of a past verb of saying or thinking: "a dit qu'il viendrait"; not "a dit qu'il aurait fui"."""
    if use.verb.past:
        return False
    later = re.search(r"\b(?:an|jour|moi|semaine|heure)s? plus tard\b", use.before, re.IGNORECASE)
    return later is not None or _TOLD_BEFORE.search(use.before) is not None


_BILL = compiled(
    rf"\b(?:selon|d'après|aux termes|en vertu|dans le cadre) {_DETERMINER}{_PROVISION}",
    r"\bprévo(?:it|ient|yait|yaient)\b",
    r"\b(?:propos(?:e|ent|ait)|exig(?:e|ent|eait)) (?:[\w-]+ )?qu",
    r"\b(?:mise (?:sur pied|en place)|création|projet|idée) d[^,.;]*,? qui (?:ne |n'|se |s')?\Z",
)
_BILL_SUBJECT = re.compile(
    rf"(?:\A|[.,;:]|\bque |\bqu'|\bet )\W*{_DETERMINER}{_PROVISION}(?:(?!\b(?:qui|que|dont)\b)[^,;:])*\Z", re.IGNORECASE
)


def _provided(use: _Use) -> bool:
    """A provision: what a bill, a plan, a tax would bring."""
    return not use.verb.past and (_BILL.search(use.before) is not None or _BILL_SUBJECT.search(use.before) is not None)


_EFFECT = re.compile(
    r"permettr|(?:co[uû]t|oblig|forc|entra[iî]n|provoqu|engendr|caus|touch|affect|priv|aggrav|empêch|évit|facilit|favoris"
    r"|renforc|aid|remplac|doubl|tripl|signifi|apport|nécessit|incit|pouss|relanc|augment|baiss|diminu|amélior|bénéfici"
    r"|autoris|supprim|cré|instaur|impos|appliqu|mèn|men)er|(?:r?ouv|nu|rédu|condu|tradu|abouti|rédui|condui|nui|about)ir"
    r"|(?:rédui|condui|tradui|contraind|équivaud)r|(?:interdi|offri|rouvri|ouvri)r|mettr|disparaîtr|réglementer"
)
_PROVIDED = _follows(
    "la possibilité|le droit|le choix|l'obligation|pour (?:effet|conséquence)|des (?:effets|répercussions)"
    "|en (?:vigueur|application)|de \\S+ (?:\\w+ )?à"
)
_THIS = re.compile(
    r"\b(?:ce|cela|ça|ceci|ce qui|idéal|le mieux|solution|piste)"
    r" (?:n'|ne |lui |leur |y |en |nous )*\Z",
    re.IGNORECASE,
)


def _effect(use: _Use) -> bool:
    """What would follow: a verb of effect, or "cela", in the simple conditional."""
    if _THIS.search(use.before):
        return True
    return not use.verb.past and (
        _EFFECT.fullmatch(use.verb.stem) is not None or _PROVIDED.match(use.after) is not None
    )


_WHOEVER = re.compile(
    r"\b(?:ceux|celles?|celui|quiconque|tout\w* [\w-]+|(?:les|des|aux) personnes"
    r"|(?:aux|ses|leurs) (?-i:[a-zéêà][a-zéêèàçôû' -]{2,40}))"
    r",? qui (?:[nsly]'|ne |se |y |en |leur |lui |les? |la )*\Z",
    re.IGNORECASE,
)


def _whoever(use: _Use) -> bool:
    """A relative clause that leaves open whom it means: "ceux qui refuseraient", "tout salarié qui"."""
    return _WHOEVER.search(use.before) is not None


def _quoted_supposition(use: _Use) -> bool:
    """A simple conditional of somebody quoted, without a sign that it is passed on."""
    return use.quoted and not use.verb.past and not _HEARSAY.search(use.sentence)


REASONS: Mapping[str, Callable[[_Use], bool]] = {
    "wish": _wish,
    "speaker": _speaker,
    "question": _asked,
    "supposition": _supposed,
    "future in the past": _future_in_past,
    "provision": _provided,
    "effect": _effect,
    "whoever": _whoever,
    "quoted": _quoted_supposition,
}


def _uses(text: str, *, quotation: bool) -> Iterator[_Use]:
    verbs = list(find_conditionals(text))
    if not verbs:
        return
    quoted = _quoted(text, quotation=quotation)
    # One voice at a time: outside quotation marks what they hold is blank, inside them what stands around.
    voices = {side: "".join(c if q is side else " " for c, q in zip(text, quoted, strict=True)) for side in set(quoted)}
    for verb in verbs:
        here, inside = verb.span, quoted[verb.span.start]
        voice = voices[inside]
        start, end, mark = max(0, here.start - _REACH), min(len(text), here.end + _REACH), ""
        heads = [found.end() for found in _SENTENCE_MARK.finditer(voice, start, here.start)]
        if inside:
            heads += [found.end() for found in _QUOTATION_MARK.finditer(text, start, here.start)]
        start = max(heads, default=start)
        if (ending := _SENTENCE_MARK.search(voice, here.end, end)) is not None:
            end, mark = ending.start(), ending[0]
        yield _Use(
            verb=verb,
            form=voice[here.start : here.end],
            before=voice[start : here.start],
            after=voice[here.end : end],
            mark=mark,
            quoted=inside,
        )


def _quoted(text: str, *, quotation: bool) -> list[bool]:
    """Say of each character whether it is quoted; quotation marks themselves are not.

    A quotation without any mark is quoted throughout; one whose first mark closes began before the segment.
    """
    first = _QUOTATION_MARK.search(text)
    inside = quotation if first is None else first[0] in "»”"
    quoted = []
    for character in text:
        mark = character in '«»“”"'
        if mark:
            inside = character in "«“" or (character == '"' and not inside)
        quoted.append(inside and not mark)
    return quoted


def judge_conditionals(text: str, *, quotation: bool) -> Iterator[tuple[Span, str | None]]:
    """Yield each conditional of a segment with the reason why it is not hearsay, None where it is.

    Apostrophes and spaces of ``text`` are plain ones; ``quotation`` says that the segment is one.
    """
    for use in _uses(text, quotation=quotation):
        yield use.verb.span, next((name for name, holds in REASONS.items() if holds(use)), None)
