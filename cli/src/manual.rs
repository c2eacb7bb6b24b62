//! The manual pages: one for each verb out of the definitions of its options, and those that are written by hand, in
//! which what the code says is put in: exit codes, environment variables, policies in the box.

mod roff;

use std::fmt::Write as _;
use std::io;

use clap::Command;
use clap_mangen::Man;
use jobs::policy;

use crate::exit::Exit;

/// A page, with the name of its file.
pub struct Page {
    /// Such as `luksmith-key-add.1`.
    pub name: String,
    /// Its source, in troff.
    pub text: Vec<u8>,
}

const OVERVIEW: &str = include_str!("../man/luksmith.txt");
const POLICY: &str = include_str!("../man/luksmith-policy.txt");
const JSON: &str = include_str!("../man/luksmith-json.txt");

/// Every environment variable that anything here looks at, and what for.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "BARBICAN_ENDPOINT, OS_AUTH_TOKEN",
        "Where OpenStack's key manager is, and a token for it: what --secret barbican:UUID asks. Without the token one is \
         asked for at $OS_AUTH_URL, by $OS_USERNAME (or $OS_USER_ID), $OS_PASSWORD and $OS_PROJECT_NAME (or \
         $OS_PROJECT_ID) with their domains, or by $OS_APPLICATION_CREDENTIAL_ID (or its name) and \
         $OS_APPLICATION_CREDENTIAL_SECRET; $OS_INTERFACE and $OS_REGION_NAME choose where the key manager is then.",
    ),
    (
        "OS_CLOUD, OS_CLIENT_CONFIG_FILE",
        "The cloud of clouds.yaml that has all of that, and the file itself, where it is not in the folder at hand, in \
         $XDG_CONFIG_HOME/openstack, ~/.config/openstack or /etc/openstack.",
    ),
    (
        "OS_CACERT, VAULT_CACERT",
        "Certificates that sign those of the key managers; else those that this machine trusts.",
    ),
    (
        "VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE",
        "Where a server with Vault's API is, and who asks: what --secret vault:PATH needs. $VAULT_ROLE_ID and \
         $VAULT_SECRET_ID, or ~/.vault-token, are taken in place of the token.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "The folder of what --key-file credential:NAME names; systemd sets it.",
    ),
    (
        "LISTEN_FDS, LISTEN_PID",
        "How many sockets are open for this process from descriptor 3 on, and its number: `serve` takes them; systemd sets \
         both.",
    ),
    (
        "LUKSMITH_MAPPER",
        "With the value fuse cryptsetup's open needs no device-mapper; with kernel, or nothing, it does.",
    ),
    (
        "LUKSMITH_MAX_KDF_MEMORY",
        "Memory that one keyslot may take, in KiB, where --max-kdf-memory does not say; of cryptsetup's command line too.",
    ),
    (
        "LUKSMITH_MAX_KDF_TIME",
        "Time that one keyslot may take, in milliseconds, where --max-kdf-time does not say; of cryptsetup's command line too.",
    ),
    (
        "NO_COLOR",
        "With any value but an empty one nothing is coloured.",
    ),
    (
        "CLICOLOR, CLICOLOR_FORCE",
        "0 turns colours off; the second, if it is not 0, turns them on where no terminal is.",
    ),
    (
        "XDG_RUNTIME_DIR",
        "The folder in which `serve --run` makes a socket of its own; else it is $TMPDIR, or /tmp. What LUKSMITH_MAPPER=fuse \
         opens is there too, but for root, who has /run.",
    ),
    ("TERM", "With the value dumb nothing is coloured."),
];

/// All of them. `command` has the definitions.
pub fn pages(command: Command) -> Vec<Page> {
    let mut command = command;
    // Without it the inner verbs do not know what they are called.
    command.build();
    let mut pages = Vec::new();
    let version = command.get_version().unwrap_or_default().to_owned();
    for verb in command.get_subcommands() {
        collect(verb, &version, &mut pages);
    }
    pages.push(overview(&command, &version));
    for (name, what, text) in [
        (
            "luksmith-policy",
            "what a LUKS header must look like",
            policy_text(),
        ),
        (
            "luksmith-json",
            "what the verbs of luksmith print for programs",
            json_text(),
        ),
    ] {
        let mut page = roff::title(name, 5, &version);
        page.push_str(&roff::body(&format!("# NAME\n{name} - {what}\n\n{text}")));
        pages.push(Page {
            name: format!("{name}.5"),
            text: page.into_bytes(),
        });
    }
    pages
}

/// Every member that a document of a schema has, as luksmith-json(5) lists them: the schema's verb or word, the member's
/// path, and its types.
pub fn json_members() -> Vec<(String, String, String)> {
    let mut members = Vec::new();
    let mut schema = String::new();
    for line in JSON.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            schema = heading.to_lowercase();
        } else if let Some((path, types)) =
            line.strip_prefix("= ").and_then(|tag| tag.split_once(", "))
        {
            members.push((schema.clone(), path.to_owned(), types.to_owned()));
        }
    }
    members
}

/// Every key of a policy, as luksmith-policy(5) lists them, those of a table after its name and a dot.
pub fn policy_keys() -> Vec<String> {
    let tags = POLICY.lines().filter_map(|line| line.strip_prefix("= "));
    let keys = tags.filter_map(|tag| tag.split_once(", "));
    keys.map(|(key, _)| key.to_owned()).collect()
}

fn collect(command: &Command, version: &str, pages: &mut Vec<Page>) {
    for inner in command.get_subcommands() {
        collect(inner, version, pages);
    }
    let man = Man::new(command.clone());
    pages.push(generated(&man, version, |out| man.render(out)));
}

fn overview(command: &Command, version: &str) -> Page {
    let man = Man::new(command.clone());
    let mut page = generated(&man, version, |out| {
        man.render_title(out)?;
        man.render_name_section(out)?;
        man.render_synopsis_section(out)?;
        man.render_description_section(out)?;
        man.render_options_section(out)?;
        man.render_subcommands_section(out)
    });
    page.text.extend(roff::body(&overview_text()).into_bytes());
    page
}

fn overview_text() -> String {
    let mut codes = String::new();
    for exit in Exit::ALL {
        let _ = writeln!(codes, "= {}\n{}", exit.code(), exit.meaning());
    }
    let mut variables = String::new();
    for (name, what) in ENVIRONMENT {
        let _ = writeln!(variables, "= {name}\n{what}");
    }
    OVERVIEW
        .replace("{{exit codes}}", &codes)
        .replace("{{environment}}", &variables)
}

fn policy_text() -> String {
    let mut builtins = String::new();
    for (name, text) in policy::BUILTINS {
        let _ = writeln!(builtins, "= {name}\nAs follows.\n");
        for line in text.lines() {
            let _ = writeln!(builtins, "    {line}");
        }
    }
    POLICY.replace("{{builtin policies}}", &builtins)
}

fn json_text() -> String {
    let names: Vec<_> = Exit::ALL[1..].iter().map(|exit| exit.name()).collect();
    JSON.replace("{{exit names}}", &names.join(", "))
}

fn generated(
    man: &Man,
    version: &str,
    render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> Page {
    let mut text = Vec::new();
    render(&mut text).expect("memory takes what is written");
    let text = String::from_utf8(text).expect("definitions are UTF-8");
    let file = man.get_filename();
    let name = file.strip_suffix(".1").unwrap_or(&file);
    Page {
        text: roff::mended(&text, name, version).into_bytes(),
        name: file,
    }
}
