"""What the figures were measured on, and with what."""

import importlib.metadata
import os
import pathlib
import platform
import shutil

PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "openvino", "numpy")


def field(path: str, name: str) -> str:
    """The first `name : value` of a file under /proc; empty if there is none."""
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def describe() -> dict[str, object]:
    """Processor, cores, vector instructions and memory; no names of hosts."""
    flags = field("/proc/cpuinfo", "flags").split()
    vectors = [name for name in ("avx512f", "avx512_bf16", "avx2", "fma") if name in flags]
    memory = field("/proc/meminfo", "MemTotal").split()
    return {
        "cpu": field("/proc/cpuinfo", "model name") or platform.processor(),
        "family_model": f"{field('/proc/cpuinfo', 'cpu family')}/{field('/proc/cpuinfo', 'model')}",
        "cores": os.cpu_count(),
        "vector_instructions": vectors,
        "memory_gib": round(int(memory[0]) / 2**20, 1) if memory else None,
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Of Python and of every package that takes part."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def load() -> list[float]:
    """Load average over 1, 5 and 15 minutes."""
    return [round(x, 2) for x in os.getloadavg()]


def has_cpp_compiler() -> bool:
    """Whether `torch.compile` can build what it writes."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++") if name)
