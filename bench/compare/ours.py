"""Our engine: the `ptsm` command on the same weights and inputs."""

import json
import pathlib
import subprocess
from typing import Any

import numpy
from safetensors.numpy import load_file

from remote import NotRun


class Ptsm:
    """A `ptsm` binary. Each call is a process; `bench` warms up and times inside it."""

    def __init__(self, binary: pathlib.Path):
        self.binary = binary

    def call(self, *arguments: str) -> str:
        """What the command prints; its own words if it refuses."""
        result = subprocess.run([self.binary, *arguments], capture_output=True, text=True)
        if result.returncode != 0:
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
            raise NotRun(next((line for line in lines if "error" in line), lines[-1]))
        return result.stdout

    def version(self) -> str:
        """Such as `0.1.0`."""
        return self.call("--version").split()[-1]

    def answer(self, folder: pathlib.Path) -> None:
        """Writes what the others are compared with: forecasts of the first windows by the path that
        `bench` times, and their loss by the definition of the model."""
        model = ("--model", str(folder / "model"))
        text = self.call("predict", *model, "--data", str(folder / "windows.csv"), "--json")
        forecasts = [forecast["values"] for forecast in json.loads(text)["forecasts"]]
        numpy.save(folder / "our-forecasts.npy", numpy.array(forecasts))
        files = ("--inputs", str(folder / "loss.safetensors"), "--outputs", str(folder / "trace"))
        self.call("trace", *model, *files)
        loss = float(load_file(folder / "trace")["out.loss"].item())
        content = {"loss": loss, "windows": len(forecasts)}
        (folder / "our-loss.json").write_text(json.dumps(content))

    def bench(
        self, folder: pathlib.Path, threads: int, batches: list[int], seconds: float, train: bool
    ) -> dict[str, Any]:
        """The report of `ptsm bench`, or of `ptsm bench --train`."""
        arguments = ["bench", "--json", "--quiet", "--model", str(folder / "model")]
        arguments += ["--threads", str(threads), "--seconds", str(seconds)]
        arguments += ["--batch", ",".join(str(batch) for batch in batches)]
        try:
            return json.loads(self.call(*arguments, *(["--train"] if train else [])))
        except NotRun as error:
            if train and "'--train'" in str(error):
                raise NotRun("this ptsm has no bench --train") from None
            raise
