"""A stock pyarrow client that does what its standard input says, a JSON object a line, and answers the same way.

    {"do": "load", "file": F}                      read an Arrow stream into memory
    {"do": "put", "port": P, "table": T, "ephemeral": bool, "times": N}
    {"do": "get", "port": P, "table": T, "streams": S, "times": N}

The answer holds the seconds of the calls alone, and the rows that were moved.
"""

import json
import sys
import threading
import time

import pyarrow as pa
import pyarrow.flight as flight

table = None


def load(request):
    global table
    with pa.OSFile(request["file"]) as source:
        batches = list(pa.ipc.open_stream(source))
    table = (batches[0].schema, batches)
    return {"rows": sum(b.num_rows for b in batches)}


def put(request):
    schema, batches = table
    client = flight.connect(f"grpc://127.0.0.1:{request['port']}")
    if request["ephemeral"]:
        command = json.dumps({"path": request["table"], "durability": "ephemeral"})
        descriptor = flight.FlightDescriptor.for_command(command)
    else:
        descriptor = flight.FlightDescriptor.for_path(request["table"])
    begin = time.perf_counter()
    for _ in range(request["times"]):
        writer, _reader = client.do_put(descriptor, schema)
        for batch in batches:
            writer.write_batch(batch)
        writer.close()
    seconds = time.perf_counter() - begin
    client.close()
    return {"seconds": seconds, "rows": request["times"] * sum(b.num_rows for b in batches)}


def get(request):
    totals = []

    def stream():
        client = flight.connect(f"grpc://127.0.0.1:{request['port']}")
        rows = 0
        for _ in range(request["times"]):
            for chunk in client.do_get(flight.Ticket(request["table"].encode())):
                if chunk.data is not None:
                    rows += chunk.data.num_rows
        totals.append(rows)
        client.close()

    threads = [threading.Thread(target=stream) for _ in range(request["streams"])]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    if len(totals) != request["streams"]:
        raise RuntimeError("a stream failed")
    return {"seconds": seconds, "rows": sum(totals)}


for line in sys.stdin:
    request = json.loads(line)
    answer = {"load": load, "put": put, "get": get}[request["do"]](request)
    print(json.dumps(answer), flush=True)
