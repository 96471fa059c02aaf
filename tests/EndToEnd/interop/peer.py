"""The peer of the gRPC interop tests in Python (grpcio).

peer.py server [CERT KEY]           prints 'listening PORT', serves until stdin ends
peer.py client HOST:PORT [CA]       runs every scenario against a server; prints 'ok NAME' or 'FAILED NAME: why' each
"""
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

SERVICE = "bellwether.test.Echo"
DETAILS = bytes([8, 3, 18, 3, 0xFF, 0, 0x7F])
LARGE = bytes(i * 31 % 256 for i in range(3_000_000))
TEXT = "100 % voll: schöne Grüße\n"


def serve(cert=None, key=None):
    def unary(request, context):
        return request

    def bidi(requests, context):
        for request in requests:
            yield request

    def fail(request, context):
        code, text = request.value.decode().split(" ", 1)
        context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
        context.abort(next(c for c in grpc.StatusCode if c.value[0] == int(code)), text)

    def hang(requests, context):
        done = threading.Event()
        # False: the call was over before its handler began; nothing would ever set the event, and a worker would be gone.
        if context.add_callback(done.set):
            done.wait(60)
        return iter(())

    def fail_mid_stream(requests, context):
        yield BytesValue(value=b"one")
        yield BytesValue(value=b"two")
        context.abort(grpc.StatusCode.DATA_LOSS, "lost")

    def metadata(request, context):
        got = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-text", got["x-text"]), ("x-bytes-bin", got["x-bytes-bin"])))
        return BytesValue(value=(got["x-text"] + "/" + got["x-bytes-bin"].hex().upper()).encode())

    def answer_first(requests, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")
        yield BytesValue()

    forms = dict(request_deserializer=BytesValue.FromString, response_serializer=BytesValue.SerializeToString)
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary, **forms),
        "Fail": grpc.unary_unary_rpc_method_handler(fail, **forms),
        "Metadata": grpc.unary_unary_rpc_method_handler(metadata, **forms),
        "Bidi": grpc.stream_stream_rpc_method_handler(bidi, **forms),
        "Hang": grpc.stream_stream_rpc_method_handler(hang, **forms),
        "FailMidStream": grpc.stream_stream_rpc_method_handler(fail_mid_stream, **forms),
        "AnswerFirst": grpc.stream_stream_rpc_method_handler(answer_first, **forms),
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if cert:
        pair = (open(key, "rb").read(), open(cert, "rb").read())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials((pair,)))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("listening", port, flush=True)
    sys.stdin.read()
    server.stop(None)


class Client:
    def __init__(self, address, ca=None):
        if ca:
            credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
            self.channel = grpc.secure_channel(address, credentials)
        else:
            self.channel = grpc.insecure_channel(address)

    def method(self, kind, name):
        make = getattr(self.channel, kind)
        return make(f"/{SERVICE}/{name}", request_serializer=BytesValue.SerializeToString, response_deserializer=BytesValue.FromString)

    def unary(self):
        assert self.method("unary_unary", "Unary")(BytesValue(value=b"abc"), timeout=120).value == b"abc"

    def large(self):
        assert self.method("unary_unary", "Unary")(BytesValue(value=LARGE), timeout=120).value == LARGE

    def bidi(self):
        sent = [BytesValue(value=bytes([i]) * i * 100) for i in range(100)]
        got = list(self.method("stream_stream", "Bidi")(iter(sent), timeout=120))
        assert [g.value for g in got] == [s.value for s in sent]

    def error_with_details(self):
        e = self.refused(lambda: self.method("unary_unary", "Fail")(BytesValue(value=("8 " + TEXT).encode()), timeout=120))
        assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and e.details() == TEXT, (e.code(), e.details())
        assert dict(e.trailing_metadata())["grpc-status-details-bin"] == DETAILS

    def deadline(self):
        e = self.refused(lambda: list(self.method("stream_stream", "Hang")(iter(()), timeout=0.2)))
        assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED, e.code()

    def cancel(self):
        for _ in range(20):
            call = self.method("stream_stream", "Hang")(iter(()), timeout=120)
            threading.Timer(0.02, call.cancel).start()
            e = self.refused(lambda: list(call))
            assert e.code() == grpc.StatusCode.CANCELLED, e.code()

    def unknown_method(self):
        e = self.refused(lambda: self.method("unary_unary", "Nothing")(BytesValue(), timeout=120))
        assert e.code() == grpc.StatusCode.UNIMPLEMENTED, e.code()

    def fail_mid_stream(self):
        call = self.method("stream_stream", "FailMidStream")(iter(()), timeout=120)
        got = []
        e = self.refused(lambda: [got.append(m.value) for m in call])
        assert got == [b"one", b"two"] and e.code() == grpc.StatusCode.DATA_LOSS and e.details() == "lost", (got, e)

    def answer_first(self):
        for _ in range(30):
            requests = (BytesValue(value=LARGE[:40_000]) for _ in range(20))
            e = self.refused(lambda: list(self.method("stream_stream", "AnswerFirst")(requests, timeout=120)))
            assert e.code() == grpc.StatusCode.FAILED_PRECONDITION, (e.code(), e.details())

    def metadata(self):
        sent = (("x-text", "some text"), ("x-bytes-bin", bytes([0, 255, 1, 2])))
        response, call = self.method("unary_unary", "Metadata").with_call(BytesValue(), metadata=sent, timeout=120)
        assert response.value == b"some text/00FF0102", response
        assert dict(call.trailing_metadata())["x-bytes-bin"] == bytes([0, 255, 1, 2])

    def compression_is_refused(self):
        e = self.refused(lambda: self.method("unary_unary", "Unary")(BytesValue(value=b"a" * 10_000), compression=grpc.Compression.Gzip, timeout=120))
        assert e.code() == grpc.StatusCode.UNIMPLEMENTED, e.code()

    @staticmethod
    def refused(call):
        try:
            call()
        except grpc.RpcError as e:
            return e
        raise AssertionError("it succeeded")

    SCENARIOS = ["unary", "large", "bidi", "error_with_details", "deadline", "cancel", "unknown_method", "fail_mid_stream", "answer_first", "metadata", "compression_is_refused"]


def main():
    if sys.argv[1] == "server":
        serve(*sys.argv[2:])
        return
    client = Client(*sys.argv[2:])
    for name in Client.SCENARIOS:
        try:
            getattr(client, name)()
            print("ok", name, flush=True)
        except Exception as e:  # every scenario is to be told
            print(f"FAILED {name}: {e!r}", flush=True)


main()
