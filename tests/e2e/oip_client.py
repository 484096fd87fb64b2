"""Speaks Open Inference Protocol v2 to a running service the way the common Python client does: tensors binary behind a
JSON header by default, answers read by Inference-Header-Content-Length, errors from body["error"].

    python3 tests/e2e/oip_client.py HOST:PORT MODEL SEQUENCE_MODEL ROWS.json

ROWS.json: lines of `dltrigger features --rows --json` that passed.  Prints what went wrong; exit status 1 if anything."""
import http.client
import json
import struct
import sys

address, model, sequence_model, rows_file = sys.argv[1:5]
wrong = []


def call(method, path, body=b"", headers=None):
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), data


def expect(what, got, want):
    if got != want:
        wrong.append(f"{what}: {got!r}, expected {want!r}")


def tensors(headers, data):
    """Outputs by name as lists of numbers, from JSON or from binary behind it."""
    n = int(headers.get("inference-header-content-length", len(data)))
    answer, at, out = json.loads(data[:n]), n, {}
    for o in answer["outputs"]:
        size = o.get("parameters", {}).get("binary_data_size")
        if size is None:
            flat = o["data"]
        else:
            code, width = {"FP32": ("f", 4), "BOOL": ("?", 1), "UINT64": ("Q", 8)}[o["datatype"]]
            flat = list(struct.unpack(f"<{size // width}{code}", data[at:at + size]))
            at += size
        count = 1
        for d in o["shape"]:
            count *= d
        expect(f"numbers of {o['name']}", len(flat), count)
        out[o["name"]] = flat
    expect("bytes of the answer", at, len(data))
    return answer, out


def flat32(values):
    return struct.pack(f"<{len(values)}f", *values)


def as_binary(inputs, outputs=None, more=None):
    """Body and headers as the client sends them: inputs = [(name, shape, numbers)]."""
    header = {"id": "1:2:3", "inputs": [{"name": n, "shape": s, "datatype": "FP32",
                                         "parameters": {"binary_data_size": 4 * len(v)}} for n, s, v in inputs]}
    if outputs is None:
        header["parameters"] = {"binary_data_output": True}
    else:
        header["outputs"] = [{"name": n, "parameters": {"binary_data": b}} for n, b in outputs]
    header.update(more or {})
    text = json.dumps(header).encode()
    return text + b"".join(flat32(v) for _, _, v in inputs), {"Inference-Header-Content-Length": str(len(text)),
                                                               "Content-Type": "application/octet-stream"}


def as_json(inputs, outputs=None, more=None):
    body = {"inputs": [{"name": n, "shape": s, "datatype": "FP32", "data": v} for n, s, v in inputs]}
    if outputs is not None:
        body["outputs"] = [{"name": n} for n, _ in outputs]
    body.update(more or {})
    return json.dumps(body).encode(), {"Content-Type": "application/json"}


# ---- server, model, repository -------------------------------------------------------------------------------------
status, _, data = call("GET", "/v2")
expect("server metadata", (status, json.loads(data)["name"]), (200, "dltrigger"))
for path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{model}/ready", f"/v2/models/{model}/versions/1/ready"):
    expect(path, call("GET", path)[0], 200)
meta = json.loads(call("GET", f"/v2/models/{model}")[2])
expect("model inputs", [(i["name"], i["datatype"], i["shape"]) for i in meta["inputs"]], [("hlf", "FP32", [-1, 14])])
expect("model outputs", [o["name"] for o in meta["outputs"]], ["probabilities", "accept", "path_bits"])
expect("versions", meta["versions"][0], "1")
sequence = json.loads(call("GET", f"/v2/models/{sequence_model}")[2])
expect("sequence inputs", [(i["name"], i["shape"]) for i in sequence["inputs"]],
       [("hlf", [-1, 14]), ("particles", [-1, 801, 19])])
config = json.loads(call("GET", f"/v2/models/{model}/config")[2])
expect("config", config["input"][0], {"name": "hlf", "data_type": "TYPE_FP32", "dims": [14]})
index = json.loads(call("POST", "/v2/repository/index")[2])
expect("index", sorted({m["name"] for m in index}), sorted({model, sequence_model}))
expect("load", call("POST", f"/v2/repository/models/{model}/load", b"{}")[0], 200)
expect("unload of what the menu uses", call("POST", f"/v2/repository/models/{model}/unload", b"{}")[0], 409)
expect("unload", call("POST", f"/v2/repository/models/{sequence_model}/unload", b"{}")[0], 200)

