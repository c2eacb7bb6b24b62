"""Secrets as castellan stores them in Barbican and OpenBao, and as os-brick turns them into passphrases: luksmith does the
same. Usage: keys.py LUKSMITH FOLDER [COUNT [SEED]]; COUNT secrets (1,000 unless said).
"""
import json, os, pathlib, random, socket, subprocess, sys, urllib.request

import servers
from castellan.common import objects
from castellan.common.credentials import keystone_password
from castellan.key_manager import barbican_key_manager, vault_key_manager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from os_brick import utils
from oslo_config import cfg

LUKSMITH, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
CHANCE = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
FAST = ["-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def opens(reference, passphrase, environment, wanted=0):
    """A container of that passphrase opens by the secret."""
    if isinstance(passphrase, str):
        passphrase = passphrase.encode()
    box, key = FOLDER / "box", FOLDER / "key"
    key.write_bytes(passphrase)
    box.unlink(missing_ok=True)
    subprocess.run([LUKSMITH, "create", box, "--payload-size", "64K", *FAST, "--key-file", key], check=True, stdout=subprocess.DEVNULL)
    asked = subprocess.run([LUKSMITH, "key", "test", box, "--secret", reference], env=environment, capture_output=True, text=True)
    if asked.returncode != wanted:
        raise SystemExit(f"{reference}: exit {asked.returncode} and not {wanted}: {asked.stderr}")
    return asked.stderr


def secrets(count):
    """Of every type that castellan has; what os-brick cannot take (text that is no passphrase) comes from REST below."""
    for number in range(count):
        kind = number % 5
        payload = CHANCE.randbytes(CHANCE.choice([1, 15, 16, 32, 64, 255]))
        if kind == 0:
            yield objects.symmetric_key.SymmetricKey("AES", len(payload) * 8, payload)
        elif kind == 1:
            yield objects.opaque_data.OpaqueData(payload)
        elif kind == 2:
            yield objects.passphrase.Passphrase("".join(chr(CHANCE.choice([*range(33, 127), 0xDF, 0x4E16, 0x1F511])) for _ in range(20)).encode())
        elif number % 50 == 3:
            secret = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "luksmith")])
            yield objects.private_key.PrivateKey("EC", 256, secret.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            yield objects.public_key.PublicKey("EC", 256, secret.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
            import datetime
            start = datetime.datetime(2026, 1, 1)
            certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(secret.public_key()).serial_number(
                number + 1).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9999)).sign(secret, hashes.SHA256())
            yield objects.x_509.X509(certificate.public_bytes(serialization.Encoding.DER))
        else:
            yield objects.symmetric_key.SymmetricKey("AES", 256, CHANCE.randbytes(32))


def rest(url, body=None, **headers):
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None,
                                     {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}})
    with urllib.request.urlopen(request) as answer:
        return answer.headers, json.loads(answer.read() or b"null")


