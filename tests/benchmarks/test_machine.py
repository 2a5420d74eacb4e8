"""What is noted of the machine that a run was trained on."""

import pytest

from benchmarks.execution.machine import machine_facts


@pytest.mark.parametrize(
    ("gpus", "visible", "expected"),
    [
        ([], None, None),
        (["H100"], None, "NVIDIA H100"),
        (["L4", "H100", "H100"], "0,1", "NVIDIA H100, NVIDIA L4"),
        (["H100"], "", None),
        (["H100"], "-1", None),
    ],
)
def test_gpus_are_facts_of_a_machine(gpus, visible, expected, tmp_path, monkeypatch):
    """The models of the GPUs that can be used are noted; without any, the facts are those of the processor alone."""
    for number, model in enumerate(gpus):
        (tmp_path / f"0000:{number}b:00.0").mkdir()
        text = f"Model: \t\t NVIDIA {model}\nIRQ:   \t\t 123\nGPU UUID: \t GPU-{number}\n"
        (tmp_path / f"0000:{number}b:00.0" / "information").write_text(text)
    monkeypatch.setattr("benchmarks.execution.machine._NVIDIA_GPUS", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine_facts().get("gpu") == expected
