"""The worked case of calibration."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import metrics


def test_the_known_calibration(known_cases, monkeypatch):
    """NLL, Brier score, and calibration error over five bins that hold their upper edge."""
    case = known_cases["calibration"]
    monkeypatch.setattr(metrics, "CALIBRATION_BINS", 5)
    found = metrics.test_metrics("classification", np.log(case["p"]), case["y"])
    assert found["test_nll"] == pytest.approx(case["nll"], abs=1e-6)
    assert found["test_brier"] == pytest.approx(case["brier"], abs=1e-9)
    assert found["test_ece"] == pytest.approx(case["ece_5_bins_right_closed"], abs=1e-9)
