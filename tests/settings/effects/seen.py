"""What a run left and what was noted while it went: what an entry can look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from rlhf.runs.jsonl import read_jsonl
from tests.settings.effects.spies import Notes


@dataclass(frozen=True)
class Seen:
    """A finished run of a stage.

    Args:
        stage: its name.
        desk: the folder that everything it wrote is in; `run.root` of the baseline is desk/runs.
        said: what it printed.
        notes: what the spies saw.
    """

    stage: str
    desk: Path
    said: str
    notes: Notes

    @property
    def root(self) -> Path:
        return self.desk / "runs"

    @property
    def folder(self) -> Path:
        return self.root / self.stage

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return found

    @property
    def provenance(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "provenance.json").read_text())
        return found

    @property
    def samples(self) -> list[dict[str, Any]]:
        return read_jsonl(self.folder / "samples.jsonl")

    def metrics(self, name: str) -> list[Any]:
        """The values of a metric, one a row that has it."""
        return [row[name] for row in read_jsonl(self.folder / "metrics.jsonl") if name in row]

    def steps_of(self, name: str) -> list[int]:
        """The steps whose rows have a metric."""
        return [row["step"] for row in read_jsonl(self.folder / "metrics.jsonl") if name in row]

    @property
    def weights(self) -> dict[str, list[float]]:
        """The saved weights, adapters included."""
        return {name: tensor.float().flatten().tolist() for name, tensor in self.tensors.items()}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The saved weights as tensors."""
        files = sorted(self.folder.glob("*.safetensors"))
        return {name: tensor for file in files for name, tensor in load_file(file).items()}

    @property
    def dtypes(self) -> set[str]:
        """The types of the saved weights."""
        tensors = load_file(self.folder / "model.safetensors").values()
        return {str(tensor.dtype).removeprefix("torch.") for tensor in tensors}

    def read(self, name: str) -> str:
        """A text file of the run's folder."""
        return (self.folder / name).read_text(encoding="utf-8")
