from typing import Any

def devices() -> list[dict[str, str | int]]: ...
def architectures() -> list[int]: ...  # 90: compute capability 9.0
def driver_version() -> int: ...  # 13000 of CUDA 13.0; 0 without a driver
def runtime_version() -> int: ...
def open_cublaslt(path: str) -> None: ...  # RuntimeError: what is wrong; the first one stays
def cublaslt_version() -> int: ...  # 130002 of 13.0.2; 0: none was opened
def cublaslt_products() -> int: ...  # that it was given so far
def set_cublaslt_size(multiply_adds: int) -> None: ...  # from which it is given them; for tests
def device() -> Any: ...  # for _core.bring_gpu
