#!/usr/bin/env python3
"""Slow clients by the hundred (slowhttptest) against a running server, and polls beside them.

    python3 tests/attack/slow.py [target/release/countersign] [CONNECTIONS]

Prints a Markdown table, and fails when the server refuses a poll, when slowhttptest finds it closed,
or when a slow connection outlives its deadline. Needs the Debian package slowhttptest, and Linux.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

BINARY = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/release/countersign")
CONNECTIONS = sys.argv[2] if len(sys.argv) > 2 else "200"
SECONDS = 30
# What a deadline may be overrun by: the moment that early answers linger, and how often we look.
SLACK_S = 1.5
POLL = "/v1/organizations/verification"
# Name, options, and the deadline in seconds that docs/limits.md promises.
ATTACKS = [
    ("slow header", ["-H", "-i", "2", "-u", POLL], 5),
    ("slow body", ["-B", "-i", "2", "-s", "8192", "-t", "POST", "-u", "/webhooks/sumsub"], 10),
    ("slow read", ["-X", "-k", "10", "-w", "256", "-y", "512", "-n", "2", "-z", "32",
                   "-u", "/v1/openapi.json"], 30),
]


class Server:
    def __init__(self, directory):
        self.environment = {
            "PATH": os.environ["PATH"],
            "COUNTERSIGN_DATABASE": os.path.join(directory, "register.db"),
            "COUNTERSIGN_SUMSUB_URL": "http://127.0.0.1:9",
            "COUNTERSIGN_SUMSUB_APP_TOKEN": "sbx:app.token",
            "COUNTERSIGN_SUMSUB_SECRET_KEY": "secret-key",
            "COUNTERSIGN_SUMSUB_WEBHOOK_SECRET": "webhook-secret",
            "COUNTERSIGN_SUMSUB_LEVEL_BUSINESS": "kyb-level",
            "COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL": "kyc-level",
            "COUNTERSIGN_REQUESTS_PER_SECOND": "1000000",
            "COUNTERSIGN_REQUESTS_BURST": "1000000",
            "COUNTERSIGN_ORGANIZATION_RATE": "0",
            "COUNTERSIGN_CONNECTIONS_PER_PEER_MAX": "1024",
        }
        broker = self.run("org", "create", "--name", "Broker", "--type", "BUSINESS")
        self.customer = self.run(
            "org", "create", "--name", "Acme", "--type", "BUSINESS", "--created-by", broker)
        self.key = self.run("key", "create", "--org", broker, "--name", "attack")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", "127.0.0.1:0"],
            env=self.environment, stderr=subprocess.PIPE, text=True)
        self.address = re.search(r"http://(\S+)", self.process.stderr.readline())[1]

    def run(self, *arguments):
        done = subprocess.run([BINARY, *arguments], env=self.environment, check=True,
                              capture_output=True, text=True)
        return done.stdout.strip()

    def sockets(self):
        """The kernel's numbers of the sockets that the process holds."""
        held = set()
        folder = f"/proc/{self.process.pid}/fd"
        for name in os.listdir(folder):
            try:
                target = os.readlink(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            if target.startswith("socket:"):
                held.add(target)
        return held


class Watch(threading.Thread):
    """Runs `look` every so often until it is stopped."""

    def __init__(self, look, pause_s):
        super().__init__(daemon=True)
        self.look, self.pause_s, self.done = look, pause_s, threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.done.wait(self.pause_s):
                self.look()
        except Exception as error:  # told by stop
            self.error = error

    def stop(self):
        self.done.set()
        self.join()
        if self.error:
            raise self.error


def polls(server):
    """Polls on one connection, another one each hundredth time; the times in milliseconds."""
    headers = {"Authorization": f"Bearer {server.key}", "Nxos-On-Behalf-Of": server.customer}
    times, connection = [], [None]

    def look():
        if len(times) % 100 == 0:
            connection[0] = http.client.HTTPConnection(server.address, timeout=20)
        begun = time.perf_counter()
        connection[0].request("GET", POLL, headers=headers)
        answer = connection[0].getresponse()
        body = json.loads(answer.read())
        times.append((time.perf_counter() - begun) * 1000)
        assert (answer.status, body["status"]) == (200, "NOT_STARTED"), (answer.status, body)

    watch = Watch(look, 0.002)
    watch.start()
    return watch, times


def lifetimes(server):
    """How long every socket that comes after this call is held, in seconds."""
    before, first, last = server.sockets(), {}, {}

    def look():
        now = time.monotonic()
        for it in server.sockets() - before:
            first.setdefault(it, now)
            last[it] = now

    watch = Watch(look, 0.1)
    watch.start()
    return watch, lambda: sorted(last[it] - first[it] for it in first)


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def measured(server, work):
    watch, times = polls(server)
    work()
    watch.stop()
    return len(times), percentile(times, 0.5), percentile(times, 0.99), max(times)


def main():
    failures = []
    with tempfile.TemporaryDirectory() as directory:
        server = Server(directory)
        try:
            def row(name, work, held):
                count, middle, high, worst = measured(server, work)
                print(f"| {name} | {count} | {middle:.2f} | {high:.2f} | {worst:.1f} | {held()} |",
                      flush=True)

            print("| attack | polls beside it | p50 ms | p99 ms | slowest ms | slow connections: "
                  "held, longest, deadline |\n|---|---|---|---|---|---|")
            row("none", lambda: time.sleep(10), lambda: "")
            for name, options, deadline_s in ATTACKS:
                watch, held = lifetimes(server)
                told = []

                def attack():
                    run = subprocess.run(
                        ["slowhttptest", *options[:-1], f"http://{server.address}{options[-1]}",
                         "-c", CONNECTIONS, "-r", CONNECTIONS, "-l", str(SECONDS), "-p", "5"],
                        capture_output=True, text=True, check=False)
                    told.append(re.sub(r"\x1b\[[0-9;]*m", "", run.stdout))
                    # The last connection's deadline may lie behind the end of the attack.
                    time.sleep(deadline_s / 2)

                def told_lifetimes():
                    watch.stop()
                    # The poller's own connections live as long as it likes.
                    slow = held()
                    return f"{len(slow)}, {slow[-1]:.1f} s, {deadline_s} s"

                row(name, attack, told_lifetimes)
                longest = held()[-1]
                if longest > deadline_s + SLACK_S:
                    failures.append(f"{name}: a connection was held for {longest:.1f} s")
                if re.search(r"service available:\s+NO", told[0]):
                    failures.append(f"{name}: slowhttptest found the service unavailable")
                time.sleep(1)
        finally:
            server.process.terminate()
            code = server.process.wait()
    if code != 0:
        failures.append(f"the server ended with {code}")
    for it in failures:
        print(it, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
