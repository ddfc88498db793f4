"""Kill `annotator score` with SIGKILL at random moments, resume it, and compare the shards byte by byte.

python scripts/trial_resume.py [--moments 20] [--seed 0] [--kills 2] [--pages 60]

Each trial kills the run up to `--kills` times before it lets it end: after a drawn number of shards and
a drawn pause. Pages are written here, from a seed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VERBS = ("a annoncé", "a démenti", "prévoit", "a reporté", "examine", "a voté")
WHO = ("La mairie", "Le conseil", "Une association", "Le port", "La préfecture", "Un syndicat")
WHAT = ("la fermeture du pont", "un nouveau tarif", "le plan des digues", "l'achat de deux bacs", "une enquête")
SAYS = ("selon le préfet", "d'après un rapport", "a-t-on appris jeudi", "« sans attendre », dit-elle")


def write_inputs(folder: Path, pages: int, draw: random.Random) -> None:
    """Write two files of records and some single pages; some texts stand twice, one line is broken."""
    texts = [
        "\n".join(
            " ".join([*map(draw.choice, (WHO, VERBS, WHAT)), f"numéro {draw.randrange(99)},", draw.choice(SAYS)]) + "."
            for _ in range(draw.randint(2, 12))
        )
        for _ in range(pages)
    ]
    for name, part in (("a.jsonl", texts[: pages // 2]), ("b.jsonl", [*texts[pages // 2 :], *texts[::9]])):
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in part]
        lines.insert(3, "{broken")
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    for number in range(5):
        (folder / f"c{number}.txt").write_text(texts[number] + f"\nPage {number}.", encoding="utf-8")


def result(folder: Path) -> dict[str, bytes]:
    """Return what a run leaves: the shards, the manifest and the list of failures."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def shards(folder: Path) -> int:
    """Count the shards in a folder."""
    return sum(1 for _ in folder.glob("0*"))


def main() -> int:
    """Print a line a trial; exit 1 when one differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    different = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "in").mkdir()
        write_inputs(work / "in", args.pages, draw)

        def command(out: Path) -> list[str]:
            options = ["-o", str(out), "--shard-size", "4", "--dedupe", "--resume"]
            return [sys.executable, "-c", "from annotator.cli import main; main()", "score", str(work / "in"), *options]

        subprocess.run(command(work / "whole"), stderr=subprocess.DEVNULL, check=False)
        whole = result(work / "whole")
        times = sorted(path.stat().st_mtime for path in (work / "whole").glob("0*"))
        pause = (times[-1] - times[0]) / (len(times) - 1)  # from shard to shard
        for trial in range(args.moments):
            out, kills = work / f"out{trial}", []
            for _ in range(draw.randint(1, args.kills)):
                with subprocess.Popen(command(out), stderr=subprocess.DEVNULL) as process:
                    seen = draw.randrange(len(times))
                    while process.poll() is None and shards(out) < seen:
                        time.sleep(0.002)
                    time.sleep(draw.uniform(0, 2 * pause))
                    if process.poll() is None:
                        process.kill()
                        process.wait()
                        kills.append(shards(out))
            subprocess.run(command(out), stderr=subprocess.DEVNULL, check=False)
            same = result(out) == whole
            different += not same
            print(f"trial {trial}: killed after {kills} shards: {'same' if same else 'DIFFERENT'}", flush=True)
    print(f"{len(whole)} files, {args.moments} trials, {different} differences")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
