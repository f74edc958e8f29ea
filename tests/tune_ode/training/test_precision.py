"""IEEE single precision, whatever a process has set."""

import pytest
import torch

from tune_ode.training.precision import _SETTINGS, ieee_fp32, uses_tf32

CPU = torch.device("cpu")


@pytest.fixture
def restored_settings():
    before = [setting.fp32_precision for setting in _SETTINGS]
    yield
    for setting, value in zip(_SETTINGS, before, strict=True):
        setting.fp32_precision = value


@pytest.mark.parametrize("failing", [False, True])
def test_a_block_computes_in_ieee_fp32_and_restores_the_settings(restored_settings, failing):
    for setting in (torch.backends.cudnn.conv, torch.backends.cuda.matmul):
        setting.fp32_precision = "tf32"
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    before = [setting.fp32_precision for setting in _SETTINGS]
    images, filters = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    exact = torch.conv2d(images, filters)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), ieee_fp32(CPU):
            assert {setting.fp32_precision for setting in _SETTINGS} == {"ieee"}
            torch.testing.assert_close(torch.conv2d(images, filters), exact, rtol=1e-6, atol=1e-6)
            if failing:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert [setting.fp32_precision for setting in _SETTINGS] == before


def test_tf32_needs_a_gpu_that_has_it(restored_settings, monkeypatch):
    assert uses_tf32(CPU) is None
    gpu = torch.device("cuda")
    for capability, allowed, expected in (((7, 5), "tf32", False), ((9, 0), "tf32", True),
                                          ((9, 0), "ieee", False)):  # fmt: skip
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        torch.backends.cudnn.conv.fp32_precision = allowed
        assert uses_tf32(gpu) is expected
