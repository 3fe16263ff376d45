"""Does hone-wire trust the certificates that it should, and no others?

    python3 tests/parity/wire_tls.py WIRE

WIRE is the example `wire` of hone-wire. Needs the program `openssl`, which makes an authority and a server's certificate for
`localhost`; no network. Exit status 0: an answer with that authority in SSL_CERT_FILE, none without it or under another name.
"""

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

from wire_peer import FIXTURES, Peer


def authority(folder: Path) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (folder / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    for words in (
        ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority"],
        ["req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "cert.pem",
         "-days", "2", "-extfile", "names"],
    ):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def main(binary: str) -> int:
    if not shutil.which("openssl"):
        print("skipped: there is no program `openssl`")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority(folder)
        peer = Peer()
        peer.serve("openai_calls.sse")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        peer.server.socket = context.wrap_socket(peer.server.socket, server_side=True)

        def ask(host: str, known: bool) -> str:
            env = {**os.environ, **({"SSL_CERT_FILE": str(folder / "ca.pem")} if known else {})}
            command = [binary, "ask", "openai", str(FIXTURES / "conversation.json"), f"https://{host}:{peer.server.server_port}/v1"]
            done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
            return done.stdout + done.stderr

        expected = [
            (ask("localhost", True), "get_weather"),
            (ask("127.0.0.1", True), "not valid for name"),
            (ask("localhost", False), "UnknownIssuer"),
        ]
        bad = [f"expected `{word}` in: {text}" for text, word in expected if word not in text]
        print("\n".join(bad) or "3 handshakes as they should be")
        return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
