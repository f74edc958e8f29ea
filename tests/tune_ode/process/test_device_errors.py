"""Failed allocations and broken devices are recognized in every wording."""

import errno

import pytest
import torch

from tune_ode.errors import RunFolderError
from tune_ode.process.device_errors import find_memory_error, is_device_error

NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has …"),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be …"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate`"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("HIP error: out of memory"),
    RuntimeError("HIP error: hipErrorOutOfMemory"),
    RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
    RuntimeError("rocBLAS: rocblas_status_memory_error"),
    RuntimeError("miopenStatusAllocFailed"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)"),
    RuntimeError("XPU out of memory. Tried to allocate 1.00 GiB"),
    RuntimeError("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
    RuntimeError("Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES)"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 36028797018963968 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory"),
    RuntimeError("unable to mmap 4096 bytes from file <x>: Cannot allocate memory (12)"),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
    MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    ImportError("libx.so: failed to map segment: Cannot allocate memory"),
]
BROKEN = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: too many resources requested for launch"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(…)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_MAPPING_ERROR"),
    RuntimeError("CUDA driver error: device not ready"),
    RuntimeError("HIP error: invalid device function"),
    RuntimeError("UR error: UR_RESULT_ERROR_DEVICE_LOST"),
]
OTHER = [
    ValueError("the CUDA error: out of memory of a user's own type"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"),
    RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu"),
    RuntimeError("out of resource: shared memory, Required: 106496, Hardware limit: 101376"),
    OSError(errno.ENOSPC, "No space left on device"),
    ZeroDivisionError(),
]


@pytest.mark.parametrize(
    ("errors", "memory", "device"),
    [(NO_MEMORY, True, False), (BROKEN, False, True), (OTHER, False, False)],
    ids=["no memory", "broken device", "other"],
)
def test_each_wording_is_recognized_directly_and_as_a_cause(errors, memory, device):
    for error in errors:
        wrapped = RunFolderError("cannot be read")
        wrapped.__cause__ = error
        for found in (error, wrapped):
            assert find_memory_error(found) is (error if memory else None), error
            assert is_device_error(found) is device, error


def test_a_handled_error_is_not_the_cause_of_a_later_one():
    later = ValueError("a bug")
    later.__context__ = MemoryError()
    assert find_memory_error(later) is None
