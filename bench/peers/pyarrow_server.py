"""The peer in C++: a stock pyarrow Flight server that keeps the tables that are put in memory."""

import pyarrow.flight as flight


class Server(flight.FlightServerBase):
    def __init__(self):
        super().__init__("grpc://127.0.0.1:0")
        self.tables = {}

    def do_put(self, context, descriptor, reader, writer):
        self.tables[b"/".join(descriptor.path)] = reader.read_all()

    def do_get(self, context, ticket):
        return flight.RecordBatchStream(self.tables[ticket.ticket])


server = Server()
print(server.port, flush=True)
server.serve()
