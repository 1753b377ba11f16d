"""Proves that a refactoring changed nothing: small runs whose every number is compared with a stored record.

    python tools/same.py                     compare configs/smoke.yaml and configs/chaos.yaml with tools/same.json
    python tools/same.py --config chaos      only one of them
    python tools/same.py --record            store the numbers of today, after a change that alters them on purpose

Bit-equal floating point needs the same kind of processor, so there is a record for each kind. On one that has none,
record with the code before the change, then compare with the code after it.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tools" / "same.json"
CONFIGS = ("smoke", "chaos")
# Keys of a round record that name the run, or measure it.
VARYING = ("run_id", "tracking_id", "timings", "trained_ahead_s", "cpu_s")
# What an optimiser fits (source weights, shares of wrong annotations, and what follows from them) differs in
# the last digits between two runs of one code: numpy's sums depend on where an array lies in memory.
TOLERANCE = 1e-5


def processor() -> str:
    """The vector extensions that torch's kernels are chosen by."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def rounds_of(config: str, folder: Path) -> list[dict]:
    """Run a configuration from its beginning and return its round records without what varies.

    Args:
        config: name of a file in configs/, without its suffix.
        folder: where the run and its corpus are written.

    Raises:
        RuntimeError: the run failed; the message has the end of its output.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from orchestrator.cli import main; main()",
            "run",
            str(ROOT / "configs" / f"{config}.yaml"),
            "--run-dir",
            str(folder / "run"),
            "--set",
            f"corpus.data_dir={folder / 'data'}",
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"configs/{config}.yaml failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    records = [json.loads(path.read_text()) for path in sorted((folder / "run" / "rounds").glob("*.json"))]
    return [{key: value for key, value in record.items() if key not in VARYING} for record in records]


def differences(found: object, expected: object, where: str = "") -> list[str]:
    """Every place where two JSON values differ, in words; metrics may differ by `TOLERANCE`."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return [
            line
            for key in sorted({*found, *expected})
            for line in differences(
                found.get(key, "absent"), expected.get(key, "absent"), f"{where}.{key}" if where else key
            )
        ]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [
            line
            for index, (one, other) in enumerate(zip(found, expected, strict=True))
            for line in differences(one, other, f"{where}[{index}]")
        ]
    if isinstance(found, float) and isinstance(expected, float) and ".metrics." in where:
        return [] if math.isclose(found, expected, rel_tol=TOLERANCE) else [f"{where}: {found} instead of {expected}"]
    return [] if found == expected else [f"{where}: {found} instead of {expected}"]


def main() -> int:
    """Run, then record or compare; the exit status is 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, action="append", help="which to run; default both")
    parser.add_argument("--record", action="store_true", help="store what the code of today gives")
    arguments = parser.parse_args()
    stored = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    rounds_here = stored.setdefault(processor(), {})
    if not arguments.record and not rounds_here:
        print(
            f"{RECORD} was made on {', '.join(set(stored) - {processor()})}, this machine has {processor()}: floating "
            "point differs. Record what the code of before gives (--record), then compare."
        )
        return 1
    lines = []
    for config in arguments.config or CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            rounds = rounds_of(config, Path(folder))
        if arguments.record:
            rounds_here[config] = rounds
        lines += differences(rounds, rounds_here.get(config), config)
    if arguments.record:
        RECORD.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
        print(f"recorded in {RECORD}")
        return 0
    print("\n".join(lines) or "the same: weights, corpus digests and counts bit for bit, metrics within 1e-5")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
