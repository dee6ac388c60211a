"""The other end of `worker.py`: one engine in a process of its own."""

import json
import pathlib
import selectors
import subprocess
import sys
from typing import Any

HERE = pathlib.Path(__file__).parent


class NotRun(Exception):
    """Why an engine has no figures; the table says it."""


class Remote:
    """A worker process that answers lines; it sleeps between them."""

    def __init__(self, task: str, engine: str, folder: pathlib.Path, threads: int):
        self.engine, self.threads = engine, threads
        command = [sys.executable, str(HERE / "worker.py"), task, engine, str(folder), str(threads)]
        self.log = open(folder / f"{task}-{engine}-{threads}.log", "w")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log
        )

    def ask(self, limit: float, **line: Any) -> dict[str, Any]:
        """Sends a line and waits for its answer, so many seconds at most."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise NotRun("its process ended") from None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(limit):
                self.close()
                raise NotRun(f"no answer within {limit:.0f} s")
        text = self.process.stdout.readline()
        if not text:
            raise NotRun("its process ended")
        answer = json.loads(text)
        if "error" in answer:
            raise NotRun(answer["error"])
        return answer

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        self.log.close()
