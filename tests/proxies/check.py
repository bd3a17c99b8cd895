"""What only a proxy in front can get wrong: whose request it is, how long it may take, how large it may be."""

import concurrent.futures
import hashlib
import hmac
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from proxy import free_port, in_front_of

BINARY, PROXY, PLACE = sys.argv[1:]
TRUST = ssl.create_default_context(cafile=Path(PLACE) / "cert.pem")
passed = 0


def says(promise, holds, seen=None):
    global passed
    assert holds, f"{promise}: {seen}"
    passed += 1
    print(f"ok  {promise}")


class Client:
    def __init__(self, port, source="127.0.0.1"):
        self.port, self.source = port, source

    def connect(self):
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=60, context=TRUST, source_address=(self.source, 0))

    def call(self, method, path, body=None, connection=None, **headers):
        own = connection or self.connect()
        own.request(method, path, body, {name.replace("_", "-"): it for name, it in headers.items()})
        answer = own.getresponse()
        content = answer.read()
        if not connection:
            own.close()
        return answer.status, dict(answer.getheaders()), content


def main():
    with tempfile.TemporaryDirectory() as directory:
        port, server_port, simulator_port, control_port = (free_port() for _ in range(4))
        simulator = subprocess.Popen(
            [BINARY, "simulator", "--kind", "--port", str(simulator_port), "--control-port", str(control_port),
             "--webhook", f"http://127.0.0.1:{server_port}/webhooks/sumsub"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        processes = [simulator]
        try:
            settings = dict(simulator.stdout.readline().strip().removeprefix("export ").split("=", 1) for _ in range(6))
            settings |= {
                "COUNTERSIGN_DATABASE": f"{directory}/register.db",
                "COUNTERSIGN_LISTEN": f"127.0.0.1:{server_port}",
                "COUNTERSIGN_TRUSTED_PROXIES": "127.0.0.1",
                "COUNTERSIGN_CONNECTIONS_PER_PEER_MAX": "2048",
                "COUNTERSIGN_PUBLIC_URL": f"https://localhost:{port}",
            }
            environment = {"PATH": os.environ["PATH"], **settings}
            server = subprocess.Popen([BINARY, "serve"], env=environment, stderr=subprocess.PIPE, text=True)
            processes.append(server)
            while "serves" not in server.stderr.readline():
                assert server.poll() is None

            def operator(*arguments):
                done = subprocess.run([BINARY, *arguments], env=environment, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                return done.stdout.strip()

            broker = operator("org", "create", "--name", "Broker", "--type", "BUSINESS")
            key = operator("key", "create", "--org", broker, "--name", "first")
            with in_front_of(f"127.0.0.1:{server_port}", PROXY, PLACE, port):
                token = check(port, key, settings["COUNTERSIGN_SUMSUB_WEBHOOK_SECRET"], operator)
                visit(port, token)
                visit_from_elsewhere(port, token)
                server.terminate()
                server.wait(timeout=30)
                says("without a server the proxy answers 502", visit(port, token) == 502)
                # nginx cannot mask its error log, and our pages send no referrer.
                if PROXY == "caddy":
                    visit_from_elsewhere(port, token)
                check_logs(Path(PLACE) / f"{PROXY}-{port}", token)
        finally:
            for it in processes:
                it.terminate()
                it.wait(timeout=30)
    print(f"{PROXY}: {passed} promises hold")


def check(port, key, webhook_secret, operator):
    client = Client(port)
    bearer = {"Authorization": f"Bearer {key}"}
    posted = {**bearer, "Content-Type": "application/json"}
    status, _, body = client.call("POST", "/v1/organizations", json.dumps({"name": "Acme", "type": "BUSINESS"}), **posted)
    says("a customer is created", status in (200, 201), body)
    acting = {**bearer, "Nxos-On-Behalf-Of": json.loads(body)["organizationId"]}
    status, _, body = client.call("POST", "/v1/organizations/verification", **acting)
    url = json.loads(body)["url"]
    says("the customer's link is the proxy's address", url.startswith(f"https://localhost:{port}/h/"), url)
    status, headers, page = client.call("GET", url.removeprefix(f"https://localhost:{port}"))
    says("the customer's page comes through with its policy", status == 200 and b"<html" in page.lower()
         and "Content-Security-Policy" in {it.title() for it in headers}, headers)

    status, headers, _ = client.call("GET", "/v1/organizations/verification", **acting)
    tag = next(it for name, it in headers.items() if name.lower() == "etag")
    began = time.monotonic()
    status, _, _ = client.call("GET", "/v1/organizations/verification", Prefer="wait=10", If_None_Match=tag, **acting)
    says("a client waits as long as it wants", status == 304 and time.monotonic() - began > 9, status)

    def wait(_):
        return client.call("GET", "/v1/organizations/verification", Prefer="wait=30", If_None_Match=tag, **acting)

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(wait, it) for it in range(50)]
        time.sleep(0.5)
        operator("verification", "hold", acting["Nxos-On-Behalf-Of"], "--reason", "a hit on a list")
        answers = [it.result() for it in waiting]
    says("fifty that wait are told at once", all(it[0] == 200 and b"ON_HOLD" in it[2] for it in answers),
         [it[0] for it in answers])

    status, _, _ = client.call("POST", "/v1/organizations", "x" * 70_000, **posted)
    says("a body past our limit is refused by us", status == 413, status)
    payload = json.dumps({"type": "applicantUnheardOf", "filler": "x" * 1_000_000}).encode()
    digest = hmac.new(webhook_secret.encode(), payload, hashlib.sha256).hexdigest()
    status, _, body = client.call("POST", "/webhooks/sumsub", payload, X_Payload_Digest=digest,
                                  X_Payload_Digest_Alg="HMAC_SHA256_HEX")
    says("a webhook of almost 1 MiB arrives byte for byte", status == 200, body)
    for method, path, expected in [("HEAD", "/healthz", 200), ("DELETE", "/healthz", 405), ("GET", "/nothing", 404)]:
        status, _, _ = client.call(method, path)
        says(f"{method} {path} is {expected}", status == expected, status)

    def polls(_):
        own = client.connect()
        return [client.call("GET", "/v1/organizations/verification", connection=own, **acting)[0] for _ in range(100)]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        seen = [it for answers in pool.map(polls, range(16)) for it in answers]
    # More than a thousand polls are over the key's burst: those are told so, and nothing else happens.
    says("1,600 polls on 16 connections have no 502", set(seen) <= {200, 429} and seen.count(200) >= 1000, set(seen))
    time.sleep(6)
    statuses = {client.call("GET", "/healthz")[0] for _ in range(20)}
    says("after a pause longer than our idle limit either", statuses == {200}, statuses)

    stranger, claims = Client(port, "127.0.0.2"), [
        {}, {"X-Forwarded-For": "192.0.2.7"}, {"Forwarded": "for=192.0.2.8"},
        {"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.9"}]
    wrong = {"Authorization": "Bearer nxos_sk_test_" + "x" * 32}
    for number in range(70):
        last, _, _ = stranger.call("GET", "/v1/organizations", **wrong, **claims[number % len(claims)])
    says("who guesses keys is told to stop, whatever address it claims", last == 429, last)
    status, _, _ = Client(port, "127.0.0.3").call("GET", "/v1/organizations", **wrong)
    says("and another client is not", status == 401, status)
    return url.rsplit("/", 1)[1]


def visit(port, token):
    """Opens a link in every way in which its address may get into a log; the last status."""
    client, link = Client(port, "127.0.0.4"), f"/h/{token}"
    for path in [link, f"{link}/status?stage=sign", f"{link}/receipt.json", f"{link}.", f"{link}%29", f"{link}/",
                 f"/h/{token.upper()}", f"/H/{token.upper()}", f"/%68/{token}", f"/h%2F{token}", f"//h/{token}",
                 f"/h/x/{token}", f"/h/x/{token}/status", f"{link}/sign"]:
        for method in ["GET", "HEAD"]:
            client.call(method, path)
    return client.call("POST", f"{link}/sign", "name=", Content_Type="application/x-www-form-urlencoded")[0]


def visit_from_elsewhere(port, token):
    """Opens pages whose referrer or query has a link."""
    client, elsewhere = Client(port, "127.0.0.4"), "https://elsewhere.example/?url=https%3A%2F%2Flocalhost%2Fh%2F"
    for path in [f"/v1/nothing?next=/h/{token}", f"/docs?next=https%3A%2F%2Flocalhost%2Fh%2F{token}"]:
        client.call("GET", path)
    for referrer in [f"https://localhost:{port}/h/{token}", elsewhere + token]:
        client.call("GET", "/docs", Referer=referrer)


def check_logs(directory, token):
    logs = {it.name: it.read_text(errors="replace") for it in directory.glob("*.log")}
    seen = {name: len(text) for name, text in logs.items()}
    says("the access log has the customers' requests, masked", logs["access.log"].count("/h/...") > 30, seen)
    whole = [line for text in logs.values() for line in text.splitlines() if token in line.lower()]
    says("no log has a link whole", not whole, whole[:3])
    plain = logs["access.log"].count("/v1/organizations/verification")
    says("everything else is logged as it is", plain > 1000, plain)


main()
