"""A proxy with TLS, while a block runs."""

import contextlib
import socket
import ssl
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


@contextlib.contextmanager
def in_front_of(upstream, proxy, place, port=None):
    """Yields the address of `proxy` (caddy or nginx) in front of `upstream`, as host:port."""
    port = port or free_port()
    command = [HERE / "front", proxy, str(port), upstream, str(place)]
    process = subprocess.Popen(command)
    try:
        trust = ssl.create_default_context(cafile=Path(place) / "cert.pem")
        for _ in range(200):
            assert process.poll() is None, f"{proxy} ended"
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
                    with trust.wrap_socket(plain, server_hostname="localhost"):
                        break
            except OSError:
                time.sleep(0.05)
        else:
            raise AssertionError(f"{proxy} does not answer")
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
