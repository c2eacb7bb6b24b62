"""Keystone 30, Barbican 23 and OpenBao 2.7 on this machine, in a folder that can be thrown away.

`servers.py keystone FOLDER PORT` and `servers.py barbican FOLDER PORT KEYSTONE` serve until they are killed.
"""
import base64, os, pathlib, subprocess, sys, time, urllib.error, urllib.request

HERE = pathlib.Path(__file__).resolve()
BIN = pathlib.Path(sys.executable).parent
PASSWORD = "a password of Keystone's"


def keystone(folder, port):
    url = f"http://127.0.0.1:{port}/v3"
    settings = folder / "keystone.conf"
    settings.write_text(
        f"[DEFAULT]\nlog_file = {folder}/keystone.log\n"
        f"[database]\nconnection = sqlite:///{folder}/keystone.sqlite\n"
        f"[token]\nprovider = fernet\nexpiration = {os.environ.get('TOKEN_SECONDS', '3600')}\nallow_expired_window = 0\n"
        f"[fernet_tokens]\nkey_repository = {folder}/fernet\n[fernet_receipts]\nkey_repository = {folder}/fernet\n"
        f"[credential]\nkey_repository = {folder}/credential\n")
    for name in ("fernet", "credential"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    places = [part for kind in ("admin", "internal", "public") for part in (f"--bootstrap-{kind}-url", url)]
    for arguments in (["db_sync"], ["fernet_setup", "--keystone-user", "root", "--keystone-group", "root"],
                      ["credential_setup", "--keystone-user", "root", "--keystone-group", "root"],
                      ["bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", "one", *places]):
        subprocess.run([BIN / "keystone-manage", "--config-file", settings, *arguments], check=True)
    sys.argv = sys.argv[:1]  # Keystone parses it.
    from keystone.server.flask import core
    from paste import httpserver
    application = core.initialize_application(name="public", config_files=[str(settings)])
    httpserver.serve(application, host="127.0.0.1", port=str(port))


def barbican(folder, port, identity):
    # Its plugins read the settings anew, from the home folder.
    home = folder / ".barbican"
    home.mkdir(exist_ok=True)
    (home / "barbican.conf").write_text(
        f"[DEFAULT]\nhost_href = http://elsewhere.example\ndb_auto_create = True\n"
        f"[database]\nconnection = sqlite:///{folder}/barbican.sqlite\n[queue]\nenable = False\n"
        "[secretstore]\nnamespace = barbican.secretstore.plugin\nenabled_secretstore_plugins = store_crypto\n"
        "[crypto]\nnamespace = barbican.crypto.plugin\nenabled_crypto_plugins = simple_crypto\n"
        f"[simple_crypto_plugin]\nkek = {base64.b64encode(b'k' * 32).decode()}\n"
        f"[keystone_authtoken]\nauth_type = password\nauth_url = {identity}\nwww_authenticate_uri = {identity}\n"
        f"username = admin\npassword = {PASSWORD}\nproject_name = admin\nuser_domain_id = default\n"
        "project_domain_id = default\nmemcached_servers =\ntoken_cache_time = 300\n")
    (folder / "paste.ini").write_text(
        "[composite:main]\nuse = egg:Paste#urlmap\n/: version\n/v1: api\n"
        "[pipeline:version]\npipeline = request_id microversion versionapp\n"
        "[pipeline:api]\npipeline = request_id authtoken context microversion apiapp\n"
        "[app:apiapp]\npaste.app_factory = barbican.api.app:create_main_app\n"
        "[app:versionapp]\npaste.app_factory = barbican.api.app:create_version_app\n"
        "[filter:authtoken]\npaste.filter_factory = keystonemiddleware.auth_token:filter_factory\n"
        "[filter:context]\npaste.filter_factory = barbican.api.middleware.context:ContextMiddleware.factory\n"
        "[filter:microversion]\npaste.filter_factory = barbican.api.middleware.microversion:MicroversionMiddleware.factory\n"
        "[filter:request_id]\npaste.filter_factory = oslo_middleware.request_id:RequestId.factory\n")
    os.chdir(folder)
    os.environ["HOME"] = str(folder)
    from paste import deploy, httpserver
    httpserver.serve(deploy.loadapp(f"config:{folder}/paste.ini", name="main"), host="127.0.0.1", port=str(port))


def start(folder, name, *arguments, **environment):
    """One of the above as a process, its output in a file beside it."""
    output = open(folder / f"{name}.out", "wb")
    command = [sys.executable, HERE, name, folder, *map(str, arguments)]
    return subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})


def openbao(folder, port):
    """OpenBao with nothing kept, its token `root`."""
    output = open(folder / "openbao.out", "wb")
    command = [BIN / "bao", "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
    return subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "HOME": str(folder)})


def wait(url, process):
    """Until something answers there."""
    while process.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except urllib.error.HTTPError:
            return b""
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"{url}: its server has ended with {process.returncode}")


if __name__ == "__main__":
    globals()[sys.argv[1]](pathlib.Path(sys.argv[2]).resolve(), *sys.argv[3:])
