"""What every benchmark writes down: what it measured, and how"""
import json, sys
from datetime import date
from pathlib import Path

from anime_vq_nb.runs import git_commit, hardware


def write_record(path, **measured):
    "Write a record as JSON: the command, when and on what it ran, and what it measured"
    how = dict(command="python " + " ".join(sys.argv), commit=git_commit(), date=date.today().isoformat())
    record = how | dict(hardware=hardware()) | measured
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {path}")