def of_openstack():
    identity_port, keys_port = free_port(), free_port()
    identity, keys = f"http://127.0.0.1:{identity_port}/v3", f"http://127.0.0.1:{keys_port}"
    folder = FOLDER / "openstack"
    folder.mkdir()
    running = [servers.start(folder, "keystone", identity_port)]
    try:
        servers.wait(identity, running[0])
        running.append(servers.start(folder, "barbican", keys_port, identity))
        servers.wait(keys, running[1])
        user = {"name": "admin", "domain": {"id": "default"}, "password": servers.PASSWORD}
        headers, answer = rest(f"{identity}/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {"user": user}},
                                                                    "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}})
        token, person = headers["X-Subject-Token"], answer["token"]["user"]["id"]
        _, service = rest(f"{identity}/services", {"service": {"type": "key-manager", "name": "barbican"}}, X_Auth_Token=token)
        for interface in ("public", "internal"):
            rest(f"{identity}/endpoints", {"endpoint": {"service_id": service["service"]["id"], "interface": interface, "region_id": "one",
                                                        "url": keys}}, X_Auth_Token=token)
        _, role = rest(f"{identity}/roles?name=member", X_Auth_Token=token)
        project = answer["token"]["project"]["id"]
        request = urllib.request.Request(f"{identity}/projects/{project}/users/{person}/roles/{role['roles'][0]['id']}",
                                         method="PUT", headers={"X-Auth-Token": token})
        urllib.request.urlopen(request).close()
        _, other = rest(f"{identity}/projects", {"project": {"name": "other", "domain_id": "default"}}, X_Auth_Token=token)
        other = other["project"]["id"]
        for name in ("member", "admin"):
            _, role = rest(f"{identity}/roles?name={name}", X_Auth_Token=token)
            request = urllib.request.Request(f"{identity}/projects/{other}/users/{person}/roles/{role['roles'][0]['id']}",
                                             method="PUT", headers={"X-Auth-Token": token})
            urllib.request.urlopen(request).close()
        asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}
        headers, _ = rest(f"{identity}/auth/tokens", asked)
        token = headers["X-Subject-Token"]
        _, credential = rest(f"{identity}/users/{person}/application_credentials", {"application_credential": {"name": "luksmith"}},
                             X_Auth_Token=token)
        credential = credential["application_credential"]

        settings = cfg.ConfigOpts()
        settings([], default_config_files=[])
        manager = barbican_key_manager.BarbicanKeyManager(settings)
        settings.set_override("barbican_endpoint", keys, "barbican")
        settings.set_override("auth_endpoint", identity, "barbican")
        context = keystone_password.KeystonePassword(
            servers.PASSWORD, auth_url=identity, username="admin", user_domain_id="default", project_name="admin", project_domain_id="default")
        by_password = {"OS_AUTH_URL": identity, "OS_USERNAME": "admin", "OS_PASSWORD": servers.PASSWORD, "OS_USER_DOMAIN_ID": "default",
                       "OS_PROJECT_NAME": "admin", "OS_PROJECT_DOMAIN_ID": "default", "OS_REGION_NAME": "one"}
        by_token = {"BARBICAN_ENDPOINT": keys, "OS_AUTH_TOKEN": token}
        by_credential = {"OS_AUTH_URL": identity, "OS_APPLICATION_CREDENTIAL_ID": credential["id"],
                         "OS_APPLICATION_CREDENTIAL_SECRET": credential["secret"], "OS_AUTH_TYPE": "v3applicationcredential"}
        done = 0
        for number, secret in enumerate(secrets(COUNT)):
            name = manager.store(context, secret)
            wanted = utils.get_passphrase_from_secret(manager.get(context, name))
            opens(f"barbican:{name}", wanted, (by_token, by_password, by_credential)[number % 3 if number < 30 else 0])
            done += 1
        # Text, which castellan gives as str and os-brick 7.1.1 cannot take; and an ordered key.
        post = lambda body: rest(f"{keys}/v1/secrets", body, X_Auth_Token=token)[1]["secret_ref"]
        text = {"payload_content_type": "text/plain", "payload": "hunter2 ß"}
        opens(post({**text, "secret_type": "passphrase"}), "hunter2 ß", by_token)
        ref = post({**text, "secret_type": "opaque"})
        opens(ref, "hunter2 ß".encode().hex(), by_token)
        opens(ref, "hunter2 ß", by_token, wanted=2)
        name = manager.create_key(context, "aes", 256)
        opens(f"barbican:{name}", utils.get_passphrase_from_secret(manager.get(context, name)), by_password)
        for environment, wanted in [({**by_token, "OS_AUTH_TOKEN": "none"}, "the token is wrong"), ({**by_password, "OS_PASSWORD": "x"}, "is wrong"),
                                    ({**by_password, "OS_PROJECT_NAME": "other"}, "may not be read")]:
            said = opens(ref, "x", environment, wanted=1)
            assert wanted in said, said
        empty = post({"secret_type": "opaque", "name": "empty"})
        assert "has no payload" in opens(empty, "x", by_token, wanted=1)
        gone = "barbican:00000000-0000-4000-8000-000000000000"
        assert "is not there" in opens(gone, "x", by_token, wanted=1)
        print(f"Barbican 23 by Keystone 30: {done} secrets of castellan's open as os-brick has them; 9 cases by REST as they should")
    finally:
        for process in running:
            process.kill()


def of_vault():
    port = free_port()
    folder = FOLDER / "openbao"
    folder.mkdir()
    server = servers.openbao(folder, port)
    try:
        place = f"http://127.0.0.1:{port}"
        servers.wait(f"{place}/v1/sys/health", server)
        request = urllib.request.Request(f"{place}/v1/sys/mounts/first", json.dumps({"type": "kv", "options": {"version": "1"}}).encode(),
                                         {"X-Vault-Token": "root"}, method="POST")
        urllib.request.urlopen(request).close()
        done = 0
        for version, mount in ((1, "first"), (2, "secret")):
            settings = cfg.ConfigOpts()
            settings([], default_config_files=[])
            manager = vault_key_manager.VaultKeyManager(settings)
            for name, value in {"root_token_id": "root", "vault_url": place, "kv_mountpoint": mount, "kv_version": version}.items():
                settings.set_override(name, value, "vault")
            manager = vault_key_manager.VaultKeyManager(settings)
            for secret in secrets(max(COUNT // 10, 10)):
                name = manager.store(None, secret)
                wanted = utils.get_passphrase_from_secret(manager.get(None, name))
                opens(f"vault:{mount}/{name}", wanted, {"VAULT_ADDR": place, "VAULT_TOKEN": "root"})
                done += 1
        print(f"OpenBao 2.7, key-value stores 1 and 2: {done} secrets of castellan's open as os-brick has them")
    finally:
        server.kill()


of_vault()
of_openstack()
