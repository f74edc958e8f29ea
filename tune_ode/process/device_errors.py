"""Recognize failed allocations and broken devices, which libraries report in many wordings."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

_NO_MEMORY = re.compile(
    r"""
    out[ _]?of[ _]?(?:(?:device|host|gpu)[ _]?)?memory  # CUDA, HIP, XPU, MPS; hipErrorOutOfMemory
    | alloc\w*[ _]?fail  # CUBLAS_STATUS_ALLOC_FAILED, DEVICE_ALLOCATION_FAILED
    | cudaErrorMemoryAllocation | status_memory_error | status_insufficient_resources
    | \b(?:UR|PI|ZE|CL)_\w*out_of_resources  # SYCL; CUDA means a kernel that is too large
    | unable\ to\ find\ (?:an\ engine|a\ valid\ cudnn\ algorithm)  # no workspace left for cuDNN
    | NVML_SUCCESS\ ==\ r  # the allocator of torch, while it composes its message
    | alloc_cpu\.cpp | (?:can['’]?t|cannot|could\ not|unable\ to|failed\ to)\ allocate
    | not\ enough\ memory | bad[ _]alloc
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DEVICE_ERROR = re.compile(
    r"""
    \b(?:CUDA|HIP|XPU|MPS|cuDNN|cuBLAS|NCCL|NVRTC|MIOpen)(?:\ \w+)?\ error
    | (?:cuda|hip|miopen)(?:Error|Status)[A-Z] | CUDA_ERROR_
    | \b(?:cu|hip|roc)\w+_status_ | \b(?:UR|PI|ZE|CL)_\w*ERROR_
    | device-side\ assert | illegal\ memory\ access | unspecified\ launch\ failure
    """,
    re.IGNORECASE | re.VERBOSE,
)


def find_memory_error(error: BaseException) -> BaseException | None:
    """Return the error or its cause that is a failed allocation, on a device or the host."""
    return next(filter(_is_out_of_memory, _causes(error)), None)


def is_device_error(error: BaseException) -> bool:
    """Return whether a device failed other than by a lack of memory.

    Most errors of CUDA persist: every later call of the process fails too.
    """
    import torch

    return find_memory_error(error) is None and any(
        isinstance(one, torch.AcceleratorError)
        or (isinstance(one, RuntimeError) and _DEVICE_ERROR.search(str(one)))
        for one in _causes(error)
    )


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    libraries = isinstance(error, RuntimeError | OSError | ImportError)
    return libraries and _NO_MEMORY.search(str(error)) is not None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