# ---- infer: binary and JSON in, no outputs named, one binary, two JSON; with and without a version --------------------
events = [json.loads(line) for line in open(rows_file)]
hlf = [x for e in events for x in e["hlf"]]
shape = [len(events), 14]
reference = None
for version in ("", "/versions/1", "/versions/champion"):
    for form in (as_binary, as_json):
        for outputs in (None, [("probabilities", True)], [("accept", False), ("path_bits", False)]):
            body, headers = form([("hlf", shape, hlf)], outputs)
            status, answered, data = call("POST", f"/v2/models/{model}{version}/infer", body, headers)
            what = f"infer {version} {form.__name__} {outputs}"
            expect(what, status, 200)
            if status != 200:
                wrong.append(str(data))
                continue
            answer, got = tensors(answered, data)
            expect(what + " version", answer["model_version"], "1")
            expect(what + " outputs", sorted(got), sorted(n for n, _ in outputs) if outputs else
                   ["accept", "path_bits", "probabilities"])
            if "probabilities" in got:
                reference = reference or got["probabilities"]
                expect(what + " numbers", got["probabilities"], reference)
            if "accept" in got:
                expect(what + " bits", [bool(b & 1) or bool(b & 2) for b in got["path_bits"]],
                       [bool(a) for a in got["accept"]])
for i in range(len(events)):
    expect("a row adds up to 1", abs(sum(reference[3 * i:3 * i + 3]) - 1) < 1e-5, True)

# The same scores as the trigger's own endpoint gives.
for i, event in enumerate(events):
    status, _, data = call("POST", "/api/v1/trigger/decisions", json.dumps(
        {"schema": "hlf/1", "hlf": event["hlf"], "options": {"model": f"{model}@1"}}).encode())
    scores = json.loads(data)["scores"]
    expect("as the trigger scores", [struct.pack("<f", s) for s in scores.values()],
           [struct.pack("<f", s) for s in reference[3 * i:3 * i + 3]])

# Particles: raw rows, zeros behind the last.
particles = [x for e in events for x in
             ([v for row in e["rows"] for v in row] + [0.0] * (19 * (801 - len(e["rows"]))))]
for form in (as_binary, as_json):
    body, headers = form([("hlf", shape, hlf), ("particles", [len(events), 801, 19], particles)])
    status, answered, data = call("POST", f"/v2/models/{sequence_model}/infer", body, headers)
    expect(f"particles {form.__name__}", status, 200)
    got = tensors(answered, data)[1]
    expect("no menu path: probabilities only", list(got), ["probabilities"])
    for i in range(len(events)):
        expect("a row adds up to 1", abs(sum(got["probabilities"][3 * i:3 * i + 3]) - 1) < 1e-5, True)

stats = json.loads(call("GET", f"/v2/models/{model}/stats")[2])["model_stats"][0]
expect("inferences are counted", (stats["inference_stats"]["success"]["count"], stats["inference_count"]),
       (18, 18 * len(events)))

# ---- what is wrong is said in body["error"] ----------------------------------------------------------------------------
one = hlf[:14]
bad = {
    "no such model": (404, "/v2/models/none/infer", as_json([("hlf", [1, 14], one)])),
    "no such version": (404, f"/v2/models/{model}/versions/99/infer", as_json([("hlf", [1, 14], one)])),
    "not JSON": (400, f"/v2/models/{model}/infer", (b"{", {})),
    "no inputs": (422, f"/v2/models/{model}/infer", (b"{}", {})),
    "another input": (422, f"/v2/models/{model}/infer", as_json([("x", [1, 14], one)])),
    "another shape": (422, f"/v2/models/{model}/infer", as_json([("hlf", [1, 13], one[:13])])),
    "too few numbers": (422, f"/v2/models/{model}/infer", as_json([("hlf", [2, 14], one)])),
    "a shape beyond memory": (422, f"/v2/models/{model}/infer", as_json([("hlf", [2 ** 60, 14], one)])),
    "another output": (422, f"/v2/models/{model}/infer", as_json([("hlf", [1, 14], one)], [("x", False)])),
    "no particles": (422, f"/v2/models/{sequence_model}/infer", as_json([("hlf", [1, 14], one)])),
    "shared memory": (501, f"/v2/models/{model}/infer", (json.dumps({"inputs": [
        {"name": "hlf", "shape": [1, 14], "datatype": "FP32",
         "parameters": {"shared_memory_region": "r"}}]}).encode(), {})),
    "a timeout": (504, f"/v2/models/{model}/infer",
                  as_json([("hlf", [1, 14], one)], None, {"parameters": {"timeout": 1}})),
}
body, headers = as_binary([("hlf", [1, 14], one)])
bad["header beyond the body"] = (400, f"/v2/models/{model}/infer",
                                 (body, {"Inference-Header-Content-Length": str(len(body) + 1)}))
bad["header no number"] = (400, f"/v2/models/{model}/infer", (body, {"Inference-Header-Content-Length": "x"}))
bad["bytes behind"] = (400, f"/v2/models/{model}/infer", (body + b"\0", headers))
bad["bytes missing"] = (422, f"/v2/models/{model}/infer", (body[:-1], headers))
for what, (want, path, (body, headers)) in bad.items():
    status, _, data = call("POST", path, body, headers)
    expect(what, status, want)
    try:
        expect(what + " has an error text", isinstance(json.loads(data)["error"], str), True)
    except (ValueError, KeyError):
        wrong.append(f"{what}: no body['error']: {data[:200]!r}")

print("\n".join(wrong) if wrong else "oip: ok")
sys.exit(1 if wrong else 0)
