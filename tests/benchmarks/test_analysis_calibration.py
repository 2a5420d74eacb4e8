"""The worked case of calibration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import metrics

SHARED = Path(__file__).parents[3] / "shared"


def test_the_known_calibration(monkeypatch):
    """NLL, Brier score, and calibration error over five bins that hold their upper edge."""
    path = SHARED / "stats_cases.json"
    if not path.exists():
        pytest.skip(f"the known answers are not there: {path}")
    case = json.loads(path.read_text(encoding="utf-8"))["calibration"]
    monkeypatch.setattr(metrics, "CALIBRATION_BINS", 5)
    found = metrics.test_metrics("classification", np.log(case["p"]), case["y"])
    assert found["test_nll"] == pytest.approx(case["nll"], abs=1e-6)
    assert found["test_brier"] == pytest.approx(case["brier"], abs=1e-9)
    assert found["test_ece"] == pytest.approx(case["ece_5_bins_right_closed"], abs=1e-9)
