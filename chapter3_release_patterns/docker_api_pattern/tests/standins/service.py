"""What stands in for the service where a test is about releases alone: it starts in a tenth of the time.

`/ready` answers with RELEASE. With FAULT=refuses it ends at once, with FAULT=unready it answers 503.
"""

import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if os.environ.get("FAULT") == "unready" else 200)
        self.end_headers()
        self.wfile.write(os.environ["RELEASE"].encode())


if __name__ == "__main__":
    if os.environ.get("FAULT") == "refuses":
        sys.exit("Cannot start: it was told so.")
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
