from typing import Any

def devices() -> list[dict[str, str | int]]: ...
def architectures() -> list[int]: ...  # 90: compute capability 9.0
def driver_version() -> int: ...  # 13000 of CUDA 13.0; 0 without a driver
def runtime_version() -> int: ...
def device() -> Any: ...  # for _core.bring_gpu
