"""Answers as Barbican 23, Keystone 30 and OpenBao 2.7 gave them, and answers that they should not give.

Usage: double.py LOG [CERTIFICATE KEY], a stand-in for the servers: `cargo xtask interop keys` asks the real ones. Prints
its port. LOG has a line for each request: method, path, what it accepts.
"""
import http.server, json, ssl, sys, threading, time

KEY = bytes([0x07, 0x25, 0x23, 0x0B])
DEFAULTS = {"created": "2026-11-29T09:53:08.996276", "updated": "2026-11-29T09:53:09.020332", "status": "ACTIVE",
            "name": None, "expiration": None, "algorithm": None, "bit_length": None, "mode": None, "creator_id": None}
PEM = b"-----BEGIN PUBLIC KEY-----\nByUjCw==\n-----END PUBLIC KEY-----\n"


def ident(number):
    return f"00000000-0000-4000-8000-{number:012x}"


SECRETS = {  # number: type, content type, payload
    1: ("symmetric", "application/octet-stream", KEY),
    2: ("opaque", "application/octet-stream", KEY),
    3: ("passphrase", "text/plain", "hunter2 ß".encode()),
    4: ("passphrase", "application/octet-stream", b"hunter2"),
    5: ("public", "application/octet-stream", PEM),
    6: ("passphrase", "application/octet-stream", b"\xff\xfe"),
    7: ("opaque", None, b""),
    8: ("opaque", "application/octet-stream", b"x" * (64 << 10)),
    9: ("opaque", "application/octet-stream", b"x" * (64 << 10) + b"y"),
    10: ("certificate", "application/octet-stream", b"no PEM"),
    11: ("opaque", "application/octet-stream", bytes(10 << 20)),
}
VAULT = {"type": "symmetric", "value": KEY.hex(), "algorithm": "AES", "bit_length": 32, "name": None, "created": 1764410000}
TOKENS = {"token": "demo", "fresh": "demo", "other": "other"}
issued = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def note(self):
        with open(sys.argv[1], "a") as log:
            print(self.command, self.path, self.headers.get("Accept", ""), file=log)

    def do_GET(self):
        self.note()
        if self.path.startswith("/v1/secrets/"):
            return self.barbican(*self.path.removeprefix("/v1/secrets/").partition("/")[::2])
        if self.headers.get("X-Vault-Token") != "root" or self.headers.get("X-Vault-Namespace", "team") != "team":
            return self.answer(403, {"errors": ["permission denied"]})
        mounts = "/v1/sys/internal/ui/mounts/"
        if self.path.startswith(mounts + "secret/"):
            return self.answer(200, {"data": {"path": "secret/", "type": "kv", "options": {"version": "2"}}})
        if self.path.startswith(mounts + "old/"):
            return self.answer(200, {"data": {"path": "old/", "type": "kv", "options": None}})
        if self.path == "/v1/secret/data/a/key":
            return self.answer(200, {"data": {"data": VAULT, "metadata": {"version": 1}}})
        if self.path == "/v1/old/key":
            return self.answer(200, {"data": VAULT})
        if self.path == "/v1/old/phrase":
            return self.answer(200, {"data": {**VAULT, "type": "passphrase", "value": b"hunter2".hex()}})
        if self.path == "/v1/old/odd":
            return self.answer(200, {"data": {**VAULT, "value": "0725230"}})
        self.answer(404, {"errors": []})

    def barbican(self, name, payload):
        project = TOKENS.get(self.headers.get("X-Auth-Token"))
        if project is None:
            return self.answer(401, b"The request you have made requires authentication.", WWW_Authenticate='Keystone uri="none"')
        if project == "other":
            return self.answer(403, {"code": 403, "title": "Forbidden", "description": "not allowed"})
        try:
            number = int(name[-12:], 16)
        except ValueError:
            number = 0
        if number in SECRETS and name == ident(number):
            kind, content, bytes_ = SECRETS[number]
            if payload:
                if content is None:
                    return self.answer(404, {"code": 404, "description": "Sorry but your secret has no payload."})
                return self.answer(200, bytes_, Content_Type=self.headers["Accept"])
            types = {} if content is None else {"content_types": {"default": content}}
            return self.answer(200, {**DEFAULTS, **types, "secret_type": kind, "secret_ref": f"http://elsewhere.example/v1/secrets/{name}"})
        odd = {
            0x101: lambda: self.answer(200, b"<html>S3CRET</html>"),
            0x102: lambda: self.answer(302, b"", Location="http://elsewhere.example/"),
            0x103: lambda: self.answer(302, b"", Location="/v1/secrets/" + ident(1) + ("/payload" if payload else "")),
            0x104: lambda: self.answer(302, b"", Location=self.path),
            0x105: lambda: self.answer(500, b"S3CRET"),
            0x106: self.half,
            0x108: self.slow,
            0x107: lambda: self.answer(302, b"", Location="http://127.0.0.1:1" + self.path),
        }
        if number in odd:
            return odd[number]()
        self.answer(404, {"code": 404, "title": "Not Found", "description": "Secret not found."})

    def half(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"secret_type": "opaq')
        self.close_connection = True

    def slow(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(1)

    def do_POST(self):
        self.note()
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/auth/approle/login":
            if asked == {"role_id": "role", "secret_id": "S3CRET"}:
                return self.answer(200, {"auth": {"client_token": "root", "policies": ["default"]}})
            return self.answer(400, {"errors": ["invalid role or secret ID"]})
        identity = asked["auth"]["identity"]
        if identity["methods"] == ["password"]:
            user = {"name": "demo", "domain": {"name": "Default"}, "password": "S3CRET"}
            scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
            fits = identity["password"]["user"] == user and asked["auth"].get("scope") == scope
        else:
            fits = identity["application_credential"] == {"id": "abc", "secret": "S3CRET"}
        if not fits or self.path != "/v3/auth/tokens":
            return self.answer(401, {"error": {"code": 401, "title": "Unauthorized"}})
        scheme = "https" if len(sys.argv) > 2 else "http"
        place = f"{scheme}://localhost:{self.server.server_port}/"
        endpoints = [{"interface": "internal", "region": "one", "url": "http://elsewhere.example"},
                     {"interface": "public", "region": "one", "url": place}]
        catalog = [{"type": "identity", "endpoints": []}, {"type": "key-manager", "endpoints": endpoints}]
        # The first token, or each, has expired when it is used, if the log's name says so.
        is_stale = "always" in sys.argv[1] or ("stale" in sys.argv[1] and not issued)
        token = "stale" if is_stale else "fresh"
        issued.append(token)
        self.answer(201, {"token": {"catalog": catalog, "expires_at": "2026-11-29T10:53:08.000000Z"}}, X_Subject_Token=token)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
