"""A chat completion API over real HTTP that answers as a test tells it to."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]}


@contextmanager
def server(respond, models=MODELS):
    """A server on a free port; respond(request body, headers) -> (status, JSON, or a text as it is).

    Yields (url, bodies received).
    """
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append(body)
            self.reply(*respond(body, self.headers))

        def do_GET(self):
            self.reply(200, models)

        def reply(self, status, content):
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if data.startswith(b"<") else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True, args=(0.02,)).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1", received
    finally:
        http.shutdown()
        http.server_close()
