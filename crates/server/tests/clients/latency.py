"""p50 and p99 of one window over loopback, by JSON, binary tensors, gRPC and CSV: python latency.py [URL] [MODEL] [N].

Wants pip install 'tritonclient[http,grpc]'. Beside each stands the time that the server itself says it computed.
"""

import http.client
import json
import sys
import time
from urllib.parse import urlparse

import numpy as np
import tritonclient.grpc as grpc

from windows import arguments, describe, windows

URL, MODEL = arguments()
HOST = urlparse(URL).netloc
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 500


def timed(name, call, compute=None):
    for _ in range(50):
        call()
    times = []
    for _ in range(COUNT):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1e3)
    p50, p99 = np.percentile(times, [50, 99])
    inside = f", compute {np.median(compute):.3f} ms" if compute else ""
    print(f"{name:12} p50 {p50:.3f} ms, p99 {p99:.3f} ms{inside}")


def http_call(path, body, headers):
    connection = http.client.HTTPConnection(HOST)
    compute = []

    def call():
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        timing = answer.getheader("Server-Timing")
        compute.append(float(timing.rsplit("=", 1)[1]))

    return call, compute


def main():
    values = np.nan_to_num(windows(describe(URL, MODEL), 1), nan=20.0)
    path = f"/v2/models/{MODEL}/infer"
    tensor = {"name": "past_values", "datatype": "FP32", "shape": list(values.shape)}
    body = json.dumps({"inputs": [{**tensor, "data": values.ravel().tolist()}]})
    call, compute = http_call(path, body, {"Content-Type": "application/json"})
    timed("JSON", call, compute)
    blob = values.tobytes()
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(blob)}}],
                       "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    call, compute = http_call(path, head + blob, headers)
    timed("binary", call, compute)
    client = grpc.InferenceServerClient(HOST)
    tensor = grpc.InferInput("past_values", values.shape, "FP32")
    tensor.set_data_from_numpy(values)
    timed("gRPC", lambda: client.infer(MODEL, [tensor]))


main()
