"""The libraries `standardwebhooks` and `svix`, as published, accept what `countersign serve` sends,
also during a rotation, and refuse what was tampered with.

Usage: webhooks.py PATH-OF-COUNTERSIGN. Needs requirements.txt on PYTHONPATH; `.ci/run` does both.
"""

import http.server
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.request

import standardwebhooks
import svix.webhooks

PATIENCE_S = 30
COUNTERSIGN = os.path.abspath(sys.argv[1])
directory = tempfile.TemporaryDirectory()
ENVIRONMENT = {
    "COUNTERSIGN_WEBHOOK_ALLOW": "127.0.0.1",
    "COUNTERSIGN_DATABASE": os.path.join(directory.name, "register.db"),
    "COUNTERSIGN_SUMSUB_APP_TOKEN": "sbx:token",
    "COUNTERSIGN_SUMSUB_SECRET_KEY": "secret",
    "COUNTERSIGN_SUMSUB_WEBHOOK_SECRET": "secret",
    "COUNTERSIGN_SUMSUB_LEVEL_BUSINESS": "kyb-level",
    "COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL": "kyc-level",
}
arrived = queue.Queue()
passed = 0


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        arrived.put((dict(self.headers.items()), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def operator(*arguments):
    ran = subprocess.run([COUNTERSIGN, *arguments], env=ENVIRONMENT, capture_output=True, check=False)
    if ran.returncode:
        sys.exit(f"{arguments}: {ran.stderr.decode()}")
    return ran.stdout.decode().strip()


def made(*arguments):
    return json.loads(operator(*arguments, "--json"))


def decide(what):
    operator("verification", what, customer, "--reason", "because")
    return arrived.get(timeout=PATIENCE_S)


def call(method, path):
    request = urllib.request.Request(
        url + path, method=method, headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def check(what, holds):
    global passed
    if not holds:
        sys.exit(f"FAILED: {what}")
    passed += 1
    print(f"ok: {what}")


def accepts(library, secret, headers, body):
    """Each library sees only its own headers, as if the others had never been sent."""
    prefix, webhook, error = {
        "standardwebhooks": (
            "webhook-", standardwebhooks.Webhook, standardwebhooks.WebhookVerificationError
        ),
        "svix": ("svix-", svix.webhooks.Webhook, svix.webhooks.WebhookVerificationError),
    }[library]
    own = {name: it for name, it in headers.items() if name.lower().startswith(prefix)}
    try:
        read = webhook(secret).verify(body, own)
    except error:
        return False
    # One of the two answers the parsed body, in some versions nothing.
    return read is None or read == json.loads(body)


receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
broker = made("org", "create", "--name", "Broker Ltd.", "--type", "BUSINESS")["organizationId"]
customer = made(
    "org", "create", "--name", "Acme", "--type", "BUSINESS", "--created-by", broker
)["organizationId"]
key = operator("key", "create", "--org", broker, "--name", "test")
endpoint = made(
    "webhook", "create", "--org", broker, "--url", f"http://127.0.0.1:{receiver.server_port}/hook"
)["id"]
server = subprocess.Popen(
    [COUNTERSIGN, "serve", "--listen", "127.0.0.1:0"], env=ENVIRONMENT, stderr=subprocess.PIPE
)
try:
    told = server.stderr.readline().decode()
    url = next(it for it in told.split() if it.startswith("http://"))
    threading.Thread(target=server.stderr.read, daemon=True).start()
    first = call("GET", f"/v1/webhooks/endpoints/{endpoint}/secret")["secret"]

    before = decide("hold")
    call("POST", f"/v1/webhooks/endpoints/{endpoint}/secret/rotate")
    second = call("GET", f"/v1/webhooks/endpoints/{endpoint}/secret")["secret"]
    during = decide("approve")

    check("a rotation makes another secret", first != second)
    for library in ("standardwebhooks", "svix"):
        headers, body = before
        check(f"{library} accepts a delivery", accepts(library, first, headers, body))
        check(f"{library} refuses another secret", not accepts(library, second, headers, body))
        tampered = body.replace(b"ON_HOLD", b"APPROVED")
        check("the tampered body is another one", tampered != body)
        check(f"{library} refuses a tampered body", not accepts(library, first, headers, tampered))
        for part in ("id", "timestamp"):
            name = next(
                it for it in headers
                if it.lower() == ("svix-" if library == "svix" else "webhook-") + part
            )
            forged = {**headers, name: headers[name][:-1] + ("1" if headers[name][-1] != "1" else "2")}
            check(f"{library} refuses a forged {part}", not accepts(library, first, forged, body))
        headers, body = during
        check(f"{library} accepts the old secret in a rotation", accepts(library, first, headers, body))
        check(f"{library} accepts the new secret in a rotation", accepts(library, second, headers, body))
        tampered = body.replace(b"APPROVED", b"REJECTED")
        check(f"{library} refuses tampering in a rotation", not accepts(library, second, headers, tampered))
finally:
    server.terminate()
    server.wait(timeout=PATIENCE_S)
    directory.cleanup()
print(f"{passed} passed, 0 failed")
