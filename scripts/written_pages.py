"""Pages written from a seed, as long and as varied as news pages are: what measuring runs on.

Imported by profile_engine.py and benchmark.py. Lengths follow the labelled pages of labels/: 26 segments a page in the
middle, from 3 to 120, unless another middle is asked for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from annotator.records import Article

_WHO = (
    "La mairie de Brest", "Le conseil régional", "Une association de parents", "La préfecture maritime", "Un élu local",
    "Le syndicat des pêcheurs", "Mme Castain", "Le procureur", "L'Agence de l'eau", "La coopérative", "Un habitant",
)  # fmt: skip
_DID = (
    "a annoncé", "a démenti", "prévoit de revoir", "a reporté", "examine", "a voté", "s'inquiète de", "a salué",
    "dénonce", "a inauguré jeudi", "refuse de commenter", "attend depuis trois ans",
)  # fmt: skip
_WHAT = (
    "la fermeture du pont", "un nouveau tarif des transports", "le plan des digues", "l'achat de deux bacs",
    "une enquête sur la qualité de l'eau", "la hausse des loyers", "le départ du directeur", "un budget en baisse",
    "la construction d'un lycée au bord du canal", "les horaires de la criée",
)  # fmt: skip
_TAIL = (
    ", selon un communiqué publié dans la soirée", ", d'après les chiffres du ministère",
    " malgré les réserves du jury",
    ", ce qui, à l'évidence, ne trompe personne", ", a-t-on appris mardi", " pour la deuxième année de suite",
    ", sans attendre la fin de la consultation", "", ", a-t-elle ajouté",
)  # fmt: skip
_FURNITURE = (
    "Lire aussi : La criée change d'horaires", "Partager cet article", "Par la rédaction", "Publié à 18 h 04",
    "© Le Courrier de la Baie, tous droits réservés", "Abonnez-vous à notre lettre", "Photo d'archives",
)  # fmt: skip


def pages(count: int, seed: int = 0, *, middle: int = 26) -> Iterator[Article]:
    """Yield ``count`` pages of ``middle`` segments in the middle, lazily; the same seed gives the same pages."""
    draw = random.Random(seed)
    for number in range(count):
        lines = [f"{draw.choice(_WHO)} {draw.choice(_DID)} {draw.choice(_WHAT)}"]
        title = lines[0]
        segments = min(120, max(3, round(draw.lognormvariate(math.log(middle), 0.6))))
        while segments > 0:
            if draw.random() < 0.25:
                lines.append(draw.choice(_FURNITURE))
                segments -= 1
                continue
            size = draw.randint(1, 5)
            lines.append(" ".join(_sentence(draw) for _ in range(size)))
            segments -= size
        yield Article(article_id=f"written-{seed}-{number}", text="\n\n".join(lines), title=title)


def _sentence(draw: random.Random) -> str:
    said = f"{draw.choice(_WHO)} {draw.choice(_DID)} {draw.choice(_WHAT)}"
    if draw.random() < 0.2:
        return f"« {said} », {draw.choice(('a déclaré le maire', 'assure-t-elle', 'a dit un témoin'))}."
    return f"{said}{draw.choice(_TAIL)}{draw.choice(_TAIL)}, au numéro {draw.randrange(900)}."
