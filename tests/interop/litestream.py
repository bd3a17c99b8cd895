"""Litestream, as published, replicates the register of a server under load: no request fails, nothing
that was acknowledged is missing from the replica, the replica is proven, backups go on beside it, and
`restore` refuses while it runs.

Usage: litestream.py PATH-OF-COUNTERSIGN PATH-OF-LITESTREAM [SECONDS]; `.ci/run` does it.
"""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

COUNTERSIGN, LITESTREAM = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 5.0
WRITERS = 4
directory = tempfile.TemporaryDirectory()
REGISTER = os.path.join(directory.name, "register.db")
REPLICA = f"file://{directory.name}/replica"
ENVIRONMENT = {
    "COUNTERSIGN_DATABASE": REGISTER,
    "COUNTERSIGN_LISTEN": "127.0.0.1:0",
    "COUNTERSIGN_REQUESTS_PER_SECOND": "0",
    "COUNTERSIGN_ORGANIZATION_RATE": "0",
    "COUNTERSIGN_SUMSUB_APP_TOKEN": "sbx:token",
    "COUNTERSIGN_SUMSUB_SECRET_KEY": "secret",
    "COUNTERSIGN_SUMSUB_WEBHOOK_SECRET": "secret",
    "COUNTERSIGN_SUMSUB_LEVEL_BUSINESS": "kyb-level",
    "COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL": "kyc-level",
}


def run(*arguments):
    ran = subprocess.run([COUNTERSIGN, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout.strip(), ran.stderr.strip()


def operator(*arguments):
    code, out, error = run(*arguments)
    if code:
        sys.exit(f"{arguments}: {error}")
    return out


def promise(holds, words):
    if not holds:
        sys.exit(f"FAILED: {words}")
    print(f"ok: {words}")


broker = operator("org", "create", "--name", "Broker", "--type", "BUSINESS")
key = operator("key", "create", "--org", broker, "--name", "load")
log = open(os.path.join(directory.name, "log"), "w+")
server = subprocess.Popen([COUNTERSIGN, "serve"], env=ENVIRONMENT, stderr=log)
while " serves " not in open(log.name).read():
    time.sleep(0.05)
url = next(it for it in open(log.name).read().split() if it.startswith("http://"))
litestream = subprocess.Popen([LITESTREAM, "replicate", REGISTER, REPLICA],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    def write(until):
        ids = []
        while time.monotonic() < until:
            request = urllib.request.Request(
                f"{url}/v1/organizations",
                data=json.dumps({"name": "Acme", "type": "BUSINESS"}).encode(),
                headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                ids.append(json.load(answer)["organizationId"])
        return ids

    until = time.monotonic() + SECONDS
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, until) for _ in range(WRITERS)]
        backup = json.loads(operator("backup", os.path.join(directory.name, "copy.db"), "--json"))
        acknowledged = [it for writer in writers for it in writer.result()]
    promise(acknowledged, f"{len(acknowledged)} writes, each acknowledged, none refused")
    promise(backup["good"], f"a backup beside it, proven ({backup['organizations']} organizations)")

    server.send_signal(signal.SIGKILL)
    server.wait()
    code, _, error = run("restore", backup["path"], "--force")
    promise(code == 5 and "open in another process" in error, "restore refuses while it replicates")
    litestream.send_signal(signal.SIGINT)
    litestream.wait()
    replica = os.path.join(directory.name, "replica.db")
    subprocess.run([LITESTREAM, "restore", "-o", replica, REPLICA], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    proven = json.loads(operator("verify", replica, "--json"))
    promise(proven["good"] and proven["organizations"] == len(acknowledged) + 1,
            "the replica is proven, and holds every acknowledged write")
    promise(json.loads(operator("restore", replica, "--json"))["lost"] == [],
            "the replica restores without a loss")
finally:
    for process in (server, litestream):
        if process.poll() is None:
            process.kill()
            process.wait()
